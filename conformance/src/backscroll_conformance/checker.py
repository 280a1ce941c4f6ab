"""Judges a history of calls made at once: what do the answers contradict?

In the manner of Elle's list-append: every message is unique, so that one read of everything, after everything else,
gives the order in which the turns landed, and every other answer has to agree with it and with real time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import pairwise
from operator import itemgetter
from typing import Final

from backscroll_conformance.anomalies import Anomaly, Findings, Kind
from backscroll_conformance.answers import Answers
from backscroll_conformance.history import Op
from backscroll_conformance.order import Order
from backscroll_conformance.sightings import Session, Sightings, Turn, end_of

__all__ = ["WINDOW", "Anomaly", "Kind", "check"]

WINDOW: Final = 16
"""How many of its last turns a session has to know at least."""


def check(ops: Iterable[Op], *, window: int = WINDOW) -> list[Anomaly]:
    """Find what calls and answers contradict; takes O(n log n) steps and memory for n calls and messages read.

    Args:
        ops: All the calls of all clients, in any order. Each session ends with a read of everything that begins after
            all its other calls have ended.
        window: How many of its last turns a session knows: a turn that is repeated later than that may land again.

    Returns:
        The anomalies, session by session; of each kind a few are told and the others counted.

    Raises:
        ValueError: A session has no such final read, two turns share a text, or one turn has two contents.
    """
    sessions: dict[str, list[Op]] = {}
    for op in ops:
        sessions.setdefault(op.session, []).append(op)
    start = min((op.begin for own in sessions.values() for op in own), default=0)
    return [anomaly for name, own in sessions.items() for anomaly in _check_session(name, own, start, window)]


def _check_session(name: str, ops: list[Op], start: int, window: int) -> list[Anomaly]:
    findings = Findings(name, start)
    session = Session(name, ops)
    sightings = Sightings(session, findings)
    order = Order(session, sightings, findings)
    turns = _Turns(session, order, findings)
    turns.check_landings(window)
    turns.check_times()
    reads = _Reads(session, sightings, order, findings)
    for read in (session.final, *session.reads):
        reads.check(read)
    Answers(session, order, findings, window).check()
    return findings.all()


class _Turns:
    """Whether each turn landed as it had to: not lost, once, after it was sent."""

    def __init__(self, session: Session, order: Order, findings: Findings) -> None:
        self._session, self._order, self._findings = session, order, findings

    def check_landings(self, window: int) -> None:
        """Each turn that is known to have landed is there in the end, and once."""
        owner = self._session.owner
        final = {id(owner[text][0]) for _, text in self._session.final.found if text in owner}
        for turn in self._session.turns:
            bases = self._order.bases(turn)
            if bases and not turn.possible:
                told = "{} stands at seq {}, but every {} of it was refused"
                self._findings.tell(Kind.PHANTOM, told, turn, bases[0], turn.ops[0])
            if id(turn) not in final and turn.possible:
                self._check_lost(turn, bases)
            if len(bases) > 1 and self._order.landed_again(turn):
                self._check_doubled(turn, bases, window)

    def _check_lost(self, turn: Turn, bases: list[int]) -> None:
        if not bases and not turn.done:
            return
        order, final = self._order, self._session.final
        landed: float = order.earliest[order.index(order.top(turn))] if bases else turn.began
        # A clear takes from the oldest on, so that it cannot have taken this one and have left an older one.
        place = bases[-1] if bases else max(op.seqs[0] if op.seqs else -1 for op in turn.done)
        has_older = bool(final.found and final.found[0][0] < place)
        meanwhile = order.clears.reach_during(final.begin, end_of(final))
        if landed <= (meanwhile if has_older else order.clears.reach(end_of(final))):
            return
        if turn.done:
            told = "{} was acknowledged to {}, but {} does not show it, and no clear explains that"
            self._findings.tell(Kind.LOST, told, turn, turn.done[0], final)
        else:
            told = "{} was read at seq {}, but {} does not show it any more, and no clear explains that"
            self._findings.tell(Kind.LOST, told, turn, bases[0], final)

    def _check_doubled(self, turn: Turn, bases: list[int], window: int) -> None:
        order = self._order
        for low, high in pairwise(bases):
            behind = low + len(turn.texts)
            between = order.landings(order.index(behind), order.index(high))
            if len(turn.possible) < len(bases) or between + order.unseen(behind, high) < window:
                told = "{} landed at seq {} and again at seq {} with {} other turns between; it was sent by {}"
                self._findings.tell(Kind.DUPLICATED, told, turn, low, high, between, turn.possible[-1])
                return

    def check_times(self) -> None:
        """No turn stands below one that was there before it was sent."""
        order, told = self._order, set()
        for index, turn in enumerate(order.turns):
            if turn.began <= order.latest[index] or id(turn) in told:
                continue
            proof = order.proofs[index]
            if proof is None or order.turns[proof[1]] is turn:
                continue
            told.add(id(turn))
            text = "{} stands at seq {}, below {} at seq {}, which was there already by {}; but it was sent later by {}"
            other = order.turns[proof[1]], order.seqs[proof[1]]
            self._findings.tell(Kind.REORDERED, text, turn, order.seqs[index], *other, proof[0], turn.ops[0])


class _Reads:
    """Whether each read shows what it has to, and nothing else."""

    def __init__(self, session: Session, sightings: Sightings, order: Order, findings: Findings) -> None:
        self._final, self._cut = session.final, sightings.cut
        self._order, self._findings = order, findings
        done = sorted((op for op in session.clears if op.outcome == "done" and op.end is not None), key=end_of)
        self._clear_ends = [end_of(op) for op in done]
        # By each clear's end: how many places were surely taken by then, and by which clear.
        self._cleared: list[tuple[int, Op]] = []
        for op in done:
            taken = (order.known(op.begin), op)
            self._cleared.append(max([taken, *self._cleared[-1:]], key=itemgetter(0)))

    def check(self, read: Op) -> None:
        """Judge one read."""
        at = self._order.at
        seqs = sorted({seq for seq, text in read.found if at.get(seq) == text})
        self._check_cuts(read)
        if seqs:
            self._check_cleared(read, seqs)
            self._check_too_early(read, seqs)
        if read is not self._final:
            self._check_missing(read, seqs)

    def _check_cuts(self, read: Op) -> None:
        """A part of a turn is shown only where a clear comes between two pages of the read."""
        order = self._order
        for turn, seq in self._cut.get(id(read), ()):
            if turn.began > order.clears.reach_during(read.begin, end_of(read)):
                told = "{} shows a part of {}, at seq {}, whose messages are {}"
                self._findings.tell(Kind.TORN, told, read, turn, seq, turn.texts)

    def _check_cleared(self, read: Op, seqs: list[int]) -> None:
        number = bisect_left(self._clear_ends, read.begin)
        count, clear = self._cleared[number - 1] if number else (0, read)
        if count and seqs[0] <= self._order.seqs[count - 1]:
            told = "{} shows {!r} at seq {}, which was there before {} and was cleared by it"
            self._findings.tell(Kind.PHANTOM, told, read, self._order.at[seqs[0]], seqs[0], clear)

    def _check_too_early(self, read: Op, seqs: list[int]) -> None:
        order, end = self._order, end_of(read)
        if order.earliest[order.index(seqs[-1])] <= end:
            return
        for seq in seqs:
            turn = order.turns[order.index(seq)]
            if turn.began > end:
                told = "{} shows {!r} at seq {} before it was sent by {}"
                self._findings.tell(Kind.PHANTOM, told, read, order.at[seq], seq, turn.ops[0])
                return

    def _check_missing(self, read: Op, seqs: list[int]) -> None:
        order, clears = self._order, self._order.clears
        low, high = self._bounds(read, seqs)
        first = order.index(seqs[0]) if seqs else high
        cleared = order.possible(clears.reach(end_of(read)))
        cleared_meanwhile = order.possible(clears.reach_during(read.begin, end_of(read)))
        for begin, end in ((max(low, cleared), min(first, high)), (max(low, first, cleared_meanwhile), high)):
            missing = self._missing(read, seqs, begin, end)
            if missing is not None:
                self._tell_missing(read, missing)
                return

    def _bounds(self, read: Op, seqs: list[int]) -> tuple[int, int]:
        """Between which indexes a read has to show everything, but for clears."""
        order = self._order
        low = 0 if read.after is None else order.index(read.after + 1)
        shown = order.index(seqs[-1]) + 1 if seqs else 0
        high = max(order.known(read.begin), shown)
        if read.limit is None or len(read.found) < read.limit or not seqs:
            return low, high
        return (max(low, order.index(seqs[0])), high) if read.newest else (low, shown)

    def _missing(self, read: Op, seqs: list[int], begin: int, end: int) -> int | None:
        """The index of the first place in a range that a read does not show; None for none."""
        order = self._order
        if begin >= end:
            return None
        shown = bisect_left(seqs, order.seqs[begin])
        if bisect_right(seqs, order.seqs[end - 1]) - shown == end - begin:
            return None
        torn = {id(turn) for turn, _ in self._cut.get(id(read), ())}
        for index in range(begin, end):
            if shown < len(seqs) and seqs[shown] == order.seqs[index]:
                shown += 1
            elif id(order.turns[index]) not in torn and order.turns[index].began <= end_of(read):
                return index
        return None

    def _tell_missing(self, read: Op, index: int) -> None:
        order = self._order
        seq, proof = order.seqs[index], order.proofs[index]
        if proof is not None and end_of(proof[0]) < read.begin:
            told = "{} does not show {!r} of {} at seq {}, which was there by {}"
            self._findings.tell(Kind.STALE, told, read, order.at[seq], order.turns[index], seq, proof[0])
        else:
            told = "{} does not show {!r} of {} at seq {}, but shows what stands behind it"
            self._findings.tell(Kind.STALE, told, read, order.at[seq], order.turns[index], seq)
