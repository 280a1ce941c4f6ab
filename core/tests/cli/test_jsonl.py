"""The file format of import and export."""

import io
from typing import Any

import pytest

from backscroll.cli import jsonl
from backscroll.message import Message

HI = b'{"messages": [{"role": "user", "content": "hi"}]}'


def test_lines_are_those_of_json() -> None:
    """Only a line feed ends a line; empty lines are passed over and still count."""
    source = io.BytesIO(b"one\r\n\n \t\ntwo\xe2\x80\xa8\x0b\x0c\x85three\nfour")
    assert list(jsonl.read_lines(source, 100)) == [
        (1, b"one\r\n"),
        (4, b"two\xe2\x80\xa8\x0b\x0c\x85three\n"),
        (5, b"four"),
    ]


@pytest.mark.parametrize("end", [b"\n", b""], ids=["ended", "not ended"])
def test_long_line_is_passed_over(end: bytes) -> None:
    """A line over the limit is known by its number, and the lines around it are read; one that just fits is too."""
    source = io.BytesIO(b"0123456789\n" + b"x" * 3_000_000 + b"\n0123456789" + end)
    assert list(jsonl.read_lines(source, 10)) == [(1, b"0123456789\n"), (2, None), (3, b"0123456789" + end)]


def test_byte_order_mark() -> None:
    """The mark of UTF-8 is no part of the first line."""
    assert list(jsonl.read_lines(io.BytesIO(b"\xef\xbb\xbf" + HI), 100)) == [(1, HI)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_other_encodings_are_recognised(encoding: str) -> None:
    """UTF-16 and UTF-32 are refused as a whole, with or without their mark."""
    with pytest.raises(jsonl.WrongEncoding, match="iconv"):
        list(jsonl.read_lines(io.BytesIO(HI.decode().encode(encoding)), 1_000))


def test_conversation() -> None:
    """A line gives its session and messages; what else it holds is named."""
    line = b'{"session_id": "s", "title": "t", "messages": [{"role": "user", "content": "hi", "weight": 1}]}'
    expected = jsonl.Conversation("s", [Message("user", "hi", extra={"openai": {"weight": 1}})], ("title",))
    assert jsonl.parse(line, "file:1") == expected


@pytest.mark.parametrize("line", [HI, b'{"session_id": null, ' + HI[1:]], ids=["missing", "null"])
def test_default_session_id(line: bytes) -> None:
    """Without a session_id a line gets that of its place."""
    assert jsonl.parse(line, "file:1").session_id == "file:1"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"hello", r"^not JSON: Expecting value \(character 1\)$"),
        (b'{"messages": [}', r"^not JSON: .* \(character 15\)$"),
        (HI + HI, "^not JSON: Extra data"),
        (b'{"messages": "\xff"}', "^not UTF-8 at byte 14: .*iconv"),
        (b"[1, 2]", "^not an object but a list: give {"),
        (b"{}", "^has no list of messages: give {"),
        (b'{"messages": {"role": "user"}}', "^has no list of messages"),
        (b'{"messages": ["hi"]}', r"^messages\[0\]: must be a Message or a mapping"),
        (b'{"messages": [{"content": "hi"}]}', r"^messages\[0\]: has no role"),
        (b'{"session_id": 7, ' + HI[1:], "^session_id: must be a string"),
        (b'{"session_id": "", ' + HI[1:], "^session_id: must not be empty"),
        (b'{"session_id": "\\ud800", ' + HI[1:], "^session_id: a lone surrogate"),
        (b'{"messages": [{"role": "user", "role": "tool"}]}', "^not clear: the key 'role' is given twice"),
        (b'{"messages": ' + b"9" * 5_000 + b"}", "^an integer this large"),
        (b"[" * 200_000, "^nested too deeply|^not JSON"),
    ],
)
def test_broken_lines(line: bytes, reason: str) -> None:
    """Each way in which a line can be wrong has a reason."""
    with pytest.raises(jsonl.BrokenLine, match=reason):
        jsonl.parse(line, "file:1")


def test_many_messages_keep_their_order() -> None:
    """A conversation keeps its order."""
    messages: list[Any] = [f'{{"role": "user", "content": "{n}"}}' for n in range(100)]
    line = f'{{"messages": [{", ".join(messages)}]}}'.encode()
    assert [message.content for message in jsonl.parse(line, "f").messages] == [str(n) for n in range(100)]
