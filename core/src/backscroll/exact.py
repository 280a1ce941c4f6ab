"""Which Python values JSON gives back exactly as they were; all others are refused."""

from math import isfinite
from typing import Any, Final

from backscroll.errors import InvalidMessage

MAX_DEPTH: Final = 100
"""How deep lists and dicts may be nested, so that every reader's JSON parser follows."""

MAX_INT_BITS: Final = 14_000
"""Larger integers are refused: Python parses no more than 4,300 digits by default."""

_SMALL: Final = 1 << 63
"""An integer below needs no second look."""

_REFUSED: Final[dict[type, str]] = {
    tuple: "a tuple would come back as a list: give a list",
    set: "a set is not JSON: give a sorted list",
    bytes: "bytes are not JSON: give text, for example base64",
}


def exact(value: Any, path: str, depth: int = 0) -> Any:
    """A plain copy of a value, if JSON gives it back equal and of the same type.

    Args:
        value: None, bool, int, float, str, list or dict with str keys, nested at will up to `MAX_DEPTH`.
            A subclass of str is taken by its string value.
        path: Where the value stands, for the error.
        depth: How deep it stands.

    Raises:
        InvalidMessage: NaN and infinities, bytes, tuples, keys that are no strings, lone surrogates,
            integers of more than `MAX_INT_BITS`, other types, and their subclasses.
    """
    try:
        return _plain(value, depth)
    except _NotPlain:
        return _told(value, path, depth)


class _NotPlain(Exception):
    """It takes a second look, which knows where each value stands."""


def _plain(value: Any, depth: int) -> Any:
    """A copy of a value that is exact as it is, as nearly all are: without the paths, which cost more than the look."""
    kind = type(value)
    if kind is str:
        if not value.isascii():
            _utf8(value)
        return value
    if value is None or kind is bool:
        return value
    if kind is dict and depth < MAX_DEPTH:
        return {_key(key): _plain(item, depth + 1) for key, item in list(value.items())}
    if kind is list and depth < MAX_DEPTH:
        return [_plain(item, depth + 1) for item in value]
    if (kind is int and -_SMALL < value < _SMALL) or (kind is float and isfinite(value)):
        return value
    raise _NotPlain


def _key(key: Any) -> str:
    if type(key) is not str:
        raise _NotPlain
    if not key.isascii():
        _utf8(key)
    return key


def _utf8(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _NotPlain from None


def _told(value: Any, path: str, depth: int) -> Any:
    kind = type(value)
    if kind is str or isinstance(value, str):
        return exact_str(value, path)
    if value is None or kind is bool:
        return value
    if kind is int:
        if value.bit_length() > MAX_INT_BITS:
            raise InvalidMessage(path, "an integer this large does not survive JSON: give it as text")
        return value
    if kind is float:
        if not isfinite(value):
            raise InvalidMessage(path, f"{value} is not JSON: give None or text")
        return value
    if depth >= MAX_DEPTH and kind in (list, dict):
        raise InvalidMessage(path, f"nested deeper than {MAX_DEPTH} levels")
    if kind is list:
        return [_told(item, f"{path}[{place}]", depth + 1) for place, item in enumerate(value)]
    if kind is dict:
        return _exact_dict(value, path, depth)
    raise InvalidMessage(path, _REFUSED.get(kind, f"a {kind.__name__} would not come back as it is: give plain JSON"))


def exact_str(value: str, path: str) -> str:
    """A plain `str` with the value of this one, which may be of a subclass.

    Raises:
        InvalidMessage: It holds a lone surrogate, which UTF-8 cannot carry.
    """
    try:
        str.encode(value)
    except UnicodeEncodeError as error:
        raise InvalidMessage(
            path, f"a lone surrogate at character {error.start} is not text: decode the source with its own encoding"
        ) from None
    return str.__str__(value)


def _exact_dict(value: dict[Any, Any], path: str, depth: int) -> dict[str, Any]:
    copy = {}
    items = list(value.items())  # at once: another thread may change it meanwhile
    for key, item in items:
        if not isinstance(key, str):
            raise InvalidMessage(path, f"the key {key!r} is a {type(key).__name__}, not a string: JSON would change it")
        name = exact_str(key, path)
        copy[name] = _told(item, f"{path}.{name}", depth + 1)
    if len(copy) != len(items):
        raise InvalidMessage(path, "two keys have the same string value")
    return copy
