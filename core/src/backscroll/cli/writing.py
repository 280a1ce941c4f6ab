"""The command that writes a message: ``append``."""

import sys

import click

import backscroll
from backscroll.cli.failures import Failed, Refused
from backscroll.cli.output import emit_json, on_terminal
from backscroll.errors import MessageTooLarge, OutcomeUnknown, VersionConflict, WindowExceeded
from backscroll.message import ROLES, Message
from backscroll.store import Store
from backscroll.values import Appended


@click.command()
@click.argument("url")
@click.argument("session")
@click.argument("text", required=False)
@click.option("--role", type=click.Choice(sorted(ROLES)), default="user", show_default=True, help="Who speaks.")
@click.option("--turn-id", metavar="ID", help="A UUID or any text; the same append again adds nothing.")
@click.option("--expect", type=int, metavar="VERSION", help="Append only at this version; 0 for a new session.")
@click.option("--ttl", type=float, metavar="SECONDS", help="When the message expires.")
@click.option("--json", "as_json", is_flag=True, help="Answer with a JSON object.")
def append(
    *,
    url: str,
    session: str,
    text: str | None,
    role: str,
    turn_id: str | None,
    expect: int | None,
    ttl: float | None,
    as_json: bool,
) -> None:
    """Append a message to a session.

    TEXT is the message; - or nothing reads it from a pipe, without the newline at its end.
    """
    with backscroll.open(url) as store:
        content = _piped(store, explicit=text == "-") if text in (None, "-") else text
        try:
            appended = store.append(session, Message(role, content), turn_id=turn_id, expected_version=expect, ttl=ttl)
        except VersionConflict as error:
            raise Failed(
                f"expected version {error.expected}, but the session is at {error.current}: "
                f"read what is new (backscroll show), then append with --expect {error.current}"
            ) from error
        except OutcomeUnknown as error:
            raise Failed(_unknown(error)) from error
    _answer(session, appended, as_json)


def _piped(store: Store, *, explicit: bool) -> str:
    if on_terminal(sys.stdin) and not explicit:
        raise click.UsageError("there is no TEXT: give one, or pipe it in", click.get_current_context())
    most = min(store.limits.max_message_bytes, store.limits.max_turn_bytes)
    # Two bytes more than fit are enough to know: of them a newline may go.
    data = sys.stdin.buffer.read(most + 2)
    data = data.removesuffix(b"\n").removesuffix(b"\r") if data.endswith(b"\n") else data
    if len(data) > most:
        raise MessageTooLarge("max_message_bytes", most)
    if not data:
        raise Refused("there is nothing on standard input: give TEXT, or pipe it in")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Refused(f"standard input is not UTF-8 at byte {error.start}: convert it with iconv") from None


def _unknown(error: OutcomeUnknown) -> str:
    if isinstance(error, WindowExceeded):
        return f"{error} (backscroll show); its turn_id is {error.turn_id}"
    return f"{error.reason}; it may have been stored or not: repeat the command with --turn-id {error.turn_id}"


def _answer(session: str, appended: Appended, as_json: bool) -> None:
    if as_json:
        emit_json(
            {
                "session_id": session,
                "version": appended.version,
                "seqs": appended.seqs,
                "turn_id": str(appended.turn_id),
                "duplicate": appended.duplicate,
            }
        )
    else:
        what = "was there already" if appended.duplicate else "appended"
        click.echo(f"{what}: seq {appended.seqs[0]}, version {appended.version}")
