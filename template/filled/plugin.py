"""What the LMDB backend declares; imports no driver."""

from collections.abc import Iterable
from typing import Final

from backscroll.backend import Capability, Durability, Limits, declare, unsupported
from backscroll.hookspecs import BackendInfo, ServerSpec, hookimpl
from backscroll.recent import WINDOW

MIB: Final = 1 << 20


@hookimpl
def backscroll_backends() -> Iterable[BackendInfo]:
    """The backend of ``lmdb://``."""
    yield BackendInfo(
        name="lmdb",
        schemes=("lmdb",),
        api=(1, 0),
        factory="backscroll_lmdb.backend:LMDBBackend",
        options="backscroll_lmdb.options:LMDBOptions",
        capabilities=declare(
            {
                Capability.WATCH: unsupported("nothing tells of new turns; follow() polls"),
            }
        ),
        limits=Limits(
            max_message_bytes=16 * MIB,
            max_turn_bytes=16 * MIB,
            max_turn_messages=10_000,
            dedupe_turns=WINDOW,
            durability=Durability.SERVER,
        ),
    )


@hookimpl
def backscroll_servers() -> Iterable[ServerSpec]:
    """A file in a folder; there is no server to start."""
    yield ServerSpec(backend="lmdb", url="lmdb:///{folder}/chat.lmdb")
