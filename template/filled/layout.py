"""The shape of the data in LMDB. Imports no driver.

By the first byte of its key a value is ``!`` the version of the schema, ``m`` a message, ``p`` the key of one that may
be purged from a certain time on, or ``s`` the state of a session.
"""

from struct import Struct
from typing import Final

from backscroll.backend import Row

SCHEMA_VERSION: Final = 1
"""Is stored with the data, so that a later release knows what it meets."""

SCHEMA: Final = b"!"

_TWO: Final = Struct(">QQ")


def session(session_id: str) -> bytes:
    """The key of a session."""
    return b"s" + session_id.encode()


def place(session_id: str, seq: int) -> bytes:
    """The key of a message; without the length, one session could lie among the messages of another."""
    encoded = session_id.encode()
    return b"m%03d%b%b" % (len(encoded), encoded, seq.to_bytes(8))


def due(purge_at: int, place: bytes = b"") -> bytes:
    """The key of the mark that a message may be purged."""
    return b"p" + purge_at.to_bytes(8) + place


def state(version: int, first_seq: int, recent: bytes = b"") -> bytes:
    """What is stored of a session."""
    return _TWO.pack(version, first_seq) + recent


def parsed_state(value: bytes) -> tuple[int, int, bytes]:
    """The version, the first seq and the last turns of a session."""
    return *_TWO.unpack_from(value), value[_TWO.size :]


def message(expires_at: int | None, purge_at: int, body: bytes) -> bytes:
    """What is stored of a message; 0 for never."""
    return _TWO.pack(expires_at or 0, purge_at) + body


def times(value: bytes) -> tuple[int, int]:
    """When a stored message expires, and when it may be purged."""
    return _TWO.unpack_from(value)


def row(place: bytes, value: bytes) -> Row:
    """A stored message."""
    return Row(int.from_bytes(place[-8:]), times(value)[0] or None, value[_TWO.size :])
