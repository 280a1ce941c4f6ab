"""Every operation of a backend, as the clauses call it that say something of all of them."""

from collections.abc import Awaitable, Callable
from typing import Any

from backscroll.backend import Capability
from backscroll_conformance.subject import Subject

Call = Callable[[], Awaitable[Any]]


def calls(s: Subject, session_id: str, seconds: float) -> dict[str, Call]:
    """The operations that every backend has and those that this one declares, by name.

    Args:
        s: The database.
        session_id: The session that they are called for, in which little is left.
        seconds: How far ahead the deadline of each is.
    """
    backend, microseconds = s.backend, s.microseconds
    made: dict[str, Call] = {
        "append": lambda: backend.append(session_id, s.turn("a"), s.deadline(seconds)),
        "read": lambda: backend.read(session_id, s.window(), s.deadline(seconds)),
        "info": lambda: backend.info(session_id, s.deadline(seconds)),
        "ping": lambda: backend.ping(s.deadline(seconds)),
        "setup": lambda: backend.setup(s.deadline(seconds)),
    }
    optional: dict[Capability, Call] = {
        Capability.COUNT: lambda: backend.count(session_id, microseconds, s.deadline(seconds)),
        Capability.SESSIONS: lambda: backend.sessions(session_id, None, 10, s.deadline(seconds)),
        Capability.DISCARD: lambda: backend.discard(session_id, 1, s.deadline(seconds)),
        Capability.REMOVE: lambda: backend.remove(session_id, (0, 1), microseconds, s.deadline(seconds)),
        Capability.DELETE: lambda: backend.delete(session_id, 1, s.deadline(seconds)),
        Capability.PURGE: lambda: backend.purge(s.deadline(seconds)),
    }
    return made | {capability.value: call for capability, call in optional.items() if s.capabilities[capability]}
