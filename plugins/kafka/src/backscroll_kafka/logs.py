"""Reading the log into the views: up to its end, back from there, and single records."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from backscroll.backend import Deadline
from backscroll.errors import SchemaError, StorageError, Unavailable
from backscroll.futures import done, start
from backscroll_kafka.access import PICK, SCAN, TAIL
from backscroll_kafka.connections import Connections, NotThere, Place, Topic
from backscroll_kafka.index import Chunk, View
from backscroll_kafka.layout import Kinds
from backscroll_kafka.readers import Gone, Job, Reader, Tail
from backscroll_kafka.views import Views

FIRST_STEP: Final = 512
"""How many records are looked back over at first; three times as many each time after that."""

LARGEST_STEP: Final = 65_536
"""How many are looked back over at once at the most."""

APART: Final = 100
"""Records that lie no further apart are fetched in one go."""

FEW: Final = 24
"""Up to how many records in a row are fetched by the client for single ones."""

STALE: Final = 10.0
"""For how many seconds it is remembered where a log ended: a bound that only has to lie behind what was there."""

PICKERS: Final = 2
"""How many clients fetch single records, at the same time."""

MOVES: Final = 5.0
"""After how many seconds it is asked again where the log begins."""

MOST_PLACES: Final = 2_000
"""How many partitions are heard at once; the one that was not used for the longest time makes room."""


class Logs:
    """The logs of a store.

    Args:
        connections: The way to the cluster.
        views: What is known of the logs.

    Attributes:
        doubt: Is told of topics that may not be what they were.
    """

    def __init__(self, connections: Connections, views: Views) -> None:
        settings = connections.settings
        self._connections = connections
        self._views = views
        self.doubt: Callable[[str], None] = _trust
        self._tail = Tail({**TAIL, **settings}, views.arrived, views.ended, self._lost, views.tick)
        self._reached: dict[Place, tuple[int, float]] = {}
        self._scanner = Reader("backscroll-kafka-scan", {**SCAN, **settings})
        self._pickers = [Reader("backscroll-kafka-pick", {**PICK, **settings}) for _ in range(PICKERS)]

    def forget(self) -> None:
        """Drop all, in the child of a fork."""
        self._tail.forget()
        for each in (self._scanner, *self._pickers):
            each.forget()
        self._views.forget()
        self._reached = {}

    def close(self) -> None:
        """Let the clients end."""
        self._tail.close()
        for each in (self._scanner, *self._pickers):
            each.close()
        self._views.close()

    # The end.

    def reached(self, place: Place) -> tuple[int, float]:
        """An offset that the log has reached, and when that was known, on the monotonic clock."""
        offset, known_at = self._reached.get(place, (0, -math.inf))
        if (view := self._views.find(place)) is not None:
            return max(offset, view.end), max(known_at, view.used_at)
        return offset, known_at

    async def bound(self, place: Place, deadline: Deadline) -> int:
        """An offset that the log has reached, not long ago."""
        offset, known_at = self.reached(place)
        if time.monotonic() - known_at > STALE:
            offset = max(offset, await self._connections.end(place, deadline))
            self.note_reached(place, offset)
        return offset

    def note_reached(self, place: Place, offset: int) -> None:
        """Remember how far a log goes at least."""
        self._reached[place] = offset, time.monotonic()

    async def current(self, place: Place, topic: Topic, deadline: Deadline) -> View:
        """The view of a place, with all that was there when this was called.

        Raises:
            SchemaError: The topic was made again, or partitions were added to it.
        """
        return (await self.current_all([place], topic, deadline))[0]

    async def current_all(self, places: Sequence[Place], topic: Topic, deadline: Deadline) -> list[View]:
        """The views of several places of a topic."""
        known = [self._views.find(place) for place in places]
        seen = [self.reached(place)[0] for place in places]
        old = time.monotonic() - MOVES
        asking = start(self._connections.ends(places, deadline))
        # Where the log begins is asked for at the same time, now and then.
        moved = [place for place, view in zip(places, known, strict=True) if not view or view.start_asked_at < old]
        beginning = start(self._connections.starts(moved, deadline)) if moved else None
        try:
            ends = await done(asking)
            begun = await done(beginning) if beginning else []
        except NotThere:
            self.doubt(places[0][0])
            raise Unavailable(f"kafka: the topic {places[0][0]} is not known to the brokers") from None
        starts = dict(zip(moved, begun, strict=True))
        for place, end, least in zip(places, ends, seen, strict=True):
            if end < least:
                await self._shorter(place, topic, deadline)
        views = [view or self._begin(place, end, topic) for place, view, end in zip(places, known, ends, strict=True)]
        for view, end in zip(views, ends, strict=True):
            if view.place in starts:
                self._views.cut(view, starts[view.place])
            await done(self._views.until(view, end, deadline))
            if view.problem is not None:
                raise view.problem
            view.used_at = time.monotonic()
        return views

    def _begin(self, place: Place, end: int, topic: Topic) -> View:
        """A view that begins at the end, and is told what comes from there on."""
        view = View(place, end, Kinds(topic.partitions))
        if (kept := self._views.add(view)) is view:
            self._tail.follow(place, end)
            self._make_room()
        return kept

    async def _shorter(self, place: Place, topic: Topic, deadline: Deadline) -> None:
        """Say why a log is shorter than it was."""
        now = await self._connections.topic(place[0], deadline)
        if now is not None and now.id == topic.id:
            # A leader was chosen that lacked records, or it does not know yet what another one told.
            self._lose(place)
            raise Unavailable("kafka: the log is shorter than it was: it is read anew")
        self.doubt(place[0])
        raise made_again(place[0])

    def _lost(self, place: Place, error: StorageError | None) -> None:
        self.doubt(place[0])
        self._views.drop(place, error)

    def _lose(self, place: Place) -> None:
        self._tail.follow(place, None)
        self._views.drop(place)
        self._reached.pop(place, None)

    def _make_room(self) -> None:
        places = self._views.places
        if len(places) > MOST_PLACES:
            views = [view for place in places if (view := self._views.find(place))]
            self._lose(min(views, key=lambda view: view.used_at).place)

    # Back from there.

    async def reach(self, view: View, key: bytes, low: int, deadline: Deadline) -> None:
        """Look back until all records of a session are known from an offset on, or from the beginning of the log.

        Of a session that nobody uses nothing is known once the index is given up.
        """
        while True:
            begin = self._views.begin_of(view, key)
            if begin <= max(low, view.start or 0):
                return
            turn = self._views.first_turn(view, deadline)
            try:
                await done(turn.waiter.future)
                if self._views.is_nobodys(view, key):
                    return
                if begin == self._views.begin_of(view, key):
                    await self._look_back(view, key, begin, low, deadline)
            finally:
                self._views.next_turn(view, turn)

    async def _look_back(self, view: View, key: bytes, begin: int, low: int, deadline: Deadline) -> None:
        view.step = min(LARGEST_STEP, max(FIRST_STEP, 3 * view.step))
        further = max(view.start or 0, min(begin - view.step, max(low, begin - LARGEST_STEP)))
        only = key.__eq__ if self._views.is_full else None
        chunk = Chunk(view.kinds, key, only).below(begin)
        try:
            await self.scan(view.place, further, begin, chunk, deadline)
        except Gone:
            await self.begins_later(view, deadline)
            return
        self._views.merge(view, chunk, further, begin, key)
        if chunk.problem is not None:
            raise chunk.problem

    async def scan(self, place: Place, low: int, high: int, chunk: Chunk, deadline: Deadline) -> None:
        """Let a chunk take all records from one offset up to another."""
        await done(self._scanner.read(Job(place, low, high, chunk.take, deadline)))

    async def begins_later(self, view: View, deadline: Deadline) -> None:
        """Find out where the log begins now."""
        before = view.start
        start_ = await self._connections.start(view.place, deadline)
        self._views.cut(view, start_)
        if start_ == before:
            await self._connections.pause(0.02, deadline)  # a broker may not know yet what another one told

    # Single records.

    async def fetch(
        self, view: View, offsets: Sequence[int], most_bytes: int, deadline: Deadline
    ) -> tuple[dict[int, bytes], set[int]]:
        """The values of records, and the offsets at which there is none.

        Of the records those that came before there were too many bytes, at least one.

        Raises:
            Gone: Some of them are not there any more.
        """
        picked = _Picked(offsets, most_bytes)
        runs = _runs(offsets)
        for begin in range(0, len(runs), PICKERS):
            some = runs[begin : begin + PICKERS]
            readers = [picker if high - low <= FEW else self._scanner
                       for (low, high), picker in zip(some, self._pickers, strict=False)]  # fmt: skip
            reading = [reader.read(Job(view.place, low, high, picked.take, deadline))
                       for reader, (low, high) in zip(readers, some, strict=True)]  # fmt: skip
            for each in reading:
                await done(each)
            if picked.is_enough:
                break
            picked.ended(some)
        return picked.found, picked.holes


class _Picked:
    """Single records on their way.

    Args:
        offsets: Where they are.
        most_bytes: How many bytes are enough.
    """

    def __init__(self, offsets: Sequence[int], most_bytes: int) -> None:
        self.found: dict[int, bytes] = {}
        self.holes: set[int] = set()
        """where nothing was in a run that was read to its end"""
        self._wanted = set(offsets)
        self._left = most_bytes
        self._lock = threading.Lock()

    @property
    def is_enough(self) -> bool:
        """Whether reading ends, be it within a run."""
        return self._left <= 0

    def take(self, messages: Sequence[Any]) -> bool:
        """Take what is wanted, once: a client reads past the end of its run, and may come upon another one's."""
        with self._lock:
            for message in messages:
                offset = message.offset()
                if offset in self._wanted and offset not in self.found:
                    self.found[offset] = value = message.value() or b""
                    self._left -= len(value)
            return self.is_enough

    def ended(self, runs: Sequence[tuple[int, int]]) -> None:
        """Runs were read to their ends."""
        for low, high in runs:
            self.holes |= {offset for offset in self._wanted if low <= offset < high} - self.found.keys()


def _trust(_: str) -> None:
    pass


def made_again(topic: str) -> SchemaError:
    """What is told where a topic was deleted and made again under a store that is open."""
    return SchemaError(
        f"kafka: the topic {topic} was deleted and made again since this store was opened: what it knew is gone; "
        "close the store and open another one"
    )


def _runs(offsets: Sequence[int]) -> list[tuple[int, int]]:
    """Stretches of the log that hold these offsets, in their order, with little between them."""
    runs: list[tuple[int, int]] = []
    for offset in offsets:
        if runs:
            low, high = runs[-1]
            if high <= offset < high + APART:
                runs[-1] = low, offset + 1
                continue
            if low - APART <= offset < low:
                runs[-1] = offset, high
                continue
        runs.append((offset, offset + 1))
    return runs
