"""Redis keeps the contract."""

from backscroll_conformance import BackendConformance


class TestRedis(BackendConformance):
    """On a server that is started for it."""

    backend = "redis"
