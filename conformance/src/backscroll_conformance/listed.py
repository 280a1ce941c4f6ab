"""The plain list that a session has to be, whatever is done to it."""

from datetime import timedelta
from typing import Any, Final

import attrs

from backscroll import Record, Unreadable
from backscroll.values import Appended, from_microseconds
from backscroll_conformance.expect import equal, true

BEYOND: Final = 1 << 50
"""A seq past all that a script reaches."""

Shown = tuple[int, str | bytes, int | None]
"""Of a record its seq, its text (its bytes where it is unreadable) and its expiry in microseconds since 1970."""

_EPOCH: Final = from_microseconds(0)
_MICROSECOND: Final = timedelta(microseconds=1)


@attrs.define
class Listed:
    """What a session has to be: a list.

    Attributes:
        there: The records that were not dropped, expired ones included.
        seqs: Every seq ever given, in order.
        version: One past the newest of them.
        turns: The turns of several or one message whose texts are known, with their first answers.
    """

    there: list[Shown] = attrs.field(factory=list)
    seqs: list[int] = attrs.field(factory=list)
    version: int = 0
    turns: list[tuple[list[str], Appended] | None] = attrs.field(factory=list)

    def add(self, answer: Appended, contents: list[Any], expires_at: int | None, texts: list[str] | None) -> None:
        """A turn that landed."""
        equal(len(answer.seqs), len(contents), "how many seqs the answer has")
        first = answer.seqs[0]
        equal(answer.seqs, tuple(range(first, first + len(contents))), "the seqs of the answer")
        true(first >= self.version, f"the turn landed at seq {first}, though the version was {self.version} already")
        equal(answer.version, answer.seqs[-1] + 1, "the version of the answer")
        self.there += [(seq, content, expires_at) for seq, content in zip(answer.seqs, contents, strict=True)]
        self.seqs += answer.seqs
        self.version = answer.version
        self.turns.append(None if texts is None else (texts, answer))

    def live(self, now: int) -> list[Shown]:
        """What is read at a time in microseconds since 1970."""
        return [shown for shown in self.there if shown[2] is None or shown[2] > now]

    def turn(self, back: int) -> tuple[list[str], Appended] | None:
        """The turn before `back` others, or the first; None where there is none, or its texts are not known."""
        return self.turns[-1 - min(back, len(self.turns) - 1)] if self.turns else None

    def seq(self, back: int) -> int:
        """The seq before `back` later ones, removed ones included, or the first; with -1 one past all of them."""
        if back < 0:
            return BEYOND
        return self.seqs[-1 - min(back, len(self.seqs) - 1)] if self.seqs else 0


def shown(records: list[Record | Unreadable]) -> list[Shown]:
    """Records as a list has them."""
    return [
        (record.seq, record.body, None)
        if isinstance(record, Unreadable)
        else (record.seq, str(record.message.content), _microseconds(record))
        for record in records
    ]


def _microseconds(record: Record) -> int | None:
    return None if record.expires_at is None else (record.expires_at - _EPOCH) // _MICROSECOND
