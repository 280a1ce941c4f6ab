"""Every message of LangChain comes back equal, or is refused with the path to what cannot be stored."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    message_to_dict,
)
from lc_strategies import messages

import backscroll
import backscroll_langchain.messages as codec
from backscroll import Message
from backscroll.errors import InvalidMessage
from backscroll_langchain import from_langchain, to_langchain


@settings(deadline=None, max_examples=300)
@given(messages)
def test_every_message_comes_back_equal(message: BaseMessage) -> None:
    """By a store, of the same type, with every field."""
    with backscroll.open("sqlite://") as store:
        store.append("s", from_langchain(message))
        [record] = store.last("s")
        assert isinstance(record, backscroll.Record)
        back = to_langchain(record.message)
    assert type(back) is type(message)
    assert back == message
    assert message_to_dict(back) == message_to_dict(message)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (HumanMessage("hi!"), Message("user", "hi!")),
        (AIMessage("yes", id="run-1"), Message("assistant", "yes", id="run-1")),
        (SystemMessage("be brief"), Message("system", "be brief")),
        (
            SystemMessage("be brief", additional_kwargs={"__openai_role__": "developer"}),
            Message("developer", "be brief"),
        ),
        (ToolMessage("14:02", tool_call_id="c"), Message("tool", "14:02", tool_call_id="c")),
        (
            AIMessage("", tool_calls=[{"name": "time", "args": {"zone": "Zürich"}, "id": "c"}]),
            Message(
                "assistant",
                "",
                tool_calls=[
                    {"id": "c", "type": "function", "function": {"name": "time", "arguments": '{"zone": "Zürich"}'}}
                ],
            ),
        ),
        (
            ChatMessage("no", role="critic"),
            Message("user", "no", extra={"langchain": {"role": "critic", "type": "chat"}}),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_our_fields_carry_stands_there(message: BaseMessage, expected: Message) -> None:
    """So that others understand it; only what is left stands under LangChain's key."""
    assert from_langchain(message) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (Message("assistant"), AIMessage("")),
        (Message("tool", "14:02"), ToolMessage("14:02", tool_call_id="")),
        (
            Message("assistant", "no", extra={"openai": {"refusal": "rude"}}),
            AIMessage("no", additional_kwargs={"refusal": "rude"}),
        ),
        (
            Message("assistant", tool_calls=[{"id": "c", "function": {"name": "time", "arguments": "{"}}]),
            AIMessage(
                "",
                invalid_tool_calls=[
                    {"name": "time", "args": "{", "id": "c", "error": "cannot be read", "type": "invalid_tool_call"}
                ],
            ),
        ),
        (
            Message("assistant", tool_calls=["odd"]),
            AIMessage(
                "",
                invalid_tool_calls=[
                    {"name": None, "args": "None", "id": None, "error": "cannot be read", "type": "invalid_tool_call"}
                ],
            ),
        ),
    ],
    ids=repr,
)
def test_what_others_wrote_is_readable(message: Message, expected: BaseMessage) -> None:
    """By OpenAI's format alone."""
    assert to_langchain(message) == expected


def test_a_type_that_is_not_known_is_readable() -> None:
    """As a chat message, with what was kept of it."""
    message = Message("assistant", "beam", extra={"langchain": {"type": "hologram", "depth": 3}}, name="h")
    expected = ChatMessage(
        "beam", role="assistant", name="h", additional_kwargs={"langchain": {"type": "hologram", "depth": 3}}
    )
    assert to_langchain(message) == expected


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (HumanMessage("a", additional_kwargs={"score": float("nan")}), "message.additional_kwargs.score"),
        (HumanMessage([{"type": "image", "data": b"\x89PNG"}]), "message.content[0].data"),
        (ToolMessage("a", tool_call_id="c", artifact={"rows": (1, 2)}), "message.artifact.rows"),
        (
            AIMessage("", tool_calls=[{"name": "f", "args": {"x": float("inf")}, "id": "c"}]),
            "message.tool_calls[0].args.x",
        ),
        (HumanMessage("a", response_metadata={1: "a"}), "message.response_metadata"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_json_would_change_is_refused_with_its_path(message: BaseMessage, path: str) -> None:
    """Before anything is stored."""
    with pytest.raises(InvalidMessage) as caught:
        from_langchain(message)
    assert caught.value.path == path


def test_a_type_of_somebody_else_is_refused() -> None:
    """It could not be made again."""

    class Own(HumanMessage):
        """A type of its own."""

    with pytest.raises(InvalidMessage, match="a Own is none of langchain-core's own types"):
        from_langchain(Own("a"))


def test_all_types_of_langchain_are_known() -> None:
    """So that a new one is noticed here."""

    def below(cls: type[Any]) -> set[type[Any]]:
        return {cls} | {one for sub in cls.__subclasses__() for one in below(sub)}

    found = {cls for cls in below(BaseMessage) if cls.__module__.startswith("langchain_core.messages.")}
    abstract = {cls for cls in found if cls.__name__ in ("BaseMessage", "BaseMessageChunk")}
    assert found - abstract == set(codec._ROLES)


def test_arguments_of_calls_are_kept_to_the_letter() -> None:
    """Floats, large integers and the order of keys."""
    arguments = {"b": 0.1, "a": 10**30, "c": [1e300, -0.0]}
    message = AIMessage("", tool_calls=[{"name": "f", "args": arguments, "id": "c"}])
    [call] = to_langchain(from_langchain(message)).tool_calls  # type: ignore[attr-defined]
    assert json.dumps(call["args"]) == json.dumps(arguments)
