"""The ring tells since which version it holds every turn."""

from uuid import UUID

from backscroll.calls import Turn
from backscroll.recent import WINDOW, find_turn, holds_since, push_turn


def ring(turns: int) -> bytes:
    """The ring after so many turns of two messages."""
    recent = b""
    for number in range(turns):
        recent = push_turn(recent, Turn(UUID(int=number), bytes(8), (b"{", b"{")), 2 * number, 1_000 + number)
    return recent


def test_a_ring_that_is_not_full_holds_every_turn() -> None:
    """From version 0 on."""
    assert holds_since(b"", 0)
    assert holds_since(ring(WINDOW - 1), 0)


def test_a_full_ring_holds_what_came_from_its_oldest_turn_on() -> None:
    """What landed on an earlier version may have been dropped."""
    recent = ring(WINDOW + 3)
    assert holds_since(recent, 6)
    assert not holds_since(recent, 5)
    assert find_turn(recent, UUID(int=3).bytes) is not None
    assert find_turn(recent, UUID(int=2).bytes) is None
