"""Every message of LangChain comes back equal, or is refused with the path to what cannot be stored."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    message_to_dict,
)
from lc_strategies import Undecided, messages, unchecked

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


def assigned(message: BaseMessage, name: str, value: Any) -> BaseMessage:
    """A message with a value that LangChain did not look at."""
    setattr(message, name, value)
    return message


def same(one: Any, other: Any) -> bool:
    """Whether both are equal and of the same types, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@settings(deadline=None, max_examples=300)
@given(unchecked())
def test_what_nobody_looked_at_comes_back_equal_or_is_refused(message: BaseMessage) -> None:
    """With the path to it: fields that LangChain does not know, and values that were assigned."""
    with backscroll.open("sqlite://") as store:
        try:
            store.append("s", from_langchain(message, "messages[0]"))
        except InvalidMessage as error:
            assert error.path.startswith("messages[0].")  # noqa: PT017  # most examples are not refused
            return
        [record] = store.last("s")
        assert isinstance(record, backscroll.Record)
        back = to_langchain(record.message)
    assert type(back) is type(message)
    assert same(back.__dict__, message.__dict__)
    assert same(back.__pydantic_extra__, message.__pydantic_extra__)


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
    "message",
    [
        HumanMessage("a", tool_calls=[{"name": "f", "args": {}, "id": "1", "type": "tool_call"}], tool_call_id="c"),
        HumanMessage("a", tool_calls=None),
        assigned(AIMessage("a"), "tool_calls", None),
        assigned(AIMessage("a"), "tool_calls", [{"name": "f", "args": None, "id": "1", "type": "tool_call"}]),
        assigned(AIMessage("a"), "tool_calls", [{"name": None, "args": {}, "id": "1", "type": "tool_call"}]),
        assigned(AIMessage("a"), "tool_calls", [{"name": "f", "args": {}, "id": "1"}]),
        assigned(AIMessage("a"), "tool_calls", ["x"]),
        assigned(FunctionMessage("a", name="f"), "name", None),
        assigned(HumanMessage("a"), "additional_kwargs", None),
    ],
    ids=lambda message: f"{type(message).__name__} {message.__dict__ | message.__pydantic_extra__}",
)
def test_what_langchain_does_not_look_at_comes_back_as_it_is(message: BaseMessage) -> None:
    """Under LangChain's key, where our fields have no place for it."""
    back = to_langchain(from_langchain(message))
    assert (type(back), back.__dict__, back.__pydantic_extra__) == (
        type(message),
        message.__dict__,
        message.__pydantic_extra__,
    )


def test_calls_with_more_than_openai_has_are_readable_all_the_same() -> None:
    """In OpenAI's format beside LangChain's."""
    message = assigned(AIMessage(""), "tool_calls", [{"name": "f", "args": {}, "id": "1", "extras": {"a": 1}}])
    function = {"name": "f", "arguments": "{}"}
    assert from_langchain(message).tool_calls == [{"id": "1", "type": "function", "function": function}]
    assert same(to_langchain(from_langchain(message)).__dict__, message.__dict__)


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
        (ToolMessage("a", tool_call_id="c", artifact=Undecided()), "message.artifact"),
        (assigned(AIMessage("a"), "content", None), "message.content"),
        (assigned(AIMessage("a"), "type", "human"), "message.type"),
        (assigned(AIMessage("a"), "tool_calls", ()), "message.tool_calls"),
        (assigned(ToolMessage("a", tool_call_id="c"), "tool_call_id", None), "message.tool_call_id"),
        (ChatMessage.model_construct(content="a"), "message.role"),
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
