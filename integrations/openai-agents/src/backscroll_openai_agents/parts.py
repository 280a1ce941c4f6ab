"""The parts of a content: those of the Agents SDK in OpenAI's chat format, with what is left of each beside."""

from typing import Any, Final

CARRIED: Final = {"input_text": "text", "output_text": "text", "refusal": "refusal", "input_image": "image_url"}
"""The kinds of parts that the chat format has too, and the key whose text it carries."""


def to_chat(parts: list[Any]) -> tuple[str | list[Any], list[Any]]:
    """A content in the chat format: text where it is no more than that, and what is left of each of its parts."""
    found, left = [], []
    for part in parts:
        key = _key(part)
        if key is None or type(part.get(key)) is not str:
            left.append(part)
        else:
            found.append(_chat_part(key, part))
            left.append({name: value for name, value in part.items() if name != key})
    if not found:
        return "", left
    return (found[0]["text"] if len(found) == 1 and found[0]["type"] == "text" else found), left


def from_chat(content: Any, left: list[Any]) -> list[Any]:
    """The parts again; raises `LookupError` or `TypeError` where the two do not fit together."""
    found = iter([{"text": content}] if type(content) is str else content)
    parts = []
    for part in left:
        key = _key(part)
        if key is None or key in part:
            parts.append(part)
        else:
            value = _next(found)[key]
            parts.append({**part, key: value["url"] if key == "image_url" else value})
    return parts


def _key(part: Any) -> str | None:
    kind = part.get("type") if type(part) is dict else None
    return CARRIED.get(kind) if type(kind) is str else None


def _chat_part(key: str, part: dict[str, Any]) -> dict[str, Any]:
    if key != "image_url":
        return {"type": key, key: part[key]}
    detail = {"detail": part["detail"]} if type(part.get("detail")) is str else {}
    return {"type": "image_url", "image_url": {"url": part["image_url"]} | detail}


def _next(found: Any) -> Any:
    for part in found:
        return part
    raise LookupError("a part is missing")
