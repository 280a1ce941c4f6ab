"""`Message`, what a chat history keeps, and its form in OpenAI's chat format."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Self, final

import attrs

from backscroll.errors import InvalidMessage

ROLES: Final = frozenset({"user", "assistant", "system", "developer", "tool"})
"""Who can speak; OpenAI's names."""

FOREIGN: Final = "openai"
"""The key in `Message.extra` for what OpenAI's format has beside our fields, such as ``refusal``."""


@final
@attrs.frozen
class Message:
    """One message of a conversation.

    It is checked when it is appended, not before: what JSON would change is refused there.

    Args:
        role: One of ``user``, ``assistant``, ``system``, ``developer``, ``tool``.
        content: Text, or a list of parts in OpenAI's format; only an assistant's may be None.
        id: The message's id in the application or at the model provider.
        name: The speaker's name.
        tool_calls: The calls that an assistant asks for, in OpenAI's format.
        tool_call_id: The call that a tool's message answers.
        extra: What a framework needs to rebuild its own object exactly, under the framework's key.

    Example:
        >>> Message("user", "hi!")
        Message('user', 'hi!')
    """

    role: str
    content: str | list[Any] | None = None
    id: str | None = attrs.field(default=None, kw_only=True)
    name: str | None = attrs.field(default=None, kw_only=True)
    tool_calls: list[Any] | None = attrs.field(default=None, kw_only=True)
    tool_call_id: str | None = attrs.field(default=None, kw_only=True)
    extra: dict[str, Any] | None = attrs.field(default=None, kw_only=True)

    def __repr__(self) -> str:
        rest = "".join(f", {name}={value!r}" for name, value in self.to_fields().items() if name not in _POSITIONAL)
        return f"Message({self.role!r}, {self.content!r}{rest})"

    def to_fields(self) -> dict[str, Any]:
        """The fields that are not None, by name."""
        fields = ((name, getattr(self, name)) for name in FIELDS)
        return {name: value for name, value in fields if value is not None}

    def to_openai(self) -> dict[str, Any]:
        """The message as a mapping in OpenAI's chat format; `from_openai` gives an equal message back.

        Example:
            >>> Message("user", "hi!").to_openai()
            {'role': 'user', 'content': 'hi!'}
        """
        mapping = {"role": self.role, "content": self.content} | self.to_fields()
        extra = dict(mapping.pop("extra", None) or {})
        foreign = extra.get(FOREIGN)
        if isinstance(foreign, dict) and foreign and not foreign.keys() & FIELDS.keys():
            mapping |= extra.pop(FOREIGN)
            return mapping | ({"extra": extra} if extra else {})
        return mapping | ({} if self.extra is None else {"extra": self.extra})

    @classmethod
    def from_openai(cls, mapping: Mapping[str, Any], path: str = "message") -> Self:
        """The message that a mapping in OpenAI's chat format stands for.

        Keys that are no field of ours are kept in ``extra["openai"]``. A field given as null counts
        as absent, as in OpenAI's format.

        Args:
            mapping: At least ``role``, and ``content`` unless it is an assistant's.
            path: Where it stands, for the error.

        Raises:
            InvalidMessage: No role; or ``extra``, beside keys that are no field of ours, is no dict or has an
                ``openai`` of its own.

        Example:
            >>> Message.from_openai({"role": "assistant", "content": "no", "refusal": "rude"})
            Message('assistant', 'no', extra={'openai': {'refusal': 'rude'}})
        """
        if "role" not in mapping:
            raise InvalidMessage(path, "has no role: give {'role': 'user', 'content': '…'} or a Message")
        fields = {name: mapping[name] for name in FIELDS if mapping.get(name) is not None}
        fields.setdefault("role", None)
        foreign = {key: value for key, value in mapping.items() if key not in FIELDS}
        if foreign:
            fields["extra"] = _with_foreign(fields.get("extra", {}), foreign, f"{path}.extra")
        return cls(**fields)


FIELDS: Final[dict[str, tuple[type, ...]]] = {
    "role": (str,),
    "content": (str, list),
    "id": (str,),
    "name": (str,),
    "tool_calls": (list,),
    "tool_call_id": (str,),
    "extra": (dict,),
}
"""The fields of a message, in the order in which they are stored, with the types that they take when not None."""

_POSITIONAL: Final = ("role", "content")


def _with_foreign(extra: Any, foreign: dict[str, Any], path: str) -> dict[str, Any]:
    """`extra` with the foreign keys of an OpenAI mapping under their own key."""
    if type(extra) is not dict:
        raise InvalidMessage(path, f"must be a dict, not a {type(extra).__name__}")
    if FOREIGN in extra:
        raise InvalidMessage(path, f"holds {FOREIGN!r} already, which is the place for {', '.join(map(repr, foreign))}")
    return {FOREIGN: foreign} | extra


def as_list(messages: Any) -> list[Any]:
    """The messages of a turn, given as an iterable or as a single one.

    Raises:
        InvalidMessage: There is none, or it is no iterable.
    """
    if type(messages) is not list:
        if isinstance(messages, Message | Mapping):
            messages = [messages]
        elif isinstance(messages, str | bytes) or not isinstance(messages, Iterable):
            raise InvalidMessage("messages", f"must be a list of messages, not a {type(messages).__name__}")
        messages = list(messages)
    if not messages:
        raise InvalidMessage("messages", "a turn has at least one message")
    turn: list[Any] = messages
    return turn


def as_messages(messages: Any) -> list[Message]:
    """The same, each as a `Message`; raises `InvalidMessage` likewise."""
    return [as_message(message, index) for index, message in enumerate(as_list(messages))]


def as_message(message: Any, index: int) -> Message:
    """A message given as a `Message` or as a mapping in OpenAI's chat format.

    Raises:
        InvalidMessage: It is something else.
    """
    if isinstance(message, Message):
        return message
    path = f"messages[{index}]"
    if isinstance(message, Mapping):
        return Message.from_openai(message, path)
    raise InvalidMessage(
        path, f"must be a Message or a mapping in OpenAI's chat format, not a {type(message).__name__}"
    )
