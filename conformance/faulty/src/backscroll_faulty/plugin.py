"""What the reference and the faulty backends declare."""

from collections.abc import Iterable
from typing import Final

from backscroll.backend import Durability, Limits, declare
from backscroll.hookspecs import BackendInfo, ServerSpec, hookimpl

LIMITS: Final = Limits(
    max_message_bytes=1 << 20,
    max_turn_bytes=2 << 20,
    max_turn_messages=10_000,
    durability=Durability.PROCESS,
)


def described(name: str, factory: str, options: str) -> BackendInfo:
    """A backend with every capability in full.

    Args:
        name: Its name, which is its scheme.
        factory: Where its class is.
        options: Where its options are.
    """
    return BackendInfo(
        name=name,
        schemes=(name,),
        api=(1, 0),
        factory=f"backscroll_faulty.{factory}",
        options=f"backscroll_faulty.options:{options}",
        capabilities=declare(),
        limits=LIMITS,
    )


@hookimpl
def backscroll_backends() -> Iterable[BackendInfo]:
    """The correct backend, and those with a fault."""
    yield described("reference", "reference:Reference", "ReferenceOptions")
    yield described("faulty", "faults:Faulty", "FaultyOptions")


@hookimpl
def backscroll_servers() -> Iterable[ServerSpec]:
    """Files in a folder; there is no server to start."""
    yield ServerSpec(backend="reference", url="reference:///{folder}/db")
    yield ServerSpec(backend="faulty", url="faulty:///{folder}/db")
