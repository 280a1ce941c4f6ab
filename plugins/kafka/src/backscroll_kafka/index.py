"""What is kept in memory of one partition: where the records of each session are, and the newest of some."""

import time
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple
from weakref import WeakSet

from backscroll.backend import Deadline
from backscroll.errors import BackscrollError, SchemaError
from backscroll_kafka.connections import Place
from backscroll_kafka.fold import APPEND, Dropped, Entry, Verdict
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

    __slots__ = ("dropped", "entries", "known", "size", "users", "value_bytes", "values")

    def __init__(self, dropped: Dropped) -> None:
        self.dropped: Final = dropped
        self.entries: Final[dict[int, Entry]] = {}
        self.values: Final[dict[int, bytes]] = {}
        self.known: Final[dict[int, Verdict]] = {}
        self.users: Final[WeakSet[object]] = WeakSet()
        """those who have it in hand, as long as there are: it makes no room for others meanwhile"""
        self.value_bytes = 0
        self.size = OF_ENTRY

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
        self.size = OF_ENTRY * (1 + len(self.entries)) + self.value_bytes


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
            if kind != APPEND and (entry := entry_of(offset, value)):
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
