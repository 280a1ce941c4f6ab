"""Hypothesis strategies for what a history can keep, and for what it must refuse."""

import enum
import math
from collections import OrderedDict
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from backscroll import Message
from backscroll.message import FIELDS, FOREIGN

# How fast the machine is proves nothing.
settings.register_profile("core", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("core")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["", "\0", "\u2028\u2029", "\U0001f600", "a\u0308", "\\u0041", '"', "\x7f\x1b[31m", "\ufeff", "\uffff", "\r\n"]
)
numbers = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([-0.0, 1e308, 5e-324, 1 << 64, -(10**4000), 0.1])
)
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
dicts = st.dictionaries(texts | st.sampled_from([*FIELDS, FOREIGN]), values, max_size=4)
extras = dicts | st.builds(lambda own, foreign: own | {FOREIGN: foreign}, dicts, dicts)
contents = texts | st.lists(values, max_size=3)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Any message that can be stored."""
    role = draw(st.sampled_from(["user", "assistant", "system", "developer", "tool"]))
    rest = {
        "id": texts,
        "name": texts,
        "tool_calls": st.lists(values, max_size=2),
        "tool_call_id": texts,
        "extra": extras,
    }
    given = draw(st.fixed_dictionaries({}, optional=rest))
    return Message(role, draw(contents if role != "assistant" else st.none() | contents), **given)


class Count(int):
    pass


class Many(list[Any]):
    pass


class Colour(enum.IntEnum):
    RED = 1


REFUSED: dict[str, Any] = {
    "NaN": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "bytes": b"x",
    "bytearray": bytearray(b"x"),
    "tuple": (1, 2),
    "set": {1},
    "frozenset": frozenset({1}),
    "int key": {1: "x"},
    "None key": {None: "x"},
    "bytes key": {b"k": "x"},
    "lone surrogate": "a\ud800b",
    "surrogate key": {"\udfff": 1},
    "huge int": 1 << 14_000,
    "OrderedDict": OrderedDict(a=1),
    "list subclass": Many(),
    "int subclass": Count(1),
    "IntEnum": Colour.RED,
    "complex": 1j,
    "object": object(),
    "class": int,
}
"""What JSON would change or cannot carry."""
