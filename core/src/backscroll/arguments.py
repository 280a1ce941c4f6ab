"""What the arguments of a call must be; one check each, for every operation."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from backscroll.errors import InvalidArgument
from backscroll.options import MAX_SECONDS

MAX_SESSION_ID_BYTES: Final = 512
"""The longest session id, in bytes of UTF-8."""

MAX_SEQ: Final = (1 << 63) - 1
"""The largest seq, so that every database can hold it."""

MAX_TTL: Final = 100 * 365 * 86_400
"""The longest TTL, in seconds: a hundred years."""


def checked_session_id(value: Any) -> str:
    """A non-empty string of up to `MAX_SESSION_ID_BYTES`; nothing in it is interpreted or changed."""
    if type(value) is not str:
        if not isinstance(value, str):
            raise InvalidArgument(f"session_id: must be a string, not {type(value).__name__}")
        value = str.__str__(value)
    text: str = value
    if not text:
        raise InvalidArgument("session_id: must not be empty")
    if len(text) * 4 > MAX_SESSION_ID_BYTES or not text.isascii():
        size = len(_utf8("session_id", text))
        if size > MAX_SESSION_ID_BYTES:
            raise InvalidArgument(f"session_id: {size} bytes of UTF-8, over the {MAX_SESSION_ID_BYTES} it may have")
    return text


def checked_prefix(value: Any) -> str:
    """The start of session ids; may be empty."""
    if not isinstance(value, str):
        raise InvalidArgument(f"prefix: must be a string, not {type(value).__name__}")
    _utf8("prefix", value)
    return str.__str__(value)


def checked_cursor(value: Any) -> str | None:
    """The cursor of a `SessionPage`, or None."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidArgument(f"cursor: must be what an earlier page gave, not {type(value).__name__}")
    _utf8("cursor", value)
    return str.__str__(value)


def checked_limit(value: Any, name: str = "limit") -> int:
    """A whole number of at least 1."""
    return _whole(name, value, 1)


def checked_bound(name: str, value: Any) -> int | None:
    """A seq as an exclusive bound, or None; -1 lies before the first."""
    return None if value is None else _whole(name, value, -1)


def checked_seq(name: str, value: Any) -> int:
    """A seq or a version."""
    return _whole(name, value, 0)


def checked_seqs(value: Any) -> tuple[int, ...]:
    """Some seqs, ascending, each once."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InvalidArgument(f"seqs: must be a list of seqs, not {type(value).__name__}")
    return tuple(sorted({checked_seq("seqs", seq) for seq in value}))


def checked_timeout(value: Any) -> float:
    """A positive number of seconds, at most `MAX_SECONDS`."""
    return _seconds("timeout", value, MAX_SECONDS)


def checked_ttl(value: Any, longest: float | None) -> float:
    """Seconds, or a timedelta; positive, and at most `longest` seconds or `MAX_TTL`."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return _seconds("ttl", value, min(longest or MAX_TTL, MAX_TTL))


def _whole(name: str, value: Any, least: int) -> int:
    if type(value) is not int:
        raise InvalidArgument(f"{name}: must be a whole number, not {type(value).__name__}")
    if not least <= value <= MAX_SEQ:
        raise InvalidArgument(f"{name}: must be {least} to {MAX_SEQ}, not {_shown(value)}")
    number: int = value
    return number


def _seconds(name: str, value: Any, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidArgument(f"{name}: must be a number of seconds, not {type(value).__name__}")
    if not 0 < value <= most:
        raise InvalidArgument(f"{name}: must be a positive number of seconds, at most {most:,.0f}, not {_shown(value)}")
    return float(value)


def _shown(value: Any) -> str:
    # Python itself does not print an int of more than 4,300 digits.
    return str(value) if isinstance(value, float) or value.bit_length() < 128 else "one that large"


def _utf8(name: str, value: str) -> bytes:
    try:
        return str.encode(value)
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"{name}: a lone surrogate at character {error.start} is not text") from None
