"""The Kafka backend: a turn is one record, and sessions are what the log says."""

import asyncio
from collections import OrderedDict
from contextlib import suppress
from typing import Final

import attrs

from backscroll.backend import (
    URL,
    Appended,
    Backend,
    Deadline,
    Durability,
    Examination,
    Health,
    Page,
    SessionInfo,
    SessionPage,
    Turn,
    Window,
)
from backscroll.errors import (
    Closed,
    DeadlineExceeded,
    OutcomeUnknown,
    StorageError,
    TurnIdReused,
    Unavailable,
    VersionConflict,
    WindowExceeded,
)
from backscroll.futures import both, done
from backscroll.hookspecs import BackendInfo
from backscroll_kafka.access import settings_of, topic_name
from backscroll_kafka.connections import Connections
from backscroll_kafka.fold import DELETE, DISCARD, REMOVE, SHIFT, Entry, How, Undecidable, removed_by
from backscroll_kafka.layout import SEQS_TOGETHER, bound_value, remove_value, turn_value
from backscroll_kafka.logs import Logs
from backscroll_kafka.options import KafkaOptions
from backscroll_kafka.sessions import Sight
from backscroll_kafka.topics import Spot, Topics
from backscroll_kafka.views import Views
from backscroll_kafka.writes import Written

MIB: Final = 1 << 20

DOUBTFUL: Final = 16_384
"""Of how many turns whose outcome is unknown it is remembered where the log ended before their first try."""

MADE: Final = 0.5
"""After how many seconds a topic that was missing is looked for again, by those who wait for what is new."""

UNANSWERED: Final = (Unavailable, StorageError, Closed)
"""What says that nothing was done; behind a record that was written, it only says that nobody can tell what it did."""


class KafkaBackend(Backend):
    """Chat histories in Apache Kafka."""

    def __init__(self, declared: BackendInfo, url: URL, options: KafkaOptions) -> None:
        super().__init__(declared, url, options)
        self.limits = attrs.evolve(self.limits, durability=Durability(options.durability))
        self._connections: Final = Connections(settings_of(url, options), options)
        self._views: Final = Views(options.index_mib * MIB, options.cache_mib * MIB)
        self._logs: Final = Logs(self._connections, self._views)
        self._topics: Final = Topics(self._connections, self._logs, self._views, topic_name(url, options), options)
        self._doubtful: OrderedDict[tuple[bytes, bytes], int] = OrderedDict()

    # The operations.

    async def _append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        """One record; a look at the log before it where the turn is conditional, or may be there already."""
        spot = await self._topics.spot_to_write(session_id, deadline)
        if turn.age == 0 and turn.expected_version is None:
            checked = await self._logs.bound(spot.place, deadline)
            written = await self._write(spot, turn, checked, deadline)
            if not written.is_sure:
                return await self._first(spot, turn, written, deadline)
            return _landed(turn, written.offset)
        return await self._append_looking(spot, turn, deadline)

    append, aappend = both(_append)

    async def _read(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        """The end of the log is asked for, and the records are at hand or fetched."""
        sight = await self._sight(session_id, deadline)
        return await sight.read(window) if sight else Page([], None)

    read, aread = both(_read)

    async def _info(self, session_id: str, deadline: Deadline) -> SessionInfo:
        """The newest turn that counts, and where the log begins."""
        sight = await self._sight(session_id, deadline)
        newest = await sight.newest() if sight else None
        if sight is None or newest is None:
            return SessionInfo(session_id, 0, 0)
        first_seq = max(sight.dropped.bound, sight.start << SHIFT)
        return SessionInfo(session_id, newest.version, min(first_seq, newest.version))

    info, ainfo = both(_info)

    async def _count(self, session_id: str, now: int, deadline: Deadline) -> int:
        """Look at what all records of the session say."""
        sight = await self._sight(session_id, deadline)
        return await sight.count(now) if sight else 0

    count, acount = both(_count)

    async def _sessions(self, prefix: str, cursor: str | None, limit: int, deadline: Deadline) -> SessionPage:
        """A page of the index of all sessions, which is made first."""
        return await self._topics.sessions(prefix, cursor, limit, deadline)

    sessions, asessions = both(_sessions)

    async def _discard(self, session_id: str, before: int, deadline: Deadline) -> None:
        """One record with the bound."""
        sight = await self._sight(session_id, deadline)
        if sight is None:
            return
        bound = min(before, await sight.version())
        if bound > sight.dropped.bound:
            await self._control(sight, DISCARD, bound, deadline)

    discard, adiscard = both(_discard)

    async def _remove(self, session_id: str, seqs: tuple[int, ...], now: int, deadline: Deadline) -> tuple[int, ...]:
        """A record with those that are there; which of them this call dropped, the log decides."""
        removed: list[int] = []
        written: list[Entry] = []
        try:
            for begin in range(0, len(seqs), SEQS_TOGETHER):
                sight = await self._sight(session_id, deadline)
                there = await sight.live(seqs[begin : begin + SEQS_TOGETHER], now) if sight else []
                if sight is None or not there:
                    continue
                value = remove_value(there, sight.end, sight.view.kinds.partitions)
                offset, is_sure = await self._produce(sight, value, deadline)
                if not is_sure:
                    raise OutcomeUnknown("kafka: the driver wrote it anew, and what it removed cannot be told")
                written.append(Entry(offset, REMOVE, sight.end, seqs=tuple(there)))
                later = await self._later(sight, offset, deadline)
                removed += removed_by(written[-1], await later.load_all(later.offsets(sight.end, offset)))
        except UNANSWERED as error:
            if not written:
                raise
            raise OutcomeUnknown(str(error)) from None
        return tuple(removed)

    remove, aremove = both(_remove)

    async def _delete(self, session_id: str, before: int, deadline: Deadline) -> None:
        """One record with the bound, where all below it is gone already."""
        sight = await self._sight(session_id, deadline)
        if sight is None or not before or await sight.version() != before:
            return
        # What dropped the newest turn lies behind it, so that by now it is known.
        if sight.dropped.bound >= before:
            await self._control(sight, DELETE, before, deadline)

    delete, adelete = both(_delete)

    async def _watch(self, session_id: str, version: int, deadline: Deadline) -> None:
        """The tail tells."""
        with suppress(DeadlineExceeded):
            while (sight := await self._sight(session_id, deadline)) is None:
                await self._connections.pause(MADE, deadline)
            if await sight.version() <= version:
                await done(self._views.watch(sight.view, sight.key, sight.end, deadline))

    watch, awatch = both(_watch)

    async def _setup(self, deadline: Deadline) -> Health:
        """Make the topic where it is missing."""
        return await self._topics.setup(deadline)

    setup, asetup = both(_setup)

    async def _ping(self, deadline: Deadline) -> Health:
        """Ask for the topic and its settings."""
        return (await self._topics.examine(deadline)).health

    ping, aping = both(_ping)

    async def _examine(self, deadline: Deadline) -> Examination:
        """Ask for the topic and its settings."""
        return await self._topics.examine(deadline)

    examine, aexamine = both(_examine)

    def close(self) -> None:
        """Let the clients end; what is under way ends as unknown."""
        self._connections.close()
        self._logs.close()
        self.release_threads()

    def forget_after_fork(self) -> None:
        """Drop the clients, which belong to the parent."""
        super().forget_after_fork()
        self._connections.forget()
        self._logs.forget()
        self._topics.forget()
        self._doubtful = OrderedDict()

    # What several of them do.

    def begin(self, deadline: Deadline) -> None:
        """See to it that there are clients."""
        if not self._connections.is_open:
            try:
                self._connections.opened().result(deadline.remaining())
            except TimeoutError:
                raise _too_late(deadline) from None

    async def abegin(self, deadline: Deadline) -> None:
        """Async twin of `begin`."""
        if not self._connections.is_open:
            try:
                async with asyncio.timeout(deadline.remaining()):
                    await asyncio.wrap_future(self._connections.opened())
            except TimeoutError:
                raise _too_late(deadline) from None

    async def _sight(self, session_id: str, deadline: Deadline) -> Sight | None:
        """The session as it is now; None where it has no topic."""
        spot = await self._topics.spot(session_id, deadline)
        return None if spot is None else await self._look(spot, deadline)

    async def _look(self, spot: Spot, deadline: Deadline) -> Sight:
        view = await self._logs.current(spot.place, spot.topic, deadline)
        return Sight(self._logs, self._views, view, spot.key, deadline)

    async def _later(self, sight: Sight, offset: int, deadline: Deadline) -> Sight:
        """The session with a record that was just written."""
        await done(self._views.until(sight.view, offset + 1, deadline))
        return Sight(self._logs, self._views, sight.view, sight.key, deadline)

    async def _write(self, spot: Spot, turn: Turn, checked: int, deadline: Deadline) -> Written:
        """Write a turn; where."""
        name = spot.key, turn.turn_id.bytes
        value = turn_value(turn, checked, spot.topic.partitions)
        try:
            written: Written = await done(self._connections.produce(spot.place, spot.key, value, deadline))
        except OutcomeUnknown:
            self._doubtful.setdefault(name, checked)
            if len(self._doubtful) > DOUBTFUL:
                self._doubtful.popitem(last=False)
            raise
        if written.offset < checked:
            raise self._topics.refuse(spot.place[0])
        self._views.own(spot.place, spot.key, written.offset, value)
        self._logs.note_reached(spot.place, written.offset + 1)
        return written

    async def _first(self, spot: Spot, turn: Turn, written: Written, deadline: Deadline) -> Appended:
        """The answer to a turn that is surely new, of which the driver may have written another copy before."""
        try:
            answer = await self._judged(await self._look(spot, deadline), turn, written.offset)
        except UNANSWERED as error:
            self._doubtful.setdefault((spot.key, turn.turn_id.bytes), 0)
            raise OutcomeUnknown(str(error)) from None
        return attrs.evolve(answer, duplicate=False)

    async def _append_looking(self, spot: Spot, turn: Turn, deadline: Deadline) -> Appended:
        """Append a turn that is conditional, or may be there already."""
        sight = await self._look(spot, deadline)
        if turn.age != 0 and (found := await self._earlier(sight, turn)) is not None:
            return _known(turn, found)
        if turn.expected_version is not None and (current := await sight.version()) != turn.expected_version:
            raise VersionConflict(turn.expected_version, current)
        offset = (await self._write(spot, turn, sight.end, deadline)).offset
        if offset == sight.end:
            return _landed(turn, offset)
        try:
            return await self._judged(await self._later(sight, offset, deadline), turn, offset)
        except UNANSWERED as error:
            self._doubtful.setdefault((spot.key, turn.turn_id.bytes), sight.end)
            raise OutcomeUnknown(str(error)) from None

    async def _earlier(self, sight: Sight, turn: Turn) -> Entry | None:
        """An earlier copy of a turn.

        Raises:
            WindowExceeded: This call sent one before, which retention may have taken.
        """
        since = None  # an id of the caller's own is looked for among the last turns only
        if turn.age:
            # Where nobody here remembers when it was sent, the whole session is looked through.
            since = self._doubtful.get((sight.key, turn.turn_id.bytes), 0)
        try:
            found = await sight.find(turn, since)
        except Undecidable:
            raise WindowExceeded("the retention of the topic took what would tell whether it landed") from None
        if found is None and since is not None and since < sight.start:
            raise WindowExceeded("the retention of the topic reaches past its first try")
        return found

    async def _judged(self, sight: Sight, turn: Turn, offset: int) -> Appended:
        """What the log says of a turn that was just written."""
        (entry,) = await sight.load_all([offset])
        verdict = await sight.verdict(entry)
        if verdict.how is How.APPLIED:
            return _landed(turn, offset)
        if verdict.how is How.DUPLICATE:
            (first,) = await sight.load_all([verdict.of])
            return _known(turn, first)
        if verdict.how is How.CONFLICT:
            raise VersionConflict(turn.expected_version or 0, await sight.version())
        raise WindowExceeded("the retention of the topic took what would tell whether it landed")

    async def _produce(self, sight: Sight, value: bytes, deadline: Deadline) -> Written:
        """Write a record that drops something; where."""
        written: Written = await done(self._connections.produce(sight.view.place, sight.key, value, deadline))
        if written.offset < sight.end:
            raise self._topics.refuse(sight.view.place[0])
        self._views.own(sight.view.place, sight.key, written.offset, value)
        return written

    async def _control(self, sight: Sight, kind: int, bound: int, deadline: Deadline) -> None:
        await self._produce(sight, bound_value(kind, bound, sight.end, sight.view.kinds.partitions), deadline)


def _landed(turn: Turn, offset: int) -> Appended:
    """The answer to a turn whose record counts."""
    first = offset << SHIFT
    version = first + len(turn.bodies)
    return Appended(version, tuple(range(first, version)), turn.turn_id)


def _known(turn: Turn, found: Entry) -> Appended:
    """The answer to a turn that was there."""
    if found.digest != turn.digest:
        raise TurnIdReused(turn.turn_id)
    return Appended(found.version, tuple(range(found.first_seq, found.version)), turn.turn_id, duplicate=True)


def _too_late(deadline: Deadline) -> DeadlineExceeded:
    return DeadlineExceeded(f"kafka: no clients within {deadline.seconds:g} s: raise timeout")
