"""`Message` and its form in OpenAI's chat format."""

import enum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from strategies import messages

from backscroll import InvalidMessage, Message
from backscroll.envelope import decode, encode_turn
from backscroll.message import as_list, as_messages
from backscroll.turn_id import new_turn_id

TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}}

# What `model_dump()` of openai 1.x and 2.x gives, and what is sent to the API.
OPENAI: dict[str, dict[str, Any]] = {
    "user": {"role": "user", "content": "hi!"},
    "named": {"role": "user", "name": "ada", "content": "hi!"},
    "system": {"role": "system", "content": "Be brief."},
    "developer": {"role": "developer", "content": "Be brief."},
    "answer": {"content": "Hello.", "refusal": None, "role": "assistant", "annotations": [], "audio": None},
    "refusal": {"content": None, "refusal": "I cannot help with that.", "role": "assistant"},
    "calls": {"content": None, "role": "assistant", "tool_calls": [TOOL_CALL], "refusal": None},
    "function call": {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
    "audio": {"role": "assistant", "content": None, "audio": {"id": "audio_1", "expires_at": 1, "data": "UklG"}},
    "result": {"role": "tool", "tool_call_id": "call_1", "content": '{"temperature": 21.5}'},
    "parts": {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
            {"type": "file", "file": {"file_id": "file-1"}},
        ],
    },
    "with extra": {"role": "user", "content": "hi!", "extra": {"langchain": {"type": "human"}}, "weight": 1},
}


class Role(enum.StrEnum):
    USER = "user"


@pytest.mark.parametrize("mapping", OPENAI.values(), ids=OPENAI)
def test_openai_shapes(mapping: dict[str, Any]) -> None:
    """A mapping in OpenAI's format comes back as it was after it was stored."""
    bodies, _ = encode_turn([mapping], new_turn_id(), 0, None)
    record: Any = decode(0, None, bodies[0])

    assert mapping == record.message.to_openai()
    assert Message.from_openai(mapping) == record.message


def test_nulls_count_as_absent() -> None:
    """Our fields are absent where they are null; other keys keep their null."""
    dumped = {"role": "assistant", "content": "hi!", "tool_calls": None, "name": None, "extra": None, "refusal": None}

    message = Message.from_openai(dumped)

    assert Message("assistant", "hi!", extra={"openai": {"refusal": None}}) == message
    assert message.to_openai() == {"role": "assistant", "content": "hi!", "refusal": None}


@given(messages())
def test_there_and_back(message: Message) -> None:
    """Any message comes back equal and of the same types from OpenAI's format, also as another kind of mapping."""
    mapping = message.to_openai()

    assert message == Message.from_openai(mapping)
    assert message == Message.from_openai(MappingProxyType(mapping))


@pytest.mark.parametrize(
    ("extra", "mapping"),
    [
        (None, {}),
        ({}, {"extra": {}}),
        ({"openai": {}}, {"extra": {"openai": {}}}),
        ({"openai": {"refusal": None}}, {"refusal": None}),
        ({"a": 1, "openai": {"refusal": None}}, {"refusal": None, "extra": {"a": 1}}),
        ({"openai": {"name": "x"}}, {"extra": {"openai": {"name": "x"}}}),
        ({"openai": ["refusal"]}, {"extra": {"openai": ["refusal"]}}),
    ],
)
def test_extra(extra: Any, mapping: dict[str, Any]) -> None:
    """What stands under the key openai lies open in OpenAI's format, unless it could be taken for something else."""
    message = Message("user", "hi!", extra=extra)

    assert {"role": "user", "content": "hi!", **mapping} == message.to_openai()
    assert message == Message.from_openai(message.to_openai())


def test_to_openai_is_a_copy() -> None:
    """Changing the mapping's keys does not reach into the message."""
    message = Message("user", "hi!", extra={"a": 1, "openai": {"b": 2}})

    message.to_openai()["extra"].clear()
    message.to_openai().clear()

    assert Message("user", "hi!", extra={"a": 1, "openai": {"b": 2}}) == message


@pytest.mark.parametrize(
    ("mapping", "path", "reason"),
    [
        ({}, "messages[0]", "has no role"),
        ({"content": "hi!"}, "messages[0]", "has no role"),
        ({"role": None, "content": "hi!"}, "messages[0].role", "must be one of assistant, developer"),
        ({"role": "robot", "content": "hi!"}, "messages[0].role", "must be one of assistant, developer"),
        ({"role": 1, "content": "hi!"}, "messages[0].role", "must be str, not int"),
        ({"role": ["user"], "content": "hi!"}, "messages[0].role", "must be str, not list"),
        ({"role": "user"}, "messages[0].content", "only an assistant's message may go without"),
        ({"role": "user", "content": None}, "messages[0].content", "only an assistant's message may go without"),
        ({"role": "user", "content": 1}, "messages[0].content", "must be str or list, not int"),
        ({"role": "user", "content": {"type": "text"}}, "messages[0].content", "must be str or list, not dict"),
        ({"role": "user", "content": "", "name": 1}, "messages[0].name", "must be str, not int"),
        ({"role": "user", "content": "", "id": False}, "messages[0].id", "must be str, not bool"),
        ({"role": "tool", "content": "", "tool_call_id": 0}, "messages[0].tool_call_id", "must be str, not int"),
        ({"role": "assistant", "tool_calls": {}}, "messages[0].tool_calls", "must be list, not dict"),
        ({"role": "user", "content": "", "extra": []}, "messages[0].extra", "must be dict, not list"),
        ({"role": "user", "content": "", "extra": [], "k": 1}, "messages[0].extra", "must be a dict, not a list"),
        (
            {"role": "user", "content": "", "extra": {"openai": {}}, "refusal": 1},
            "messages[0].extra",
            "holds 'openai' already, which is the place for 'refusal'",
        ),
        ({"role": "user", "content": "", 5: 1}, "messages[0].extra.openai", "the key 5 is a int"),
        ({"role": "user", "content": "", "\ud800": 1}, "messages[0].extra.openai", "a lone surrogate"),
        ({"role": "user", "content": [{"text": b""}]}, "messages[0].content[0].text", "bytes are not JSON"),
    ],
)
def test_bad_messages(mapping: dict[Any, Any], path: str, reason: str) -> None:
    """A message that is none is refused with the path to what is wrong."""
    with pytest.raises(InvalidMessage) as caught:
        encode_turn([mapping], new_turn_id(), 0, None)

    assert path == caught.value.path
    assert caught.value.reason.startswith(reason)


@pytest.mark.parametrize(
    "given",
    [
        [Message("user", "hi!")],
        Message("user", "hi!"),
        {"role": "user", "content": "hi!"},
        MappingProxyType({"role": "user", "content": "hi!"}),
        ({"role": "user", "content": "hi!"},),
        iter([Message("user", "hi!")]),
        {"only": Message("user", "hi!")}.values(),
        [{"role": Role.USER, "content": "hi!", "name": None}],
    ],
)
def test_ways_to_give_a_turn(given: Any) -> None:
    """A turn is one message or any iterable of them."""
    assert [Message("user", "hi!")] == as_messages(given)


@pytest.mark.parametrize(
    ("given", "path", "reason"),
    [
        ([], "messages", "a turn has at least one message"),
        (iter([]), "messages", "a turn has at least one message"),
        ("hi!", "messages", "must be a list of messages, not a str"),
        (b"hi!", "messages", "must be a list of messages, not a bytes"),
        (None, "messages", "must be a list of messages, not a NoneType"),
        (1, "messages", "must be a list of messages, not a int"),
        (list, "messages", "must be a list of messages, not a type"),
        (["hi!"], "messages[0]", "must be a Message or a mapping in OpenAI's chat format, not a str"),
        ([Message("user", "a"), None], "messages[1]", "must be a Message or a mapping"),
    ],
)
def test_no_turn(given: Any, path: str, reason: str) -> None:
    """What holds no messages is refused."""
    with pytest.raises(InvalidMessage) as caught:
        as_messages(given)

    assert path == caught.value.path
    assert caught.value.reason.startswith(reason)


def test_a_list_is_taken_as_it_is() -> None:
    """A list is not copied; it is read once."""
    turn = [Message("user", "hi!")]

    assert turn is as_list(turn)


def test_repr() -> None:
    """The text form shows what is set, as one would write it."""
    plain = "Message('user', 'hi!')"
    full = "Message('tool', 'x', id='i', name='n', tool_calls=[1], tool_call_id='c', extra={'a': 1})"

    assert plain == repr(Message("user", "hi!"))
    assert full == repr(eval(full))
