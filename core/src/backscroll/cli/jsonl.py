"""The file format of import and export: JSON Lines in UTF-8, one conversation a line.

``{"session_id": "…", "messages": [{"role": "…", "content": "…"}, …]}``, messages in OpenAI's chat format. A line
without a session_id gets one from the file's name and the line's number. Several lines may belong to one session.
"""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import attrs

from backscroll.arguments import checked_session_id
from backscroll.errors import InvalidArgument
from backscroll.message import Message, as_messages

KEYS: Final = ("session_id", "messages")

_BOM: Final = b"\xef\xbb\xbf"
_WIDE_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_SKIPPED_AT_ONCE: Final = 1 << 20
_SHAPE: Final = 'give {"session_id": "…", "messages": [{"role": "…", "content": "…"}, …]}'


class BrokenLine(Exception):
    """A line that holds no conversation; its text is the reason."""


class WrongEncoding(Exception):
    """The whole input is in another encoding; its text is the next step."""


@attrs.frozen
class Conversation:
    """What one line holds.

    Args:
        session_id: The session.
        messages: Its messages, perhaps none.
        unused: The keys beside those of this format.
    """

    session_id: str
    messages: list[Message]
    unused: tuple[str, ...]


def read_lines(source: BinaryIO, most: int) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a file with their numbers, without empty ones; None for one of more than `most` bytes.

    Raises:
        WrongEncoding: It begins like UTF-16 or UTF-32.
    """
    number = 0
    while line := source.readline(most + 1):
        number += 1
        if number == 1:
            line = _without_bom(line)
        if len(line) > most and not line.endswith(b"\n"):
            _skip_line(source)
            yield number, None
        elif line.strip():
            yield number, line


def parse(line: bytes, default_session_id: str) -> Conversation:
    """The conversation that a line holds.

    Raises:
        BrokenLine: It holds none.
    """
    try:
        value = _decode(line.decode())
    except UnicodeDecodeError as error:
        raise BrokenLine(f"not UTF-8 at byte {error.start}: convert the file with iconv") from None
    except json.JSONDecodeError as error:
        raise BrokenLine(f"not JSON: {error.msg} (character {error.pos + 1})") from None
    except ValueError:
        raise BrokenLine("an integer this large does not survive JSON: give it as text") from None
    except RecursionError:
        raise BrokenLine("nested too deeply") from None
    if type(value) is not dict:
        raise BrokenLine(f"not an object but a {type(value).__name__}: {_SHAPE}")
    messages = value.get("messages")
    if type(messages) is not list:
        raise BrokenLine(f"has no list of messages: {_SHAPE}")
    session_id = value.get("session_id")
    try:
        return Conversation(
            default_session_id if session_id is None else checked_session_id(session_id),
            as_messages(messages) if messages else [],
            tuple(key for key in value if key not in KEYS),
        )
    except InvalidArgument as error:
        raise BrokenLine(str(error)) from None


def _without_bom(line: bytes) -> bytes:
    # No line of JSON holds a NUL, so one at the start tells UTF-16 without a mark.
    if line.startswith(_WIDE_BOMS) or b"\0" in line[:2]:
        raise WrongEncoding("is not UTF-8 but UTF-16 or UTF-32: convert it with iconv -f UTF-16 -t UTF-8")
    return line.removeprefix(_BOM)


def _skip_line(source: BinaryIO) -> None:
    while (piece := source.readline(_SKIPPED_AT_ONCE)) and not piece.endswith(b"\n"):
        pass


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise BrokenLine(f"not clear: the key {twice!r} is given twice in one object")
    return mapping


_decode: Final = json.JSONDecoder(object_pairs_hook=_each_key_once).decode
