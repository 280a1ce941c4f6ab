"""`exact` keeps what JSON gives back as it was, and refuses all else with the path to it."""

import enum
import json
from typing import Any

import pytest
from hypothesis import given
from strategies import REFUSED, values

from backscroll.errors import InvalidMessage
from backscroll.exact import MAX_DEPTH, MAX_INT_BITS, exact


class Name(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "not the value"


class Kind(enum.StrEnum):
    TEXT = "text"


class Apart(str):
    """A string that is no dict's neighbour: equal to others by value, but not as a key."""

    __slots__ = ()
    __hash__ = object.__hash__


def nested(depth: int, leaf: Any = None) -> Any:
    """Lists in lists."""
    value = leaf
    for _ in range(depth):
        value = [value]
    return value


@given(values)
def test_exact_values(value: Any) -> None:
    """What JSON keeps comes back equal and of the same types, and JSON does keep it."""
    copy = exact(value, "value")

    assert repr(value) == repr(copy) == repr(json.loads(json.dumps(copy)))


def test_copy() -> None:
    """The copy shares no list and no dict with the value."""
    value = {"list": [{"a": 1}]}

    copy = exact(value, "value")
    value["list"][0]["a"] = 2

    assert copy == {"list": [{"a": 1}]}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize(
    ("around", "path"),
    [
        (lambda value: value, "m"),
        (lambda value: [0, value], "m[1]"),
        (lambda value: {"a": [{"b": value}]}, "m.a[0].b"),
    ],
    ids=["bare", "list", "dict"],
)
def test_refused(value: Any, around: Any, path: str) -> None:
    """A value that JSON would change is refused with its path."""
    with pytest.raises(InvalidMessage) as caught:
        exact(around(value), "m")

    assert path == caught.value.path


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "nan is not JSON: give None or text"),
        ((), "a tuple would come back as a list: give a list"),
        (set(), "a set is not JSON: give a sorted list"),
        (b"", "bytes are not JSON: give text, for example base64"),
        ({1: 2}, "the key 1 is a int, not a string: JSON would change it"),
        (
            "ab\udc00",
            "a lone surrogate at character 2 is not text: decode the source with its own encoding",
        ),
        (1j, "a complex would not come back as it is: give plain JSON"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_reason(value: Any, reason: str) -> None:
    """The error says what is wrong and what to give instead."""
    with pytest.raises(InvalidMessage) as caught:
        exact(value, "m")

    assert reason == caught.value.reason


@pytest.mark.parametrize("value", [Name("text"), Kind.TEXT])
def test_str_subclasses(value: Any) -> None:
    """A string of a subclass is taken by its string value, as a value and as a key."""
    copies = [exact(value, "m"), *exact({value: 1}, "m")]

    assert copies == ["text", "text"]
    assert [str, str] == [type(copy) for copy in copies]


def test_equal_keys() -> None:
    """Two keys that are equal by their string value are refused, since one would be lost."""
    with pytest.raises(InvalidMessage, match=r"^m\.a: two keys have the same string value$"):
        exact({"a": {Apart("k"): 1, "k": 2}}, "m")


def test_largest_int() -> None:
    """Integers go as far as Python parses them again."""
    for value in ((1 << MAX_INT_BITS) - 1, 1 - (1 << MAX_INT_BITS)):
        assert value == json.loads(json.dumps(exact(value, "m")))
    with pytest.raises(InvalidMessage, match="an integer this large"):
        exact(-(1 << MAX_INT_BITS), "m")


def test_depth() -> None:
    """Nesting goes to the limit and not beyond; a list in itself ends there, too."""
    endless: list[Any] = []
    endless.append(endless)

    assert nested(MAX_DEPTH, 1) == exact(nested(MAX_DEPTH, 1), "m")
    for value in (nested(MAX_DEPTH + 1), nested(MAX_DEPTH, {}), endless):
        with pytest.raises(InvalidMessage) as caught:
            exact(value, "m")
        assert caught.value.path == "m" + "[0]" * MAX_DEPTH
        assert caught.value.reason == "nested deeper than 100 levels"
