"""``backscroll copy`` into a database and out of it again, for the tests of its plugin."""

import contextlib
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import backscroll
from backscroll import Message
from backscroll.admin import Admin
from backscroll.cli import main
from backscroll.errors import TurnIdReused
from backscroll.opening import open_admin
from backscroll_conformance.expect import equal, fail, true

SESSIONS: Final = 12
"""How many sessions are copied, beside a long one."""

LONG: Final = 1_500
"""How many turns the long one has."""

PATIENCE: Final = 60.0
"""Seconds after which a copy is given up that does not come on."""

Held = dict[str, list[tuple[bytes, int | None]]]


def there_and_back(url: str) -> None:
    """Copy sessions from SQLite into a database, with one copy killed on the way, and back; all of it stays the same.

    Args:
        url: The database; others may use it meanwhile, and their sessions stay as they are.

    Raises:
        Broken: A message was lost, doubled or changed, or a turn is not known any more.
    """
    prefix = f"copy {uuid4().hex}/"
    with tempfile.TemporaryDirectory() as folder:
        before, after = (f"sqlite:///{Path(folder, name)}.db?durability=process" for name in ("before", "after"))
        _fill(before, prefix)
        whole = _held(before, prefix)
        try:
            _killed(before, url, prefix)
            _copied(before, url, prefix)
            equal(_held(url, prefix), whole, "what was copied into the database")
            equal(_copied(before, url, prefix)["added"], 0, "how many messages a second copy added")
            _go_on(url, prefix)
            _copied(url, after, prefix)
            equal(_held(after, prefix), _held(url, prefix), "what was copied out of the database")
        finally:
            with backscroll.open(url) as store:
                for session_id in whole:
                    store.delete(session_id)


def _fill(url: str, prefix: str) -> None:
    """What applications leave: turns of any length, some that expire, some of which messages were dropped."""
    with backscroll.open(url) as store:
        for number in range(SESSIONS):
            session_id = f"{prefix}{number} ü\U0001f600/{{}}*\n\0"
            for turn in range(3 * number + 1):
                text = Message("user", f"{turn} \u2028\0\U0001f600" + "x" * 37 * number)
                call = Message("assistant", tool_calls=[{"id": "c", "function": {"name": "f", "arguments": "{}"}}])
                ttl = (None, 3_600, 7_200)[(turn + number) % 3] if number % 2 else None
                store.append(session_id, [text, call], turn_id=f"{number}.{turn}", ttl=ttl)
            if number % 3 == 0:
                store.remove(session_id, [1, 2, 5 * number])
            if number % 4 == 0:
                store.discard(session_id, before=number)
        for turn in range(LONG):
            store.append(f"{prefix}long", [Message("user", f"{turn}"), Message("assistant", "ok")])


def _go_on(url: str, prefix: str) -> None:
    """What an application does that goes on where it was."""
    last = SESSIONS - 1
    with backscroll.open(url) as store:
        session_id = next(name for name in store.sessions(prefix=f"{prefix}{last} "))
        newest = store.last(session_id, 2)
        again = [record.message for record in newest if isinstance(record, backscroll.Record)]
        answer = store.append(session_id, again, turn_id=f"{last}.{3 * last}")
        true(answer.duplicate, "the last turn was stored again when an application repeated it")
        with contextlib.suppress(TurnIdReused):
            store.append(session_id, Message("user", "other"), turn_id=f"{last}.{3 * last - 1}")
            fail("a turn with the id of another one was stored")
        store.append(f"{prefix}long", Message("user", "and on"))


def _killed(source: str, target: str, prefix: str) -> None:
    """Kill a copy on its way."""
    slow = f"{target}{'&' if '?' in target else '?'}max_turn_messages=5"
    command = [sys.executable, "-m", "backscroll", "copy", source, slow, "--prefix", prefix]
    end = time.monotonic() + PATIENCE
    with backscroll.open(target) as store, subprocess.Popen(command, stdout=subprocess.PIPE) as copy:
        while copy.poll() is None and store.count(f"{prefix}long") < LONG // 4:
            if time.monotonic() > end:
                copy.kill()
                fail(f"a copy did not come on within {PATIENCE:g} s")
        copy.kill()
    with backscroll.open(target) as store:
        true(store.count(f"{prefix}long") < 2 * LONG, "the copy was whole before it could be killed")


def _copied(source: str, target: str, prefix: str) -> dict[str, Any]:
    """Copy, and what it answers."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = main(["copy", source, target, "--prefix", prefix, "--json"])
    equal(code, 0, "the exit code of a copy")
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def _held(url: str, prefix: str) -> Held:
    """The bytes of every message that has not expired, and when each expires; sessions without any are not copied."""
    with open_admin(url) as admin:
        rows = {name: [(row.body, row.expires_at) for row in admin.rows(name)] for name in _names(admin, prefix)}
    return {name: held for name, held in rows.items() if held}


def _names(admin: Admin, prefix: str) -> Iterator[str]:
    page = admin.sessions(prefix=prefix)
    yield from page
    while page.cursor is not None:
        page = admin.sessions(prefix=prefix, cursor=page.cursor)
        yield from page
