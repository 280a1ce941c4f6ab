"""Two sequences of stored messages side by side."""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from operator import eq, itemgetter
from typing import Final, NamedTuple

from backscroll.backend import PAGE_BYTES, Row

AHEAD: Final = 1_000
"""How many messages are looked ahead on either side for where both go on alike, but for the rest of a page."""

_key: Final = itemgetter(1, 2)
"""What makes messages alike: the same bytes, and that they expire at the same time."""


class Step(NamedTuple):
    """What comes next on both sides.

    Args:
        alike: How many messages are the same.
        lacking: After these, what only the source has.
        odd: After these, what only the target has.
    """

    alike: int
    lacking: list[Row]
    odd: list[Row]


def steps(source: Iterator[list[Row]], target: Iterator[list[Row]]) -> Iterator[Step]:
    """Go through both sides, whose messages come in pages.

    Of each side about `AHEAD` messages and `PAGE_BYTES`, and a page, are held at once at the most; so where the target
    lacks more than these in a row, nothing behind them counts as alike.
    """
    ours, theirs = _Side(source), _Side(target)
    while True:
        left, right = ours.look(1), theirs.look(1)
        if not left and not right:
            return
        if alike := _alike(left, right):
            ours.take(alike)
            theirs.take(alike)
            yield Step(alike, [], [])
        else:
            lacking, odd = _until_alike(ours.look(AHEAD), theirs.look(AHEAD))
            yield Step(0, ours.take(lacking), theirs.take(odd))


class _Side:
    """One side, of which the next messages can be looked at before they are taken."""

    def __init__(self, pages: Iterator[list[Row]]) -> None:
        self._pages = pages
        self._held: list[Row] = []

    def look(self, count: int) -> list[Row]:
        """The next ones: so many and the rest of a page, or as large as a page is, or what there is."""
        while len(self._held) < count and _size(self._held) < PAGE_BYTES:
            if (page := next(self._pages, None)) is None:
                break
            self._held = self._held + page
        return self._held

    def take(self, count: int) -> list[Row]:
        """The next ones, which were looked at."""
        taken, self._held = self._held[:count], self._held[count:]
        return taken


def _size(rows: Sequence[Row]) -> int:
    return sum(len(row.body) for row in rows)


def is_alike(one: Row, other: Row) -> bool:
    """Whether two stored messages have the same bytes and expire at the same time, wherever they are."""
    return one[1:] == other[1:]


def _alike(ours: Sequence[Row], theirs: Sequence[Row]) -> int:
    """How many messages at the beginning of both are alike."""
    return len(list(takewhile(bool, map(eq, map(_key, ours), map(_key, theirs)))))


def _until_alike(ours: Sequence[Row], theirs: Sequence[Row]) -> tuple[int, int]:
    """How many of each side lie before the nearest place at which both go on alike.

    Where there is none, the target is gone through first: the source may have dropped any number of messages.
    """
    places = {_key(row): place for place, row in reversed(list(enumerate(theirs)))}
    alike = [(place, places[key]) for place, key in enumerate(map(_key, ours)) if key in places]
    return min(alike, key=sum, default=(0, len(theirs)) if theirs else (len(ours), 0))
