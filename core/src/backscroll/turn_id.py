"""The idempotency key of a turn: 16 bytes, a UUID."""

import os
import time
from typing import Any, Final
from uuid import UUID, uuid5

from backscroll.errors import InvalidArgument

NAMESPACE: Final = UUID("6d0b0f0e-8f5d-5c52-9d52-1d0a54f1c7b1")
"""The namespace in which a caller's strings become UUIDs of version 5."""

_FREE: Final = 0xFFFF_FFFF_FFFF_0FFF_3FFF_FFFF_FFFF_FFFF
_VERSION_7: Final = 0x0000_0000_0000_7000_8000_0000_0000_0000


def new_turn_id() -> UUID:
    """A fresh UUID of version 7 (RFC 9562, section 5.7): milliseconds since 1970, then 74 random bits."""
    bits = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10))
    return UUID(int=bits & _FREE | _VERSION_7)


def as_turn_id(value: Any) -> UUID:
    """The UUID that a caller's turn_id stands for.

    Args:
        value: A UUID; the text of one exactly as ``str(uuid)`` prints it; or any other string, which
            is mapped to a UUID of version 5, the same one every time.

    Raises:
        InvalidArgument: Neither, or an empty string, or one with a lone surrogate.
    """
    if isinstance(value, UUID):
        return value
    if not isinstance(value, str):
        raise InvalidArgument(f"turn_id: must be a UUID or a non-empty string, not {type(value).__name__}")
    if not value:
        raise InvalidArgument("turn_id: must not be empty")
    try:
        parsed = UUID(value)
    except ValueError:
        parsed = None
    if parsed is not None and str(parsed) == value:
        return parsed
    try:
        return uuid5(NAMESPACE, value)
    except UnicodeEncodeError:
        raise InvalidArgument("turn_id: holds a lone surrogate, which is not text") from None
