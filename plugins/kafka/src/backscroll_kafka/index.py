"""What is kept in memory of one partition: where the records of each session are, and the newest of some."""

import time
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple
from weakref import WeakSet

from backscroll.backend import Deadline
from backscroll.errors import BackscrollError, SchemaError
from backscroll_kafka.connections import Place
from backscroll_kafka.fold import APPEND, SHIFT, Dropped, Entry, Verdict
from backscroll_kafka.layout import Kinds, entry_of
from backscroll_kafka.waiting import Waiter

BITS: Final = 3
"""An offset is kept with the kind of its record in so many bits below it."""

KIND: Final = (1 << BITS) - 1
"""These bits."""

OF_SESSION: Final = 260
"""About how many bytes of memory a session takes in the index, beside its records."""

OF_RECORD: Final = 9
"""About how many bytes of memory the offset of a record takes there."""

OF_CONTROL: Final = 300
"""About how many bytes of memory a record takes there that drops something, beside its seqs."""

OF_SEQ: Final = 40
"""About how many bytes of memory a removed seq takes, there and in the cache."""

OF_ENTRY: Final = 600
"""About how many bytes of memory a record in the cache takes, beside its messages."""

MOST_ENTRIES: Final = 512
"""Of how many of its newest records the cache knows what they say, for each session."""

MOST_VALUE_BYTES: Final = 1 << 18
"""How many bytes of messages of a session the cache holds at the most."""

DAMAGED: Final = 0
"""The kind of a record of ours that cannot be read."""


_NONE: Final = array("Q")


class Session:
    """What is kept of a session in use."""

    __slots__ = ("dropped", "entries", "known", "users", "value_bytes", "values")

    def __init__(self, dropped: Dropped) -> None:
        self.dropped: Final = dropped
        self.entries: Final[dict[int, Entry]] = {}
        self.values: Final[dict[int, bytes]] = {}
        self.known: Final[dict[int, Verdict]] = {}
        self.users: Final[WeakSet[object]] = WeakSet()
        """those who have it in hand, as long as there are: it makes no room for others meanwhile"""
        self.value_bytes = 0

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        return OF_ENTRY * (1 + len(self.entries)) + self.value_bytes + OF_SEQ * len(self.dropped.removed)

    def put(self, entry: Entry, value: bytes) -> None:
        """Keep a record, in place of the oldest ones where there is no room."""
        if entry.offset in self.entries or len(value) > MOST_VALUE_BYTES:
            self.entries.setdefault(entry.offset, entry)
        else:
            self.entries[entry.offset] = entry
            self.values[entry.offset] = value
            self.value_bytes += len(value)
        while self.value_bytes > MOST_VALUE_BYTES:
            self.value_bytes -= len(self.values.pop(min(self.values)))
        while len(self.entries) > MOST_ENTRIES:
            oldest = min(self.entries)
            del self.entries[oldest]
            self.known.pop(oldest, None)
            self.value_bytes -= len(self.values.pop(oldest, b""))

    def cut(self, start: int) -> None:
        """The log begins at an offset: forget what was removed before it, and verdicts, which may be others now."""
        self.known.clear()
        self.dropped.removed = {seq for seq in self.dropped.removed if seq >= start << SHIFT}


class Chunk:
    """What a scan found: the offsets of the records of all sessions, or of one, and the records of that one.

    Args:
        kinds: Tells what a record is.
        key: The session whose records are kept.
        wanted: Which sessions are noted; None for all.
    """

    def __init__(self, kinds: Kinds, key: bytes | None = None, wanted: Callable[[bytes], bool] | None = None) -> None:
        self.offsets: dict[bytes, array[int]] = {}
        self.controls: dict[bytes, list[Entry]] = {}
        self.records: deque[tuple[int, bytes]] = deque()
        """the newest ones of the session whose records are kept"""
        self._size = 0
        self.foreign = 0
        self.problem: SchemaError | None = None
        self._kinds = kinds
        self._key = key
        self._wanted = wanted
        self._high = 0

    def below(self, high: int) -> "Chunk":
        """Note nothing from this offset on."""
        self._high = high
        return self

    def take(self, messages: Sequence[Any]) -> bool:
        """Note records; never enough."""
        known, offsets, wanted, high, own = self._kinds.known, self.offsets, self._wanted, self._high, self._key
        for message in messages:
            value, key, offset = message.value() or b"", message.key(), message.offset()
            kind = known.get(value[:6])
            if kind is None or key is None:
                self._strange(value)
                continue
            if offset >= high or (wanted is not None and not wanted(key)):
                continue
            found = offsets.get(key)
            if found is None:
                found = offsets[key] = array("Q")
            found.append(offset << BITS | kind)
            if kind != APPEND and (entry := entry_of(offset, value)) and not entry.is_stray:
                self.controls.setdefault(key, []).append(entry)
            if key == own:
                self._keep(offset, value)
        return False

    def _keep(self, offset: int, value: bytes) -> None:
        self.records.append((offset, value))
        self._size += len(value)
        while self._size > MOST_VALUE_BYTES or len(self.records) > MOST_ENTRIES:
            self._size -= len(self.records.popleft()[1])

    def _strange(self, value: bytes) -> None:
        self.foreign += 1
        self.problem = self.problem or self._kinds.problem(value)


class Waiting(NamedTuple):
    """Who waits for what is known of an offset, and until when."""

    offset: int
    waiter: Waiter
    deadline: Deadline


class View:
    """What is known of one place.

    Args:
        place: The topic and the partition.
        end: Where the log ended when it was first looked at.
        kinds: Tells what a record is.
    """

    def __init__(self, place: Place, end: int, kinds: Kinds) -> None:
        self.place: Final = place
        self.kinds: Final = kinds
        self.begin = end
        self.end = end
        self.start: int | None = None
        self.start_asked_at = 0.0
        self.foreign = 0
        self.problem: BackscrollError | None = None
        self.offsets: dict[bytes, array[int]] = {}
        self.controls: dict[bytes, list[Entry]] = {}
        self.begins: dict[bytes, int] = {}
        """from where on the sessions in use are known, where the index of all is not kept"""
        self.step = 0
        self.waiters: list[Waiting] = []
        self.watchers: dict[bytes, list[Waiting]] = {}
        self.turn: list[Waiting] = []
        """those who wait to look back, the first of whom does"""
        self.used_at = time.monotonic()

    def span(self, key: bytes, low: int, high: int) -> tuple["array[int]", int, int]:
        """The offsets of a session, and which of them lie from one offset of the log up to another, exclusive."""
        found = self.offsets.get(key, _NONE)
        return found, bisect_left(found, max(low, self.start or 0) << BITS), bisect_left(found, high << BITS)

    def begin_anew(self, key: bytes) -> None:
        """Know of a session what comes from now on."""
        self.forget(key)
        self.offsets[key] = array("Q")
        self.begins[key] = self.end

    def forget(self, key: bytes) -> None:
        """Know nothing of a session any more."""
        for known in (self.offsets, self.controls, self.begins):
            known.pop(key, None)

    def woken(self, keys: set[bytes]) -> list[Waiter]:
        """Those whose waiting is over, by its end and by the sessions that have something new."""
        woken = [each.waiter for each in self.waiters if each.offset <= self.end]
        if woken:
            self.waiters = [each for each in self.waiters if each.offset > self.end]
        for key in keys & self.watchers.keys():
            woken += [each.waiter for each in self.watchers.pop(key)]
        return woken

    def join(self, key: bytes, chunk: Chunk) -> int:
        """Add older records of a session; about how many bytes of memory more that takes."""
        older, newer, controls = chunk.offsets[key], self.offsets.get(key), chunk.controls.get(key, [])
        size = OF_RECORD * len(older) + of_controls(controls) + (0 if newer is not None else OF_SESSION)
        if newer is not None:
            older.extend(newer)
        self.offsets[key] = older
        if controls:
            self.controls[key] = controls + self.controls.get(key, [])
        return size

    @property
    def size(self) -> int:
        """About how many bytes of memory the index takes."""
        controls = sum(map(of_controls, self.controls.values()))
        return controls + sum(OF_SESSION + OF_RECORD * len(found) for found in self.offsets.values())

    def cut(self, start: int) -> None:
        """Forget what lies before an offset."""
        for found in self.offsets.values():
            del found[: bisect_left(found, start << BITS)]
        # The others may be in the hands of whoever lists them.
        self.offsets = {key: found for key, found in self.offsets.items() if found or key in self.begins}
        left = {key: [entry for entry in entries if entry.offset >= start] for key, entries in self.controls.items()}
        self.controls = {key: entries for key, entries in left.items() if entries}


def of_controls(entries: Iterable[Entry]) -> int:
    """About how many bytes of memory records take that drop something."""
    return sum(OF_CONTROL + OF_SEQ * len(entry.seqs) for entry in entries)
