"""The parts of a content: those of the Agents SDK in OpenAI's chat format, with what is left of each beside."""

from collections.abc import Iterable
from typing import Any, Final

CARRIED: Final = {"input_text": "text", "output_text": "text", "refusal": "refusal", "input_image": "image_url"}
"""The kinds of parts that the chat format has too, and the key whose text it carries."""

WHOLE: Final = "part"
"""The key of a part of which it carries nothing."""


def to_chat(parts: list[Any]) -> tuple[str | list[Any], list[dict[str, Any]]]:
    """A content in the chat format: text where it is no more than that, and what is left of each of its parts."""
    found, left = [], []
    for part in parts:
        key = _key(part)
        if key is None:
            left.append({WHOLE: part})
        else:
            found.append(_chat_part(key, part))
            left.append({name: value for name, value in part.items() if name != key})
    if not found:
        return "", left
    return (found[0]["text"] if len(found) == 1 and found[0]["type"] == "text" else found), left


def from_chat(content: Any, left: list[Any]) -> list[Any]:
    """The parts again; raises `LookupError` or `TypeError` where the two do not fit together."""
    found = iter([{"text": content}] if type(content) is str else content)
    return [_part(found, rest) if "type" in rest else rest[WHOLE] for rest in left]


def _key(part: Any) -> str | None:
    """The key whose text the chat format carries; None where it cannot."""
    kind = part.get("type") if type(part) is dict else None
    key = CARRIED.get(kind) if type(kind) is str else None
    return key if key and type(part.get(key)) is str else None


def _chat_part(key: str, part: dict[str, Any]) -> dict[str, Any]:
    if key != "image_url":
        return {"type": key, key: part[key]}
    detail = {"detail": part["detail"]} if type(part.get("detail")) is str else {}
    return {"type": "image_url", "image_url": {"url": part["image_url"]} | detail}


def _part(found: Iterable[Any], rest: dict[str, Any]) -> dict[str, Any]:
    key = CARRIED[rest["type"]]
    for part in found:
        return {**rest, key: part[key]["url"] if key == "image_url" else part[key]}
    raise LookupError("a part is missing")
