"""Faults in opening and closing, and in what is shared by threads, loops and processes."""

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, ParamSpec, TypeVar

from backscroll.backend import URL, Appended, Deadline, Page, SessionPage, Turn, Window
from backscroll.errors import StorageError
from backscroll.hookspecs import BackendInfo
from backscroll_faulty.fault import fault
from backscroll_faulty.reference import Reference

P = ParamSpec("P")
R = TypeVar("R")


@fault("connects_when_made", caught_by="LIF-001")
class ConnectsWhenMade(Reference):
    """Opens a connection in its constructor."""

    def __init__(self, declared: BackendInfo, url: URL, options: Any) -> None:
        super().__init__(declared, url, options)
        with contextlib.suppress(sqlite3.Error):
            if (db := self.connections.lend()) is not None:
                self.connections.take_back(db)


@fault("racy_first_use", caught_by="LIF-002")
class RacyFirstUse(Reference):
    """Lets no more than five callers wait until it is ready, when it is used for the first time."""

    _is_ready = False
    _waiting = 0

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        if not self._is_ready:
            self._waiting += 1
            if self._waiting > 5:
                raise StorageError("the pool is not there yet")
            time.sleep(0.05)
            self._is_ready = True
        return super().append(session_id, turn, deadline)


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


@fault("threads_of_the_parent", caught_by="LIF-004")
class ThreadsOfTheParent(Reference):
    """Keeps threads of its own for async calls, also where a fork left none of them."""

    _own: ThreadPoolExecutor | None = None

    async def in_thread(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        self._own = self._own or ThreadPoolExecutor(1)
        return await asyncio.get_running_loop().run_in_executor(self._own, lambda: call(*args, **kwargs))

    def close(self) -> None:
        if self._own is not None:
            self._own.shutdown(wait=False)
        super().close()


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


@fault("blocks_the_loop_beside", caught_by="LIF-007")
class BlocksTheLoopBeside(Reference):
    """Lists, removes and discards on the event loop."""

    async def asessions(self, prefix: str, cursor: str | None, limit: int, deadline: Deadline) -> SessionPage:
        return self.sessions(prefix, cursor, limit, deadline)

    async def aremove(self, session_id: str, seqs: tuple[int, ...], now: int, deadline: Deadline) -> tuple[int, ...]:
        return self.remove(session_id, seqs, now, deadline)

    async def adiscard(self, session_id: str, before: int, deadline: Deadline) -> None:
        self.discard(session_id, before, deadline)


@fault("watches_on_the_loop", caught_by="LIF-007", also="FOL-001 WAT-001")
class WatchesOnTheLoop(Reference):
    """Waits for news on the event loop."""

    async def awatch(self, session_id: str, version: int, deadline: Deadline) -> None:
        self.watch(session_id, version, deadline)


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


@fault("cancelled_slots", caught_by="LIF-010")
class CancelledSlots(Reference):
    """Has a few slots for reads, and does not give one back when a read is cancelled."""

    _taken = 0

    async def aread(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        end = time.monotonic() + min(2.0, deadline.remaining())
        while self._taken >= 8:
            if time.monotonic() > end:
                raise StorageError("the pool is exhausted")
            await asyncio.sleep(0.001)
        self._taken += 1
        try:
            page = await super().aread(session_id, window, deadline)
        except Exception:
            self._taken -= 1
            raise
        self._taken -= 1
        return page
