"""What the SQLite backend declares; imports no driver."""

from collections.abc import Iterable
from typing import Final

from backscroll.backend import Capability, Durability, Limits, declare, unsupported
from backscroll.hookspecs import BackendInfo, ServerSpec, hookimpl
from backscroll.recent import WINDOW

MOST_BYTES: Final = 256 << 20
"""The most bytes of a message or a turn: a quarter of SQLite's own limit for a row (SQLITE_MAX_LENGTH)."""


@hookimpl
def backscroll_backends() -> Iterable[BackendInfo]:
    """The backend of ``sqlite://``."""
    yield BackendInfo(
        name="sqlite",
        schemes=("sqlite",),
        api=(1, 0),
        factory="backscroll.sqlite.backend:SQLiteBackend",
        options="backscroll.sqlite.options:SQLiteOptions",
        capabilities=declare({Capability.WATCH: unsupported("SQLite does not tell other processes; follow() polls")}),
        limits=Limits(
            max_message_bytes=MOST_BYTES,
            max_turn_bytes=MOST_BYTES,
            max_turn_messages=100_000,
            dedupe_turns=WINDOW,
            durability=Durability.SERVER,
        ),
    )


@hookimpl
def backscroll_servers() -> Iterable[ServerSpec]:
    """A file in a folder; there is no server to start."""
    yield ServerSpec(backend="sqlite", url="sqlite:///{folder}/chat.db")
