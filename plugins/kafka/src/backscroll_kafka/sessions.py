"""What one call sees of a session: its turns with their verdicts, as far as the call has to look."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from backscroll.backend import PAGE_BYTES, Deadline, Page, Row, Turn, Window
from backscroll_kafka.fold import (
    APPEND,
    APPLIED,
    SHIFT,
    Dropped,
    Entry,
    How,
    Short,
    Stretch,
    Verdict,
    find_turn,
    newest_turn,
    offset_from,
)
from backscroll_kafka.index import DAMAGED, View
from backscroll_kafka.layout import entry_of, lengths_of, rows_of
from backscroll_kafka.logs import Logs
from backscroll_kafka.plugin import WINDOW
from backscroll_kafka.readers import Gone
from backscroll_kafka.views import Views

FIRST_TURNS: Final = 24
"""How many records of a session are looked at first."""

MOST_TURNS: Final = 512
"""How many are looked at once, at the most."""

END: Final = 1 << 47
"""An offset that no record has."""


class Sight:
    """A session as it was at the moment of a call.

    Args:
        logs: Reads the log.
        views: What is known of it.
        view: The view of the session's place.
        key: The session.
        deadline: By when.
    """

    def __init__(self, logs: Logs, views: Views, view: View, key: bytes, deadline: Deadline) -> None:
        self.view: Final = view
        self.key: Final = key
        self.end: Final = view.end
        self._logs = logs
        self._views = views
        self._deadline = deadline
        self._session = views.use(view, key, self)
        self._entries: dict[int, Entry] = {}
        self._values: dict[int, bytes] = {}
        self._forget_verdicts()

    def _forget_verdicts(self) -> None:
        """Keep memory bounded, however long the session is."""
        if len(self._session.known) > 8 * MOST_TURNS:
            self._session.known.clear()

    @property
    def dropped(self) -> Dropped:
        """What of the session is gone."""
        return self._session.dropped

    @property
    def start(self) -> int:
        """Where the log begins."""
        return self.view.start or 0

    @property
    def begin(self) -> int:
        """From where on the session is known."""
        return self._views.begin_of(self.view, self.key)

    # Records.

    async def reach(self, low: int) -> None:
        """Know all records from an offset on."""
        await self._logs.reach(self.view, self.key, low, self._deadline)

    async def load(self, offsets: Sequence[int], most_bytes: int = 4 * PAGE_BYTES, *, whole: bool = False) -> None:
        """Know what records say; all of them, or those that came before there were too many bytes.

        Args:
            offsets: Where they are.
            most_bytes: How many bytes are too many.
            whole: Whether their messages are wanted, too.
        """
        kept = self._session.entries
        for offset in offsets:
            if offset not in self._entries and (entry := kept.get(offset)) is not None:
                self._entries[offset] = entry
        missing = [offset for offset in offsets if not self._has(offset, whole=whole)]
        if missing:
            await self._fetch(missing, most_bytes)

    def _has(self, offset: int, *, whole: bool) -> bool:
        """Whether a record is known, as far as it is wanted."""
        entry = self._entries.get(offset)
        if entry is None or not whole or entry.kind != APPEND:
            return entry is not None
        return offset in self._values or offset in self._session.values

    async def _fetch(self, offsets: Sequence[int], most_bytes: int) -> None:
        try:
            found, holes = await self._logs.fetch(self.view, offsets, most_bytes, self._deadline)
        except Gone:
            await self._logs.begins_later(self.view, self._deadline)
            for offset in offsets:
                if offset < self.start:
                    self._entries[offset] = Entry(offset, DAMAGED)
            return
        records = []
        for offset, value in found.items():
            entry = entry_of(offset, value) or Entry(offset, DAMAGED)
            self._entries[offset] = entry
            self._values[offset] = value
            records.append((entry, value))
        self._views.put(self.view, self.key, self._session, records)
        for offset in holes:  # only compaction makes them
            self._entries[offset] = Entry(offset, DAMAGED)

    async def load_all(self, offsets: Sequence[int]) -> list[Entry]:
        """What records say, all of them."""
        while missing := [offset for offset in offsets if offset not in self._entries]:
            await self.load(missing)
            self._values.clear()
        return [self._entries[offset] for offset in offsets]

    async def value(self, entry: Entry) -> bytes | None:
        """The value of a record; None where retention has just taken it."""
        kept = self._values.get(entry.offset) or self._session.values.get(entry.offset)
        if kept is None:
            self._values.clear()
            try:
                found, _ = await self._logs.fetch(self.view, [entry.offset], 1, self._deadline)
            except Gone:
                await self._logs.begins_later(self.view, self._deadline)
                return None
            kept = found.get(entry.offset)
        return kept

    def offsets(self, low: int, high: int) -> list[int]:
        """The offsets of the session's records from one up to another, exclusive."""
        return [offset for offset, _ in self._views.between(self.view, self.key, low, high)]

    # Verdicts.

    async def verdict(self, entry: Entry) -> Verdict:
        """What became of a turn."""
        known = self._session.known
        if (found := known.get(entry.offset)) is not None:
            return found
        low = entry.checked
        while True:
            if low >= self.begin or self.begin <= self.start:
                rivals = self._views.between(self.view, self.key, low, entry.offset)
                if not rivals and self.start <= entry.checked <= entry.offset:
                    known[entry.offset] = APPLIED
                    return APPLIED
            covered = max(low, self.begin, self.start)
            entries = await self.load_all([*self.offsets(covered, entry.offset), entry.offset])
            try:
                return Stretch(entries, covered, self.start, known).verdict(entry)
            except Short as short:
                low = short.low
                await self.reach(low)

    async def stretch(self, count: int, low: int) -> Stretch:
        """The last records of the session: so many at least, where there are, and all from an offset on."""
        await self.reach(low)
        newest = self._views.newest(self.view, self.key, count, self.end)
        first = newest[0][0] if len(newest) == count else self.begin
        low = max(min(low, first), self.start)
        return Stretch(await self.load_all(self.offsets(low, self.end)), low, self.start, self._session.known)

    # The session as a whole.

    async def newest(self) -> Entry | None:
        """The newest turn that counts."""
        count, low = 4, END
        while True:
            stretch = await self.stretch(count, min(low, self.end))
            try:
                return newest_turn(stretch, self.dropped)
            except Short as short:
                low, count = short.low, min(MOST_TURNS, 4 * count)

    async def version(self) -> int:
        """The version of the session; 0 for one that does not exist."""
        newest = await self.newest()
        return newest.version if newest else 0

    async def find(self, turn: Turn, since: int | None) -> Entry | None:
        """An earlier copy of a turn that counts.

        Args:
            turn: The turn.
            since: The offset behind which a first try may lie.

        Raises:
            Undecidable: Nobody can tell whether the copy counts.
        """
        count, low = FIRST_TURNS, END
        while True:
            stretch = await self.stretch(count, min(low, self.end))
            try:
                return find_turn(stretch, self.dropped, turn.turn_id.bytes, WINDOW, since)
            except Short as short:
                low, count = short.low, min(8 * MOST_TURNS, 2 * count)

    # Pages.

    async def read(self, window: Window) -> Page:
        """A page of the session."""
        paging = _Paging(self, window)
        many = min(max(window.limit, 1), FIRST_TURNS) if window.newest else min(window.limit, 4 * FIRST_TURNS)
        while True:
            offsets = await (self._down(paging, many) if window.newest else self._up(paging, many))
            if not offsets:
                return Page(paging.rows, None)
            offsets = self._enough(offsets, window.limit - len(paging.rows))
            await self.load(offsets, PAGE_BYTES, whole=True)
            for offset in offsets:
                if not self._has(offset, whole=True):  # there were too many bytes before it
                    many = 1
                    break
                if await paging.add(self._entries[offset]):
                    return Page(paging.rows, paging.resume)
            else:
                many = min(MOST_TURNS, 2 * many)
            if paging.size > PAGE_BYTES // 2:
                # The next records would come on top of these.
                return Page(paging.rows, paging.rows[-1].seq)
            self._values.clear()

    def _enough(self, offsets: list[int], messages: int) -> list[int]:
        """The first of some turns that may have so many messages, by what is known of them."""
        for number, offset in enumerate(offsets, 1):
            entry = self._entries.get(offset) or self._session.entries.get(offset)
            messages -= entry.length if entry else 1
            if messages <= 0:
                return offsets[:number]
        return offsets

    async def _down(self, paging: "_Paging", many: int) -> list[int]:
        """The next turns to look at, from the newest on."""
        floor = max(self.start, offset_from(self.dropped.deleted), self.dropped.bound >> SHIFT, paging.lowest)
        while True:
            turns = self._turns(floor, paging.high, many, newest=True)
            if turns or self.begin <= floor:
                return turns
            await self.reach(self.begin - 1)

    async def _up(self, paging: "_Paging", many: int) -> list[int]:
        """The next turns to look at, from the oldest on."""
        floor = max(self.start, offset_from(self.dropped.deleted), self.dropped.bound >> SHIFT, paging.low)
        await self.reach(floor)
        return self._turns(max(floor, self.start), paging.high, many)

    def _turns(self, low: int, high: int, many: int, *, newest: bool = False) -> list[int]:
        """The offsets of the first turns between two offsets, or of the last ones, downward."""
        return self._views.turns(self.view, self.key, low, min(high, self.end), many, newest=newest)

    async def count(self, now: int) -> int:
        """How many messages have not expired at a moment."""
        floor = max(offset_from(self.dropped.deleted), self.dropped.bound >> SHIFT)
        await self.reach(floor)
        total, low = 0, max(floor, self.start)
        while offsets := self._turns(low, self.end, MOST_TURNS):
            for entry in await self.load_all(offsets):
                if is_live(entry, now) and (await self.verdict(entry)).how is How.APPLIED:
                    total += sum(not self.dropped.has(entry.first_seq + place) for place in range(entry.length))
            low = offsets[-1] + 1
            self._entries.clear()
            self._forget_verdicts()
        return total

    async def live(self, seqs: Iterable[int], now: int) -> list[int]:
        """Which of some seqs are there."""
        left = self._left(seqs)
        if left:
            await self.reach(min(left) >> SHIFT)
        by_offset: dict[int, list[int]] = {}
        for seq in self._left(left):  # by what the look back told as well
            by_offset.setdefault(seq >> SHIFT, []).append(seq)
        if not by_offset:
            return []
        lowest, highest = min(by_offset), max(by_offset)
        there = {offset for offset in self._turns(lowest, highest + 1, END) if offset in by_offset}
        found: list[int] = []
        for entry in await self.load_all(sorted(there)):
            if is_live(entry, now) and (await self.verdict(entry)).how is How.APPLIED:
                found += [seq for seq in by_offset[entry.offset] if seq < entry.version]
        return found

    def _left(self, seqs: Iterable[int]) -> list[int]:
        """Which of some seqs were not dropped, by what is known."""
        return [seq for seq in seqs if seq >= self.dropped.deleted and not self.dropped.has(seq)]


class _Paging:
    """A page on its way."""

    def __init__(self, sight: Sight, window: Window) -> None:
        self._sight = sight
        self._window = window
        self._after = -1 if window.after is None else window.after
        self._before = END << SHIFT if window.before is None else window.before
        self.size = 0
        self.rows: list[Row] = []
        self.resume: int | None = None
        self.lowest = (self._after + 1) >> SHIFT
        self.low = self.lowest
        self.high = min(END, ((self._before - 1) >> SHIFT) + 1) if self._before > 0 else 0

    async def add(self, entry: Entry) -> bool:
        """Add the messages of a turn, if it counts; says whether the page is full."""
        window = self._window
        if window.newest:
            self.high = entry.offset
        else:
            self.low = entry.offset + 1
        if not is_live(entry, window.now):
            return False
        places = self._places(entry, window.limit - len(self.rows) + 1)
        if not places or (await self._sight.verdict(entry)).how is not How.APPLIED:
            return False
        value = await self._sight.value(entry)
        if value is None:
            return False
        lengths = lengths_of(entry, value)
        taken: list[int] = []
        for place in places:
            if (self.rows or taken) and self.size + lengths[place] > PAGE_BYTES:
                break
            taken.append(place)
            self.size += lengths[place]
            if len(self.rows) + len(taken) == window.limit:
                break
        self.rows += rows_of(entry, value, taken)
        is_full = len(taken) < len(places) or len(self.rows) == window.limit
        if is_full:
            self.resume = self.rows[-1].seq
        return is_full

    def _places(self, entry: Entry, most: int) -> list[int]:
        """Which messages of a turn are in the window and not gone, in the order of the page, as far as they matter."""
        first, dropped = entry.first_seq, self._sight.dropped
        window = range(max(0, self._after + 1 - first), min(entry.length, self._before - first))
        places = reversed(window) if self._window.newest else iter(window)
        return list(islice((place for place in places if not dropped.has(first + place)), most))


def is_live(entry: Entry, now: int) -> bool:
    """Whether a record is a turn that has not expired at a moment."""
    return entry.kind == APPEND and (entry.expires_at is None or entry.expires_at > now)
