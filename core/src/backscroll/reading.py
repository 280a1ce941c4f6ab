"""The operations of `Store` that read."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from operator import itemgetter
from typing import Final

from backscroll.arguments import (
    checked_bound,
    checked_cursor,
    checked_limit,
    checked_prefix,
    checked_session_id,
)
from backscroll.backend import PAGE_BYTES, Row, Window
from backscroll.capabilities import Capability
from backscroll.envelope import decode
from backscroll.errors import BackscrollError, Closed, Unavailable
from backscroll.operations import Operations, in_async, in_sync
from backscroll.retry import Call
from backscroll.values import Health, Record, SessionInfo, SessionPage, Unreadable, from_microseconds

MOST_ROWS: Final = 1_000
"""The most rows that a backend is asked for at once."""

SHORTEST_POLL: Final = 0.02
"""How soon `follow` looks again after something was new, in seconds; doubles up to the option ``poll``."""

_expiry_of: Final = itemgetter(1)
_body_of: Final = itemgetter(2)


class _Walk:
    """How far an iteration has come, and how many rows to ask for next."""

    __slots__ = ("after", "expiring", "limit", "more", "pause", "session_id")

    def __init__(self, session_id: str, after: int | None) -> None:
        self.session_id = checked_session_id(session_id)
        self.after = checked_bound("after", after)
        self.limit = 100
        self.more = True
        self.expiring = False
        self.pause = SHORTEST_POLL

    def advance(self, rows: list[Row], resume: int | None) -> None:
        """Go on behind a page; size the next one by the bytes of this one."""
        self.more = resume is not None
        self.after = rows[-1].seq if rows and resume is None else self.after if resume is None else resume
        if rows:
            average = sum(map(len, map(_body_of, rows))) // len(rows) + 1
            self.limit = max(1, min(MOST_ROWS, PAGE_BYTES // average))


class Reading(Operations):
    """The operations that read."""

    async def _ping(self, call: Call, *, timeout: float | None = None) -> Health:
        """Check that the database answers, and that its settings keep what the backend claims."""
        call.within(timeout)
        return await call.ask(self._backend.ping)

    ping = in_sync(_ping)
    aping = in_async(_ping)

    async def _read(
        self,
        call: Call,
        session_id: str,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int = 100,
        newest: bool = False,
        timeout: float | None = None,
    ) -> list[Record | Unreadable]:
        """Read some messages of a session, in the order in which they were appended.

        Args:
            session_id: The session; one that does not exist has no messages.
            after: Only seqs greater than this one.
            before: Only seqs smaller than this one.
            limit: How many at the most. A damaged record counts and comes back as `Unreadable`.
            newest: The last ones within the bounds instead of the first ones.
            timeout: Seconds for the whole call.
        """
        call.within(timeout)
        session_id = checked_session_id(session_id)
        checked_bound("after", after)
        checked_bound("before", before)
        checked_limit(limit)
        rows: list[Row] = []
        ask = limit
        while True:
            window = Window(after, before, min(ask, MOST_ROWS), newest, self._now())
            live, resume = await self._page(call, session_id, window)
            rows += live[: limit - len(rows)]
            if resume is None or len(rows) == limit:
                break
            after, before = (after, resume) if newest else (resume, before)
            ask *= 2
        return [decode(*row) for row in (reversed(rows) if newest else rows)]

    read = in_sync(_read)
    aread = in_async(_read)

    async def _last(
        self, call: Call, session_id: str, k: int = 20, *, timeout: float | None = None
    ) -> list[Record | Unreadable]:
        """Read the last `k` messages, in the order in which they were appended, however long the session is."""
        return await self._read(call, session_id, limit=checked_limit(k, "k"), newest=True, timeout=timeout)

    last = in_sync(_last)
    alast = in_async(_last)

    async def _info(self, call: Call, session_id: str, *, timeout: float | None = None) -> SessionInfo:
        """What is known of a session without looking at its messages; version 0 if there is none."""
        call.within(timeout)
        return await call.ask(self._backend.info, checked_session_id(session_id))

    info = in_sync(_info)
    ainfo = in_async(_info)

    async def _version(self, call: Call, session_id: str, *, timeout: float | None = None) -> int:
        """One past the newest seq ever given in the session; 0 where none is known."""
        return (await self._info(call, session_id, timeout=timeout)).version

    version = in_sync(_version)
    aversion = in_async(_version)

    async def _count(self, call: Call, session_id: str, *, timeout: float | None = None) -> int:
        """The number of messages that a read would return; may cost a scan of the session."""
        call.within(timeout)
        self._require(Capability.COUNT)
        return await call.ask(self._backend.count, checked_session_id(session_id), self._now())

    count = in_sync(_count)
    acount = in_async(_count)

    async def _sessions(
        self,
        call: Call,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 100,
        timeout: float | None = None,
    ) -> SessionPage:
        """List the sessions, each once, by the UTF-8 bytes of their ids unless the backend declares otherwise.

        Args:
            prefix: Only those whose id starts so.
            cursor: `SessionPage.cursor` of the page before; None for the first.
            limit: How many at the most.
            timeout: Seconds for the whole call.
        """
        call.within(timeout)
        self._require(Capability.SESSIONS)
        return await call.ask(
            self._backend.sessions, checked_prefix(prefix), checked_cursor(cursor), checked_limit(limit)
        )

    sessions = in_sync(_sessions)
    asessions = in_async(_sessions)

    def iterate(
        self, session_id: str, *, after: int | None = None, timeout: float | None = None
    ) -> Iterator[Record | Unreadable]:
        """All messages of a session, in order, each at most once; memory does not grow with the session.

        A session that is deleted and begun again meanwhile counts from 0, which an iteration does not notice.

        Args:
            session_id: The session.
            after: Only seqs greater than this one.
            timeout: Seconds for each page that is read underneath.
        """
        return self._iterating(self._walk(session_id, after), timeout)

    def aiterate(
        self, session_id: str, *, after: int | None = None, timeout: float | None = None
    ) -> AsyncIterator[Record | Unreadable]:
        """Async twin of `iterate`."""
        return self._aiterating(self._walk(session_id, after), timeout)

    def follow(
        self, session_id: str, *, after: int | None = None, timeout: float | None = None
    ) -> Iterator[Record | Unreadable]:
        """Like `iterate`, but then waits for new messages, until the store is closed.

        A session that is deleted and begun again counts from 0: follow it anew.
        """
        return self._following(self._walk(session_id, after), timeout)

    def afollow(
        self, session_id: str, *, after: int | None = None, timeout: float | None = None
    ) -> AsyncIterator[Record | Unreadable]:
        """Async twin of `follow`."""
        return self._afollowing(self._walk(session_id, after), timeout)

    def _walk(self, session_id: str, after: int | None) -> _Walk:
        if self._closed:
            raise Closed
        return _Walk(session_id, after)

    def _iterating(self, walk: _Walk, timeout: float | None) -> Iterator[Record | Unreadable]:
        while walk.more:
            page = self._next(walk, timeout=timeout)
            yield from self._unexpired(page) if walk.expiring else page

    async def _aiterating(self, walk: _Walk, timeout: float | None) -> AsyncIterator[Record | Unreadable]:
        while walk.more:
            page = await self._anext(walk, timeout=timeout)
            for record in self._unexpired(page) if walk.expiring else page:
                yield record

    def _following(self, walk: _Walk, timeout: float | None) -> Iterator[Record | Unreadable]:
        try:
            while True:
                # Seen before the pages are read, so that nothing slips through between reading and waiting.
                version = self.version(walk.session_id, timeout=timeout) if self._watches() else 0
                yield from self._iterating(walk, timeout)
                self._rest(walk, version)
        except BackscrollError:
            if not self._closed:
                raise

    async def _afollowing(self, walk: _Walk, timeout: float | None) -> AsyncIterator[Record | Unreadable]:
        try:
            while True:
                version = await self.aversion(walk.session_id, timeout=timeout) if self._watches() else 0
                async for record in self._aiterating(walk, timeout):
                    yield record
                await self._arest(walk, version)
        except BackscrollError:
            if not self._closed:
                raise

    async def _iterate(self, call: Call, walk: _Walk, *, timeout: float | None = None) -> list[Record | Unreadable]:
        """One page of an iteration."""
        call.within(timeout)
        window = Window(walk.after, None, walk.limit, newest=False, now=self._now())
        rows, resume = await self._page(call, walk.session_id, window)
        walk.advance(rows, resume)
        walk.expiring = any(map(_expiry_of, rows))
        if rows:
            walk.pause = SHORTEST_POLL
        return [decode(*row) for row in rows]

    def _unexpired(self, page: list[Record | Unreadable]) -> Iterator[Record | Unreadable]:
        """What has not expired by the time it is asked for, which may be long after the page was read."""
        for record in page:
            expires_at = record.expires_at if isinstance(record, Record) else None
            if expires_at is None or expires_at > from_microseconds(self._now()):
                yield record

    _next = in_sync(_iterate)
    _anext = in_async(_iterate)

    def _watches(self) -> bool:
        return bool(self.capabilities[Capability.WATCH])

    async def _follow(self, call: Call, walk: _Walk, version: int) -> None:
        """Wait until something may be new."""
        longest = self._options.poll
        if self._watches():
            call.within(longest)
            with suppress(Unavailable):
                await call.ask(self._backend.watch, walk.session_id, version)
        else:
            await call.sleep(min(walk.pause, longest))
            walk.pause = min(2 * walk.pause, longest)
        walk.more = True

    _rest = in_sync(_follow)
    _arest = in_async(_follow)

    async def _page(self, call: Call, session_id: str, window: Window) -> tuple[list[Row], int | None]:
        """The live rows of a page, and where to go on."""
        page = await call.ask(self._backend.read, session_id, window)
        if not any(map(_expiry_of, page.rows)):
            return page.rows, page.resume
        now = window.now
        return [row for row in page.rows if row.expires_at is None or row.expires_at > now], page.resume
