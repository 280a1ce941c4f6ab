"""LangChain's messages as ours, and back: every type comes back equal, or is refused before it is stored.

What our fields carry stands there, in OpenAI's format, so that whatever else reads the session understands it. What is
left, stands under ``extra["langchain"]``, and only where it differs from what LangChain itself would assume.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)

from backscroll import Message
from backscroll.errors import InvalidMessage
from backscroll.exact import exact
from backscroll.message import FOREIGN, ROLES

KEY: Final = "langchain"
"""The key in `Message.extra` for what only LangChain has."""

DEVELOPER: Final = {"__openai_role__": "developer"}
"""How LangChain marks a system message that a developer wrote."""

_ROLES: Final[dict[type[BaseMessage], str]] = {
    HumanMessage: "user",
    AIMessage: "assistant",
    SystemMessage: "system",
    ToolMessage: "tool",
    ChatMessage: "user",
    FunctionMessage: "tool",
    RemoveMessage: "system",
    HumanMessageChunk: "user",
    AIMessageChunk: "assistant",
    SystemMessageChunk: "system",
    ToolMessageChunk: "tool",
    ChatMessageChunk: "user",
    FunctionMessageChunk: "tool",
}
"""The role as which each type is stored."""

_DEFAULTS: Final[dict[type[BaseMessage], dict[str, Any]]] = {
    cls: {
        name: field.get_default(call_default_factory=True)
        for name, field in cls.model_fields.items()
        if not field.is_required()
    }
    for cls in _ROLES
}
"""What each type assumes of the fields that it is not given."""

_FIELDS: Final = {cls: dict.fromkeys(cls.model_fields) for cls in _ROLES}
"""The names of the fields of each type, in their order; LangChain's messages take others beside them."""

_CARRIED: Final = frozenset({"content", "id", "name", "tool_calls", "tool_call_id"})
"""The fields of LangChain's messages that ours carry, if they can."""

_ASKED: Final = object()
"""Stands for what a type assumes of a field that it has to be given."""

_LEFT: Final = {
    cls: {name: _DEFAULTS[cls].get(name, _ASKED) for name in fields if name not in _CARRIED}
    for cls, fields in _FIELDS.items()
}
"""The other fields of each type, with what it assumes of them."""

_TYPES: Final = {str(_DEFAULTS[cls]["type"]): cls for cls in _ROLES}
"""The types by the name that LangChain gives them."""

_PLAIN: Final[dict[str, type[BaseMessage]]] = {
    "user": HumanMessage,
    "assistant": AIMessage,
    "system": SystemMessage,
    "developer": SystemMessage,
    "tool": ToolMessage,
}
"""The type that a role stands for where nothing else is said."""

# What is encoded was copied by `exact`, so nothing in it holds itself.
_encode: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode

_ASSUMED: Final = {cls: {name: _DEFAULTS[cls].get(name) for name in fields} for cls, fields in _FIELDS.items()}
"""All fields of each type in their order, with what it assumes of them; those that it has to be given are None."""

_REQUIRED: Final = {cls: tuple(fields.keys() - _DEFAULTS[cls].keys()) for cls, fields in _FIELDS.items()}
"""The fields that each type has to be given."""

_OWNED: Final = {
    cls: tuple((name, value) for name, value in fields.items() if isinstance(value, dict | list))
    for cls, fields in _DEFAULTS.items()
}
"""What each message has for itself of what its type assumes."""

_CALL: Final = {"name", "args", "id", "type"}


def from_langchain(message: BaseMessage, path: str = "message") -> Message:
    """A message of LangChain as one of ours; `to_langchain` gives an equal one back.

    Args:
        message: Of one of langchain-core's own types, a chunk included.
        path: Where it stands, for the error.

    Raises:
        InvalidMessage: A type of somebody else, or a value that JSON would change, with the path to it.

    Example:
        >>> from_langchain(HumanMessage("hi!"))
        Message('user', 'hi!')
    """
    cls = type(message)
    role = _ROLES.get(cls)
    if role is None:
        raise InvalidMessage(path, f"a {cls.__name__} is none of langchain-core's own types: give one of those")
    try:
        return _ours(message, cls, role, path)
    except KeyError as error:
        problem = InvalidMessage(f"{path}.{error.args[0]}", "is missing")
    raise problem


def from_langchain_all(messages: Any) -> list[Message]:
    """The messages of a turn; raises `InvalidMessage` likewise, and where they are no list of messages."""
    if isinstance(messages, str | BaseMessage) or not isinstance(messages, Iterable):
        raise InvalidMessage("messages", f"must be a list of messages, not a {type(messages).__name__}")
    return [from_langchain(message, f"messages[{place}]") for place, message in enumerate(messages)]


def to_langchain(message: Message) -> BaseMessage:
    """One of our messages as LangChain's, whoever wrote it.

    A type that the installed langchain-core does not know comes back as a `ChatMessage` with what was kept of it in
    its ``additional_kwargs``.

    Example:
        >>> to_langchain(Message("assistant", "hello"))
        AIMessage(content='hello', ...)
    """
    extra = message.extra or {}
    kept = extra.get(KEY)
    rest = dict(kept) if isinstance(kept, dict) else {}
    cls = _TYPES.get(rest.pop("type")) if "type" in rest else _PLAIN[message.role]
    content = "" if message.content is None else message.content
    fields: dict[str, Any] = {"content": content, "id": message.id, "name": message.name}
    if cls is None:
        return ChatMessage(role=message.role, additional_kwargs=dict(extra), **fields)
    if message.role == "developer" and cls is SystemMessage:
        fields["additional_kwargs"] = dict(DEVELOPER)
    elif isinstance(extra.get(FOREIGN), dict):
        fields["additional_kwargs"] = extra[FOREIGN]
    if "tool_call_id" in _FIELDS[cls]:
        fields["tool_call_id"] = message.tool_call_id or ""
    if message.tool_calls and "tool_calls" in _FIELDS[cls]:
        fields |= _from_openai(message.tool_calls)
    return _made(cls, fields | rest)


def _made(cls: type[BaseMessage], given: dict[str, Any]) -> BaseMessage:
    """A message with these fields, at which nothing looks again.

    What LangChain derives when a message is made, such as calls from an older form of them, it derived before it was
    stored. This is ``model_construct`` without what makes that several times slower than a message that is checked.
    """
    values = _ASSUMED[cls] | given
    for name, assumed in _OWNED[cls]:
        if name not in given:
            values[name] = assumed.copy()
    for name in _REQUIRED[cls]:
        if name not in given:
            del values[name]
    more = {name: values.pop(name) for name in given if name not in _FIELDS[cls]}
    message = cls.__new__(cls)
    for name, value in (
        ("__dict__", values),
        ("__pydantic_fields_set__", set(given)),
        ("__pydantic_extra__", more),
        ("__pydantic_private__", None),
    ):
        object.__setattr__(message, name, value)
    return message


def _ours(message: BaseMessage, cls: type[BaseMessage], role: str, path: str) -> Message:
    """A message of a type of langchain-core's; raises KeyError where it lacks a field."""
    fields = message.__dict__
    rest = _rest(fields, _LEFT[cls])
    role = _role(cls, fields, rest) or role
    if "type" in rest:
        raise InvalidMessage(f"{path}.type", f"must be {_DEFAULTS[cls]['type']!r}, as the type has it")
    if _PLAIN[role] is not cls:
        rest["type"] = fields["type"]
    calls = call_id = None
    if "tool_calls" in _FIELDS[cls]:
        calls = _to_openai(fields["tool_calls"], rest, path)
    elif "tool_call_id" in _FIELDS[cls]:
        call_id = _given(fields["tool_call_id"], f"{path}.tool_call_id")
    if message.__pydantic_extra__:
        rest |= message.__pydantic_extra__
    return Message(
        role,
        exact(_given(fields["content"], f"{path}.content"), f"{path}.content"),
        id=fields["id"],
        name=fields["name"],
        tool_calls=calls,
        tool_call_id=call_id,
        extra={KEY: exact(rest, path)} if rest else None,
    )


def _rest(fields: dict[str, Any], left: dict[str, Any]) -> dict[str, Any]:
    """What our fields do not carry, where it is not what LangChain assumes."""
    rest = {}
    for name, default in left.items():
        value = fields[name]
        # What is of another type is not compared: an array, for example, has no answer.
        if type(value) is not type(default) or value != default:
            rest[name] = value
    return rest


def _role(cls: type[BaseMessage], fields: dict[str, Any], rest: dict[str, Any]) -> str | None:
    """The role that a message says; None where it is its type's. A mark that the role tells leaves the rest."""
    if cls is not SystemMessage:
        role = fields.get("role")
        return role if type(role) is str and role in ROLES else None
    marks = fields["additional_kwargs"]
    mark = marks.get("__openai_role__") if type(marks) is dict else None
    if type(mark) is not str or mark != "developer":
        return None
    if len(marks) == 1:
        del rest["additional_kwargs"]
    return mark


def _given(value: Any, path: str) -> Any:
    if value is None:
        raise InvalidMessage(path, "must not be None")
    return value


def _to_openai(calls: Any, rest: dict[str, Any], path: str) -> list[Any] | None:
    """Calls of tools in OpenAI's format, whose arguments are the text of a JSON object; None without calls.

    Where they do not come back from that as they are, they stand in the rest, too; where it has no place for one, only
    there.
    """
    made = []
    is_whole = type(calls) is list
    for place, call in enumerate(calls if is_whole else ()):
        if type(call) is not dict or not isinstance(call.get("name"), str) or type(call.get("args")) is not dict:
            rest["tool_calls"] = calls
            return None
        is_whole = is_whole and call.keys() == _CALL and type(call["type"]) is str and call["type"] == "tool_call"
        arguments = exact(call["args"], f"{path}.tool_calls[{place}].args")
        function = {"name": call["name"], "arguments": _encode(arguments)}
        made.append({"id": call.get("id"), "type": "function", "function": function})
    if not is_whole:
        rest["tool_calls"] = calls
    return made or None


def _from_openai(calls: Sequence[Any]) -> dict[str, Any]:
    """The two fields of LangChain for calls of tools: those that can be read, and those that cannot."""
    read = [_call(call if isinstance(call, dict) else {}) for call in calls]
    fields = {"tool_calls": [call for call in read if "error" not in call]}
    invalid = [call for call in read if "error" in call]
    return fields | ({"invalid_tool_calls": invalid} if invalid else {})


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    name, text, own_id = function.get("name"), function.get("arguments"), call.get("id")
    try:
        arguments = json.loads(text or "{}")
    except (ValueError, TypeError):
        arguments = None
    if isinstance(name, str) and isinstance(arguments, dict):
        return {"name": name, "args": arguments, "id": own_id, "type": "tool_call"}
    return {"name": name, "args": str(text), "id": own_id, "error": "cannot be read", "type": "invalid_tool_call"}
