"""Faults in setup, failing, closing, and what is shared by threads, loops and processes."""

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, ParamSpec, TypeVar

import attrs

from backscroll.backend import URL, Appended, Deadline, Health, Page, Turn, Window
from backscroll.errors import DeadlineExceeded, StorageError
from backscroll.hookspecs import BackendInfo
from backscroll_faulty.fault import fault
from backscroll_faulty.reference import Reference

P = ParamSpec("P")
R = TypeVar("R")


@fault("deadline_swallowed", caught_by="ERR-001")
class Swallowed(Reference):
    """Answers as though the turn was stored when its time is up."""

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        try:
            return super().append(session_id, turn, deadline)
        except DeadlineExceeded:
            return Appended(len(turn.bodies), tuple(range(len(turn.bodies))), turn.turn_id)


@fault("setup_begins_anew", caught_by="SCH-001")
class BeginsAnew(Reference):
    """Makes the tables afresh where it is set up a second time."""

    _is_set_up = False

    def setup(self, deadline: Deadline) -> Health:
        if self._is_set_up:
            with self.writing(deadline) as db:
                if db is not None:
                    db.execute("DELETE FROM message")
        self._is_set_up = True
        return super().setup(deadline)


@fault("nameless_server", caught_by="SCH-002")
class Nameless(Reference):
    """Answers a ping without a name."""

    def ping(self, deadline: Deadline) -> Health:
        return attrs.evolve(super().ping(deadline), server="")


@fault("password_shown", caught_by="SEC-001")
class PasswordShown(Reference):
    """Shows the URL that it is connected to, with the password, in its answer to a ping."""

    def ping(self, deadline: Deadline) -> Health:
        health = super().ping(deadline)
        return attrs.evolve(health, server=f"{health.server} at {self.url.username}:{self.url.password}@")


@fault("connects_when_made", caught_by="LIF-001")
class ConnectsWhenMade(Reference):
    """Opens a connection in its constructor."""

    def __init__(self, declared: BackendInfo, url: URL, options: Any) -> None:
        super().__init__(declared, url, options)
        with contextlib.suppress(sqlite3.Error):
            if (db := self.connections.lend()) is not None:
                self.connections.take_back(db)


@fault("racy_first_use", caught_by="LIF-002", also="CON-008")
class RacyFirstUse(Reference):
    """Says that it is ready before it is, when it is used for the first time."""

    _is_ready = False

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        if not self._is_ready:
            self._is_ready = True
            time.sleep(0.02)
            self._name = str(self.path)
        return super().append(session_id, turn, deadline) if self._name else self._no_name()

    def _no_name(self) -> Appended:
        raise StorageError("there is no file")


@fault("bound_to_the_first_loop", caught_by="LIF-003")
class BoundToTheFirstLoop(Reference):
    """Keeps the event loop of its first use for later."""

    _loop: asyncio.AbstractEventLoop | None = None

    async def in_thread(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        self._loop = self._loop or asyncio.get_running_loop()
        return await self._loop.run_in_executor(None, lambda: call(*args, **kwargs))


_forked: Final[weakref.WeakSet["LockHeldOverAFork"]] = weakref.WeakSet()


@fault("lock_held_over_a_fork", caught_by="LIF-004")
class LockHeldOverAFork(Reference):
    """Takes its lock before a fork, and gives it back in the parent only."""

    def __init__(self, declared: BackendInfo, url: URL, options: Any) -> None:
        super().__init__(declared, url, options)
        self.lock: Final = threading.Lock()
        _forked.add(self)

    @contextmanager
    def writing(self, deadline: Deadline) -> Iterator[sqlite3.Connection | None]:
        if not self.lock.acquire(timeout=min(2.0, deadline.remaining())):
            raise StorageError("busy")
        try:
            with super().writing(deadline) as db:
                yield db
        finally:
            self.lock.release()


def _take() -> None:
    for each in _forked:
        each.lock.acquire()


def _give_back() -> None:
    for each in _forked:
        each.lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_take, after_in_parent=_give_back)


@fault("close_only_once", caught_by="LIF-005")
class CloseOnlyOnce(Reference):
    """Fails where it is closed again."""

    _is_closed = False

    def close(self) -> None:
        if self._is_closed:
            raise StorageError("it is closed")
        self._is_closed = True
        super().close()


@fault("close_leaks", caught_by="LIF-009")
class CloseLeaks(Reference):
    """Leaves its connections open when it is closed."""

    def close(self) -> None:
        self.release_threads()


@fault("connection_per_session", caught_by="LIF-006")
class ConnectionPerSession(Reference):
    """Opens a connection for each session, and keeps it."""

    def __init__(self, declared: BackendInfo, url: URL, options: Any) -> None:
        super().__init__(declared, url, options)
        self._by_session: dict[str, sqlite3.Connection] = {}

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        if session_id not in self._by_session and self.path.exists():
            self._by_session[session_id] = sqlite3.connect(self.path, check_same_thread=False)
        return super().append(session_id, turn, deadline)

    def close(self) -> None:
        while self._by_session:
            self._by_session.popitem()[1].close()
        super().close()


@fault("blocks_the_loop", caught_by="LIF-007")
class BlocksTheLoop(Reference):
    """Does the work of its async twins on the event loop."""

    async def aappend(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        return self.append(session_id, turn, deadline)

    async def aread(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        return self.read(session_id, window, deadline)


@fault("cancelled_lock", caught_by="LIF-008")
class CancelledLock(Reference):
    """Does not give its lock back when an append is cancelled."""

    _is_taken = False

    async def aappend(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        end = time.monotonic() + min(2.0, deadline.remaining())
        while self._is_taken:
            if time.monotonic() > end:
                raise StorageError("busy")
            await asyncio.sleep(0.001)
        self._is_taken = True
        try:
            answer = await super().aappend(session_id, turn, deadline)
        except Exception:
            self._is_taken = False
            raise
        self._is_taken = False
        return answer
