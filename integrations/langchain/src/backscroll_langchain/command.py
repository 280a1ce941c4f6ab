"""The command ``backscroll migrate``; LangChain is imported when it runs, not for its help."""

import sys
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Final

import click

import backscroll
from backscroll import Store
from backscroll.cli.exit_codes import ExitCode
from backscroll.cli.failures import Failed, Refused
from backscroll.cli.output import counted, emit_json, on_terminal, tell
from backscroll.cli.progress import progress
from backscroll.errors import BackscrollError, InvalidArgument, PluginError, StorageError
from backscroll.url import parse_url

if TYPE_CHECKING:
    from backscroll_langchain.moving import Moved
    from backscroll_langchain.sources import Source

AGAIN: Final = "run it again, and it goes on from there"

COMES_BACK: Final = "what expires there is read from the source again, as long as that is there"

HELP: Final = """Move what LangChain's own chat histories wrote into a store.

SOURCE is langchain+ and the URL of their database, in which the names of their lists or tables are options; env:NAME
stands for the one in the environment variable NAME:

\b
langchain+redis://localhost:6379/0?key_prefix=message_store:
langchain+memorystore://localhost:6379/0
langchain+cassandra://localhost:9042/keyspace?table_name=message_store
langchain+astra:///keyspace?secure_connect_bundle=bundle.zip&token=AstraCS:…
langchain+tidb://user:password@localhost:4000/database?table_name=langchain_message_store
langchain+sql+sqlite:///chat.db?table_name=message_store
langchain+kafka://localhost:9092

Nothing is written there. A move that was interrupted is simply repeated: what is in the store already is not moved
again. After each session both sides are compared. What is damaged, changes while it is moved, or is in the source no
more, is told, and the exit code is 1 then.
"""


@click.command("migrate", help=HELP)
@click.argument("source")
@click.argument("url")
@click.option("--session", "chosen", multiple=True, metavar="ID", help="Move this session only; may be repeated.")
@click.option("--drop-in", is_flag=True, help="Move it to where the drop-in for this class looks, at URL.")
@click.option("--ttl", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="When it expires there.")
@click.option("--json", "as_json", is_flag=True, help="Answer with a JSON object.")
def migrate(*, source: str, url: str, chosen: tuple[str, ...], drop_in: bool, ttl: float | None, as_json: bool) -> None:
    """Move what LangChain's own classes wrote."""
    from backscroll_langchain.sources import opened

    if drop_in and ttl is not None:
        raise Refused(f"--ttl: not with --drop-in: {COMES_BACK}")
    with ExitStack() as stack:
        found = opened(source)
        stack.enter_context(closing(found.original))
        store = stack.enter_context(backscroll.open(url, **(_naming(found, url) if drop_in else {})))
        try:
            done = _moved(found, store, chosen, ttl)
        except KeyboardInterrupt:
            tell("note", f"interrupted: {AGAIN}")
            raise
    _answer(done, as_json)


def _naming(source: "Source", url: str) -> dict[str, object]:
    """The options by which a store lies where a drop-in looks, and takes what it takes."""
    from backscroll_langchain.sharing import largest

    if not source.families:
        raise Refused("--drop-in: there is none for the class of this source: leave it out")
    if (family := parse_url(url).family) not in source.families:
        raise Refused(f"--drop-in: the one for this source looks in {' or '.join(source.families)}, not in {family}")
    return largest(url) | dict(source.naming)


def _moved(source: "Source", store: Store, chosen: tuple[str, ...], ttl: float | None) -> "Moved":
    from backscroll_langchain.moving import Mover

    with ExitStack() as stack:
        whole = len(chosen)
        if not chosen and on_terminal(sys.stderr):
            whole = sum(1 for _ in source.original.session_ids())
        advance = stack.enter_context(progress("moving", whole or None))

        def show() -> None:
            done = mover.done
            advance(done.sessions, f"{counted(done.sessions, 'session')}, {counted(done.added, 'message')}")

        mover = Mover(source.original, store, lambda problem: tell("error", problem), show, ttl=ttl)
        try:
            for session_id in chosen:
                mover.move(session_id)
            if not chosen:
                mover.move_all()
        except (InvalidArgument, PluginError):
            raise
        except BackscrollError as error:
            again = "" if isinstance(error, StorageError) else f"; {AGAIN}"
            raise Failed(f"{error} ({mover.at}){again}") from error
    return mover.done


def _answer(done: "Moved", as_json: bool) -> None:
    if as_json:
        emit_json({name: getattr(done, name) for name in ("sessions", "messages", "added", "problems")})
    else:
        click.echo(
            f"{counted(done.sessions, 'session')} with {counted(done.messages, 'message')}: {done.added:,} moved, "
            f"{done.messages - done.added:,} there already"
            + (f"; {counted(done.problems, 'problem')}" * bool(done.problems))
        )
    if done.problems:
        click.get_current_context().exit(ExitCode.PROBLEMS)
