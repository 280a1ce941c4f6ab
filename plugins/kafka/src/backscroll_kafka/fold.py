"""The rule by which every reader turns the records of a log into sessions. Pure: no I/O, no clock, no driver.

A record of a session is a turn, or says that something of the session is gone. Whether a turn counts is decided by the
log alone, the same for everyone who reads it:

A record at offset ``o`` says up to which offset its writer knew the log: `Entry.checked`. Its verdict depends on the
session's records in ``[checked, o)`` and on nothing else. It is a *duplicate* if a record with its turn_id counts
there; else in *conflict* if it expects a version, and a turn counts there or a deletion took that version; else it is
*applied*. A record whose `checked` lies before the start of the log, and which nothing that is left decides, is *lost*,
as though retention had taken it, and so is one that hangs on it. One that claims to know more of the log than there was
before it is a *stray*: it was written for a topic that is gone.

What is dropped is told by bounds and by single seqs, which were fixed when the records they drop were there. So the
largest bound counts, seqs add up, and the order in which they arrive does not matter.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Final, NamedTuple

SHIFT: Final = 16
"""A seq is the offset of its record, so many bits to the left, and the place in the turn."""

MOST_MESSAGES: Final = (1 << SHIFT) - 1
"""The most messages of a turn."""

APPEND: Final = 1
DISCARD: Final = 2
DELETE: Final = 3
REMOVE: Final = 4


def offset_from(seq: int) -> int:
    """The first offset at which a turn may lie whose seqs are none below this one."""
    return -(-seq >> SHIFT)


class Entry(NamedTuple):
    """What a record says, without its messages."""

    offset: int
    kind: int
    """`APPEND`, `DISCARD`, `DELETE` or `REMOVE`"""
    checked: int = 0
    """up to where its writer knew the log"""
    turn_id: bytes = b""
    digest: bytes = b""
    expires_at: int | None = None
    expected: int | None = None
    """the version that a turn expects; None for any"""
    length: int = 0
    """how many messages a turn has"""
    bound: int = 0
    """below which seq a `DISCARD` or a `DELETE` drops everything"""
    seqs: tuple[int, ...] = ()
    """what a `REMOVE` drops"""

    @property
    def is_stray(self) -> bool:
        """Whether it was written for a topic that is gone: it counts for nothing, whatever it says."""
        return self.checked > self.offset

    @property
    def first_seq(self) -> int:
        """The seq of a turn's first message."""
        return self.offset << SHIFT

    @property
    def version(self) -> int:
        """The version of the session right after a turn."""
        return self.first_seq + self.length


class How(Enum):
    """What became of a turn."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    LOST = "lost"
    STRAY = "stray"


class Verdict(NamedTuple):
    """What became of a turn, and the offset of the one that counts instead of a duplicate."""

    how: How
    of: int = -1


APPLIED: Final = Verdict(How.APPLIED)
CONFLICT: Final = Verdict(How.CONFLICT)
LOST: Final = Verdict(How.LOST)
STRAY: Final = Verdict(How.STRAY)


class Short(Exception):
    """More of the log has to be known.

    Attributes:
        low: From which offset on.
    """

    def __init__(self, low: int) -> None:
        super().__init__(low)
        self.low = low


class Undecidable(Exception):
    """A turn is there of which nobody can tell any more whether it counts: retention took what would tell."""


class Dropped:
    """What of a session is gone, by all records that say so.

    Attributes:
        bound: Every seq below it is gone.
        deleted: Every seq below it is gone, with the turns themselves and the version.
        removed: Single seqs that are gone.
    """

    __slots__ = ("bound", "deleted", "removed")

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.bound = 0
        self.deleted = 0
        self.removed: set[int] = set()
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Take one more record into account; one of a turn drops nothing, nor does a stray."""
        if entry.is_stray:
            return
        if entry.kind == REMOVE:
            self.removed.update(entry.seqs)
        elif entry.kind != APPEND:
            self.bound = max(self.bound, entry.bound)
            if entry.kind == DELETE:
                self.deleted = max(self.deleted, entry.bound)

    def has(self, seq: int) -> bool:
        """Whether a message is gone."""
        return seq < self.bound or seq in self.removed


class Stretch:
    """All records of a session from some offset on, and the verdicts on its turns.

    Args:
        entries: The records, by offset.
        low: From which offset on there are no others.
        start: Where the log begins.
        known: Verdicts that are known already, by offset; new ones are added.
    """

    def __init__(self, entries: Sequence[Entry], low: int, start: int, known: dict[int, Verdict] | None = None) -> None:
        self.entries: Final = entries
        self.low: Final = low
        self.start: Final = start
        self._known: Final = {} if known is None else known
        self._offsets: Final = [entry.offset for entry in entries]
        self._by_turn: Final[defaultdict[bytes, list[Entry]]] = defaultdict(list)
        for entry in entries:
            if entry.kind == APPEND:
                self._by_turn[entry.turn_id].append(entry)

    def verdict(self, entry: Entry) -> Verdict:
        """What became of a turn.

        Raises:
            Short: That cannot be told without more of the log.
        """
        # A loop, since in a burst of writers each turn may hang on the one before. What is found is kept here as well,
        # since other threads may forget what is known.
        decided: dict[int, Verdict] = {}
        pending = [entry]
        while pending:
            offset = pending[-1].offset
            found = decided.get(offset) or self._known.get(offset) or self._look(pending[-1], decided)
            if isinstance(found, Entry):
                pending.append(found)
            else:
                decided[offset] = self._known[offset] = found
                pending.pop()
        return decided[entry.offset]

    def _look(self, entry: Entry, decided: dict[int, Verdict]) -> Verdict | Entry:
        """The verdict on a turn, or the turn whose verdict has to be known before."""
        if entry.is_stray:
            return STRAY
        is_short = entry.checked < self.low and self.low > self.start
        hangs_on_lost = False
        for other in self._rivals(entry):
            is_copy = other.kind == APPEND and other.turn_id == entry.turn_id
            if is_short and not is_copy:
                break  # an earlier copy that counts would come before a conflict
            if other.kind == DELETE:
                return CONFLICT
            known = decided.get(other.offset) or self._known.get(other.offset)
            if known is None:
                return other
            if known.how is How.APPLIED:
                return Verdict(How.DUPLICATE, other.offset) if is_copy else CONFLICT
            hangs_on_lost |= known.how is How.LOST
        if is_short:
            raise Short(entry.checked)
        return LOST if hangs_on_lost or entry.checked < self.start else APPLIED

    def _rivals(self, entry: Entry) -> Iterator[Entry]:
        """What may keep a turn from counting: first its own copies, then, if it expects a version, all others."""
        for other in reversed(self._by_turn[entry.turn_id]):
            if entry.checked <= other.offset < entry.offset:
                yield other
        if entry.expected is None:
            return
        begin, end = bisect_left(self._offsets, entry.checked), bisect_left(self._offsets, entry.offset)
        for other in reversed(self.entries[begin:end]):
            takes_version = other.kind == DELETE and 0 < entry.expected <= other.bound and not other.is_stray
            if other.kind == APPEND or takes_version:
                yield other

    def turns(self, deleted: int) -> Iterator[tuple[Entry, Verdict]]:
        """The turns of a session with their verdicts, from the newest on, as far back as there are any.

        Args:
            deleted: `Dropped.deleted`.

        Raises:
            Short: More of the log has to be known to go on.
        """
        for entry in reversed(self.entries):
            if entry.kind == APPEND:
                if entry.first_seq < deleted:
                    return
                yield entry, self.verdict(entry)
        if self.low > max(self.start, offset_from(deleted)):
            raise Short(self.low - 1)


def newest_turn(stretch: Stretch, dropped: Dropped) -> Entry | None:
    """The newest turn that counts; None in a session that does not exist.

    Raises:
        Short: More of the log has to be known.
    """
    return next((entry for entry, verdict in stretch.turns(dropped.deleted) if verdict.how is How.APPLIED), None)


def find_turn(stretch: Stretch, dropped: Dropped, turn_id: bytes, window: int, since: int | None) -> Entry | None:
    """The turn with this id that counts; None where there is none.

    Args:
        stretch: The session's records.
        dropped: What of the session is gone.
        turn_id: The id.
        window: Among how many of the last turns it is looked for at the least.
        since: Offset from which on all turns are looked at, however many there are.

    Raises:
        Short: More of the log has to be known.
        Undecidable: There is one, and nobody can tell whether it counts.
    """
    seen = 0
    for entry, verdict in stretch.turns(dropped.deleted):
        if entry.turn_id == turn_id and verdict.how is How.LOST:
            raise Undecidable
        if verdict.how is How.APPLIED:
            if entry.turn_id == turn_id:
                return entry
            seen += 1
        if seen >= window and (since is None or entry.offset <= since):
            return None
    return None


def removed_by(entry: Entry, between: Iterable[Entry]) -> tuple[int, ...]:
    """What a `REMOVE` has really dropped: what none of the records did that lie between `Entry.checked` and itself."""
    if entry.is_stray:
        return ()
    before = Dropped(other for other in between if entry.checked <= other.offset < entry.offset)
    return tuple(seq for seq in entry.seqs if not before.has(seq))
