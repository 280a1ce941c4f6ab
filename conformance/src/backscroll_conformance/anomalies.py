"""What the checker of histories finds, told for the author of a backend."""

from collections import Counter
from enum import Enum
from typing import Final

import attrs

from backscroll_conformance.expect import shown
from backscroll_conformance.history import Op

MOST_TOLD: Final = 10
"""How many anomalies of one kind are told of one session; the others are counted."""


class Kind(Enum):
    """What calls and answers contradict."""

    LOST = "lost"
    """a message that was acknowledged or read is not there in the end"""
    DUPLICATED = "duplicated"
    """a message is there more than once"""
    PHANTOM = "phantom"
    """a read shows what nobody appended, what was refused, what was cleared or what was not sent yet"""
    TORN = "torn"
    """a turn is not whole, contiguous and in order"""
    REORDERED = "reordered"
    """the order differs from one read to another, or from real time"""
    STALE = "stale"
    """a read does not show what was there when it began"""
    CONFLICT = "conflict"
    """a conditional append landed though the version had moved, or was refused though it had not"""
    WRONG_ANSWER = "wrong answer"
    """an answer says something else than what is there"""


@attrs.frozen
class Anomaly:
    """A contradiction among calls and answers of one session.

    Args:
        kind: What was broken.
        session: The session's id.
        text: Which turns and calls contradict each other, in words; times are in milliseconds since the first call.
        ops: These calls, and those of these turns.
    """

    kind: Kind
    session: str
    text: str
    ops: tuple[Op, ...] = attrs.field(default=(), eq=False, repr=False)


class Findings:
    """The anomalies of one session, as they are found.

    Args:
        session: Its id.
        start: The moment from which times are told, in nanoseconds.
    """

    def __init__(self, session: str, start: int) -> None:
        self._session = session
        self._start = start
        self._told: list[Anomaly] = []
        self._counts: Counter[Kind] = Counter()

    def tell(self, kind: Kind, text: str, *parts: object) -> None:
        """Add an anomaly.

        Args:
            kind: Its kind.
            text: A format string.
            *parts: What it shows; a call is told by its worker and times, a list or tuple is cut where it is long.
                Calls, and what has ``ops`` as a turn has, are kept with the anomaly, also where the text has no place
                for them.
        """
        self._counts[kind] += 1
        if self._counts[kind] <= MOST_TOLD:
            calls = [op for part in parts for op in ([part] if isinstance(part, Op) else getattr(part, "ops", ()))]
            ops = tuple({id(op): op for op in calls}.values())
            self._told.append(Anomaly(kind, self._session, text.format(*map(self._part, parts)), ops))

    def all(self) -> list[Anomaly]:
        """Everything that was found, with the number of those that are not told."""
        more = [
            Anomaly(kind, self._session, f"and {count - MOST_TOLD:,} more of this kind in this session")
            for kind, count in self._counts.items()
            if count > MOST_TOLD
        ]
        return self._told + more

    def _part(self, part: object) -> object:
        if isinstance(part, Op):
            return f"{part.kind} by {part.worker} ({self._times(part)})"
        return shown(part) if isinstance(part, list | tuple) else part

    def _times(self, op: Op) -> str:
        end = "never answered" if op.end is None else f"{(op.end - self._start) / 1e6:.3f} ms"
        return f"{(op.begin - self._start) / 1e6:.3f} to {end}"
