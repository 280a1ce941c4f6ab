"""The interface between `Store` and a database: all that the author of a plugin needs to know.

A backend is small and dumb: bytes in, bytes out, one method per operation of the server. `Store`
validates, encodes, retries, decodes, leaves out what has expired and tells the observers; a backend
does none of these, and looks at no clock but its server's. It says what happened in three ways:

- **done**: it returns. What it acknowledged, every later read of every client sees.
- **surely not done**: it raises `Unavailable` (trying again may help), `VersionConflict`,
  `TurnIdReused`, `MessageTooLarge`, `StorageError` or `SchemaError`.
- **unknown**: it raises `OutcomeUnknown`, for example when a request was sent and no answer came.
  `WindowExceeded` is the final form of it.

`Store` repeats `append`, `discard`, `delete` and `setup` after an unknown outcome, so repeating them
must be harmless. It never repeats `remove`, whose answer would be lost.

Every method has an async twin with the prefix ``a``, which by default runs it in one of a few threads.
A backend with an async driver overrides the twins.

Rules that are easy to miss:

- Seqs grow with time: a message never becomes visible after one with a higher seq, or `follow`
  would miss it.
- A *duplicate* is decided before a conflict, among the session's last `Limits.dedupe_turns` turns,
  also when `discard`, `remove` or expiry took its messages. It answers as the first time.
- When a turn is not among those, and they do not reach back to when an earlier copy may have been sent
  (`Turn.age_by_now`), the answer is `WindowExceeded`.
- A `VersionConflict` is final: it is not judged from a cache.
- Where the schema is missing, reads and removals find nothing, and `append` raises `SchemaError`.
- Objects are used by many threads and loops at once, opened lazily, and dropped, not closed, in the
  child of a fork.
"""

import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from backscroll.calls import PAGE_BYTES, Deadline, Page, Row, Turn, Window, row_page, session_page
from backscroll.capabilities import (
    Capability,
    Consistency,
    Durability,
    Erasure,
    Limits,
    Support,
    declare,
    partial,
    unsupported,
)
from backscroll.errors import Closed, Unsupported
from backscroll.examination import Examination, Finding, Severity, clock_ahead, of_health
from backscroll.loops import LoopLocal
from backscroll.options import (
    BackendOptions,
    a_file,
    a_text,
    an_object,
    choice,
    code_only,
    option,
    positive,
    seconds,
)
from backscroll.url import URL, Host
from backscroll.values import Appended, Health, SessionInfo, SessionPage

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from backscroll.hookspecs import BackendInfo

__all__ = [
    "PAGE_BYTES",
    "URL",
    "Appended",
    "Backend",
    "BackendOptions",
    "Capability",
    "Consistency",
    "Deadline",
    "Durability",
    "Erasure",
    "Examination",
    "Finding",
    "Health",
    "Host",
    "Limits",
    "Page",
    "Row",
    "SessionInfo",
    "SessionPage",
    "Severity",
    "Support",
    "Turn",
    "Window",
    "a_file",
    "a_text",
    "an_object",
    "choice",
    "clock_ahead",
    "code_only",
    "declare",
    "option",
    "partial",
    "positive",
    "row_page",
    "seconds",
    "session_page",
    "unsupported",
]

P = ParamSpec("P")
R = TypeVar("R")


class Backend(ABC):
    """One database behind a `Store`.

    A subclass is made without I/O and connects at its first use.

    Args:
        declared: What its plugin declares.
        url: The URL that was opened.
        options: The options; an instance of the class that the plugin names.

    Attributes:
        declared: As given.
        url: As given.
        options: As given.
        capabilities: What it can do: as declared, unless the options change it.
        limits: Its limits: as declared, unless the options change them.
    """

    def __init__(self, declared: "BackendInfo", url: URL, options: Any) -> None:
        self.declared = declared
        self.url = url
        self.options = options
        self.capabilities = dict(declared.capabilities)
        self.limits = declared.limits
        self._threads: ThreadPoolExecutor | None = None
        self._making_threads = threading.Lock()
        self._released = False
        self._by_loop = LoopLocal()
        _alive.add(self)

    # What every backend has.

    @abstractmethod
    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        """Store a turn atomically, once; see the rules above."""

    @abstractmethod
    def read(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        """Return a page of records; none for a session that does not exist."""

    @abstractmethod
    def info(self, session_id: str, deadline: Deadline) -> SessionInfo:
        """Return what is known of a session; version 0 for one that does not exist."""

    @abstractmethod
    def setup(self, deadline: Deadline) -> Health:
        """Make or migrate the schema where it is missing or older, and check the server's settings.

        Raises:
            SchemaError: The schema is newer than this release, or another program's.
        """

    @abstractmethod
    def ping(self, deadline: Deadline) -> Health:
        """Check that the server answers, and its settings against the declared limits; change nothing."""

    @abstractmethod
    def close(self) -> None:
        """Release what this backend opened, without waiting; a client brought along stays open."""

    # What a backend may declare as unsupported.

    def count(self, session_id: str, now: int, deadline: Deadline) -> int:
        """Return the number of messages that have not expired at `now` (microseconds since 1970)."""
        raise self._unsupported(Capability.COUNT)

    def sessions(self, prefix: str, cursor: str | None, limit: int, deadline: Deadline) -> SessionPage:
        """Return up to `limit` sessions whose id starts with `prefix`, from the cursor of an earlier page on."""
        raise self._unsupported(Capability.SESSIONS)

    def discard(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Drop the messages with seqs smaller than `before` that are there now; never one appended later."""
        raise self._unsupported(Capability.DISCARD)

    def remove(self, session_id: str, seqs: tuple[int, ...], now: int, deadline: Deadline) -> tuple[int, ...]:
        """Drop those that have not expired at `now`; return the seqs, ascending, of what this call really dropped."""
        raise self._unsupported(Capability.REMOVE)

    def delete(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Drop the session with its counter, if its version still is `before` and all below is discarded.

        Otherwise do nothing: a turn that came in between keeps the session.
        """
        raise self._unsupported(Capability.DELETE)

    def purge(self, deadline: Deadline) -> int:
        """Give back the space of some of what the server's clock lets go; return how many messages, 0 when done."""
        raise self._unsupported(Capability.PURGE)

    def watch(self, session_id: str, version: int, deadline: Deadline) -> None:
        """Return when the session's version may be above `version`, or at the deadline."""
        raise self._unsupported(Capability.WATCH)

    def schema_statements(self, deadline: Deadline) -> tuple[str, ...]:
        """Return the statements that `setup` would run now, for an administrator; none where all is as it should be."""
        raise Unsupported(self.declared.name, "schema_statements", "its setup is not made of statements")

    def examine(self, deadline: Deadline) -> Examination:
        """Look at the server more closely than `ping`, for ``backscroll doctor``; change nothing.

        What may not be looked at is a finding of `Severity.NOTE`, not an error. An override has what `ping` finds
        among its findings, best by having `ping` return its `Examination.health`. By default that is all.
        """
        return of_health(self.ping(deadline))

    # The async twins.

    async def aappend(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        """Async twin of `append`."""
        return await self.in_thread(self.append, session_id, turn, deadline)

    async def aread(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        """Async twin of `read`."""
        return await self.in_thread(self.read, session_id, window, deadline)

    async def ainfo(self, session_id: str, deadline: Deadline) -> SessionInfo:
        """Async twin of `info`."""
        return await self.in_thread(self.info, session_id, deadline)

    async def asetup(self, deadline: Deadline) -> Health:
        """Async twin of `setup`."""
        return await self.in_thread(self.setup, deadline)

    async def aping(self, deadline: Deadline) -> Health:
        """Async twin of `ping`."""
        return await self.in_thread(self.ping, deadline)

    async def acount(self, session_id: str, now: int, deadline: Deadline) -> int:
        """Async twin of `count`."""
        return await self.in_thread(self.count, session_id, now, deadline)

    async def asessions(self, prefix: str, cursor: str | None, limit: int, deadline: Deadline) -> SessionPage:
        """Async twin of `sessions`."""
        return await self.in_thread(self.sessions, prefix, cursor, limit, deadline)

    async def adiscard(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Async twin of `discard`."""
        return await self.in_thread(self.discard, session_id, before, deadline)

    async def aremove(self, session_id: str, seqs: tuple[int, ...], now: int, deadline: Deadline) -> tuple[int, ...]:
        """Async twin of `remove`."""
        return await self.in_thread(self.remove, session_id, seqs, now, deadline)

    async def adelete(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Async twin of `delete`."""
        return await self.in_thread(self.delete, session_id, before, deadline)

    async def apurge(self, deadline: Deadline) -> int:
        """Async twin of `purge`."""
        return await self.in_thread(self.purge, deadline)

    async def awatch(self, session_id: str, version: int, deadline: Deadline) -> None:
        """Async twin of `watch`."""
        return await self.in_thread(self.watch, session_id, version, deadline)

    async def aschema_statements(self, deadline: Deadline) -> tuple[str, ...]:
        """Async twin of `schema_statements`."""
        return await self.in_thread(self.schema_statements, deadline)

    async def aexamine(self, deadline: Deadline) -> Examination:
        """Async twin of `examine`."""
        return await self.in_thread(self.examine, deadline)

    async def aclose(self) -> None:
        """Async twin of `close`; also releases what belongs to the running loop."""
        self.close()

    # What the base class lends.

    async def in_thread(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a blocking call in one of this backend's own threads; there are `BackendOptions.threads` of them."""
        import asyncio
        from concurrent.futures import ThreadPoolExecutor

        with self._making_threads:
            if self._released:
                raise Closed
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self.options.threads, f"backscroll-{self.declared.name}")
            # May fail for want of a thread and be done all the same, by one that is there: an unknown outcome.
            future = self._threads.submit(call, *args, **kwargs)
        return await asyncio.wrap_future(future)

    def per_loop(self, factory: Callable[[], R], release: Callable[[R], Awaitable[Any]] | None = None) -> R:
        """The object of the running event loop, made by `factory` at its first use there.

        Async clients belong to the loop they were made on, and a process may run one loop after another. `release` is
        awaited when the loop ends in the way of `asyncio.run`.
        """
        return self._by_loop.get(factory, release)

    def release_threads(self) -> None:
        """Let the threads end after the calls that they have; for `close`."""
        with self._making_threads:
            self._released = True
            if self._threads is not None:
                self._threads.shutdown(wait=False)

    def forget_after_fork(self) -> None:
        """Drop, and do not close, what the parent process has open; called in the child of a fork.

        A backend that keeps connections overrides this and calls it.
        """
        self._threads = None
        self._making_threads = threading.Lock()
        # Were they finalised here, they would unhook the sockets that the parent's loops wait for.
        _of_the_parent.append(self._by_loop)
        self._by_loop = LoopLocal()

    def _unsupported(self, capability: Capability) -> Unsupported:
        return Unsupported(self.declared.name, capability.value, self.capabilities[capability].reason)


_alive: "weakref.WeakSet[Backend]" = weakref.WeakSet()
_of_the_parent: Final[list[LoopLocal]] = []


def _forget_after_fork() -> None:
    for backend in list(_alive):
        backend.forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
