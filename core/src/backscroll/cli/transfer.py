"""The command ``copy``."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from backscroll.admin import Admin
from backscroll.cli.copying import Copied, Way, compare_session, copy_session
from backscroll.cli.exit_codes import ExitCode
from backscroll.cli.failures import Failed, Refused
from backscroll.cli.output import counted, emit_json, tell
from backscroll.cli.parallel import in_parallel
from backscroll.cli.progress import progress
from backscroll.cli.reading import all_sessions
from backscroll.cli.spool import Spool
from backscroll.errors import BackscrollError, InvalidArgument, PluginError
from backscroll.opening import open_admin
from backscroll.sqlite.backend import path_of
from backscroll.sqlite.connections import MEMORY
from backscroll.url import URL, parse_url

AGAIN: Final = "copy again, and it goes on from there"

JOBS: Final = 8
"""How many sessions are copied at once, unless told otherwise."""

MOST_JOBS: Final = 64


@click.command("copy")
@click.argument("source")
@click.argument("target")
@click.option("--prefix", default="", metavar="P", help="Only the sessions whose id starts so.")
@click.option(
    "--jobs",
    type=click.IntRange(1, MOST_JOBS),
    default=JOBS,
    show_default=True,
    metavar="N",
    help="How many sessions to copy at once.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer with a JSON object.")
def copy_(*, source: str, target: str, prefix: str, jobs: int, as_json: bool) -> None:
    """Copy sessions from one database into another.

    SOURCE and TARGET are the URLs of any two databases. Messages keep their turn_ids, their times and when they expire;
    seqs and versions are given anew. The source is only read, and may be written to meanwhile.

    Copying again adds only what is not there yet, so a copy that was interrupted, or is to catch up, is simply
    repeated. In the end both sides are read again and compared. What is left out or differs is told; the exit code is
    1 then.
    """
    _check(parse_url(source), parse_url(target))
    try:
        done = _copied(source, target, prefix, jobs)
    except KeyboardInterrupt:
        tell("note", f"interrupted: {AGAIN}")
        raise
    _answer(done, as_json)


def _check(source: URL, target: URL) -> None:
    if source == target:
        raise Refused("SOURCE and TARGET are the same database: nothing is to be copied")
    if target.family == "sqlite" and path_of(target) == MEMORY:
        raise Refused("TARGET is a database in memory, which ends with this command: name a file")


def _copied(source: str, target: str, prefix: str, jobs: int) -> Copied:
    done = Copied()
    with Spool() as listed, Spool() as copied:
        with _opened(source, target) as (one, other):
            for session_id in all_sessions(one, prefix):
                listed.add(session_id)
            if not listed:
                raise Failed("there is no session to copy: is the URL right?")
            with progress("copying", len(listed)) as advance:
                way = Way(one, other, _tell, lambda: advance(done.sessions, _so_far(done)), done)

                def copy(session_id: str) -> None:
                    with _named(session_id):
                        if (seen := copy_session(way, session_id)) is not None:
                            copied.add((session_id, seen))

                in_parallel(jobs, copy, listed, way.stopping)
        # Read by others than those who wrote, who may have at hand what they believe to be there.
        with _opened(source, target) as (one, other), progress("comparing", len(copied)) as advance:
            way = Way(one, other, _tell, lambda: advance(done.compared, _so_far(done)), done)

            def compare(entry: tuple[str, int]) -> None:
                with _named(entry[0]):
                    compare_session(way, *entry)

            in_parallel(jobs, compare, copied, way.stopping)
    return done


@contextmanager
def _opened(source: str, target: str) -> Iterator[tuple[Admin, Admin]]:
    """Both sides, each of which answers."""
    with open_admin(source) as one, open_admin(target) as other:
        for name, side in (("source", one), ("target", other)):
            try:
                side.ping()
            except BackscrollError as error:
                raise Failed(f"the {name}: {error}") from error
        yield one, other


@contextmanager
def _named(session_id: str) -> Iterator[None]:
    """Say of what fails which session it was."""
    try:
        yield
    except (InvalidArgument, PluginError):
        raise
    except BackscrollError as error:
        raise Failed(f"{error} (session {session_id}); {AGAIN}") from error


def _tell(problem: str) -> None:
    tell("error", problem)


def _so_far(done: Copied) -> str:
    return f"{counted(done.sessions, 'session')}, {counted(done.added, 'message')} copied"


def _answer(done: Copied, as_json: bool) -> None:
    if done.later:
        tell("note", f"{counted(done.later, 'message')} came into the source meanwhile: copy again to have them, too")
    if as_json:
        emit_json({name: getattr(done, name) for name in ("sessions", "messages", "added", "later", "problems")})
    else:
        click.echo(
            f"{counted(done.sessions, 'session')}: {counted(done.added, 'message')} copied, "
            f"{done.messages:,} the same on both sides" + f"; {counted(done.problems, 'problem')}" * bool(done.problems)
        )
    if done.problems:
        click.get_current_context().exit(ExitCode.PROBLEMS)
