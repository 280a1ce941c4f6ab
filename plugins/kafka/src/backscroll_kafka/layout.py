"""The shape of the records, and the names of topics. Imports no driver.

The key of a record is its session's id in UTF-8; a turn is one record. A value begins with a header of fixed length,
numbers big-endian, so that a reader can go through a log without parsing the messages:

=============  =====  ========================================================================
``magic``      2      ``bs``; what does not begin so is not ours, and passed over
``version``    1      of this shape
``kind``       1      1: a turn, 2: discard, 3: delete, 4: remove
``partitions`` 2      how many the topic had: the place of every session hangs on it
``checked``    8      up to which offset the writer knew the log
=============  =====  ========================================================================

A turn goes on with its id (16), its digest (8), when it expires in microseconds since 1970 or -1 (8), the version that
it expects or -1 (8), the number of its messages (4), the length of each (4), and the messages. A discard or delete has
the seq below which all is gone (8), a remove the number of its seqs (4) and these (8 each).
"""

import re
import struct
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

from backscroll.backend import Row, Turn
from backscroll.errors import SchemaError
from backscroll_kafka.fold import APPEND, DELETE, DISCARD, REMOVE, Entry

VERSION: Final = 1
"""The version of this shape."""

MAGIC: Final = b"bs"
"""What a value of ours begins with."""

TEXT: Final = 32
"""No version goes so far: from there on begins what may be a text of another program."""

MOST_KINDS: Final = 7
"""The highest kind that any version may have."""

_HEAD: Final = struct.Struct(">2sBBHQ")
_TURN: Final = struct.Struct(">16s8sqqI")
_BOUND: Final = struct.Struct(">Q")
_COUNT: Final = struct.Struct(">I")

OVERHEAD: Final = 1 << 20
"""How many bytes a record may have beside the bodies of its turn: lengths, key, and what Kafka adds."""

LONGEST_NAME: Final = 249
"""The most characters of a topic's name."""

SEQS_TOGETHER: Final = 10_000
"""The most seqs of a `REMOVE`."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9-]")
_HASHED: Final = "__"
_HASH: Final = re.compile(f"{_HASHED}[0-9a-f]{{64}}")


class Kinds:
    """Tells what the records of a topic are.

    Args:
        partitions: How many the topic has.

    Attributes:
        known: The kinds by the first six bytes of a value: one look for each record of a scan.
    """

    def __init__(self, partitions: int) -> None:
        self.partitions: Final = partitions
        self.known: Final = {
            _HEAD.pack(MAGIC, VERSION, kind, partitions, 0)[:6]: kind for kind in (APPEND, DISCARD, DELETE, REMOVE)
        }

    def problem(self, value: bytes) -> SchemaError | None:
        """Why a topic cannot be used that holds such a record; None where it is another program's, or damaged."""
        if len(value) < _HEAD.size or value[:2] != MAGIC:
            return None
        _, version, kind, partitions, _ = _HEAD.unpack_from(value)
        if not VERSION <= version < TEXT or not 1 <= kind <= MOST_KINDS:
            return None
        if version > VERSION:
            return SchemaError(
                f"kafka: the topic holds records of version {version}, and this release knows {VERSION}: "
                "install a newer backscroll-kafka"
            )
        return added(partitions, self.partitions) if partitions != self.partitions else None


def added(before: int, now: int) -> SchemaError:
    """What is told where a topic has another number of partitions than its records were written for."""
    return SchemaError(
        f"kafka: the topic had {before} partitions when messages were written, and has {now} now, so that sessions "
        "would not be found where they are: partitions cannot be added; copy the messages into a new topic "
        "(backscroll export, import)"
    )


# Into the log.


def turn_value(turn: Turn, checked: int, partitions: int) -> bytes:
    """The value of a turn."""
    return b"".join(
        (
            _HEAD.pack(MAGIC, VERSION, APPEND, partitions, checked),
            _TURN.pack(
                turn.turn_id.bytes,
                turn.digest,
                -1 if turn.expires_at is None else turn.expires_at,
                -1 if turn.expected_version is None else turn.expected_version,
                len(turn.bodies),
            ),
            struct.pack(f">{len(turn.bodies)}I", *map(len, turn.bodies)),
            *turn.bodies,
        )
    )


def bound_value(kind: int, bound: int, checked: int, partitions: int) -> bytes:
    """The value of a discard or a delete."""
    return _HEAD.pack(MAGIC, VERSION, kind, partitions, checked) + _BOUND.pack(bound)


def remove_value(seqs: Sequence[int], checked: int, partitions: int) -> bytes:
    """The value of a remove."""
    head = _HEAD.pack(MAGIC, VERSION, REMOVE, partitions, checked)
    return head + _COUNT.pack(len(seqs)) + struct.pack(f">{len(seqs)}Q", *seqs)


# Out of the log.


def entry_of(offset: int, value: bytes) -> Entry | None:
    """What a record says, without its messages; None where it is not ours, or damaged."""
    try:
        magic, version, kind, _, checked = _HEAD.unpack_from(value)
        if magic != MAGIC or version != VERSION:
            return None
        if kind == APPEND:
            turn_id, digest, expires_at, expected, count = _TURN.unpack_from(value, _HEAD.size)
            begin = _HEAD.size + _TURN.size + 4 * count
            if count < 1 or begin + sum(_lengths(value, count)) != len(value):
                return None
            return Entry(
                offset,
                kind,
                checked,
                turn_id,
                digest,
                None if expires_at < 0 else expires_at,
                None if expected < 0 else expected,
                count,
            )
        if kind in (DISCARD, DELETE):
            return Entry(offset, kind, checked, bound=_BOUND.unpack_from(value, _HEAD.size)[0])
        if kind == REMOVE:
            (count,) = _COUNT.unpack_from(value, _HEAD.size)
            return Entry(offset, kind, checked, seqs=struct.unpack_from(f">{count}Q", value, _HEAD.size + _COUNT.size))
    except struct.error:
        pass
    return None


def rows_of(entry: Entry, value: bytes, places: Iterable[int]) -> list[Row]:
    """Some messages of a turn, by their places in it, in their order."""
    lengths = _lengths(value, entry.length)
    begins, begin = [], _HEAD.size + _TURN.size + 4 * entry.length
    for length in lengths:
        begins.append(begin)
        begin += length
    return [
        Row(entry.first_seq + place, entry.expires_at, value[begins[place] : begins[place] + lengths[place]])
        for place in places
    ]


def lengths_of(entry: Entry, value: bytes) -> tuple[int, ...]:
    """How many bytes each message of a turn has."""
    return _lengths(value, entry.length)


def _lengths(value: bytes, count: int) -> tuple[int, ...]:
    return struct.unpack_from(f">{count}I", value, _HEAD.size + _TURN.size)


# Topics of single sessions.


def topic_of(prefix: str, session_id: str) -> str:
    """The topic of a session that has one of its own; no two sessions have the same.

    Letters, digits and ``-`` stand for themselves, every other byte for ``_`` and two digits. ``.`` is not used, since
    Kafka takes it and ``_`` for one. An id that gets too long so has a hash instead.
    """
    encoded = "".join(
        character if _PLAIN.fullmatch(character) else "".join(f"_{byte:02x}" for byte in character.encode())
        for character in session_id
    )
    if len(prefix) + len(encoded) > LONGEST_NAME:
        encoded = _HASHED + sha256(session_id.encode()).hexdigest()
    return prefix + encoded


def session_of(prefix: str, topic: str) -> str | None:
    """The session of a topic; None where the topic is no session's, or its name does not tell."""
    encoded = topic.removeprefix(prefix)
    if not topic.startswith(prefix) or is_hashed(prefix, topic):
        return None
    try:
        plain = re.sub(r"_([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), encoded)
        session_id = plain.encode("latin-1").decode()
    except UnicodeError:
        return None
    return session_id if session_id and topic_of(prefix, session_id) == topic else None


def is_hashed(prefix: str, topic: str) -> bool:
    """Whether a topic is of a session whose id its name does not tell."""
    return topic.startswith(prefix) and _HASH.fullmatch(topic, len(prefix)) is not None
