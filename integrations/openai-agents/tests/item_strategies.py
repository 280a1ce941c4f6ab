"""Every item that the installed SDK knows, built from its own types, and items that it does not know."""

import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

from agents import TResponseInputItem
from hypothesis import strategies as st
from typing_extensions import is_typeddict

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(text, json_values, max_size=3)

PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: text,
    int: st.integers(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    type(None): st.none(),
}


def of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type, as JSON has them."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in PLAIN:
        return PLAIN[kind]
    if is_typeddict(kind):
        return st.deferred(lambda: _dicts(kind))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(of, arguments))
    if origin in (Required, NotRequired):
        return of(arguments[0])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return st.dictionaries(text, of(arguments[1]), max_size=2)
    if isinstance(origin, type) and issubclass(origin, Iterable) and arguments:
        return st.lists(of(arguments[0]), max_size=3)
    return json_values


def _dicts(kind: Any) -> st.SearchStrategy[dict[str, Any]]:
    hints = get_type_hints(kind)
    required = {name: of(hints[name]) for name in kind.__required_keys__}
    return st.fixed_dictionaries(required, optional={name: of(hints[name]) for name in kind.__optional_keys__})


KINDS = get_args(TResponseInputItem)
"""The types of items that the installed SDK knows."""

parts = st.lists(
    st.fixed_dictionaries({"type": st.just("output_text"), "text": text}, optional={"annotations": st.just([])})
    | st.fixed_dictionaries({"type": st.just("input_image"), "image_url": text}, optional={"detail": json_values})
    | st.fixed_dictionaries({"type": st.sampled_from(["refusal", "input_text", "input_image", "hologram"])})
    | json_values,
    max_size=3,
)
roles = st.sampled_from(["user", "assistant", "system", "developer", "tool", "critic"]) | json_values
nearly = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["message", "function_call", "function_call_output", "hologram"]) | json_values,
        "role": roles,
        "content": text | parts | json_values,
        "output": text | parts | json_values,
        "id": text | json_values,
        "call_id": text | json_values,
        "name": text | json_values,
        "arguments": text | json_values,
        "item": json_values,
        "parts": json_values,
    },
)
"""Items that look like known ones and are not, as those of a later SDK may."""

items = st.one_of(*map(of, KINDS), nearly, objects)
