"""Every item of the SDK comes back equal, or is refused with the path to what cannot be stored."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from item_strategies import KINDS, items, of

import backscroll
from backscroll import Message
from backscroll.errors import InvalidMessage
from backscroll_openai_agents import from_item, to_items

KEY = "openai-agents"
QUICK = settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])


def through_a_store(item: Any) -> list[Any]:
    """What comes back of an item that was stored."""
    with backscroll.open("sqlite://") as store:
        store.append("s", from_item(item))
        [record] = store.last("s")
        assert isinstance(record, backscroll.Record)
        return to_items(record.message)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@QUICK
@given(st.data())
def test_each_kind_that_the_sdk_knows_comes_back_equal(kind: Any, data: st.DataObject) -> None:
    """Built from the SDK's own type, by a store."""
    item = data.draw(of(kind))
    assert repr(sorted_keys(through_a_store(item))) == repr(sorted_keys([item]))


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(items)
def test_every_item_comes_back_equal(item: dict[str, Any]) -> None:
    """Also those that only look like known ones, and those that no SDK knows yet."""
    assert repr(sorted_keys(through_a_store(item))) == repr(sorted_keys([item]))


def sorted_keys(value: Any) -> Any:
    """The same with the keys of dicts in one order: told by `repr`, True is not 1, and 1 is not 1.0."""
    if isinstance(value, dict):
        return {name: sorted_keys(value[name]) for name in sorted(value)}
    return [sorted_keys(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": [{"type": "input_text", "text": "a"}], "parts": []},
        {"role": "user", "content": "a", "item": {}},
        {"role": "user", "content": None},
        {"role": "critic", "content": "a"},
        {"type": "function_call", "call_id": "c", "name": None, "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": {"a": 1}},
    ],
    ids=repr,
)
def test_what_only_looks_like_a_known_item_is_kept_whole(item: Any) -> None:
    """Where our fields would not give it back."""
    assert from_item(item) == Message("assistant", extra={KEY: {"item": item}})
    assert through_a_store(item) == [item]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"role": "user", "content": "hi!"}, Message("user", "hi!")),
        ({"role": "system", "content": "be brief"}, Message("system", "be brief")),
        (
            {"role": "user", "content": "hi!", "type": "message"},
            Message("user", "hi!", extra={KEY: {"type": "message"}}),
        ),
        (
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "hello", "annotations": []}],
            },
            Message(
                "assistant",
                "hello",
                id="msg_1",
                extra={
                    KEY: {
                        "type": "message",
                        "status": "completed",
                        "parts": [{"type": "output_text", "annotations": []}],
                    }
                },
            ),
        ),
        (
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "what is it?"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
                    {"type": "input_file", "file_id": "file_1"},
                ],
            },
            Message(
                "user",
                [
                    {"type": "text", "text": "what is it?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                ],
                extra={
                    KEY: {
                        "parts": [
                            {"type": "input_text"},
                            {"type": "input_image", "detail": "low"},
                            {"part": {"type": "input_file", "file_id": "file_1"}},
                        ]
                    }
                },
            ),
        ),
        (
            {
                "role": "user",
                "content": [{"type": "input_image", "file_id": "file_1"}, {"type": "input_text", "text": "look"}],
            },
            Message(
                "user",
                "look",
                extra={
                    KEY: {"parts": [{"part": {"type": "input_image", "file_id": "file_1"}}, {"type": "input_text"}]}
                },
            ),
        ),
        (
            {"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}], "id": "msg_1"},
            Message(
                "user",
                [{"type": "image_url", "image_url": {"url": "data:,"}}],
                id="msg_1",
                extra={KEY: {"parts": [{"type": "input_image"}]}},
            ),
        ),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "type": "message"},
            Message(
                "assistant",
                [{"type": "refusal", "refusal": "no"}],
                extra={KEY: {"type": "message", "parts": [{"type": "refusal"}]}},
            ),
        ),
        ({"role": "user", "content": "hi!", "id": "msg_1"}, Message("user", "hi!", id="msg_1", extra={KEY: {}})),
        (
            {"role": "user", "content": [{"type": "input_text", "text": None}]},
            Message("user", "", extra={KEY: {"parts": [{"part": {"type": "input_text", "text": None}}]}}),
        ),
        ({"role": "user", "content": []}, Message("user", "", extra={KEY: {"parts": []}})),
        (
            {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "time", "arguments": "{}"},
            Message(
                "assistant",
                id="fc_1",
                tool_calls=[{"id": "c", "type": "function", "function": {"name": "time", "arguments": "{}"}}],
                extra={KEY: {"type": "function_call"}},
            ),
        ),
        (
            {"type": "function_call_output", "call_id": "c", "output": "14:02"},
            Message("tool", "14:02", tool_call_id="c", extra={KEY: {"type": "function_call_output"}}),
        ),
        (
            {"type": "reasoning", "id": "rs_1", "summary": []},
            Message("assistant", extra={KEY: {"item": {"type": "reasoning", "id": "rs_1", "summary": []}}}),
        ),
    ],
    ids=lambda value: value.get("type", "message") if isinstance(value, dict) else "",
)
def test_what_our_fields_carry_stands_there(item: Any, expected: Message) -> None:
    """In the chat format, so that others understand it; only what is left stands under the SDK's key."""
    assert from_item(item) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (Message("user", "hi!", name="bob", id="run-1"), [{"role": "user", "content": "hi!"}]),
        (Message("developer", "be brief"), [{"role": "developer", "content": "be brief"}]),
        (Message("assistant"), [{"role": "assistant", "content": ""}]),
        (Message("assistant", ["a", {"type": "text", "text": "b"}, 3]), [{"role": "assistant", "content": "ab"}]),
        (
            Message("assistant", extra={"openai": {"refusal": "rude"}}),
            [{"role": "assistant", "content": "rude"}],
        ),
        (
            Message(
                "assistant",
                "let me see",
                tool_calls=[
                    {"id": "c", "type": "function", "function": {"name": "time", "arguments": '{"zone": "CET"}'}},
                    {"id": "d", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}},
                    "odd",
                ],
            ),
            [
                {"role": "assistant", "content": "let me see"},
                {"type": "function_call", "call_id": "c", "name": "time", "arguments": '{"zone": "CET"}'},
                {"type": "custom_tool_call", "call_id": "d", "name": "sql", "input": "SELECT 1"},
                {"type": "function_call", "call_id": "", "name": "", "arguments": "{}"},
            ],
        ),
        (
            Message("assistant", tool_calls=[{"id": "c", "function": {"name": "time"}}]),
            [{"type": "function_call", "call_id": "c", "name": "time", "arguments": "{}"}],
        ),
        (
            Message("tool", "14:02", tool_call_id="c"),
            [{"type": "function_call_output", "call_id": "c", "output": "14:02"}],
        ),
        (
            Message(
                "user",
                [
                    "what",
                    {"type": "text", "text": "is it?"},
                    {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                    {"type": "file", "file": {"file_id": "file_1"}},
                    {"type": "hologram"},
                ],
            ),
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "what"},
                        {"type": "input_text", "text": "is it?"},
                        {"type": "input_image", "image_url": "https://x/y.png", "detail": "auto"},
                        {"type": "input_file", "file_id": "file_1"},
                        {"type": "hologram"},
                    ],
                }
            ],
        ),
    ],
    ids=repr,
)
def test_what_others_wrote_is_readable(message: Message, expected: list[Any]) -> None:
    """By OpenAI's chat format alone; several items where one message says what several of the SDK's say."""
    assert to_items(message) == expected


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"role": "user", "content": [{"type": "input_text", "text": "\ud800"}]}, "item.content[0].text"),
        ({"type": "function_call_output", "call_id": "c", "output": b"\x89PNG"}, "item.output"),
        ({"type": "reasoning", "summary": [], "score": float("nan")}, "item.score"),
        ({"type": "computer_call", "action": {"type": "drag", "path": ((1, 2),)}}, "item.action.path"),
        ({"type": "hologram", "depths": {1: "a"}}, "item.depths"),
        ("hi!", "item"),
        (Message("user", "hi!"), "item"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_json_would_change_is_refused(item: Any, path: str) -> None:
    """With the path to it."""
    with pytest.raises(InvalidMessage) as caught:
        from_item(item)
    assert caught.value.path == path


def test_what_is_nested_too_deep_is_refused_at_its_own_place() -> None:
    """Though it stands deeper where it is stored."""
    deep: Any = "the end"
    for _ in range(98):
        deep = [deep]
    with pytest.raises(InvalidMessage) as caught:
        from_item({"type": "hologram", "deep": deep})
    assert caught.value.path.startswith("item.deep[0]")
    item = {"type": "hologram", "deep": deep[0]}
    assert through_a_store(item) == [item]


@pytest.mark.parametrize(
    "kept",
    [
        7,
        [["type", "message"]],
        {"type": "function_call"},
        {"type": "function_call_output", "parts": 7},
        {"parts": [{"type": "input_text"}, {"type": "input_text"}]},
        {"parts": [{"type": "input_image"}]},
        {"parts": None},
        {"parts": [7]},
        {"parts": [{"type": "hologram"}]},
    ],
    ids=repr,
)
def test_what_is_damaged_is_told(kept: Any) -> None:
    """Whatever stands where the rest of an item is expected."""
    with pytest.raises(ValueError, match="item"):
        to_items(Message("user", "hi!", extra={KEY: kept}))


def test_an_item_without_its_content_is_damaged() -> None:
    """Nothing is put in its place."""
    with pytest.raises(ValueError, match="item"):
        to_items(Message("assistant", extra={KEY: {"type": "message"}}))
