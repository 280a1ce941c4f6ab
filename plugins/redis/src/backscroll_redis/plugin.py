"""What the Redis backend declares; imports no driver."""

from collections.abc import Iterable
from typing import Final

from backscroll.backend import Durability, Limits, declare
from backscroll.hookspecs import BackendInfo, ServerSpec, hookimpl
from backscroll_redis.scripts import WINDOW

MOST_BYTES: Final = 128 << 20
"""The most bytes of a message or a turn: Redis takes values of up to 512 MiB, and a script holds them several times."""


@hookimpl
def backscroll_backends() -> Iterable[BackendInfo]:
    """The backend of ``redis://`` and its kin."""
    yield BackendInfo(
        name="redis",
        schemes=(
            "redis",
            "rediss",
            "valkey",
            "redis+cluster",
            "rediss+cluster",
            "redis+sentinel",
            "rediss+sentinel",
        ),
        api=(1, 0),
        factory="backscroll_redis.backend:RedisBackend",
        options="backscroll_redis.options:RedisOptions",
        capabilities=declare(),
        limits=Limits(
            max_message_bytes=MOST_BYTES,
            max_turn_bytes=MOST_BYTES,
            max_turn_messages=100_000,
            dedupe_turns=WINDOW,
            durability=Durability.PROCESS,
        ),
    )


@hookimpl
def backscroll_servers() -> Iterable[ServerSpec]:
    """Redis 7 that waits for its disk."""
    yield ServerSpec(
        backend="redis",
        url="redis://localhost:{port}/0?durability=server",
        image="redis:7",
        command=("redis-server", "--port", "{port}", "--appendonly", "yes", "--appendfsync", "always"),
        container_port="{port}",
        ready="Ready to accept connections",
    )
