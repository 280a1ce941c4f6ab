"""The portions in which stored messages are copied: old turns many at once, the newest ones each by itself.

A session knows its last turns by their ids, so those land as they were, and a turn that an application repeats is known
in the target as it was in the source. Older ones are known in neither, and what lands at once costs little.
"""

from collections.abc import Iterable, Iterator
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


class Stored(NamedTuple):
    """A stored message, and the id of its turn in hexadecimal digits."""

    row: Row
    turn: str


class Batch(NamedTuple):
    """What lands at once; all of it expires at the same time.

    Args:
        messages: The messages, at least one.
        is_turn: Whether they are a turn, or what there is of it.
    """

    messages: tuple[Stored, ...]
    is_turn: bool

    @property
    def bodies(self) -> tuple[bytes, ...]:
        """As they are stored."""
        return tuple(each.row.body for each in self.messages)

    def named(self) -> tuple[UUID, bytes]:
        """Id and digest of this append: those of the turn, as `encode_turn` makes them, where it is one."""
        if not self.is_turn:
            return self.renamed()
        records = [decode(*each.row) for each in self.messages]
        messages = [record.message for record in records if isinstance(record, Record)]
        turn_id = UUID(self.messages[0].turn)
        return turn_id, encode_turn(messages, turn_id, 0, None)[1]

    def renamed(self) -> tuple[UUID, bytes]:
        """The same under an id that nobody else has."""
        return new_turn_id(), bytes(8)

    def halves(self) -> "tuple[Batch, Batch]":
        """The same as two batches."""
        half = len(self.messages) // 2
        return Batch(self.messages[:half], is_turn=False), Batch(self.messages[half:], is_turn=False)


def batches(messages: Iterable[Stored], limits: Limits, alone_from: int) -> Iterator[Batch]:
    """The batches of a session's messages.

    Args:
        messages: The messages, in their order.
        limits: Those of the target.
        alone_from: The seq from which on every turn lands by itself.
    """
    batch: list[Stored] = []
    size = 0
    last = None
    most, most_bytes = limits.max_turn_messages, limits.max_turn_bytes
    for each in messages:
        row, turn = each
        if last is not None and (
            row.expires_at != last.row.expires_at
            or len(batch) >= most
            or size + len(row.body) > most_bytes
            or (turn != last.turn and (row.seq >= alone_from or len(batch) >= MESSAGES or size >= BYTES))
        ):
            yield Batch(tuple(batch), is_turn=batch[0].row.seq >= alone_from)
            batch, size = [], 0
        batch.append(each)
        size += len(row.body)
        last = each
    if batch:
        yield Batch(tuple(batch), is_turn=batch[0].row.seq >= alone_from)
