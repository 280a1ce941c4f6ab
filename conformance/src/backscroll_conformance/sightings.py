"""The calls of one session, and what its reads show: which message where, and how far each turn."""

from collections.abc import Sequence
from math import inf
from typing import Final

from backscroll_conformance.anomalies import Findings, Kind
from backscroll_conformance.history import Op

SURELY_NOT: Final = frozenset({"refused", "conflict"})
"""Outcomes of calls that surely did nothing."""


def end_of(op: Op) -> float:
    """When a call ended; infinity where it was never answered."""
    return inf if op.end is None else op.end


def is_open(op: Op) -> bool:
    """Whether the effect of a call may come at any time after its begin."""
    return op.end is None or op.outcome == "unknown"


class Turn:
    """A turn and every call that appended it.

    Attributes:
        texts: Its messages.
        ops: The calls, by their begin.
        began: When the first of them that may have landed began; the very first where none may have.
        possible: Those that may have landed.
        done: Those that were acknowledged.
    """

    __slots__ = ("began", "done", "ops", "possible", "texts")

    def __init__(self, ops: list[Op]) -> None:
        self.texts: Final = ops[0].texts
        self.ops: Final = ops
        self.possible: Final = [op for op in ops if op.end is None or op.outcome not in SURELY_NOT]
        self.done: Final = [op for op in ops if op.end is not None and op.outcome == "done"]
        self.began: Final = (self.possible or ops)[0].begin

    def __str__(self) -> str:
        name = self.ops[0].turn_id
        return f"turn {name!r}" if name is not None else f"the turn of {self.texts[0]!r}"


class Session:
    """The calls of one session.

    Args:
        name: Its id.
        ops: All its calls.

    Attributes:
        turns: Its turns.
        owner: For each text the turn that it belongs to and its index there.
        reads: The answered reads but the final one, by their begin.
        final: The read of everything after everything else.
        clears: The clears that may have taken something, by their begin.

    Raises:
        ValueError: There is no final read, or two turns share a text, or one has two contents.
    """

    def __init__(self, name: str, ops: Sequence[Op]) -> None:
        self.name: Final = name
        ordered = sorted(ops, key=lambda op: op.begin)
        self.turns: Final = _turns(name, [op for op in ordered if op.kind == "append"])
        self.owner: Final = _owners(name, self.turns)
        self.clears: Final = [
            op for op in ordered if op.kind == "clear" and (op.end is None or op.outcome not in SURELY_NOT)
        ]
        self.final: Final = _final(name, ordered)
        self.reads: Final = [
            op
            for op in ordered
            if op.kind == "read" and op.end is not None and op.outcome == "done" and op is not self.final
        ]


def _turns(name: str, appends: list[Op]) -> list[Turn]:
    grouped: dict[object, list[Op]] = {}
    for number, op in enumerate(appends):
        same = grouped.setdefault(number if op.turn_id is None else op.turn_id, [])
        if not op.texts or (same and same[0].texts != op.texts):
            raise ValueError(f"session {name!r}: the calls of turn {op.turn_id!r} must all carry the same messages")
        same.append(op)
    return [Turn(ops) for ops in grouped.values()]


def _owners(name: str, turns: list[Turn]) -> dict[str, tuple[Turn, int]]:
    owner: dict[str, tuple[Turn, int]] = {}
    for turn in turns:
        for index, text in enumerate(turn.texts):
            if owner.setdefault(text, (turn, index)) != (turn, index):
                raise ValueError(f"session {name!r}: the text {text!r} is not unique to one place of one turn")
    return owner


def _final(name: str, ordered: list[Op]) -> Op:
    complete = (op for op in reversed(ordered) if op.kind == "read" and op.limit is None and op.after is None)
    final = next((op for op in complete if op.end is not None and op.outcome == "done"), None)
    if final is None or any(op.end > final.begin for op in ordered if op.end is not None and op is not final):
        raise ValueError(f"session {name!r}: no read of everything began after every other call had ended")
    return final


class Sightings:
    """What the reads of a session show.

    Args:
        session: The session.
        findings: Where contradictions within a read, and between two, are told.

    Attributes:
        at: Which text stands at a seq.
        seen: Where a text was seen first; the final read comes before all others.
        again: At which further seqs a text was seen.
        twice: The texts that one read shows at two seqs.
        cut: For a read, by its identity, the turns of which it shows a part, without a bound of its own that explains
            it, each with the seq of a piece.
    """

    def __init__(self, session: Session, findings: Findings) -> None:
        self._owner = session.owner
        self._findings = findings
        self.at: Final[dict[int, str]] = {}
        self.seen: Final[dict[str, int]] = {}
        self.again: Final[dict[str, set[int]]] = {}
        self.twice: Final[set[str]] = set()
        self.cut: Final[dict[int, list[tuple[Turn, int]]]] = {}
        self._look(session.final)
        for read in session.reads:
            self._look(read)

    def _look(self, read: Op) -> None:
        self._check_bounds(read)
        previous = (-1, "")
        moved = False
        for seq, text in read.found:
            if text not in self._owner:
                self._findings.tell(Kind.PHANTOM, "{} shows {!r} at seq {}, which no call appended", read, text, seq)
                continue
            if seq <= previous[0]:
                self._out_of_order(read, previous, (seq, text))
            previous = (seq, text)
            if self.at.setdefault(seq, text) != text:
                told = "{} shows {!r} at seq {}, where another read shows {!r}"
                self._findings.tell(Kind.REORDERED, told, read, text, seq, self.at[seq])
            elif self.seen.setdefault(text, seq) != seq:
                self.again.setdefault(text, set()).add(seq)
                moved = True
        self._check_whole(read)
        if moved:
            self._find_twice(read)

    def _check_whole(self, read: Op) -> None:
        """Find the turns of which a read shows a part, or not in one piece."""
        turn: Turn | None = None
        previous, following = (-1, ""), 0
        for place, (seq, text) in enumerate(read.found):
            if text not in self._owner or (seq, text) == previous:
                continue
            owner, index = self._owner[text]
            if owner is not turn or index != following or seq != previous[0] + 1:
                if turn is not None and following < len(turn.texts):
                    self._cut(read, turn, previous[0])
                if index and not (place == 0 and _cuts_front(read, seq)):
                    self._cut(read, owner, seq)
            turn, following, previous = owner, index + 1, (seq, text)
        if turn is not None and following < len(turn.texts) and not _cuts_back(read):
            self._cut(read, turn, previous[0])

    def _check_bounds(self, read: Op) -> None:
        found = read.found
        if read.limit is not None and len(found) > read.limit:
            self._findings.tell(
                Kind.WRONG_ANSWER, "{} gives {} messages, its limit is {}", read, len(found), read.limit
            )
        if read.after is not None and found and found[0][0] <= read.after:
            self._findings.tell(Kind.WRONG_ANSWER, "{} after seq {} gives seq {}", read, read.after, found[0][0])

    def _out_of_order(self, read: Op, before: tuple[int, str], found: tuple[int, str]) -> None:
        seq, text = found
        if found == before:
            self._findings.tell(Kind.DUPLICATED, "{} shows {!r} at seq {} twice", read, text, seq)
        else:
            self._findings.tell(Kind.REORDERED, "{} shows seq {} ({!r}) behind seq {}", read, seq, text, before[0])

    def _cut(self, read: Op, turn: Turn, seq: int) -> None:
        parts = self.cut.setdefault(id(read), [])
        if not parts or parts[-1][0] is not turn:
            parts.append((turn, seq))

    def _find_twice(self, read: Op) -> None:
        shown: dict[str, int] = {}
        for seq, text in read.found:
            if text in self.again and shown.setdefault(text, seq) != seq:
                self.twice.add(text)


def _cuts_front(read: Op, seq: int) -> bool:
    """Whether a read's own bounds explain that it begins within a turn, at a seq."""
    is_full = read.newest and read.limit is not None and len(read.found) >= read.limit
    return is_full or (read.after is not None and seq - 1 <= read.after)


def _cuts_back(read: Op) -> bool:
    """Whether a read's own bounds explain that it ends within a turn."""
    return not read.newest and read.limit is not None and len(read.found) >= read.limit
