"""Faults that show only on a real server: Redis, with one thing wrong; the server clauses have to catch them."""

from typing import Any, Final, TypeVar
from uuid import uuid4

import attrs
import redis

from backscroll.backend import URL, Appended, Deadline, Health, Turn, choice, option
from backscroll.errors import OutcomeUnknown, Unavailable
from backscroll.hookspecs import BackendInfo
from backscroll_redis.backend import RedisBackend
from backscroll_redis.layout import Request
from backscroll_redis.options import RedisOptions

R = TypeVar("R")

LONGER: Final = 8.0
"""How many seconds more than it was given a call takes that ignores its deadline."""


class Careless(RedisBackend):
    """Claims that everything survives its server, which it lets keep nothing on disk."""

    def setup(self, deadline: Deadline) -> Health:
        health = super().setup(deadline)
        for name, value in (("appendonly", "no"), ("save", "")):
            self._route().ask(b"", [("CONFIG", "SET", name, value)], deadline)
        return health


class GivesUp(RedisBackend):
    """Never works again once a call was not answered."""

    _is_broken = False

    def _run(self, request: Request[R], deadline: Deadline, *, writes: bool = False) -> R:
        if self._is_broken:
            raise Unavailable("it was disconnected")
        try:
            return super()._run(request, deadline, writes=writes)
        except (Unavailable, OutcomeUnknown):
            self._is_broken = True
            raise


class Waits(RedisBackend):
    """Waits longer than it may."""

    def _run(self, request: Request[R], deadline: Deadline, *, writes: bool = False) -> R:
        return super()._run(request, Deadline(deadline.remaining() + LONGER), writes=writes)


class Doubles(RedisBackend):
    """Gives each try of a turn an id of its own."""

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        answer = super().append(session_id, attrs.evolve(turn, turn_id=uuid4(), age=0.0), deadline)
        return attrs.evolve(answer, turn_id=turn.turn_id)


class Chatty(RedisBackend):
    """Asks whether the server is there before each operation."""

    def _run(self, request: Request[R], deadline: Deadline, *, writes: bool = False) -> R:
        self._route().ask(request.keys[0], [("PING",)], deadline)
        return super()._run(request, deadline, writes=writes)


class ClientPerSession(RedisBackend):
    """Opens a connection for each session, and keeps it."""

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        clients = self.__dict__.setdefault("clients", {})
        if session_id not in clients:
            clients[session_id] = redis.Redis(self.url.hosts[0].name, self.url.hosts[0].port or 6379)
            clients[session_id].ping()
        return super().append(session_id, turn, deadline)

    def close(self) -> None:
        for client in self.__dict__.pop("clients", {}).values():
            client.close()
        super().close()


@attrs.frozen
class ServedFault:
    """A faulty backend with a server.

    Args:
        name: Its name in the options.
        make: Its class.
        caught_by: The ids of the clauses that must fail.
        also: Those that may fail with them.
    """

    name: str
    make: type[RedisBackend]
    caught_by: frozenset[str]
    also: frozenset[str] = frozenset()


def _fault(name: str, make: type[RedisBackend], caught_by: str, also: str = "") -> ServedFault:
    return ServedFault(name, make, frozenset(caught_by.split()), frozenset(also.split()))


SERVED: Final = (
    _fault("careless", Careless, "DUR-005"),
    _fault("gives_up", GivesUp, "DUR-006 DUR-005 DUR-007 DUR-008 DUR-009"),
    _fault("waits", Waits, "DUR-007", "DUR-009"),
    _fault("doubles", Doubles, "DUR-008 DUR-009", "DUR-005 DUR-007"),
    _fault("chatty", Chatty, "MEA-005"),
    _fault("client_per_session", ClientPerSession, "MEA-006"),
)
"""Every one of them."""

_CLASSES: Final = {fault.name: fault.make for fault in SERVED}


@attrs.frozen(kw_only=True)
class ServedOptions(RedisOptions):
    """What ``served://host?…`` takes."""

    fault: str = option("careless", choice(*_CLASSES), "which fault")


class Served(RedisBackend):
    """The backend with the fault that the options name."""

    def __new__(cls, declared: BackendInfo, url: URL, options: Any) -> Any:
        return _CLASSES[options.fault](declared, url, options)
