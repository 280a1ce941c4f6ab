"""Keeps secrets out of what is told, in whatever spelling they come, and cuts what is long only after that."""

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

HIDDEN: Final = "***"
"""What stands for a secret."""

_hidden: Final[set[str]] = set()


def hide(secrets: Iterable[str]) -> None:
    """Keep secrets out of whatever this process cuts from now on."""
    _hidden.update(secrets)


def redacted(text: str, secrets: Iterable[str]) -> str:
    """A text without secrets, whether they stand there plainly, percent-encoded, or escaped as by repr or JSON."""
    pattern = _pattern(frozenset(secrets))
    return pattern.sub(HIDDEN, text) if pattern else text


def beginning(text: str, longest: int) -> str:
    """The first characters of a text, with their number where there are more; free of what this process hides."""
    # The other way round, a secret that the cut goes through would be told in part.
    text = redacted(text, _hidden)
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters)"


@lru_cache(maxsize=16)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str] | None:
    ordered = sorted(filter(None, secrets), key=lambda secret: (-len(secret), secret))
    return re.compile("|".join("".join(map(_spelled, one)) for one in ordered)) if ordered else None


def _spelled(character: str) -> str:
    """The pattern of one character in each of its spellings, of which a text may mix several."""
    encoded = character.encode("utf-8", "surrogatepass")
    escaped = {f"\\{character}"} if character in "'\"\\/" else set()
    escaped |= {ascii(character)[1:-1], repr(character)[1:-1], json.dumps(character)[1:-1]}
    escaped.add("".join(f"\\x{byte:02x}" for byte in encoded))
    found = {_escaped(one) for one in escaped | {character}}
    found.add("(?i:{})".format("".join(f"%{byte:02x}" for byte in encoded)))
    if character == " ":
        found.add(r"\+")
    return f"(?:{'|'.join(sorted(found, key=lambda one: (-len(one), one)))})"


def _escaped(text: str) -> str:
    # What is escaped twice has more backslashes, and is the same.
    return re.sub(r"(?:\\\\)+", lambda _: r"\\+", re.escape(text))
