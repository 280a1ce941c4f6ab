"""The order of a session's messages, and between which moments each of them landed.

Seqs are given in the order in which turns land. So a message landed after the first call of every turn at or below its
place began, and before the first call that proves a place at or above it ended: both bounds grow with the place, and
every question about what was there at a moment is a binary search.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate
from math import inf
from typing import Final

from backscroll_conformance.anomalies import Findings, Kind
from backscroll_conformance.history import Op
from backscroll_conformance.sightings import Session, Sightings, Turn, end_of, is_open


class Clears:
    """What the clears of a session can explain.

    Args:
        clears: Those that may have taken something, by their begin.
    """

    def __init__(self, clears: list[Op]) -> None:
        self.ops: Final = clears
        self._begins = [op.begin for op in clears]
        self._ends = list(accumulate(map(end_of, clears), max))
        self._open_ends = list(accumulate((end_of(op) if is_open(op) else -inf for op in clears), max))

    def reach(self, moment: float) -> float:
        """Until when a message may have landed that a clear which took effect by a moment took; -inf for none."""
        number = bisect_right(self._begins, moment)
        return self._ends[number - 1] if number else -inf

    def reach_during(self, begin: float, end: float) -> float:
        """Likewise of a clear that took effect between two moments."""
        number = bisect_right(self._begins, end)
        if not number:
            return -inf
        return self._ends[number - 1] if self._ends[number - 1] >= begin else self._open_ends[number - 1]


class Order:
    """The order of a session's messages.

    Args:
        session: The session.
        sightings: What its reads show.
        findings: Where it is told that a message moved.

    Attributes:
        seqs: The known places, ascending; what follows is parallel to it.
        turns: Whose message stands there.
        earliest: The message landed at or after this moment; never falls.
        latest: It had landed by this moment; never falls.
        proofs: Of `latest`, the call that proves it, and the index of the place that it proves.
        clears: The clears.
        hidden: When calls began that may have stored a turn which was cleared before anyone saw it, sorted.
    """

    def __init__(self, session: Session, sightings: Sightings, findings: Findings) -> None:
        self._owner = session.owner
        self._seen = sightings.seen
        self.clears: Final = Clears(session.clears)
        self.at: Final = sightings.at
        self._cleared_by = self.clears.reach(end_of(session.final))
        self._settle_moves(sightings, findings)
        self._add_unseen(session)
        self.seqs: Final = sorted(self.at)
        self.turns: Final = [session.owner[self.at[seq]][0] for seq in self.seqs]
        self.earliest: Final = list(accumulate((turn.began for turn in self.turns), max))
        self._starts = list(accumulate(self._starting()))
        self.proofs: Final[list[tuple[Op, int] | None]] = [None] * len(self.seqs)
        self.latest: Final[list[float]] = [inf] * len(self.seqs)
        self._prove(session)
        self.hidden: Final = self._hidden(session.turns) if session.clears else []

    # Where something stands.

    def index(self, seq: float) -> int:
        """The index of the first known place at or above a seq."""
        return bisect_left(self.seqs, seq)

    def base(self, seq: int) -> int:
        """Where the turn begins whose message stands at a known place."""
        return seq - self._owner[self.at[seq]][1]

    def bases(self, turn: Turn) -> list[int]:
        """Where a turn's first messages stand or stood, ascending; several where it landed again."""
        found = {self.base(seq) for text in turn.texts for seq in self._places(text)}
        return sorted(found)

    def top(self, turn: Turn) -> int:
        """The highest place at which a message of a turn stands or stood; it has one."""
        return max(seq for text in turn.texts for seq in self._places(text))

    def landed_again(self, turn: Turn) -> bool:
        """Whether a message of a turn stands, or stood, at two places."""
        return any(text in self._again for text in turn.texts)

    def place(self, op: Op, turn: Turn) -> int | None:
        """A known place that an acknowledged append proves: the highest such; None where there is none."""
        for seq, text in zip(reversed(op.seqs), reversed(turn.texts), strict=False):
            if self.at.get(seq) == text:
                return seq
        if len(turn.possible) > 1:
            return None
        return next((min(places) for text in reversed(turn.texts) if (places := self._places(text))), None)

    def _places(self, text: str) -> list[int]:
        return [seq for seq in (self._seen.get(text, -1), *self._again.get(text, ())) if self.at.get(seq) == text]

    # What was there at a moment.

    def known(self, moment: float) -> int:
        """How many of the known places surely existed before a moment: the first so many."""
        return bisect_left(self.latest, moment)

    def possible(self, moment: float) -> int:
        """How many of the known places may have existed at a moment: the first so many."""
        return bisect_right(self.earliest, moment)

    def landings(self, low: int, high: int) -> int:
        """How many turns begin at an index in [low, high)."""
        return max(0, (self._starts[high - 1] if high else 0) - (self._starts[low - 1] if low else 0))

    def unseen(self, low: int, high: float, moment: float = inf) -> float:
        """How many more turns may have landed in [low, high) by a moment, and were cleared before anyone saw them."""
        free = high - low - (self.index(high) - self.index(low))
        return max(0, min(bisect_right(self.hidden, moment), free))

    def next(self, index: int) -> float:
        """The seq of a known place; infinity past the last."""
        return self.seqs[index] if index < len(self.seqs) else inf

    # How it is made.

    def _settle_moves(self, sightings: Sightings, findings: Findings) -> None:
        """A text at two seqs either landed twice or moved; what moved stands where the final read shows it."""
        self._again: dict[str, set[int]] = {}
        for text, seqs in sightings.again.items():
            turn = self._owner[text][0]
            if text in sightings.twice or self._cleared_by >= turn.began:
                self._again[text] = seqs
                continue
            first = self._seen[text]
            findings.tell(
                Kind.REORDERED, "{!r} of {} stands at seq {} in one read and at {} in another", text, turn, first, seqs
            )
            for seq in seqs:
                self.at.pop(seq, None)

    def _add_unseen(self, session: Session) -> None:
        """Take a place from an answer where a clear took the messages before any read showed them."""
        shown = {id(self._owner[text][0]) for _, text in session.final.found if text in self._owner}
        final = session.final
        first = final.found[0][0] if final.found else inf
        meanwhile = self.clears.reach_during(final.begin, end_of(final))
        for turn in session.turns:
            if self._cleared_by < turn.began or (id(turn) in shown and len(turn.ops) == 1):
                continue
            for op in turn.done:
                # What is left has no older messages before it, unless the clear came between two pages.
                if well_formed(op) and (op.seqs[-1] < first or turn.began <= meanwhile) and self._may_add(op, turn):
                    self._add(op)

    def _may_add(self, op: Op, turn: Turn) -> bool:
        if any(self.at.get(seq, text) != text for seq, text in zip(op.seqs, op.texts, strict=True)):
            return False
        return len(turn.possible) > 1 or all(base == op.seqs[0] for base in self.bases(turn))

    def _add(self, op: Op) -> None:
        for seq, text in zip(op.seqs, op.texts, strict=True):
            self.at[seq] = text
            if self._seen.setdefault(text, seq) != seq:
                self._again.setdefault(text, set()).add(seq)

    def _hidden(self, turns: list[Turn]) -> list[int]:
        calls = (turn.possible[: max(0, len(turn.possible) - len(self.bases(turn)))] for turn in turns)
        return sorted(op.begin for several in calls for op in several)

    def _starting(self) -> Iterable[bool]:
        expected: tuple[int, Turn | None] = (-1, None)
        for seq, turn in zip(self.seqs, self.turns, strict=True):
            base = self.base(seq)
            yield (base, turn) != expected
            expected = (base, turn)

    def _prove(self, session: Session) -> None:
        for read in (session.final, *session.reads):
            shown = next((seq for seq, text in reversed(read.found) if self.at.get(seq) == text), None)
            self._proves(read, shown)
        for turn in session.turns:
            for op in turn.done:
                self._proves(op, self.place(op, turn))
        proof, moment = None, inf
        for index in range(len(self.seqs) - 1, -1, -1):
            if self.latest[index] < moment:
                proof, moment = self.proofs[index], self.latest[index]
            self.latest[index], self.proofs[index] = moment, proof

    def _proves(self, op: Op, seq: int | None) -> None:
        if seq is None:
            return
        index = self.index(seq)
        if end_of(op) < self.latest[index]:
            self.latest[index], self.proofs[index] = end_of(op), (op, index)


def well_formed(op: Op) -> bool:
    """Whether the seqs of an answer are those of a turn: one for each message, one after the other."""
    return len(op.seqs) == len(op.texts) and all(seq == op.seqs[0] + index for index, seq in enumerate(op.seqs))
