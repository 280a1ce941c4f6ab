"""The ring of a session's last turns, as bytes beside its counter, and what follows from it for one more turn.

For backends whose database knows no rule by which a turn lands once. An entry is 44 bytes, the newest comes first: the
turn_id (16), the digest (8), the first seq (8), the number of messages (4), when it landed (8); numbers big-endian.
"""

import math
import struct
from typing import Final, NamedTuple

from backscroll.calls import Turn
from backscroll.errors import TurnIdReused, VersionConflict, WindowExceeded
from backscroll.values import Appended, SessionInfo, from_microseconds

WINDOW: Final = 16
"""How many of a session's last turns are known by their turn_id."""

_ENTRY: Final = struct.Struct(">16s8sQIQ")

ENTRY_BYTES: Final = _ENTRY.size
"""The length of an entry."""

RING_BYTES: Final = ENTRY_BYTES * WINDOW
"""The length of a full ring."""


class Entry(NamedTuple):
    """A turn in the ring."""

    turn_id: bytes
    digest: bytes
    first_seq: int
    length: int
    landed_at: int
    """milliseconds since 1970, by the clock that all writers of the session share"""


def known_turn(recent: bytes, version: int, now: int, turn: Turn) -> Appended | None:
    """What a turn meets in its session: an earlier copy of itself, whose answer this is, or None where it may land.

    Args:
        recent: The ring.
        version: The session's version.
        now: Milliseconds since 1970 by the clock of the entries, taken while no other turn can land.
        turn: The turn to append.

    Raises:
        TurnIdReused: The copy has other content.
        WindowExceeded: The ring does not reach back to the first try.
        VersionConflict: The turn is for another version.
    """
    if (entry := find_turn(recent, turn.turn_id.bytes)) is not None:
        if entry.digest != turn.digest:
            raise TurnIdReused(turn.turn_id)
        end = entry.first_seq + entry.length
        return Appended(end, tuple(range(entry.first_seq, end)), turn.turn_id, duplicate=True)
    if (age := turn.age_by_now()) and not reaches_back(recent, now - math.ceil(age * 1_000)):
        raise WindowExceeded(f"{WINDOW} other turns were appended since this one was first tried")
    if turn.expected_version not in (None, version):
        raise VersionConflict(turn.expected_version or 0, version)
    return None


def landed(turn: Turn, first_seq: int) -> Appended:
    """The answer to a turn that has just landed."""
    version = first_seq + len(turn.bodies)
    return Appended(version, tuple(range(first_seq, version)), turn.turn_id)


def session_info(session_id: str, row: tuple[int, int, bytes] | None) -> SessionInfo:
    """What a session's row says of it: its version, its first seq and its ring; None where there is no row."""
    if row is None:
        return SessionInfo(session_id, 0, 0)
    version, first_seq, recent = row
    newest = newest_turn(recent)
    updated_at = None if newest is None else from_microseconds(newest.landed_at * 1_000)
    return SessionInfo(session_id, version, first_seq, updated_at=updated_at)


def find_turn(recent: bytes, turn_id: bytes) -> Entry | None:
    """The turn with this id, if it is among the last ones."""
    place = recent.find(turn_id)
    while place % ENTRY_BYTES and place >= 0:
        place = recent.find(turn_id, place + 1)
    return Entry(*_ENTRY.unpack_from(recent, place)) if 0 <= place <= len(recent) - ENTRY_BYTES else None


def push_turn(recent: bytes, turn: Turn, first_seq: int, landed_at: int) -> bytes:
    """The ring with one more turn, the oldest beyond `WINDOW` dropped."""
    entry = Entry(turn.turn_id.bytes, turn.digest, first_seq, len(turn.bodies), landed_at)
    return _ENTRY.pack(*entry) + recent[: RING_BYTES - ENTRY_BYTES]


def newest_turn(recent: bytes) -> Entry | None:
    """The last turn of a session; None where the ring is damaged."""
    return Entry(*_ENTRY.unpack_from(recent)) if len(recent) >= ENTRY_BYTES else None


def reaches_back(recent: bytes, moment: int) -> bool:
    """Whether the ring holds every turn that landed since a moment, in milliseconds since 1970."""
    if len(recent) < RING_BYTES:
        return True
    return Entry(*_ENTRY.unpack_from(recent, len(recent) - ENTRY_BYTES)).landed_at < moment


def holds_since(recent: bytes, version: int) -> bool:
    """Whether the ring holds every turn that landed at this version of the session or a later one."""
    if len(recent) < RING_BYTES:
        return True
    return Entry(*_ENTRY.unpack_from(recent, len(recent) - ENTRY_BYTES)).first_seq <= version
