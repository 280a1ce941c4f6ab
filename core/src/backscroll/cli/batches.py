"""The portions in which stored messages are copied: old turns many at once, the newest ones each by itself.

A session knows its last turns by their ids, so those land as they were, and a turn that an application repeats is known
in the target as it was in the source. Older ones are known in neither, and what lands at once costs little.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from backscroll.backend import Limits, Row
from backscroll.envelope import decode, encode_turn
from backscroll.turn_id import new_turn_id
from backscroll.values import Record

MESSAGES: Final = 1_000
"""How many messages a batch of several turns has at the most, but for the rest of its last turn."""

BYTES: Final = 1 << 20
"""How many bytes of bodies, likewise."""


Stored = tuple[str, Row]
"""A stored message, and before it the id of its turn in hexadecimal digits."""


class Batch(NamedTuple):
    """What lands at once; all of it expires at the same time.

    Args:
        rows: The messages, at least one.
        turn: The id of the turn that they are, or what there is of it; None where they are of any number of turns.
    """

    rows: Sequence[Row]
    turn: str | None

    @property
    def bodies(self) -> tuple[bytes, ...]:
        """As they are stored."""
        return tuple(row.body for row in self.rows)

    def named(self) -> tuple[UUID, bytes]:
        """Id and digest of this append: those of the turn, as `encode_turn` makes them, where it is one."""
        if self.turn is None:
            return self.renamed()
        records = [decode(*row) for row in self.rows]
        messages = [record.message for record in records if isinstance(record, Record)]
        turn_id = UUID(self.turn)
        return turn_id, encode_turn(messages, turn_id, 0, None)[1]

    def renamed(self) -> tuple[UUID, bytes]:
        """The same under an id that nobody else has."""
        return new_turn_id(), bytes(8)

    def halves(self) -> "tuple[Batch, Batch]":
        """The same as two batches."""
        half = len(self.rows) // 2
        return Batch(self.rows[:half], None), Batch(self.rows[half:], None)


def batches(messages: Iterable[Stored], limits: Limits, alone_from: int) -> Iterator[Batch]:
    """The batches of a session's messages.

    Args:
        messages: The messages, in their order.
        limits: Those of the target.
        alone_from: The seq from which on every turn lands by itself.
    """
    batch: list[Row] = []
    size = 0
    last = ""
    most, most_bytes = limits.max_turn_messages, limits.max_turn_bytes
    for turn, row in messages:
        seq, expires_at, body = row
        if batch and (
            expires_at != batch[-1].expires_at
            or len(batch) >= most
            or size + len(body) > most_bytes
            or (turn != last and (seq >= alone_from or len(batch) >= MESSAGES or size >= BYTES))
        ):
            yield Batch(batch, last if batch[0].seq >= alone_from else None)
            batch, size = [], 0
        batch.append(row)
        size += len(body)
        last = turn
    if batch:
        yield Batch(batch, last if batch[0].seq >= alone_from else None)
