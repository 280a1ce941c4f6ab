"""What the Kafka backend declares; imports no driver."""

from collections.abc import Iterable
from typing import Final

from backscroll.backend import Capability, Durability, Erasure, Limits, declare, unsupported
from backscroll.hookspecs import BackendInfo, ServerSpec, hookimpl
from backscroll_kafka.fold import MOST_MESSAGES

MOST_TURN_BYTES: Final = 64 << 20
"""The most bytes of a turn: a broker takes requests of up to 100 MiB."""

WINDOW: Final = 16
"""How many of a session's last turns are known by their turn_id."""


@hookimpl
def backscroll_backends() -> Iterable[BackendInfo]:
    """The backend of ``kafka://``."""
    yield BackendInfo(
        name="kafka",
        schemes=("kafka",),
        api=(1, 0),
        factory="backscroll_kafka.backend:KafkaBackend",
        options="backscroll_kafka.options:KafkaOptions",
        capabilities=declare(
            {Capability.PURGE: unsupported("what has expired leaves Kafka with the retention of the topic")}
        ),
        limits=Limits(
            max_message_bytes=MOST_TURN_BYTES,
            max_turn_bytes=MOST_TURN_BYTES,
            max_turn_messages=MOST_MESSAGES,
            dedupe_turns=WINDOW,
            durability=Durability.SERVER,
            erasure=Erasure.DEFERRED,
        ),
    )


@hookimpl
def backscroll_servers() -> Iterable[ServerSpec]:
    """A lone broker."""
    yield ServerSpec(
        backend="kafka",
        url="kafka://localhost:{port}/backscroll?replication=1",
        image="apache/kafka:4.1.0",
        environment={
            "KAFKA_LISTENERS": "PLAINTEXT://0.0.0.0:{port},CONTROLLER://0.0.0.0:9093",
            "KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT://localhost:{port}",
        },
        container_port="{port}",
        ready="Kafka Server started",
    )
