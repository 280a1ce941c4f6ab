"""Write the conversations of a store as JSON Lines, holding no more than a page of messages at a time."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from backscroll.cli.output import dumps
from backscroll.cli.reading import all_sessions, as_openai
from backscroll.store import Store

LINE_BYTES: Final = 16 << 20
"""About how long a line gets; the rest of the session goes on in another line, so that an import need not hold it
all at once, nor refuse it."""


@attrs.define
class Exported:
    """How much was written.

    Args:
        sessions: How many sessions.
        messages: How many messages.
        unreadable: How many records could not be read and were left out.
    """

    sessions: int = 0
    messages: int = 0
    unreadable: int = 0


def export(store: Store, target: BinaryIO, report: Callable[[str], None]) -> Iterator[Exported]:
    """Write every session.

    Args:
        store: Where they come from.
        target: Where they go to.
        report: Is told of each record that cannot be read.

    Yields:
        How much was written so far, after each message; always the same object.
    """
    done = Exported()
    for session_id in all_sessions(store):
        done.sessions += 1
        line = _Line(target, session_id)
        for record in store.iterate(session_id):
            try:
                line.add(dumps(as_openai(record)).encode())
                done.messages += 1
            except ValueError as error:
                done.unreadable += 1
                report(f"session {session_id}, seq {record.seq} is unreadable and left out: {error}")
            yield done
        line.end()
    yield done


class _Line:
    """The lines of one session."""

    def __init__(self, target: BinaryIO, session_id: str) -> None:
        self._target = target
        self._head = f'{{"session_id": {dumps(session_id)}, "messages": ['.encode()
        target.write(self._head)
        self._written = 0

    def add(self, message: bytes) -> None:
        """Write one message."""
        if self._written > LINE_BYTES:
            self.end()
            self._target.write(self._head)
            self._written = 0
        self._target.write(b", " + message if self._written else message)
        self._written += len(message)

    def end(self) -> None:
        """End the line."""
        self._target.write(b"]}\n")


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears at `path` when all went well, and not at all otherwise.

    What is there already and is no regular file, such as a device or a named pipe, is written to directly.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        with path.open("wb") as direct:
            yield direct
        return
    part = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        with _created(part, path) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _created(part: Path, path: Path) -> BinaryIO:
    try:
        return part.open("xb")
    except OSError as error:
        error.filename = str(path)
        raise
