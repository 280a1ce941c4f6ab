"""The commands ``import`` and ``export``."""

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final

import attrs
import click

import backscroll
from backscroll.cli.exit_codes import ExitCode
from backscroll.cli.exporting import Exported, export, whole_file
from backscroll.cli.failures import Failed, Refused, what_failed
from backscroll.cli.importing import Brought, Importer
from backscroll.cli.jsonl import BrokenLine, WrongEncoding, parse, read_lines
from backscroll.cli.output import counted, emit_json, on_terminal, tell
from backscroll.cli.progress import Advance, progress
from backscroll.errors import BackscrollError, InvalidArgument, PluginError
from backscroll.store import Store

MOST_LINE_BYTES: Final = 64 << 20


@attrs.define
class Imported:
    """How an import went."""

    conversations: int = 0
    messages: int = 0
    added: int = 0
    broken: int = 0
    unused: set[str] = attrs.field(factory=set)


@click.command("import")
@click.argument("file")
@click.argument("url")
@click.option(
    "--max-line-bytes",
    type=click.IntRange(min=1),
    default=MOST_LINE_BYTES,
    show_default=True,
    metavar="N",
    help="A longer line counts as broken.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer with a JSON object.")
def import_(file: str, url: str, max_line_bytes: int, as_json: bool) -> None:
    """Import conversations from a file; - is a pipe.

    The file holds JSON Lines, one conversation a line, messages in OpenAI's chat format:

    {"session_id": "…", "messages": [{"role": "user", "content": "…"}, …]}

    A line without session_id becomes the session FILE:LINE, stdin:LINE in a pipe.

    Importing a file again adds only what is not there yet, so an import that was interrupted is simply repeated. A
    line that is broken is told with its number and left out; the exit code is 1 then.
    """
    name = "stdin" if file == "-" else _text(Path(file).name)
    with ExitStack() as stack:
        store = stack.enter_context(backscroll.open(url))
        source = sys.stdin.buffer if file == "-" else _opened(file, lambda: stack.enter_context(Path(file).open("rb")))
        advance = stack.enter_context(progress("importing", _size(source)))
        try:
            done = _imported(store, source, name, max_line_bytes, advance)
        except WrongEncoding as error:
            raise Refused(f"{name}: {error}") from None
        except KeyboardInterrupt:
            tell("note", "interrupted: import again, and it goes on from here")
            raise
    _answer(done, as_json)


@click.command("export")
@click.argument("url")
@click.argument("file")
def export_(url: str, file: str) -> None:
    """Export all conversations to a file; - is a pipe.

    The file holds what import takes; a very long conversation goes over several lines. It appears, or is replaced,
    only when it is complete, and not at all where there is no session. A record that is damaged is told and left out;
    the exit code is 1 then.
    """
    to_stdout = file == "-"
    done = Exported()
    with ExitStack() as stack:
        store = stack.enter_context(backscroll.open(url))
        target = sys.stdout.buffer if to_stdout else _opened(file, lambda: stack.enter_context(whole_file(Path(file))))
        # On a terminal the conversations themselves show that something happens.
        quiet = to_stdout and on_terminal(sys.stdout)
        advance = stack.enter_context(progress("exporting", None, quiet=quiet))
        for done in export(store, target, lambda reason: tell("error", reason)):
            advance(0, f"{counted(done.sessions, 'session')}, {counted(done.messages, 'message')}")
        if not done.sessions and not done.unreadable:
            raise Failed("there is no session to export, so nothing was written: is the URL right?")
    click.echo(f"exported {counted(done.sessions, 'session')}, {counted(done.messages, 'message')}", err=to_stdout)
    if done.unreadable:
        click.get_current_context().exit(ExitCode.PROBLEMS)


def _imported(store: Store, source: BinaryIO, name: str, most: int, advance: Advance) -> Imported:
    importer, done, offset = Importer(store), Imported(), 0
    for number, line in read_lines(source, most):
        try:
            _count(done, *_brought(importer, line, name, number, most))
        except BrokenLine as error:
            done.broken += 1
            tell("error", f"{name}:{number}: {error}")
        except PluginError:
            raise
        except BackscrollError as error:
            raise Failed(f"{name}:{number}: {error}; import again later, and it goes on from here") from error
        offset += len(line or b"")
        advance(offset, f"{counted(done.conversations, 'conversation')}, {counted(done.messages, 'message')}")
    return done


def _brought(
    importer: Importer, line: bytes | None, name: str, number: int, most: int
) -> tuple[Brought, tuple[str, ...]]:
    if line is None:
        raise BrokenLine(f"more than {most:,} bytes: raise --max-line-bytes, or split the conversation")
    conversation = parse(line, f"{name}:{number}")
    try:
        return importer.bring(conversation), conversation.unused
    except InvalidArgument as error:
        raise BrokenLine(str(error)) from None


def _count(done: Imported, brought: Brought, unused: tuple[str, ...]) -> None:
    done.conversations += 1
    done.messages += brought.added + brought.present
    done.added += brought.added
    done.unused.update(unused)


def _answer(done: Imported, as_json: bool) -> None:
    if done.unused:
        tell("note", f"only session_id and messages are imported, not {', '.join(sorted(done.unused))}")
    if as_json:
        fields = {name: getattr(done, name) for name in ("conversations", "messages", "added", "broken")}
        emit_json(fields)
    else:
        there = done.messages - done.added
        click.echo(
            f"{counted(done.conversations, 'conversation')} with {counted(done.messages, 'message')}: "
            f"{done.added:,} added, {there:,} there already"
            + (f"; {counted(done.broken, 'broken line')}" * bool(done.broken))
        )
    if done.broken:
        click.get_current_context().exit(ExitCode.PROBLEMS)


def _opened(file: str, opening: Callable[[], BinaryIO]) -> BinaryIO:
    if "://" in file:
        raise Refused("FILE is a URL: write import FILE URL, and export URL FILE")
    try:
        return opening()
    except OSError as error:
        raise Refused(what_failed(error)) from error


def _size(source: BinaryIO) -> int | None:
    try:
        return os.fstat(source.fileno()).st_size or None
    except OSError:  # it has no file beneath
        return None


def _text(name: str) -> str:
    """A file's name as text, whatever bytes it is made of."""
    return os.fsencode(name).decode(errors="backslashreplace")
