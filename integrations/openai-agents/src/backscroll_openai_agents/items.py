"""The items of the Agents SDK as our messages, and back: each comes back equal, or is refused before it is stored.

What our fields carry stands there, in OpenAI's chat format, so that whatever else reads the session understands it:
text, images, calls of functions and their outputs. What is left of such an item stands under
``extra["openai-agents"]``. An item of any other kind, also one that only a later SDK knows, stands there whole.
"""

from typing import Any, Final

from backscroll import Message
from backscroll.errors import InvalidMessage
from backscroll.exact import exact
from backscroll_openai_agents.foreign import items_of
from backscroll_openai_agents.parts import from_chat, to_chat

KEY: Final = "openai-agents"
"""The key in `Message.extra` for what only the Agents SDK has."""

WHOLE: Final = "item"
"""The key under it for an item of which our fields carry nothing."""

PARTS: Final = "parts"
"""The key under it for what is left of the parts of a content."""

DEPTH: Final = 2
"""How deep in `Message.extra` an item stands."""

SPEAKERS: Final = ("user", "assistant", "system", "developer")
"""The roles of the SDK's messages, all of which are ours."""


def from_item(item: Any, path: str = "item") -> Message:
    """An item of the SDK as one of our messages; `to_items` gives an equal one back.

    Args:
        item: A dict, as the SDK gives it to its sessions.
        path: Where it stands, for the error.

    Raises:
        InvalidMessage: It is no dict, or holds a value that JSON would change, with the path to it.

    Example:
        >>> from_item({"role": "user", "content": "hi!"})
        Message('user', 'hi!')
    """
    if type(item) is not dict:
        raise InvalidMessage(path, f"an item is a dict, not a {type(item).__name__}: give what to_input_list() gives")
    plain: dict[str, Any] = exact(item, path, DEPTH)
    message = _carried(plain)
    if message is not None and _gives_back(message, plain):
        return message
    return Message("assistant", extra={KEY: {WHOLE: plain}})


def from_items(items: list[Any]) -> list[Message]:
    """The messages of a turn; raises `InvalidMessage` likewise."""
    return [from_item(item, f"items[{place}]") for place, item in enumerate(items)]


def to_items(message: Message) -> list[Any]:
    """The items that one of our messages stands for, whoever wrote it; at least one.

    It is one for a message that `from_item` made. Another program's may be several: what an assistant said, and each of
    its calls.

    Raises:
        ValueError: What stands under the SDK's key in ``extra`` is damaged.

    Example:
        >>> to_items(Message("assistant", "hello"))
        [{'role': 'assistant', 'content': 'hello'}]
    """
    if message.extra is None or KEY not in message.extra:
        return items_of(message)
    kept = message.extra[KEY]
    if type(kept) is not dict:
        raise ValueError(f"a {type(kept).__name__} is no part of an item")
    if type(kept.get(WHOLE)) is dict:
        return [kept[WHOLE]]
    try:
        return [_rebuilt(message, kept)]
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"what is left of an item fits no message ({type(error).__name__})") from error


def _carried(item: dict[str, Any]) -> Message | None:
    """The message whose fields carry an item as far as they can; None where they cannot."""
    kept = dict(item)
    fields: dict[str, Any] = {"id": kept.pop("id")} if type(item.get("id")) is str else {}
    match item:
        case {"type": "function_call", "call_id": str(call_id), "name": str(name), "arguments": str(arguments)}:
            del kept["call_id"], kept["name"], kept["arguments"]
            call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
            return Message("assistant", tool_calls=[call], extra={KEY: kept}, **fields)
        case {"type": "function_call_output", "call_id": str(call_id), "output": content}:
            del kept["call_id"], kept["output"]
            role, fields["tool_call_id"] = "tool", call_id
        case {"role": str(role), "content": content} if role in SPEAKERS and item.get("type", "message") == "message":
            del kept["role"], kept["content"]
        case _:
            return None
    if type(content) is list:
        content, kept[PARTS] = to_chat(content)
    elif type(content) is not str:
        return None
    return Message(role, content, extra={KEY: kept} if kept or fields else None, **fields)


def _gives_back(message: Message, item: dict[str, Any]) -> bool:
    """Looked at whenever an item is stored, so that it comes back equal whatever keys a later SDK gives it."""
    try:
        return to_items(message) == [item]
    except ValueError:  # such as a part of a kind that we know which lacks what it is there for
        return False


def _rebuilt(message: Message, kept: dict[str, Any]) -> dict[str, Any]:
    """The item of which a message carries all but what was kept beside."""
    item = {name: value for name, value in kept.items() if name != PARTS}
    if message.id is not None:
        item["id"] = message.id
    if kept.get("type") == "function_call":
        call = (message.tool_calls or [])[0]
        function = call["function"]
        return item | {"call_id": call["id"], "name": function["name"], "arguments": function["arguments"]}
    content = from_chat(message.content, kept[PARTS]) if PARTS in kept else message.content
    if content is None:
        raise TypeError
    if kept.get("type") == "function_call_output":
        return item | {"call_id": message.tool_call_id, "output": content}
    return item | {"role": message.role, "content": content}
