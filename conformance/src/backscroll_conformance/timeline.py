"""The calls around an anomaly, as a report keeps them: those that contradict each other, and what went on meanwhile."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from heapq import nsmallest
from itertools import pairwise
from math import inf
from typing import Final

import attrs

from backscroll_conformance.anomalies import Anomaly
from backscroll_conformance.history import Op
from backscroll_conformance.redaction import beginning

MOST_CALLS: Final = 24
"""How many calls are kept of one anomaly."""

MOST_INVOLVED: Final = 8
"""How many of them are such that contradict each other, at the most: a turn may have been repeated often."""

LONGEST: Final = 160
"""How many characters are kept of what a call was given, and of what it was answered."""


@attrs.frozen
class Call:
    """One call and what became of it, in words.

    Args:
        worker: Who called.
        kind: ``append``, ``read`` or ``clear``.
        begin: When: milliseconds since the first call of all.
        end: When the answer came, likewise; None where none ever came.
        outcome: ``done``, ``refused``, ``conflict`` or ``unknown``.
        given: What it was given.
        answer: What it was answered; empty where that is nothing.
        involved: Whether it is one of those that contradict each other.
    """

    worker: str
    kind: str
    begin: float
    end: float | None
    outcome: str
    given: str
    answer: str
    involved: bool


@attrs.frozen
class Timeline:
    """An anomaly and the calls around it.

    Args:
        kind: What was broken, in a word.
        text: Which calls contradict each other.
        session: The session's id.
        calls: Some of the session's calls, by their begin.
        others: How many calls the session had beside these.
    """

    kind: str
    text: str
    session: str
    calls: tuple[Call, ...]
    others: int

    def changed(self, change: Callable[[str], str]) -> "Timeline":
        """The same with another spelling of all its texts, for example without secrets."""
        calls = tuple(
            attrs.evolve(
                one,
                worker=change(one.worker),
                kind=change(one.kind),
                outcome=change(one.outcome),
                given=change(one.given),
                answer=change(one.answer),
            )
            for one in self.calls
        )
        return Timeline(change(self.kind), change(self.text), change(self.session), calls, self.others)


def around(anomaly: Anomaly, history: Iterable[Op]) -> Timeline:
    """What went on around an anomaly.

    Args:
        anomaly: One that the checker found.
        history: All the calls that it was given.
    """
    ops = list(history)
    start = min((op.begin for op in ops), default=0)
    involved = {id(op): op for op in anomaly.ops[:MOST_INVOLVED]}
    others = [op for op in ops if op.session == anomaly.session and id(op) not in involved]
    moments = sorted(moment for op in involved.values() for moment in (op.begin, op.end) if moment is not None)
    near = nsmallest(MOST_CALLS - len(involved), others, key=lambda op: _distance(op, moments))
    shown = sorted([*involved.values(), *near], key=lambda op: op.begin)
    calls = tuple(_call(op, start, id(op) in involved) for op in shown)
    return Timeline(anomaly.kind.value, anomaly.text, anomaly.session, calls, len(others) - len(near))


def _distance(op: Op, moments: Sequence[int]) -> float:
    """How far a call is from the nearest of some moments, which are sorted; 0 where one lies within it."""
    end = inf if op.end is None else op.end
    place = bisect_left(moments, op.begin)
    after = max(0, moments[place] - end) if place < len(moments) else inf
    before = op.begin - moments[place - 1] if place else inf
    return min(after, before)


def _call(op: Op, start: int, involved: bool) -> Call:
    begin, end = (None if moment is None else round((moment - start) / 1e6, 3) for moment in (op.begin, op.end))
    given, answer = beginning(_given(op), LONGEST), beginning(_answer(op), LONGEST)
    return Call(op.worker, op.kind, begin or 0.0, end, op.outcome, given, answer, involved)


def _given(op: Op) -> str:
    match op.kind:
        case "append":
            more = f" and {len(op.texts) - 1} more" if len(op.texts) > 1 else ""
            turn = "" if op.turn_id is None else f", turn_id {op.turn_id!r}"
            version = "" if op.expected is None else f", expected version {op.expected}"
            return f"{op.texts[0]!r}{more}{turn}{version}" if op.texts else "nothing"
        case "read":
            count = "all" if op.limit is None else f"{'the newest' if op.newest else 'up to'} {op.limit}"
            return count if op.after is None else f"{count} after seq {op.after}"
    return "everything"


def _answer(op: Op) -> str:
    if op.outcome == "conflict":
        return "" if op.current is None else f"version {op.current}"
    if op.outcome != "done" or op.kind == "clear":
        return ""
    seqs = op.seqs if op.kind == "append" else [seq for seq, _ in op.found]
    parts = [f"seq {_runs(seqs)}" if seqs else "no messages"]
    if op.version is not None:
        parts.append(f"version {op.version}")
    return ", ".join([*parts, "duplicate"] if op.duplicate else parts)


def _runs(seqs: Sequence[int]) -> str:
    """Seqs in the order in which they stand, with those that follow each other as one: ``3-7, 9``."""
    starts = [seqs[0], *(right for left, right in pairwise(seqs) if right != left + 1)]
    ends = [*(left for left, right in pairwise(seqs) if right != left + 1), seqs[-1]]
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))
