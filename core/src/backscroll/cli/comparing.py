"""Two sequences of stored messages side by side."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from backscroll.backend import PAGE_BYTES, Row

AHEAD: Final = 1_000
"""How many messages are looked ahead at the most, on either side, for where both go on alike."""

Pair = tuple[Row, Row] | tuple[Row, None] | tuple[None, Row]


def paired(source: Iterator[Row], target: Iterator[Row]) -> Iterator[Pair]:
    """The messages of both sides, each with the one that is like it, or with None where the other side lacks it.

    Alike are those with the same bytes that expire at the same time. Of each side no more than `AHEAD` messages and
    about `PAGE_BYTES` are held at once; so where the target lacks more than these in a row, nothing behind them counts
    as alike.
    """
    ours, theirs = _Ahead(source), _Ahead(target)
    while True:
        left, right = ours.peek(), theirs.peek()
        if left is not None and right is not None and is_alike(left, right):
            yield ours.take(), theirs.take()
        elif left is not None or right is not None:
            lacking, odd = _until_alike(ours.look(), theirs.look())
            for _ in range(lacking):
                yield ours.take(), None
            for _ in range(odd):
                yield None, theirs.take()
        else:
            return


class _Ahead:
    """One side, of which the next messages can be looked at before they are taken."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._held: deque[Row] = deque()

    def peek(self) -> Row | None:
        """The next one; None at the end."""
        if not self._held and (row := next(self._rows, None)) is not None:
            self._held.append(row)
        return self._held[0] if self._held else None

    def take(self) -> Row:
        """The next one, which was looked at."""
        return self._held.popleft()

    def look(self) -> Sequence[Row]:
        """The next ones."""
        size = sum(len(row.body) for row in self._held)
        while len(self._held) < AHEAD and size < PAGE_BYTES and (row := next(self._rows, None)) is not None:
            self._held.append(row)
            size += len(row.body)
        return self._held


def is_alike(one: Row, other: Row) -> bool:
    """Whether two stored messages have the same bytes and expire at the same time, wherever they are."""
    return one.body == other.body and one.expires_at == other.expires_at


def _key(row: Row) -> tuple[bytes, int | None]:
    return row.body, row.expires_at


def _until_alike(ours: Sequence[Row], theirs: Sequence[Row]) -> tuple[int, int]:
    """How many of each side lie before the nearest place at which both go on alike.

    Where there is none, the target is gone through first: the source may have dropped any number of messages.
    """
    places = {_key(row): place for place, row in reversed(list(enumerate(theirs)))}
    alike = [(place, places[key]) for place, key in enumerate(map(_key, ours)) if key in places]
    return min(alike, key=sum, default=(0, len(theirs)) if theirs else (len(ours), 0))
