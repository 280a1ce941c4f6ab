"""What programs without the Agents SDK wrote, as items for it."""

from typing import Any

from backscroll import Message
from backscroll.message import FOREIGN


def items_of(message: Message) -> list[Any]:
    """The items that say what a message in OpenAI's chat format says: at least one; several where functions are called.

    The names of speakers and the ids of other providers are left out, since the Responses API refuses them.
    """
    if message.role == "tool":
        output = _heard(message.content)
        return [{"type": "function_call_output", "call_id": message.tool_call_id or "", "output": output}]
    calls = [_call(call if isinstance(call, dict) else {}) for call in message.tool_calls or ()]
    content = _said(message) if message.role == "assistant" else _heard(message.content)
    if calls and not content:
        return calls
    return [{"role": message.role, "content": content}, *calls]


def _heard(content: str | list[Any] | None) -> str | list[Any]:
    return [_part(part) for part in content] if isinstance(content, list) else content or ""


def _part(part: Any) -> Any:
    match part:
        case str(text) | {"type": "text", "text": str(text)}:
            return {"type": "input_text", "text": text}
        case {"type": "image_url", "image_url": {"url": str(url), **more}}:
            return {"type": "input_image", "image_url": url, "detail": more.get("detail", "auto")}
        case {"type": "file", "file": dict(file)}:
            return {"type": "input_file", **file}
        case _:
            return part


def _said(message: Message) -> str:
    """The text of an assistant's message; the Responses API takes no parts of an assistant that it did not make."""
    content = message.content
    if content is None:
        foreign = (message.extra or {}).get(FOREIGN)
        content = [foreign] if isinstance(foreign, dict) else []
    if isinstance(content, str):
        return content
    texts = [part if isinstance(part, str) else _text(part) for part in content]
    return "".join(text for text in texts if isinstance(text, str))


def _text(part: Any) -> Any:
    return part.get("text", part.get("refusal")) if isinstance(part, dict) else None


def _call(call: dict[str, Any]) -> dict[str, Any]:
    call_id = str(call.get("id") or "")
    match call:
        case {"type": "custom", "custom": {"name": str(name), "input": str(given)}}:
            return {"type": "custom_tool_call", "call_id": call_id, "name": name, "input": given}
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    name, arguments = str(function.get("name") or ""), str(function.get("arguments") or "{}")
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
