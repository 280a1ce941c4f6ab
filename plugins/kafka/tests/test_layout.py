"""What is written comes back, damaged records are told apart, and no two sessions share a topic's name."""

import random
import re
from itertools import pairwise
from uuid import UUID

import pytest

from backscroll.backend import Row, Turn
from backscroll_kafka.fold import APPEND, DELETE, DISCARD, REMOVE, Entry
from backscroll_kafka.layout import (
    MAGIC,
    Kinds,
    bound_value,
    entry_of,
    is_hashed,
    remove_value,
    rows_of,
    session_of,
    topic_of,
    turn_value,
)

TURN = Turn(UUID(int=7), b"d" * 8, (b"first", b"", b"\0third"), expires_at=5, expected_version=9)


def test_a_turn_comes_back_as_it_was_written() -> None:
    """With all that it says, and any of its messages."""
    value = turn_value(TURN, 300, 48)
    entry = entry_of(2, value)
    assert entry == Entry(2, APPEND, 300, TURN.turn_id.bytes, TURN.digest, 5, 9, 3)
    assert rows_of(entry, value, [2, 0]) == [Row((2 << 16) + 2, 5, b"\0third"), Row(2 << 16, 5, b"first")]
    assert rows_of(entry, value, [1]) == [Row((2 << 16) + 1, 5, b"")]


def test_what_a_turn_does_not_say_is_none() -> None:
    """It never expires, and is for any version."""
    entry = entry_of(2, turn_value(Turn(UUID(int=7), b"d" * 8, (b"a",)), 0, 1))
    assert entry is not None
    assert (entry.expires_at, entry.expected) == (None, None)


def test_what_drops_comes_back_as_it_was_written() -> None:
    """Bounds and seqs."""
    for kind in (DISCARD, DELETE):
        assert entry_of(1, bound_value(kind, 1 << 62, 5, 48)) == Entry(1, kind, 5, bound=1 << 62)
    assert entry_of(1, remove_value([3, 1 << 62], 5, 48)) == Entry(1, REMOVE, 5, seqs=(3, 1 << 62))


@pytest.mark.parametrize(
    "value", [turn_value(TURN, 3, 2), bound_value(DELETE, 5, 3, 2), remove_value([1, 2], 3, 2)], ids="tdr"
)
def test_a_damaged_record_is_told_apart(value: bytes) -> None:
    """Wherever it is cut off, and whatever stands there instead."""
    chosen = random.Random(1)
    assert all(entry_of(0, value[:length]) is None for length in range(len(value)))
    for _ in range(500):
        noise = bytearray(value)
        noise[chosen.randrange(len(noise))] ^= 1 << chosen.randrange(8)
        entry_of(0, bytes(noise))  # never an error
    assert entry_of(0, b"") is None


def test_records_are_told_by_their_first_bytes() -> None:
    """Ours, of another number of partitions, of a later release, and another program's."""
    kinds = Kinds(48)
    ours, other = turn_value(TURN, 3, 48), turn_value(TURN, 3, 49)
    later = MAGIC + b"\x02" + ours[3:]
    assert [kinds.known.get(value[:6]) for value in (ours, other, later, b"", b"bs")] == [
        APPEND,
        None,
        None,
        None,
        None,
    ]
    found = [kinds.problem(value) is None for value in (ours, other, later, b"", b"x" * 99)]
    assert found == [True, False, False, True, True]
    texts = (
        b"bstract: a long enough text of another program",
        b"bs\x02plain text that goes on",
        b"bs\0\x01" + ours[4:],
    )
    assert [kinds.problem(value) for value in texts] == [None] * 3
    assert "had 49 partitions" in str(kinds.problem(other))
    assert "install a newer" in str(kinds.problem(later))


def test_no_two_sessions_have_a_topic_of_one_name() -> None:
    """Ids that differ in what a topic's name cannot hold, or only in what Kafka takes for one."""
    ids = [
        "a",
        "A",
        "a.b",
        "a_b",
        "a-b",
        "a b",
        "_61",
        "61",
        "ö",
        "o\u0308",
        "é",
        "\0",
        "_",
        "__",
        "_5f",
        "🙂",
        ".",
        "..",
    ]
    ids += ["x" * length for length in (100, 240, 241, 500, 512)] + ["ö" * 100, "ö" * 256]
    topics = [topic_of("chat-", one) for one in ids]
    assert len(set(topics)) == len(ids)
    assert all(one != other.replace(".", "_") for one, other in pairwise(sorted(topics)))
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,249}", topic) for topic in topics)
    for one, topic in zip(ids, topics, strict=True):
        assert session_of("chat-", topic) == (None if is_hashed("chat-", topic) else one)
    assert is_hashed("chat-", topic_of("chat-", "x" * 500))
    assert is_hashed("", topic_of("", "x" * 500))
    assert not any(is_hashed("", name) for name in ("__consumer_offsets", "__transaction_state", "__" + "f" * 65))
    assert session_of("chat-", "other-a") is None
    assert session_of("chat-", "chat-_ff") is None
    assert session_of("chat-", "chat-a.b") is None
