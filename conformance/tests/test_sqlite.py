"""SQLite, the built-in backend, keeps the contract."""

from backscroll_conformance import BackendConformance


class TestSQLite(BackendConformance):
    backend = "sqlite"
