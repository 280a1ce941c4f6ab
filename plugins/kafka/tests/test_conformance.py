"""Kafka keeps the contract."""

from backscroll_conformance import BackendConformance


class TestKafka(BackendConformance):
    """On a broker that is started for it."""

    backend = "kafka"
