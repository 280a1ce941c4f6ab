"""What may stand on stdout and stderr."""

import ast
import io
import re
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from backscroll.cli import output

ANY_TEXT = st.text(st.characters(), max_size=50)
HOSTILE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@given(ANY_TEXT)
def test_field_is_one_line_and_exact(text: str) -> None:
    """A field holds no control character and no end of a line, and says exactly which text it stands for."""
    field = output.escaped(text)
    assert not HOSTILE.search(field)
    assert field.splitlines() in ([field], [])
    assert not any(unicodedata.category(character) == "Cs" for character in field)
    assert ast.literal_eval('"' + field.replace('"', '\\"') + '"') == text


@given(ANY_TEXT)
def test_block_keeps_only_lines_and_tabs(text: str) -> None:
    """A text for people keeps its lines and tabs, and nothing else that a terminal acts on."""
    assert not HOSTILE.search(output.readable(text).replace("\n", "").replace("\t", ""))


def test_block_keeps_windows_lines() -> None:
    """A line end of Windows is one, too."""
    assert output.readable("a\r\nb\rc") == "a\nb\\rc"


@given(ANY_TEXT)
def test_message_is_one_line(text: str) -> None:
    """A message for stderr is one line."""
    assert not HOSTILE.search(output.one_line(text))


def test_message_is_not_endless() -> None:
    """A message for stderr does not grow with what it quotes."""
    assert len(output.one_line("x" * 1_000_000)) < 600


def test_escapes_are_those_of_json() -> None:
    """A terminal escape, a line separator and a backslash are written as in Python and JSON."""
    assert output.escaped("a\x1b[31m\n\t\u2028\u202e\\n") == r"a\x1b[31m\n\t\u2028\u202e\\n"


def test_closed_stream_is_no_terminal() -> None:
    """A stream that was closed is nobody's terminal."""
    stream = io.StringIO()
    stream.close()
    assert not output.on_terminal(stream)
