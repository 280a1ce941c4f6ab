"""The chain of a session's segments: where its next turn goes, and how it is kept in order.

Only the last segment changes, and each change is conditional on all that is known of it. A segment is listed in the
head before it is made, so that everything there is can be found from there; what an interrupted change left is brought
to its end by whoever meets it.
"""

import time
from collections.abc import Sequence
from itertools import pairwise
from secrets import randbits
from typing import Final
from uuid import UUID, uuid4

import attrs

from backscroll.backend import Deadline, Turn
from backscroll.errors import BackscrollError, OutcomeUnknown, Unavailable
from backscroll.futures import done
from backscroll.recent import push_turn
from backscroll_cassandra import layout
from backscroll_cassandra.connections import Answer, Connections
from backscroll_cassandra.layout import ABSENT, DELETED, DROPPED, HEAD, SEGMENT_BYTES, SEGMENT_ROWS, Query, Statics
from backscroll_cassandra.refusals import NoTables

CROWDED: Final = "cassandra: others changed the session all the time"
SEQS_AT_ONCE: Final = 100
"""How many messages a batch removes at the most."""

PATIENT_BYTES: Final = 1 << 20
"""From how many bytes on a node may take all the time there is for a write: their way alone may take seconds."""

TRIES: Final = 20
"""How often the last segment is looked for, where others change the chain meanwhile."""


@attrs.frozen
class Tail:
    """The segment that the next turn goes to, as it was seen.

    Args:
        segment: Its name.
        start: The seq with which it begins.
        stored: Its static columns; `ABSENT` where it is still to be made.
        incarnation: The turn with which the session began; None where there is no session.
        version: One past the newest seq.
        first_seq: Below it, all is discarded.
        recent: The ring of the last turns.
        bytes: Of the bodies in it.
        anchor: The segment that follows the head; None while there is none.
        is_listed: Whether it stands in the head's list, or is the head.
    """

    segment: int = HEAD
    start: int = 0
    stored: Statics = ABSENT
    incarnation: UUID | None = None
    version: int = 0
    first_seq: int = 0
    recent: bytes = b""
    bytes: int = 0
    anchor: int | None = None
    is_listed: bool = True

    def seen(self, stored: Statics) -> "Tail | None":
        """This segment with other static columns; None where it is not the last one any more."""
        if stored == ABSENT:
            return Tail() if self.segment == HEAD else None
        if stored.sealed is not None or stored.next_seq is None:
            return None
        return attrs.evolve(
            self,
            stored=stored,
            incarnation=stored.incarnation,
            version=stored.next_seq,
            first_seq=stored.first_seq or 0,
            recent=stored.recent or b"",
            bytes=stored.bytes or 0,
        )

    def after(self, stored: Statics) -> "Tail":
        """What is the last one, once this one has these static columns."""
        if stored.sealed is None:
            return self.seen(stored) or Tail()
        return follower(stored, stored.sealed if self.segment == HEAD else self.anchor, self.segment == HEAD)


def follower(stored: Statics, anchor: int | None, is_listed: bool) -> Tail:
    """The segment that is to be made behind a sealed one."""
    return Tail(
        segment=stored.sealed or HEAD,
        start=stored.next_seq or 0,
        incarnation=stored.incarnation,
        version=stored.next_seq or 0,
        first_seq=stored.first_seq or 0,
        recent=stored.recent or b"",
        anchor=anchor,
        is_listed=is_listed,
    )


@attrs.frozen
class Found:
    """What the head says, and what it leads to.

    Args:
        tail: The last segment.
        starts: The segments by the seqs with which they begin; none where there is no session.
    """

    tail: Tail
    starts: dict[int, int]


def statics_of(answer: Answer) -> tuple[Statics, dict[int, int], int | None]:
    """Static columns, list, and the server's time; of an absent segment, too."""
    if not answer.rows:
        return ABSENT, {}, None
    *values, segments, now = answer.rows[0]
    return Statics(*values), dict(segments or {}), now


def refused_with(answer: Answer) -> Statics:
    """The static columns that a refusal tells."""
    row = answer.row()
    return Statics(*(row.get(name) for name in Statics._fields))


class Segments:
    """The segments of all sessions."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def ask(
        self, session_id: str, segment: int, deadline: Deadline, *, serial: bool
    ) -> tuple[Statics, dict[int, int]]:
        """The static columns of a segment, and the list in it; the time that comes with them is noted."""
        asked_at = time.monotonic()
        answer = await done(self._connections.ask(layout.statics(session_id, segment), deadline, serial=serial))
        stored, segments, now = statics_of(answer)
        if now is not None:
            self._connections.clock.heard(now, asked_at)
        return stored, segments

    async def find(self, session_id: str, deadline: Deadline, *, serial: bool = True) -> Found:
        """Look for the last segment, from the head on.

        Args:
            session_id: The session.
            deadline: By when.
            serial: Whether what is under way is waited for, so that the answer is final.

        Raises:
            Unavailable: Others changed the chain all the time.
        """
        for _ in range(TRIES):
            stored, segments = await self.ask(session_id, HEAD, deadline, serial=serial)
            if stored.sealed is None:
                # Where a deletion was interrupted, nothing but the list may be left.
                return Found(Tail().seen(stored) or Tail(), {} if stored == ABSENT else {0: HEAD})
            if found := await self._follow(session_id, stored, segments, deadline, serial=serial):
                return found
        raise Unavailable(CROWDED)

    async def _follow(
        self, session_id: str, head: Statics, segments: dict[int, int], deadline: Deadline, *, serial: bool
    ) -> Found | None:
        """What the list of a sealed head leads to; None where it has changed meanwhile."""
        starts = {0: HEAD} | segments
        anchor, missing = head.sealed, 0
        for start in sorted(starts, reverse=True):
            segment = starts[start]
            stored = head if segment == HEAD else (await self.ask(session_id, segment, deadline, serial=serial))[0]
            if stored.sealed == DROPPED:
                return None
            if stored == ABSENT:
                # Listed and not made; or dropped meanwhile, and then the list has changed.
                missing += 1
                if missing > 1:
                    return None
                continue
            made = {begin: name for begin, name in starts.items() if begin <= start}
            if stored.sealed is None:
                last = Tail(segment, start, anchor=anchor).seen(stored)
                return Found(last, made) if last else None
            if stored.sealed == DELETED:
                if serial:
                    await self._finish_delete(session_id, head, made, deadline)
                    return None
                return Found(Tail(), {})
            tail = follower(stored, anchor, stored.sealed in starts.values())
            return Found(tail, {**made, tail.start: tail.segment})
        return None

    # Changing the last segment.

    async def append(
        self, session_id: str, tail: Tail, turns: Sequence[Turn], deadline: Deadline
    ) -> tuple[bool, Tail | None]:
        """Append turns behind each other, in one batch; whether they landed, and the last segment after it.

        Repeated with the same tail, at the most one of the copies lands.
        """
        version, recent, size = tail.version, tail.recent, tail.bytes
        rows: list[Query] = []
        for turn in turns:
            rows += layout.insert(session_id, tail.segment, version, turn)
            recent = push_turn(recent, turn, version, self._connections.clock.latest())
            version += len(turn.bodies)
            size += sum(map(len, turn.bodies))
        is_full = version - tail.start >= SEGMENT_ROWS or size >= SEGMENT_BYTES
        new = Statics(
            incarnation=tail.incarnation or uuid4(),
            next_seq=version,
            first_seq=tail.first_seq,
            recent=recent,
            bytes=size,
            sealed=randbits(62) + 1 if is_full else None,
        )
        if new.sealed is not None and tail.segment == HEAD:
            rows.append(layout.list_first(session_id, version, new.sealed))
        return await self._change(session_id, tail, new, rows, deadline)

    async def _change(
        self, session_id: str, tail: Tail, new: Statics, more: Sequence[Query], deadline: Deadline
    ) -> tuple[bool, Tail | None]:
        """Change the last segment, if it still is as it was seen; otherwise how it is, where it still is the last."""
        if not tail.is_listed and tail.anchor is not None:
            query = layout.list_segment(session_id, tail.start, tail.segment, tail.anchor)
            if not (await self._write(query, deadline)).applied:
                return False, None
            tail = attrs.evolve(tail, is_listed=True)
        batch = [layout.set_statics(session_id, tail.segment, tail.stored, new), *more]
        answer = await self._write(batch, deadline, is_patient=(new.bytes or 0) - tail.bytes > PATIENT_BYTES)
        return (True, tail.after(new)) if answer.applied else (False, tail.seen(refused_with(answer)))

    async def _write(self, query: Query | Sequence[Query], deadline: Deadline, *, is_patient: bool = False) -> Answer:
        return await done(self._connections.ask(query, deadline, writes=True, is_patient=is_patient))

    # Dropping messages.

    async def discard(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Drop what lies below a seq, the oldest first, so that whoever looks meanwhile sees the end of it."""
        for number in range(TRIES):
            try:
                found = await self.find(session_id, deadline)
                before = min(before, found.tail.version)
            except BackscrollError as error:
                raise (_in_doubt(error) if number else error) from None
            try:
                if await self._discard(session_id, found, before, deadline):
                    return
            except BackscrollError as error:
                raise _in_doubt(error) from None
        raise OutcomeUnknown(CROWDED)

    async def _discard(self, session_id: str, found: Found, before: int, deadline: Deadline) -> bool:
        if not await self._drop_below(session_id, found, before, deadline):
            return False
        if await self._move_first_seq(session_id, found.tail, before, deadline) is None:
            return False
        await self._unlist(session_id, found, before, deadline)
        return True

    async def _drop_below(self, session_id: str, found: Found, before: int, deadline: Deadline) -> bool:
        """Drop messages from the sealed segments; false where they are not those that were found."""
        for segment, start, end, sealed in _sealed(found):
            if start < before and end > found.tail.first_seq:
                drop = [layout.hold(session_id, segment, sealed), layout.drop_rows(session_id, segment, before)]
                if not (await self._write(drop, deadline)).applied:
                    return False
        return True

    async def _move_first_seq(self, session_id: str, tail: Tail, before: int, deadline: Deadline) -> Tail | None:
        """Drop messages from the last segment, and note up to where; None where it is not the last one any more."""
        seen: Tail | None = tail
        while seen is not None and seen.incarnation == tail.incarnation and seen.first_seq < before:
            new = Statics(seen.incarnation, seen.version, before, seen.recent, seen.bytes)
            drop = [layout.drop_rows(session_id, seen.segment, before)] if before > seen.start else []
            _, seen = await self._change(session_id, seen, new, drop, deadline)
        return seen

    async def _unlist(self, session_id: str, found: Found, before: int, deadline: Deadline) -> None:
        """Drop the sealed segments of which nothing is left; the head stays, from which everything is found."""
        starts = []
        for segment, start, end, sealed in _sealed(found):
            if segment != HEAD and end <= before:
                await self._write([*layout.drop_segment(session_id, segment, sealed)], deadline)
                starts.append(start)
        if starts and found.tail.anchor is not None:
            await self._write(layout.unlist(session_id, starts, found.tail.anchor), deadline)

    async def remove(self, session_id: str, seqs: Sequence[int], now: int, deadline: Deadline) -> tuple[int, ...]:
        """Drop single messages; those that this call dropped itself."""
        found = await self.find(session_id, deadline, serial=False)
        removed: list[int] = []
        for segment, asked in _by_segment(found.starts, seqs):
            for place in range(0, len(asked), SEQS_AT_ONCE):
                batch = asked[place : place + SEQS_AT_ONCE]
                try:
                    removed += await self._remove(session_id, segment, batch, now, deadline)
                except BackscrollError as error:
                    # What was removed would be removed by nobody, if this were tried again.
                    raise (_in_doubt(error) if removed else error) from None
        return tuple(sorted(removed))

    async def _remove(
        self, session_id: str, segment: int, seqs: Sequence[int], now: int, deadline: Deadline
    ) -> list[int]:
        while True:
            answer = await done(self._connections.ask(layout.some(session_id, segment, seqs), deadline, serial=True))
            live = [seq for seq, expires_at in answer.rows if expires_at is None or expires_at > now]
            if not live:
                return []
            batch = [layout.drop_one(session_id, segment, seq) for seq in live]
            if (await self._write(batch, deadline)).applied:
                return live

    # Dropping the session.

    async def delete(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Drop a session that is drained and still has this version."""
        for _ in range(TRIES):
            found = await self.find(session_id, deadline)
            tail = found.tail
            if tail.incarnation is None:
                return await self._strike_rest(session_id, deadline)
            if tail.version != before or tail.first_seq < before:
                return None
            if tail.segment == HEAD:
                drop = [layout.drop_session(session_id, tail.stored), layout.drop_rows(session_id, HEAD, before)]
                if (await self._write(drop, deadline)).applied:
                    return await self._strike(session_id, tail.incarnation, deadline)
            else:
                # The others go behind this mark, so that nobody finds a part of it as though it were all.
                drop = [layout.drop_rows(session_id, tail.segment, before)]
                if (await self._change(session_id, tail, Statics(sealed=DELETED), drop, deadline))[0]:
                    continue
        raise Unavailable(CROWDED)

    async def _finish_delete(self, session_id: str, head: Statics, made: dict[int, int], deadline: Deadline) -> None:
        """Drop the segments of a session that is marked as deleted: the head, from which they are found, at last."""
        names = [made[start] for start in sorted(made)]
        if head.incarnation is not None:
            await self._strike(session_id, head.incarnation, deadline)
        for segment, sealed in pairwise(names[1:]):
            await self._write([*layout.drop_segment(session_id, segment, sealed)], deadline)
        await self._write([*layout.drop_head(session_id, head.sealed or HEAD)], deadline)
        # For as long as anyone may still mean to make this segment.
        await self._write(layout.fade(session_id, names[-1]), deadline)

    # The index.

    async def enter(self, session_id: str, incarnation: UUID, deadline: Deadline) -> None:
        """Enter a session into the index."""
        await self._write(layout.enter(session_id, incarnation), deadline)

    async def _strike(self, session_id: str, incarnation: UUID, deadline: Deadline) -> None:
        """Strike an incarnation of a session off the index."""
        await self._write(layout.strike(session_id, incarnation), deadline)

    async def _strike_rest(self, session_id: str, deadline: Deadline) -> None:
        """Strike off what the index has of an absent session."""
        answer = await done(self._connections.ask(layout.entries(session_id), deadline))
        # Only now, since an entry that was there before belongs to an incarnation that is gone.
        if (await self.find(session_id, deadline)).tail.incarnation is None:
            for (incarnation,) in answer.rows:
                await self._strike(session_id, incarnation, deadline)


def _in_doubt(error: BackscrollError) -> BackscrollError:
    """What an error means for all, where a part may have been done."""
    if isinstance(error, OutcomeUnknown | NoTables):
        return error
    return OutcomeUnknown(f"a part may be done ({error})")


def _sealed(found: Found) -> list[tuple[int, int, int, int]]:
    """The sealed segments, the oldest first: name, first seq, one past the last seq, and the name of the next."""
    names = found.starts
    # Those that followed the head may be gone.
    return [
        (names[start], start, end, (names[end] if start else found.tail.anchor) or HEAD)
        for start, end in pairwise(sorted(names))
    ]


def _by_segment(starts: dict[int, int], seqs: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Which seqs lie in which segment."""
    found: dict[int, list[int]] = {}
    for seq in seqs:
        start = max((start for start in starts if start <= seq), default=None)
        if start is not None:
            found.setdefault(start, []).append(seq)
    return [(starts[start], asked) for start, asked in found.items()]
