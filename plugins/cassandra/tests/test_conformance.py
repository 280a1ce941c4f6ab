"""Cassandra keeps the contract."""

from backscroll_conformance import BackendConformance


class TestCassandra(BackendConformance):
    """On a node that is started for it."""

    backend = "cassandra"
