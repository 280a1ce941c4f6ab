"""Judges what appends were answered: seqs, version, duplicate, and the conflicts of conditional ones."""

from typing import Final

from backscroll_conformance.anomalies import Findings, Kind
from backscroll_conformance.history import Op
from backscroll_conformance.order import Order, well_formed
from backscroll_conformance.sightings import Session, Turn, end_of


class Answers:
    """The answers to the appends of a session.

    Args:
        session: The session.
        order: The order of its messages.
        findings: Where contradictions are told.
        window: How many of its last turns it knows.
    """

    def __init__(self, session: Session, order: Order, findings: Findings, window: int) -> None:
        self._session: Final = session
        self._order: Final = order
        self._findings: Final = findings
        self._window: Final = window

    def check(self) -> None:
        """Judge all of them."""
        first_with: dict[int, Op] = {}
        for turn in self._session.turns:
            bases = self._order.bases(turn)
            for op in turn.done:
                self._check_done(op, turn, bases)
                self._check_lost_update(op, first_with)
            if len(turn.possible) > 1:
                self._check_repeats(turn, bases)
            for op in turn.ops:
                if op.outcome == "conflict" and op.expected is not None and op.end is not None:
                    self._check_conflict(op, op.expected, turn, bases)
            if bases:
                self._check_condition(turn, bases)

    # Answers of done appends.

    def _check_done(self, op: Op, turn: Turn, bases: list[int]) -> None:
        if not well_formed(op):
            told = "{} of {} answered the seqs {} for {} messages"
            self._wrong(told, op, turn, op.seqs, len(op.texts))
            return
        if op.version is not None and op.version != op.seqs[-1] + 1:
            self._wrong("{} of {} answered the seqs {} but version {}", op, turn, op.seqs, op.version)
        if op.duplicate and op.turn_id is None:
            self._wrong("{} of {} was marked as a duplicate, though it had no id to be repeated by", op, turn)
        for seq, text in zip(op.seqs, op.texts, strict=True):
            if (there := self._order.at.get(seq, text)) != text:
                told = "{} of {} answered seq {} for {!r}, but {!r} stands there"
                self._wrong(told, op, turn, seq, text, there)
                return
        if bases and op.seqs[0] not in bases:
            self._wrong("{} of {} answered seq {}, but it stands at seq {}", op, turn, op.seqs[0], bases[0])

    def _check_repeats(self, turn: Turn, bases: list[int]) -> None:
        """Only the call that stored a turn is not told that it is a duplicate."""
        stored: dict[int, Op] = {}
        for op in turn.done:
            if op.duplicate or not op.seqs:
                continue
            other = stored.setdefault(op.seqs[0], op)
            if other is not op:
                told = "{} of {} and {} both were answered as the first, at seq {}"
                self._wrong(told, other, turn, op, op.seqs[0])
        for base, op in stored.items():
            if len(bases) == 1 and base in bases and self._was_there(base, op):
                told = "{} of {} was not marked as a duplicate, though it stood at seq {} before"
                self._wrong(told, op, turn, base)

    def _was_there(self, base: int, op: Op) -> bool:
        return self._order.latest[self._order.index(base)] < op.begin

    # Conditional appends.

    def _check_lost_update(self, op: Op, first_with: dict[int, Op]) -> None:
        """Two turns cannot both have met the same version."""
        if op.expected is None or op.duplicate:
            return
        other = first_with.setdefault(op.expected, op)
        if other is not op and (op.turn_id is None or op.turn_id != other.turn_id):
            told = "{} of {!r} and {} of {!r} both landed with expected version {}: an update was lost"
            self._conflict(told, other, other.texts[0], op, op.texts[0], op.expected)

    def _check_condition(self, turn: Turn, bases: list[int]) -> None:
        """A turn with an expected version stands directly behind it."""
        claimed = {op.seqs[0]: op for op in turn.done if op.seqs and not op.duplicate}
        for base in bases:
            able = [claimed[base]] if base in claimed else turn.possible
            if not able or any(op.expected is None or self._fits(op.expected, base) for op in able):
                continue
            told = "{} with expected version {} landed at seq {}, behind seq {}"
            index = self._order.index(base)
            before = (self._order.seqs[index - 1], self._order.turns[index - 1]) if index else ("none",)
            self._conflict(told, able[0], able[0].expected, base, *before)

    def _fits(self, expected: int, base: int) -> bool:
        return expected <= base and self._order.index(expected) == self._order.index(base)

    def _check_conflict(self, op: Op, expected: int, turn: Turn, bases: list[int]) -> None:
        order, known = self._order, self._order.known(op.begin)
        version = order.seqs[known - 1] + 1 if known else 0
        if op.current == expected:
            self._conflict("{} of {} conflicts with version {}, which is what it expected", op, turn, expected)
        elif op.current is not None and op.current < version:
            told = "{} of {} conflicts with version {}, but the version was {} or more before it began"
            self._conflict(told, op, turn, op.current, version)
        elif self._has_not_moved(op, expected, version):
            told = "{} of {} conflicts, but the version still was the expected one, {}"
            self._conflict(told, op, turn, expected)
        elif bases and self._is_known_repeat(op, turn, bases[-1]):
            told = "{} repeats {}, acknowledged to {}; it was answered as a conflict and is a duplicate"
            self._conflict(told, op, turn, min(turn.done, key=end_of))

    def _has_not_moved(self, op: Op, expected: int, version: int) -> bool:
        """Whether the version surely was the expected one as long as a call lasted, or below what it was told."""
        order, end = self._order, end_of(op)
        index = order.index(expected)
        if index < order.possible(end) or order.unseen(expected, order.next(index), end):
            return False
        return version >= expected or (op.current is not None and op.current > expected)

    def _is_known_repeat(self, op: Op, turn: Turn, base: int) -> bool:
        order = self._order
        if not any(end_of(done) < op.begin for done in turn.done) or not self._was_there(base, op):
            return False
        behind, end = base + len(turn.texts), end_of(op)
        possible = order.possible(end)
        others = order.landings(order.index(behind), possible) + order.unseen(behind, order.next(possible), end)
        return others < self._window

    def _wrong(self, text: str, *parts: object) -> None:
        self._findings.tell(Kind.WRONG_ANSWER, text, *parts)

    def _conflict(self, text: str, *parts: object) -> None:
        self._findings.tell(Kind.CONFLICT, text, *parts)
