"""The commands that read: ``show`` and ``sessions``."""

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import click

import backscroll
from backscroll.cli.exit_codes import ExitCode
from backscroll.cli.output import console, dumps, emit, emit_json, escaped, on_terminal, readable, tell
from backscroll.message import Message
from backscroll.reading import Reading
from backscroll.store import Store
from backscroll.values import Record, Unreadable

if TYPE_CHECKING:
    from rich.console import Console

Show = Callable[[Record | Unreadable], None]

UNREADABLE = "(unreadable)"
"""Stands in a listing where else the role of a record stands."""

SECONDS = "%Y-%m-%dT%H:%M:%SZ"


@click.command()
@click.argument("url")
@click.argument("session")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N messages.")
@click.option("--follow", is_flag=True, help="Go on with new messages as they come, until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, exact.")
def show(url: str, session: str, last: int | None, follow: bool, as_json: bool) -> None:
    """Show the messages of a session.

    All of them, unless --last is given. In a pipe each one is a line with its seq, time, role and text. A damaged
    record is shown as such in its place; the exit code is 1 then.
    """
    one = _shower(as_json)
    damaged = seen = 0
    with backscroll.open(url) as store:
        for record in _chosen(store, session, last, follow):
            seen += 1
            if not _shown(one, record):
                damaged += 1
            if follow:
                sys.stdout.flush()
    if not seen:
        tell("note", f"the session {session} has no messages")
    if damaged:
        click.get_current_context().exit(ExitCode.PROBLEMS)


@click.command()
@click.argument("url")
@click.option("--prefix", default="", metavar="P", help="Only those whose id starts so.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, exact.")
def sessions(url: str, prefix: str, as_json: bool) -> None:
    """List the sessions, one a line."""
    found = False
    with backscroll.open(url) as store:
        for session_id in all_sessions(store, prefix):
            found = True
            if as_json:
                emit_json({"session_id": session_id})
            else:
                emit(session_id)
    if not found:
        tell("note", "there is no such session: is the URL right?")


def all_sessions(store: Reading, prefix: str = "") -> Iterator[str]:
    """The ids of all sessions, page by page."""
    page = store.sessions(prefix=prefix)
    yield from page
    while page.cursor is not None:
        page = store.sessions(prefix=prefix, cursor=page.cursor)
        yield from page


def as_openai(record: Record | Unreadable) -> dict[str, Any]:
    """The message of a record in OpenAI's format.

    Raises:
        ValueError: It is unreadable; says why.
    """
    if isinstance(record, Unreadable):
        raise ValueError(record.reason)
    return record.message.to_openai()


def _chosen(store: Store, session: str, last: int | None, follow: bool) -> Iterator[Record | Unreadable]:
    after = None
    if last is not None:
        newest = store.last(session, last)
        yield from newest
        if not follow:
            return
        after = newest[-1].seq if newest else None
    yield from store.follow(session, after=after) if follow else store.iterate(session, after=after)


def _shown(one: Show, record: Record | Unreadable) -> bool:
    try:
        as_openai(record)
    except ValueError as error:
        record = record if isinstance(record, Unreadable) else Unreadable(record.seq, str(error), b"")
        tell("error", f"seq {record.seq} is unreadable: {record.reason}")
    one(record)
    return isinstance(record, Record)


def _shower(as_json: bool) -> Show:
    if as_json:
        return _show_json
    return partial(_show_readably, console()) if on_terminal(sys.stdout) else _show_line


def _show_json(record: Record | Unreadable) -> None:
    if isinstance(record, Unreadable):
        emit_json({"seq": record.seq, "unreadable": record.reason})
        return
    emit_json(
        {
            "seq": record.seq,
            "turn_id": str(record.turn_id),
            "stored_at": record.stored_at.isoformat(),
            "expires_at": record.expires_at and record.expires_at.isoformat(),
            "message": record.message.to_openai(),
        }
    )


def _show_line(record: Record | Unreadable) -> None:
    if isinstance(record, Unreadable):
        emit(str(record.seq), "", UNREADABLE, record.reason)
    else:
        message = record.message
        emit(str(record.seq), record.stored_at.strftime(SECONDS), message.role, "\n".join(_said(message)))


def _show_readably(screen: "Console", record: Record | Unreadable) -> None:
    from rich.padding import Padding
    from rich.text import Text

    if isinstance(record, Unreadable):
        screen.print(Text(f"#{record.seq} {UNREADABLE}", "bold red"))
        lines = [record.reason]
    else:
        message = record.message
        who = message.role if message.name is None else f"{message.role} {escaped(message.name)}"
        head = Text(f"#{record.seq} ", "dim").append(who, f"not dim bold {_COLORS.get(message.role, '')}")
        screen.print(head.append(record.stored_at.astimezone().strftime("  %Y-%m-%d %H:%M:%S")), soft_wrap=True)
        lines = list(_said(message))
    # Indented, so that no text can look like the head of another message.
    screen.print(Padding(Text(readable("\n".join(lines))), (0, 0, 1, 2)))


_COLORS = {"user": "cyan", "assistant": "green", "tool": "yellow"}


def _said(message: Message) -> Iterator[str]:
    """What a message says, for people: its text, its other parts as JSON, and the calls that it asks for."""
    parts = message.content if isinstance(message.content, list) else [message.content]
    for part in parts:
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
            yield part["text"]
        elif part is not None:
            yield dumps(part)
    yield from map(_call, message.tool_calls or ())


def _call(call: Any) -> str:
    with suppress(LookupError, TypeError):
        function = call["function"]
        return f"calls {function['name']}({function['arguments']})"
    return f"calls {dumps(call)}"
