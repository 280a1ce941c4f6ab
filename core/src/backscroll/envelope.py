"""The stored form of a message: a versioned JSON envelope, the same bytes on every backend.

Version 1, in UTF-8 without spaces::

    {"v":1,"turn_id":"<32 hex digits>","stored_at":<µs>,"expires_at":<µs or null>,"index":<place in the turn>,
     "message":{"role":"user","content":"hi!"}}

Times are microseconds since 1970, UTC, by the writer's clock. A body of version 1 stays readable for
ever. A body that does not start with ``{`` is kept for encodings to come (compression, encryption).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed lacks it
from json.encoder import encode_basestring
from math import isfinite
from typing import Any, Final
from uuid import UUID

from backscroll.calls import Row
from backscroll.errors import InvalidMessage
from backscroll.exact import exact
from backscroll.message import FIELDS, ROLES, Message, as_message
from backscroll.values import Record, Unreadable, from_microseconds

VERSION: Final = 1
"""The version that is written."""

# What is encoded was copied by `exact`, so nothing in it holds itself.
_AS_STORED: Final[dict[str, Any]] = {
    "ensure_ascii": False,
    "allow_nan": False,
    "check_circular": False,
    "separators": (",", ":"),
}
_encode: Final = json.JSONEncoder(**_AS_STORED).encode
_encode_sorted: Final = json.JSONEncoder(**_AS_STORED, sort_keys=True).encode


def _finite(number: str) -> float:
    if not isfinite(value := float(number)):
        raise ValueError("a number that JSON does not have")
    return value


_parse: Final = json.JSONDecoder(parse_float=_finite, parse_constant=_finite).raw_decode

# The messages of a turn share its id and its time; iterating converts each once.
_turn_id: Final = lru_cache(64)(lambda digits: UUID(int=int(digits, 16)))
_time: Final = lru_cache(64)(from_microseconds)


# How the body of a message begins that is plain text, as most are, and does not expire, as this release writes it.
_PLAIN: Final = re.compile(
    r'\{"v":1,"turn_id":"([0-9a-f]{32})","stored_at":[1-9][0-9]{0,16},"expires_at":null,"index":(?:0|[1-9][0-9]{0,8}),'
    rf'"message":\{{"role":"(?:{"|".join(sorted(ROLES))})","content":"'
)

_STARTS: Final = {role: f'{{"role":"{role}","content":' for role in ROLES}


def encode_turn(
    messages: Sequence[Message | Mapping[str, Any]], turn_id: UUID, stored_at: int, expires_at: int | None
) -> tuple[tuple[bytes, ...], bytes]:
    """The bodies of a turn's messages, and the digest of their content.

    Args:
        messages: The turn: each a `Message` or a mapping in OpenAI's chat format.
        turn_id: Its id.
        stored_at: When it is first sent, in microseconds since 1970.
        expires_at: When it expires, likewise; None for never.

    Returns:
        One body for each message, and 8 bytes that are equal for equal messages, whatever the order
        of keys in their dicts, and do not depend on id and time.

    Raises:
        InvalidMessage: One of them cannot be stored exactly; the path says where.
    """
    head = b'{"v":1,"turn_id":"%032x","stored_at":%d,"expires_at":%b,"index":' % (
        turn_id.int,
        stored_at,
        b"null" if expires_at is None else b"%d" % expires_at,
    )
    bodies, canonical = [], []
    for index, message in enumerate(messages):
        text = _encode_text(message)
        if text is None:
            text, same = _encode_fields(as_message(message, index), index)
        else:
            same = text
        bodies.append(b'%b%d,"message":%b}' % (head, index, text))
        canonical.append(same)
    return tuple(bodies), _blake2b()(b"\n".join(canonical), digest_size=8).digest()


def _encode_text(message: Message | Mapping[str, Any]) -> bytes | None:
    """The JSON of a message that is plain text, as most are; None for the others, and for what has to be refused."""
    if type(message) is dict:
        if len(message) != 2:
            return None
        role, content = message.get("role"), message.get("content")
    elif type(message) is Message and _is_short(message):
        role, content = message.role, message.content
    else:
        return None
    if type(content) is not str or type(role) is not str or role not in _STARTS:
        return None
    try:
        return f"{_STARTS[role]}{encode_basestring(content)}}}".encode()
    except UnicodeEncodeError:
        return None


def _is_short(message: Message) -> bool:
    return (
        message.id is None
        and message.name is None
        and message.tool_calls is None
        and message.tool_call_id is None
        and message.extra is None
    )


@cache
def _blake2b() -> Callable[..., Any]:
    # Importing hashlib takes longer than most of this package.
    from hashlib import blake2b

    return blake2b


def _encode_fields(message: Message, index: int) -> tuple[bytes, bytes]:
    """The JSON of a message, and the same with sorted keys, for the digest."""
    fields = _checked(message, f"messages[{index}]")
    text = _encode(fields).encode()
    # The same digest as by the short way, whatever way the message was given.
    return text, text if len(fields) == 2 and type(fields.get("content")) is str else _encode_sorted(fields).encode()


def _checked(message: Message, path: str) -> dict[str, Any]:
    """The fields of a message that are set, as plain values that JSON keeps."""
    fields = {}
    for name, types in FIELDS.items():
        value = getattr(message, name)
        if value is None:
            continue
        if type(value) is not str or not value.isascii():
            value = exact(value, f"{path}.{name}")
        if type(value) not in types:
            expected = " or ".join(kind.__name__ for kind in types)
            raise InvalidMessage(f"{path}.{name}", f"must be {expected}, not {type(value).__name__}")
        fields[name] = value
    if fields.get("role") not in ROLES:
        raise InvalidMessage(f"{path}.role", f"must be one of {', '.join(sorted(ROLES))}")
    if "content" not in fields and fields["role"] != "assistant":
        raise InvalidMessage(f"{path}.content", "only an assistant's message may go without content")
    return fields


def turn_of(row: Row) -> str | Unreadable:
    """The turn_id of a stored message, as 32 hexadecimal digits; where `decode` gives an `Unreadable`, that one.

    It takes a message apart only if it is not plain text, in a third of the time.
    """
    if row.expires_at is None and (turn := _turn_of_plain(row.body)):
        return turn
    record = decode(*row)
    return record if isinstance(record, Unreadable) else record.turn_id.hex


def _turn_of_plain(body: bytes) -> str | None:
    """The same of plain text that does not expire; None for everything else."""
    try:
        text = body.decode()
        head = _PLAIN.match(text)
        if head and not _escapes(text) and text.endswith("}}") and scanstring(text, head.end())[1] == len(text) - 2:
            return head[1]
    except ValueError:
        return None
    return None


def _escapes(text: str) -> bool:
    r"""Whether a JSON text has a ``\u`` in it: only so can a lone surrogate be written."""
    # One character is found ten times as fast as two, and most texts have none.
    return "\\" in text and "\\u" in text


def decode(seq: int, expires_at: int | None, body: bytes) -> Record | Unreadable:
    """The record that a stored body stands for, or an `Unreadable` in its place; never an exception.

    Args:
        seq: Its place in the session.
        expires_at: When it expires, in microseconds since 1970, as the backend keeps it; None for never.
        body: The stored bytes.
    """
    try:
        if body[:1] != b"{":
            return Unreadable(seq, "stored in an encoding that this release does not know", body)
        text = body.decode()
        envelope, end = _parse(text)
        if end != len(text):
            return Unreadable(seq, "damaged (trailing bytes)", body)
        if envelope["v"] != VERSION:
            return Unreadable(seq, "stored by a later release", body)
        fields = envelope["message"]
        escaped = _escapes(text)
        if escaped or len(fields) != 2 or type(fields.get("content")) is not str:
            for name, value in fields.items():
                if type(value) not in FIELDS[name]:
                    return Unreadable(seq, f"its field {name} has a wrong type", body)
                if escaped:
                    exact(value, name)
        if fields["role"] not in ROLES:
            return Unreadable(seq, "its role is unknown", body)
        return Record(
            seq,
            _turn_id(envelope["turn_id"]),
            _time(envelope["stored_at"]),
            None if expires_at is None else _time(expires_at),
            Message(**fields),
        )
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        return Unreadable(seq, f"damaged ({type(error).__name__})", body)
