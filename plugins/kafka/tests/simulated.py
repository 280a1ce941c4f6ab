"""A log with several writers, and a plain model of what it says: eager, from its beginning, with nothing left out."""

import random
from collections import defaultdict
from itertools import pairwise

import attrs

from backscroll_kafka.fold import (
    APPEND,
    DELETE,
    DISCARD,
    REMOVE,
    Dropped,
    Entry,
    How,
    Short,
    Stretch,
    Undecidable,
    Verdict,
    find_turn,
    newest_turn,
    removed_by,
)

WINDOW = 16


def plain_verdicts(log: list[Entry]) -> dict[int, How]:
    """What became of each turn, by reading the whole log forward."""
    # What was meant for another log counts nowhere.
    verdicts = {entry.offset: How.STRAY for entry in log if entry.kind == APPEND and entry.checked > entry.offset}
    log = [entry for entry in log if entry.checked <= entry.offset]
    for entry in log:
        if entry.kind == APPEND:
            between = [other for other in log if entry.checked <= other.offset < entry.offset]
            applied = [other for other in between if verdicts.get(other.offset) is How.APPLIED]
            taken = any(other.kind == DELETE and other.bound >= (entry.expected or 1 << 63) for other in between)
            if any(other.turn_id == entry.turn_id for other in applied):
                verdicts[entry.offset] = How.DUPLICATE
            elif entry.expected is not None and (applied or taken):
                verdicts[entry.offset] = How.CONFLICT
            else:
                verdicts[entry.offset] = How.APPLIED
    return verdicts


def plain_live(log: list[Entry]) -> list[int]:
    """The seqs that are there, likewise."""
    applied = [offset << 16 for offset, how in plain_verdicts(log).items() if how is How.APPLIED]
    told = [entry for entry in log if entry.checked <= entry.offset]
    bound = max((entry.bound for entry in told), default=0)
    removed = {seq for entry in told for seq in entry.seqs}
    return [seq for seq in applied if seq >= bound and seq not in removed]


@attrs.define
class Told:
    """What the writers of one turn were told.

    Args:
        expected: The version that it expected.
        landed: The seqs that were acknowledged, one for each answer.
        refused: Whether one of them was told that it surely did not land.
        since: Where the log ended before it was sent.
    """

    expected: int | None
    landed: list[int] = attrs.field(factory=list)
    refused: bool = False
    since: int = 0


class World:
    """One session in one partition, with writers that send late, twice, or in vain.

    Args:
        seed: Of the random choices.
        retention: Whether the front of the log is cut now and then.
        deletes: Whether the session is deleted now and then.
    """

    def __init__(self, seed: int, *, retention: bool = False, deletes: bool = True) -> None:
        self.random = random.Random(seed)
        self.retention, self.deletes = retention, deletes
        self.log: list[Entry] = []
        self.end = 0
        self.start = 0
        self.late: list[Entry] = []
        self.turns: defaultdict[int, list[Told]] = defaultdict(list)
        self.removed: defaultdict[int, list[int]] = defaultdict(list)
        self.starts = [0]

    def run(self, steps: int) -> None:
        """Do something at random, so many times; what is late arrives at any time."""
        for _ in range(steps):
            self.step()
        while self.late:
            self._land(self.late.pop(self.random.randrange(len(self.late))))

    def step(self) -> None:
        """One operation of one writer."""
        while self.late and self.random.random() < 0.3:
            self._land(self.late.pop(self.random.randrange(len(self.late))))
        self.end += self.random.randrange(2)  # another session's
        if self.random.random() < 0.1:
            self._stray()
        what = self.random.random()
        if self.turns and what < 0.4:
            self._append(self.random.choice([*self.turns][-5:]), is_new=False)
        elif what < 0.8:
            self._append(len(self.turns), is_new=True)
        elif what < 0.9 or not self.deletes:
            self._drop()
        else:
            self._delete()
        if self.retention and self.random.random() < 0.1:
            self.start = self.random.randint(self.start, self.end)
            self.starts.append(self.start)

    def stretch(self, low: int | None = None, start: int | None = None) -> Stretch:
        """What a reader knows who looked back as far as `low`."""
        start = self.start if start is None else start
        low = start if low is None else max(low, start)
        return Stretch([entry for entry in self.log if entry.offset >= low], low, start)

    def dropped(self) -> Dropped:
        """What is gone by all that is left of the log."""
        return Dropped(entry for entry in self.log if entry.offset >= self.start)

    def version(self) -> int:
        """The session's version."""
        newest = newest_turn(self.stretch(), self.dropped())
        return newest.version if newest else 0

    def _land(self, entry: Entry) -> Entry:
        entry = entry._replace(offset=self.end)
        self.log.append(entry)
        self.end += 1
        return entry

    def _send(self, entry: Entry) -> Entry | None:
        """The record where it landed; None where nobody knows: lost, late, or there all the same."""
        others = self.random.random()
        if others < 0.3:  # between looking and landing
            self._race()
        fate = self.random.random()
        if fate < 0.6:
            return self._land(entry)
        if fate < 0.75:
            self._land(entry)
        elif fate < 0.9:
            self.late.append(entry)
        return None

    def _race(self) -> None:
        self.end += self.random.randrange(2)
        if self.late:
            self._land(self.late.pop(self.random.randrange(len(self.late))))
        else:
            turn = len(self.turns)
            self.turns[turn].append(Told(None, since=self.end))
            entry = self._land(Entry(0, APPEND, self.end, _id(turn), length=1))
            self.turns[turn][-1].landed.append(entry.first_seq)

    def _append(self, turn: int, *, is_new: bool) -> None:
        if is_new and self.random.random() < 0.5:
            # Surely new and for any version: no look at the log, and any bound that is not behind what is there.
            told = Told(None, since=self.end)
            self.turns[turn].append(told)
            checked = self.random.randint(max(self.start, self.end - 5), self.end)
            if entry := self._send(Entry(0, APPEND, checked, _id(turn), length=1)):
                told.landed.append(entry.first_seq)
            return
        dropped, stretch, checked = self.dropped(), self.stretch(), self.end
        version = self.version()
        told = Told(version if self.random.random() < 0.5 else None, since=checked)
        since = None if is_new else min([one.since for one in self.turns[turn]], default=0)
        if since is not None and since < self.start:
            return  # whoever repeats it is told that nobody knows
        try:
            found = find_turn(stretch, dropped, _id(turn), WINDOW, since)
        except Undecidable:
            return  # likewise
        self.turns[turn].append(told)
        if found:
            told.landed.append(found.first_seq)
            return
        entry = self._send(Entry(0, APPEND, checked, _id(turn), expected=told.expected, length=1))
        if entry is None:
            return
        verdict = self._verdict(entry)
        if verdict.how is How.APPLIED:
            told.landed.append(entry.first_seq)
        elif verdict.how is How.DUPLICATE:
            told.landed.append(verdict.of << 16)
        elif verdict.how is How.CONFLICT:
            told.refused = True

    def _verdict(self, entry: Entry) -> Verdict:
        """What its writer finds, who looks back only as far as has to be."""
        low = entry.checked
        while True:
            try:
                return self.stretch(low).verdict(entry)
            except Short as short:
                low = short.low

    def _drop(self) -> None:
        version, checked = self.version(), self.end
        live = [seq for seq in self.live() if self.random.random() < 0.5]
        if self.random.random() < 0.5 and live:
            if entry := self._send(Entry(0, REMOVE, checked, seqs=tuple(live))):
                for seq in removed_by(entry, self.log):
                    self.removed[seq].append(entry.offset)
        else:
            self._send(Entry(0, DISCARD, checked, bound=self.random.randint(0, version)))

    def _delete(self) -> None:
        version = self.version()
        if version:
            self._send(Entry(0, DELETE, self.end, bound=version))

    def _stray(self) -> None:
        """A record of any kind lands here that was sent to a topic of this name that is gone."""
        checked, bound = self.end + self.random.randint(2, 9), self.end + self.random.randrange(9) << 16
        turn, version = _id(self.random.randrange(len(self.turns) + 1)), self.version()
        kinds = [
            Entry(0, APPEND, checked, turn, expected=self.random.choice([None, version]), length=1),
            Entry(0, DISCARD, checked, bound=bound),
            Entry(0, DELETE, checked, bound=bound),
            Entry(0, REMOVE, checked, seqs=tuple(self.live())),
        ]
        self._land(self.random.choice(kinds))

    def live(self, start: int | None = None, low: int | None = None) -> list[int]:
        """The seqs that a reader finds who looks back as far as has to be."""
        stretch, dropped = self.stretch(low, start), self.dropped()
        turns = [entry for entry, verdict in stretch.turns(dropped.deleted) if verdict.how is How.APPLIED]
        return sorted(entry.first_seq for entry in turns if not dropped.has(entry.first_seq))


def _id(turn: int) -> bytes:
    return turn.to_bytes(16, "big")


def in_order(seqs: list[int]) -> bool:
    """Whether they only grow."""
    return all(one < other for one, other in pairwise(seqs))
