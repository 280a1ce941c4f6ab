"""What a process knows of the logs that it uses: where the records of each session are, and the newest of some.

A view is of one partition, and covers the log from some offset on up to its end. The tail moves the end on; looking
back moves the beginning down. Of every session it knows the offsets of its records, of those in use the records
themselves as well, as far as there is room.
"""

import threading
import time
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from itertools import chain, islice
from typing import Any, Final

from backscroll.backend import Deadline
from backscroll.errors import BackscrollError, Closed, DeadlineExceeded, Unavailable
from backscroll_kafka.connections import Place
from backscroll_kafka.fold import APPEND, Dropped, Entry
from backscroll_kafka.index import (
    BITS,
    DAMAGED,
    KIND,
    OF_RECORD,
    OF_SESSION,
    Chunk,
    Session,
    View,
    Waiting,
    of_controls,
)
from backscroll_kafka.layout import entry_of
from backscroll_kafka.waiting import Waiter

LOOKED_AT: Final = 64
"""At how many sessions it is looked at once for one that makes room: most of them may be in use."""


class Views:
    """All views of a store. What changes them holds their lock.

    Args:
        index_bytes: How much memory the index of all sessions may take.
        cache_bytes: How much the sessions in use may.
    """

    def __init__(self, index_bytes: int, cache_bytes: int) -> None:
        self._index_bytes = index_bytes
        self._cache_bytes = cache_bytes
        self.is_closed = False
        self.forget()

    def forget(self) -> None:
        """Drop all, in the child of a fork."""
        self.lock = threading.RLock()
        self._views: dict[Place, View] = {}
        self._used: OrderedDict[tuple[Place, bytes], Session] = OrderedDict()
        self._size = 0
        self._cached = 0
        self.is_full = False
        """whether the index of all sessions would take too much"""

    # Views.

    def find(self, place: Place) -> View | None:
        """The view of a place, where there is one."""
        return self._views.get(place)

    def add(self, view: View) -> View:
        """Keep a view, unless there is one already, which then counts; says which."""
        with self.lock:
            return self._views.setdefault(view.place, view)

    def drop(self, place: Place, error: BackscrollError | None = None) -> None:
        """Drop a view; those who wait are told to begin anew."""
        with self.lock:
            view = self._views.pop(place, None)
            if view is None:
                return
            self._size -= view.size
            for key in [key for key in self._used if key[0] == place]:
                self._cached -= self._used.pop(key).size
            waiting = [*view.waiters, *view.turn, *chain.from_iterable(view.watchers.values())]
            view.waiters, view.turn, view.watchers = [], [], {}
        for each in waiting:
            each.waiter.fail(error or self._dropped())

    @property
    def places(self) -> list[Place]:
        """Where there is a view."""
        with self.lock:
            return list(self._views)

    # What is new.

    def arrived(self, messages: Sequence[Any]) -> None:
        """Take what the tail heard."""
        touched: dict[Place, set[bytes]] = {}
        with self.lock:
            for message in messages:
                place = message.topic(), message.partition()
                view = self._views.get(place)
                offset = message.offset()
                if view is None or offset < view.end:
                    continue
                view.end = offset + 1
                key = self._note(view, message.key(), offset, message.value() or b"")
                keys = touched.setdefault(place, set())
                if key is not None:
                    keys.add(key)
            self._keep_to_budget()
            woken = [waiter for place, keys in touched.items() for waiter in self._views[place].woken(keys)]
        for waiter in woken:
            waiter.give(None)

    def own(self, place: Place, key: bytes, offset: int, value: bytes) -> None:
        """Take a record that this process wrote, where nothing else came before it."""
        with self.lock:
            view = self._views.get(place)
            if view is None or view.end != offset:
                return
            view.end = offset + 1
            self._note(view, key, offset, value)
            self._keep_to_budget()
            woken = view.woken({key})
        for waiter in woken:
            waiter.give(None)

    def ended(self, place: Place, offset: int) -> None:
        """The tail heard all up to an offset; what is not there was not for readers."""
        with self.lock:
            view = self._views.get(place)
            if view is None or offset <= view.end:
                return
            view.end = offset
            woken = view.woken(set())
        for waiter in woken:
            waiter.give(None)

    def _note(self, view: View, key: bytes | None, offset: int, value: bytes) -> bytes | None:
        kind = view.kinds.known.get(value[:6])
        if kind is None or key is None:
            view.foreign += 1
            view.problem = view.problem or view.kinds.problem(value)
            return None
        found = view.offsets.get(key)
        if found is None:
            if self.is_full:
                return key
            found = view.offsets[key] = array("Q")
            self._size += OF_SESSION
        found.append(offset << BITS | kind)
        self._size += OF_RECORD
        session = self._used.get((view.place, key))
        if kind == APPEND and session is None:
            return key
        entry = entry_of(offset, value) or Entry(offset, DAMAGED)
        if kind != APPEND and not entry.is_stray:
            view.controls.setdefault(key, []).append(entry)
            self._size += of_controls([entry])
        if session is not None:
            self._cached -= session.size
            session.dropped.add(entry)
            session.put(entry, value)
            self._cached += session.size
        return key

    # Waiting.

    def until(self, view: View, offset: int, deadline: Deadline) -> "Future[None]":
        """Done as soon as all is known up to an offset."""
        waiter = Waiter()
        with self.lock:
            if self.is_closed:
                waiter.fail(Closed())
            elif view.end >= offset:
                waiter.give(None)
            elif self._views.get(view.place) is not view:
                waiter.fail(self._dropped())
            else:
                view.waiters.append(Waiting(offset, waiter, deadline))
        return waiter.future

    def watch(self, view: View, key: bytes, seen: int, deadline: Deadline) -> "Future[None]":
        """Done when a session may have a record at this offset or behind it."""
        waiter = Waiter()
        with self.lock:
            found = view.offsets.get(key)
            if self.is_closed:
                waiter.fail(Closed())
            elif found and found[-1] >> BITS >= seen:
                waiter.give(None)
            elif self._views.get(view.place) is not view:
                waiter.fail(self._dropped())
            else:
                view.watchers.setdefault(key, []).append(Waiting(seen, waiter, deadline))
        return waiter.future

    def first_turn(self, view: View, deadline: Deadline) -> Waiting:
        """Done when nobody else looks back in this view; then, or once it failed, `next_turn` has to be called."""
        mine = Waiting(view.begin, Waiter(), deadline)
        with self.lock:
            if self._views.get(view.place) is not view:
                mine.waiter.fail(self._dropped())
                return mine
            view.turn.append(mine)
            is_first = len(view.turn) == 1
        if is_first:
            mine.waiter.give(None)
        return mine

    def next_turn(self, view: View, mine: Waiting) -> None:
        """Let the next one look back, or wait for it no longer."""
        with self.lock:
            view.turn = [each for each in view.turn if each is not mine]
            following = view.turn[0].waiter if view.turn else None
        if following:
            following.give(None)

    def tick(self) -> None:
        """End what has waited for too long."""
        late: list[Waiting] = []
        watching: list[Waiting] = []
        with self.lock:
            for view in self._views.values():
                late += [each for each in view.turn[1:] if not each.deadline.remaining()]
                if view.waiters:
                    view.waiters = _parted(view.waiters, late)
                if view.watchers:
                    left = {key: _parted(some, watching) for key, some in view.watchers.items()}
                    view.watchers = {key: some for key, some in left.items() if some}
        for each in watching:
            each.waiter.give(None)
        for each in late:
            seconds = each.deadline.seconds
            each.waiter.fail(DeadlineExceeded(f"kafka: the brokers sent nothing within {seconds:g} s"))

    def close(self) -> None:
        """End all waiting."""
        with self.lock:
            self.is_closed = True
        for place in self.places:
            self.drop(place, Closed())

    # Sessions.

    def use(self, view: View, key: bytes, by: object) -> Session:
        """What is kept of a session, which makes no room for others while there is whoever uses it.

        Raises:
            Unavailable: The view was dropped.
        """
        with self.lock:
            if self._views.get(view.place) is not view:
                raise self._dropped()
            self._keep_to_budget()
            name = view.place, key
            session = self._used.get(name)
            if session is None:
                if self.is_full and key not in view.begins:
                    view.begin_anew(key)
                session = self._used[name] = Session(Dropped(view.controls.get(key, ())))
                self._cached += session.size
            session.users.add(by)
            self._used.move_to_end(name)
            self._make_room()
            return session

    def _dropped(self) -> BackscrollError:
        return Closed() if self.is_closed else Unavailable("kafka: the partition has to be looked at anew")

    def _make_room(self) -> None:
        """Give up sessions that nobody uses, those first that were used the longest time ago."""
        for _ in range(LOOKED_AT):
            if self._cached <= self._cache_bytes:
                return
            name, session = next(iter(self._used.items()))
            if session.users:
                self._used.move_to_end(name)
            else:
                self._forget_session(*name)

    def _forget_session(self, place: Place, key: bytes) -> None:
        self._cached -= self._used.pop((place, key)).size
        view = self._views.get(place)
        if self.is_full and view is not None:
            view.forget(key)

    def put(self, view: View, key: bytes, session: Session, records: Sequence[tuple[Entry, bytes]]) -> None:
        """Keep records of a session, as long as it is one of those in use."""
        with self.lock:
            if self._used.get((view.place, key)) is not session:
                return
            self._cached -= session.size
            for entry, value in records:
                session.put(entry, value)
            self._cached += session.size

    def begin_of(self, view: View, key: bytes) -> int:
        """From which offset on all records of a session are known."""
        return view.begins.get(key, view.end) if self.is_full else view.begin

    def between(self, view: View, key: bytes, low: int, high: int) -> list[tuple[int, int]]:
        """The offsets and kinds of a session's records from one offset up to another, exclusive."""
        with self.lock:
            found, first, last = view.span(key, low, high)
            some = found[first:last]
        return [(packed >> BITS, packed & KIND) for packed in some]

    def turns(self, view: View, key: bytes, low: int, high: int, many: int, *, newest: bool) -> list[int]:
        """The offsets of a session's first turns from one offset up to another, exclusive, or of the last, downward."""
        with self.lock:
            found, first, last = view.span(key, low, high)
            places = range(last - 1, first - 1, -1) if newest else range(first, last)
            chosen = islice((found[at] for at in places if found[at] & KIND == APPEND), many)
            return [packed >> BITS for packed in chosen]

    def newest(self, view: View, key: bytes, count: int, high: int) -> list[tuple[int, int]]:
        """The offsets and kinds of the last records of a session below an offset, ascending."""
        with self.lock:
            found, first, last = view.span(key, 0, high)
            some = found[max(first, last - count) : last]
        return [(packed >> BITS, packed & KIND) for packed in some]

    # Looking back.

    def is_nobodys(self, view: View, key: bytes) -> bool:
        """Whether only the sessions in use are known, and this is none of them."""
        with self.lock:
            return self.is_full and key not in view.begins and self._views.get(view.place) is view

    def merge(self, view: View, chunk: Chunk, low: int, begin: int, key: bytes) -> None:
        """Add what a scan found from `low` up to `begin`, unless it is not from there on any more that all is known."""
        with self.lock:
            if self._views.get(view.place) is not view:
                return
            view.problem = view.problem or chunk.problem
            if begin != (view.begins.get(key) if self.is_full else view.begin):
                return
            view.foreign += chunk.foreign
            for found in chunk.offsets.keys() & {key} if self.is_full else chunk.offsets.keys():
                self._add_older(view, found, chunk)
            if (session := self._used.get((view.place, key))) is not None:
                records = [(known, value) for at, value in chunk.records if (known := entry_of(at, value))]
                self.put(view, key, session, records)
            if self.is_full:
                view.begins[key] = low
            else:
                view.begin = low
                self._keep_to_budget()

    def _add_older(self, view: View, key: bytes, chunk: Chunk) -> None:
        self._size += view.join(key, chunk)
        if (session := self._used.get((view.place, key))) is not None:
            self._cached -= session.size
            for entry in chunk.controls.get(key, ()):
                session.dropped.add(entry)
            self._cached += session.size

    def _keep_to_budget(self) -> None:
        """Once the index takes too much, only the sessions in use are known."""
        if self.is_full or self._size <= self._index_bytes:
            return
        self.is_full = True
        for view in self._views.values():
            used = {key for place, key in self._used if place == view.place}
            view.offsets = {key: found for key, found in view.offsets.items() if key in used}
            view.controls = {key: found for key, found in view.controls.items() if key in used}
            view.begins = dict.fromkeys(used, view.begin)
            for key in used:
                view.offsets.setdefault(key, array("Q"))

    def cut(self, view: View, start: int) -> None:
        """The log begins at an offset; what was decided may have to be decided anew."""
        with self.lock:
            is_moved = view.start is not None and start > view.start
            view.start = max(start, view.start or 0)
            view.start_asked_at = time.monotonic()
            view.begin = max(view.begin, view.start)
            if is_moved:
                self._forget_before(view, view.start)

    def _forget_before(self, view: View, start: int) -> None:
        self._size -= view.size
        view.cut(start)
        self._size += view.size
        for (place, _), session in self._used.items():
            if place == view.place:
                self._cached -= session.size
                session.cut(start)
                self._cached += session.size


def _parted(waiting: Sequence[Waiting], late: list[Waiting]) -> list[Waiting]:
    """Those who may go on waiting; the others are added to those that are late."""
    left: list[Waiting] = []
    for each in waiting:
        (left if each.deadline.remaining() else late).append(each)
    return left
