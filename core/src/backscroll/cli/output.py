"""What may stand on stdout and stderr: text from outside is escaped, and never read as markup.

A listing has one record a line, with tabs between its fields. In its fields control characters, what changes the
direction of text, the line separators of Unicode and the backslash are escaped as in Python and JSON, so that no text
can end its line, reach the terminal or look like another one. ``--json`` is exact: one JSON object a line, in UTF-8.
"""

import json
import re
import sys
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console

LONGEST_REASON: Final = 500
"""How many characters of a reason are told; it may quote a key from outside."""

_NAMED: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\\": r"\\"}
_HOSTILE: Final = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_IN_LINE: Final = re.compile(f"[{_HOSTILE}\t\n\\\\]")
_IN_BLOCK: Final = re.compile(f"[{_HOSTILE}]")

dumps: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
"""JSON as this command line writes it; raises ValueError for what is not JSON."""


def escaped(text: str) -> str:
    """The text as a field of a line; two texts never look the same."""
    return _IN_LINE.sub(_escape, text)


def readable(text: str) -> str:
    """The text for people: its lines and tabs stay, what could reach the terminal is escaped."""
    return _IN_BLOCK.sub(_escape, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """A message for stderr, in one line and not too long."""
    line = _IN_BLOCK.sub(_escape, " ".join(text.split()))
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]} …"


def counted(number: int, what: str) -> str:
    """A number with its noun.

    Example:
        >>> counted(1, "session"), counted(2_000, "message")
        ('1 session', '2,000 messages')
    """
    return f"{number:,} {what}" + "s" * (number != 1)


def emit(*fields: str) -> None:
    """Write one line of a listing to stdout."""
    sys.stdout.write("\t".join(map(escaped, fields)) + "\n")


def emit_json(value: Any) -> None:
    """Write one JSON object to stdout."""
    sys.stdout.write(dumps(value) + "\n")


def tell(kind: str, text: str) -> None:
    """Write one line to stderr: ``error: …``, ``warning: …`` or ``note: …``."""
    sys.stderr.write(f"{kind}: {one_line(text)}\n")


def on_terminal(stream: IO[Any]) -> bool:
    """Whether a person reads this stream (or types it)."""
    try:
        return stream.isatty()
    except ValueError:  # it was closed
        return False


def console(*, stderr: bool = False) -> "Console":
    """A console of rich that interprets nothing in the text it gets."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def prepare_streams() -> None:
    """Make stdout fit for any text: UTF-8 and plain line ends in a pipe; no character fails on a terminal."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure and on_terminal(stream):
            reconfigure(errors="backslashreplace")
        elif reconfigure:
            reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
