"""Reading pages of a session, across its segments in both directions."""

from collections import OrderedDict
from typing import Final, NamedTuple
from uuid import UUID

import attrs

from backscroll.backend import PAGE_BYTES, Deadline, Page, Row, Window
from backscroll.errors import DeadlineExceeded, Unavailable
from backscroll.futures import done
from backscroll_cassandra.connections import Answer, Connections
from backscroll_cassandra.layout import ABSENT, DELETED, DROPPED, HEAD, LAST_SEQ, Query, expiries, is_of_all, rows, some
from backscroll_cassandra.segments import Segments

FEW: Final = 20
"""How many messages are asked for at once whatever their size, as long as they arrive in time."""

FIRST_ROWS: Final = 8
"""How many are asked for at first where more are wanted, since it is not known how large they are."""

MOST_ROWS: Final = 4_096
"""How many messages are asked for at once at the most."""

SEQS_AT_ONCE: Final = 5_000
"""How many messages are counted at once."""

REMEMBERED: Final = 10_000
"""Of how many sessions with several segments the list is remembered."""

Starts = dict[int, int]
"""The segments of a session by the seqs with which they begin."""


class Pages:
    """Reads sessions."""

    def __init__(self, connections: Connections, segments: Segments) -> None:
        self._connections = connections
        self._segments = segments
        self._remembered: OrderedDict[str, _Known] = OrderedDict()

    async def read(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        """A page; one statement for the last messages, two for a long session that this process has not seen."""
        known = self._remembered.get(session_id, NOTHING_KNOWN)
        while True:
            walk = _Walk(self._connections, self._segments, session_id, window, deadline, known=known)
            try:
                listed = await walk.go()
            except _BegunAnew:
                known = NOTHING_KNOWN
                continue
            if listed is None:
                return walk.page()
            if listed:
                known = _Known(walk.life, listed, is_fresh=True)
            else:
                found = await self._segments.find(session_id, deadline, serial=False)
                known = _Known(found.tail.incarnation, found.starts, is_fresh=True)
            self._remember(session_id, known)
            if not known.starts:
                return Page([], None)

    async def count(self, session_id: str, now: int, deadline: Deadline) -> int:
        """How many messages have not expired at a moment."""
        total = 0
        for segment in (await self._segments.find(session_id, deadline, serial=False)).starts.values():
            before = LAST_SEQ
            while True:
                query = expiries(session_id, segment, before, SEQS_AT_ONCE)
                found = (await done(self._connections.ask(query, deadline))).rows
                total += sum(expires_at is None or expires_at > now for _, expires_at in found)
                if len(found) < SEQS_AT_ONCE:
                    break
                before = found[-1][0]
        return total

    def _remember(self, session_id: str, known: "_Known") -> None:
        self._remembered.pop(session_id, None)
        if len(known.starts) > 1:
            self._remembered[session_id] = attrs.evolve(known, is_fresh=False)
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)


@attrs.frozen
class _Known:
    """What is known of a session's segments.

    Args:
        life: The incarnation whose segments they are; None where that is not known.
        starts: The segments.
        is_fresh: Whether they were looked up for this page.
    """

    life: UUID | None
    starts: Starts
    is_fresh: bool = False


NOTHING_KNOWN: Final = _Known(None, {0: HEAD})


class _BegunAnew(Exception):
    """What was read so far was discarded meanwhile, or is of another life of the session."""


class _Said(NamedTuple):
    """What a segment said beside its rows."""

    sealed: int | None
    listed: Starts
    is_there: bool

    def leads_on(self, *, is_fresh: bool) -> bool:
        """Whether the last one of those that are known is not the last one; where all are looked up, it may be full."""
        return self.sealed == DROPPED or (self.sealed is not None and not is_fresh)


NOTHING_SAID: Final = _Said(None, {}, False)


class _Walk:
    """From segment to segment, until the page is full."""

    def __init__(
        self,
        connections: Connections,
        segments: Segments,
        session_id: str,
        window: Window,
        deadline: Deadline,
        *,
        known: _Known,
    ) -> None:
        self._connections = connections
        self._segments = segments
        self._session_id = session_id
        self._window = window
        self._deadline = deadline
        self._known = known
        self.life = known.life
        self._is_confirmed = known.is_fresh
        self._rows: list[Row] = []
        self._size = 0
        self._last_in = HEAD
        self._most = MOST_ROWS
        self._is_careful = False

    def page(self) -> Page:
        """What was found; it ends before the window does where it is full."""
        is_full = self._rows and self._is_full()
        return Page(self._rows, self._rows[-1].seq if is_full else None)

    def _is_full(self) -> bool:
        return len(self._rows) >= self._window.limit or self._size >= PAGE_BYTES

    async def go(self) -> Starts | None:
        """Collect the rows of the window.

        Returns:
            None when it is done. Where the segments are out of date, those that the head lists; empty where it has to
            be asked.

        Raises:
            _BegunAnew: What was read does not belong together.
        """
        listed = await self._go()
        if listed is None and not self._is_confirmed and self._known.life is not None:
            # No segment in the window has said whose it is.
            await self._certain(HEAD, NOTHING_SAID)
        return listed

    async def _go(self) -> Starts | None:
        starts, is_fresh = self._known.starts, self._known.is_fresh
        last, unmade = max(starts), HEAD
        for start in _in_window(starts, self._window):
            segment, count = starts[start], len(self._rows)
            said = await self._collect(segment)
            if start == last and (self._window.newest or not self._is_full()):
                said = await self._certain(segment, said)
                if said.sealed == DELETED and is_fresh:
                    self._rows = []
                    return None
                if said.leads_on(is_fresh=is_fresh and len(starts) > 1):
                    return {0: HEAD} | said.listed if segment == HEAD and said.listed else {}
            if unmade != HEAD:
                # Only the one before it can tell, and the head's list that nothing has come and gone there.
                if said.sealed != unmade or (segment == HEAD and said.listed.get(last) != unmade):
                    return {}
                unmade = HEAD
            elif not (is_fresh or said.is_there or segment == HEAD or len(self._rows) > count):
                unmade = segment
                if start != last:
                    return {}
            if self._is_full():
                break
        return None if unmade == HEAD else {}

    async def _certain(self, segment: int, said: _Said) -> _Said:
        """What a segment says, also where no row of it lies in the window."""
        if said.is_there or is_of_all(self._window):
            return said
        stored, listed = await self._segments.ask(self._session_id, segment, self._deadline, serial=False)
        self._check_life(stored.incarnation)
        return _Said(stored.sealed, listed, stored != ABSENT)

    async def _collect(self, segment: int) -> _Said:
        """Add the rows of a segment; what it says beside them."""
        window, said = self._window, NOTHING_SAID
        while not self._is_full():
            limit = self._at_once()
            try:
                answer = await self._ask(rows(self._session_id, segment, window, limit))
            except Unavailable as error:
                if self._is_careful or isinstance(error, DeadlineExceeded):
                    raise
                self._is_careful, self._most = True, 1  # they may be too large to arrive in time together
                continue
            self._most = min(2 * self._most, MOST_ROWS)
            if answer.rows:
                _, _, _, sealed, life, *listed = answer.rows[0]
                self._check_life(life)
                said = _Said(sealed, dict(listed[0] or {}) if listed else said.listed, True)
            found = [Row(*row[:3]) for row in answer.rows if row[0] is not None]
            if found:
                if not window.newest and await self._has_lost_touch(found[0].seq):
                    raise _BegunAnew
                self._last_in = segment
            self._rows += found
            self._size += sum(len(row.body) for row in found)
            if len(found) < limit:
                break
            if window.newest:
                window = attrs.evolve(window, before=found[-1].seq)
            else:
                window = attrs.evolve(window, after=found[-1].seq)
        return said

    def _check_life(self, life: UUID | None) -> None:
        """See to it that all that is read is of one life of the session; a segment that is gone tells none."""
        if life is not None:
            if self.life not in (None, life):
                raise _BegunAnew
            self.life, self._is_confirmed = life, True

    async def _ask(self, query: Query) -> Answer:
        return await done(self._connections.ask(query, self._deadline, is_patient=self._is_careful))

    async def _has_lost_touch(self, seq: int) -> bool:
        """Whether what lies below a seq was discarded after a part of it was read, which would leave a hole."""
        if not self._rows or self._rows[-1].seq == seq - 1:
            return False
        # A discard drops the oldest first: if this one is there, what followed it was not discarded.
        return not (await self._ask(some(self._session_id, self._last_in, [self._rows[-1].seq]))).rows

    def _at_once(self) -> int:
        """How many rows to ask for: as many as the page still has room for, if they are as large as those before."""
        left = min(self._window.limit - len(self._rows), self._most)
        if not self._rows:
            return left if left <= FEW else FIRST_ROWS
        room = (PAGE_BYTES - self._size) * len(self._rows) // max(1, self._size)
        return max(1, min(left, room))


def _in_window(starts: Starts, window: Window) -> list[int]:
    """Where the segments begin that a window reaches into, in the order in which it is read."""
    after = -1 if window.after is None else window.after
    before = LAST_SEQ if window.before is None else window.before
    order = sorted(starts)
    ends = [*order[1:], LAST_SEQ]
    found = [start for start, end in zip(order, ends, strict=True) if start < before and end > after + 1]
    return found[::-1] if window.newest else found
