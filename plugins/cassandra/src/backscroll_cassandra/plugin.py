"""What the Cassandra backend declares; imports no driver."""

from collections.abc import Iterable
from typing import Final

from backscroll.backend import Capability, Durability, Limits, declare, unsupported
from backscroll.hookspecs import BackendInfo, ServerSpec, hookimpl
from backscroll.recent import WINDOW

MOST_TURN_BYTES: Final = 8 << 20
"""The most bytes of a turn: Cassandra takes mutations of up to 16 MiB, half a segment of its commit log."""


@hookimpl
def backscroll_backends() -> Iterable[BackendInfo]:
    """The backend of ``cassandra://`` and ``astra://``."""
    yield BackendInfo(
        name="cassandra",
        schemes=("cassandra", "astra"),
        api=(1, 0),
        factory="backscroll_cassandra.backend:CassandraBackend",
        options="backscroll_cassandra.options:CassandraOptions",
        capabilities=declare(
            {
                Capability.WATCH: unsupported("Cassandra does not tell its clients; follow() polls"),
                Capability.PURGE: unsupported("Cassandra drops what has expired by itself"),
            }
        ),
        limits=Limits(
            max_message_bytes=MOST_TURN_BYTES,
            max_turn_bytes=MOST_TURN_BYTES,
            max_turn_messages=10_000,
            dedupe_turns=WINDOW,
            durability=Durability.SERVER,
        ),
    )


SETTINGS: Final = (
    "config.allow_system_properties=true",
    "settings.commitlog_sync=batch",
    "settings.commitlog_sync_period=0ms",
    "settings.commitlog_segment_size=32MiB",
    "settings.commitlog_total_space=256MiB",
)
"""What a lone node needs to keep what it acknowledged, and the size of its commit log's segments when not told."""


@hookimpl
def backscroll_servers() -> Iterable[ServerSpec]:
    """A lone node of Cassandra."""
    yield ServerSpec(
        backend="cassandra",
        url="cassandra://localhost:{port}/backscroll?replication=1",
        image="cassandra:5.0",
        environment={"JAVA_TOOL_OPTIONS": " ".join(f"-Dcassandra.{setting}" for setting in SETTINGS)},
        container_port="9042",
        ready="Starting listening for CQL clients",
        ready_timeout=120,
    )
