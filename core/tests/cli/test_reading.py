"""The commands show and sessions."""

import io
import json
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from backscroll.cli import reading
from backscroll.cli.exit_codes import ExitCode
from backscroll.message import Message
from backscroll.store import Store
from backscroll.values import Record

HOSTILE = "red \x1b[31m\n#9 user  2020-01-01\tbye\u2028\u202e\\ [bold]:smile:[/bold]"


def fill(store: Store, count: int, session: str = "session") -> None:
    """Append messages that can be told apart."""
    store.append(session, [{"role": "user", "content": f"message {n}"} for n in range(count)])


def damage(path: Path, seq: int, body: bytes) -> None:
    """Overwrite what is stored of a message."""
    with sqlite3.connect(path) as db:
        changed = db.execute("UPDATE message SET body = ? WHERE id & 4294967295 = ?", (body, seq)).rowcount
    db.close()
    assert changed == 1


def test_show_lists_all_messages(run: Any, store: Store, url: str) -> None:
    """All messages are shown, one a line, with seq, time, role and text."""
    fill(store, 250)
    ran = run("show", url, "session")
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert [(row[0], row[2], row[3]) for row in rows] == [(str(n), "user", f"message {n}") for n in range(250)]
    age = datetime.now(UTC) - datetime.strptime(rows[0][1], reading.SECONDS).replace(tzinfo=UTC)
    assert 0 <= age.total_seconds() < 60
    assert (ran.code, ran.err) == (ExitCode.DONE, "")


def test_show_last(run: Any, store: Store, url: str) -> None:
    """--last shows only the last messages."""
    fill(store, 30)
    assert [row["seq"] for row in run("show", url, "session", "--last", 2, "--json").objects] == [28, 29]
    assert run("show", url, "session", "--last", 0).code == ExitCode.USAGE


def test_show_json_is_exact(run: Any, store: Store, url: str) -> None:
    """--json gives every field of every record as it is."""
    messages = [
        Message("user", HOSTILE),
        Message("assistant", None, tool_calls=[{"id": "1"}], extra={"mine": {"a": None}}),
        Message("user", [{"type": "text", "text": "é\x00"}], id="id", name="Zoë"),
    ]
    appended = store.append("session", messages, ttl=3_600)
    rows = run("show", url, "session", "--json").objects
    assert [Message.from_openai(row["message"]) for row in rows] == messages
    assert [row["seq"] for row in rows] == list(appended.seqs)
    records = [record for record in store.iterate("session") if isinstance(record, Record)]
    assert [row["turn_id"] for row in rows] == [str(appended.turn_id)] * 3
    assert [datetime.fromisoformat(row["stored_at"]) for row in rows] == [record.stored_at for record in records]
    assert [datetime.fromisoformat(row["expires_at"]) for row in rows] == [record.expires_at for record in records]


def test_show_keeps_one_record_a_line(run: Any, store: Store, url: str) -> None:
    """No text can end its line or reach the terminal behind a pipe."""
    store.append("session", {"role": "user", "content": HOSTILE})
    ran = run("show", url, "session")
    assert len(ran.out.splitlines()) == 1
    assert "\x1b" not in ran.out
    assert ran.out.split("\t")[3] == r"red \x1b[31m\n#9 user  2020-01-01\tbye\u2028\u202e\\ [bold]:smile:[/bold]" + "\n"


def test_show_says_what_is_in_other_messages(run: Any, store: Store, url: str) -> None:
    """Parts of a message that are no text are shown as JSON, and tool calls as calls."""
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    call = {"id": "call_1", "type": "function", "function": {"name": "forecast", "arguments": '{"place": "Linz"}'}}
    store.append("session", {"role": "user", "content": [{"type": "text", "text": "Look"}, "here", picture]})
    store.append("session", {"role": "assistant", "tool_calls": [call, {"odd": True}, 7]})
    lines = run("show", url, "session").out.splitlines()
    assert lines[0].split("\t")[3] == f"Look\\nhere\\n{json.dumps(picture)}"
    assert lines[1].split("\t")[3] == 'calls forecast({"place": "Linz"})\\ncalls {"odd": true}\\ncalls 7'


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\x00",
        b'{"v":1,"turn_id":"00","stored_at":1,"index":0,"message":{"role":"user","content":"\\ud800"}}',
    ],
    ids=["bytes", "surrogate"],
)
def test_show_isolates_a_damaged_record(run: Any, store: Store, url: str, tmp_path: Path, body: bytes) -> None:
    """A damaged record is shown in its place and told on stderr; its neighbours do not care."""
    fill(store, 3)
    damage(tmp_path / "chat.db", 1, body)
    ran = run("show", url, "session")
    assert [line.split("\t")[0] for line in ran.out.splitlines()] == ["0", "1", "2"]
    assert ran.out.splitlines()[1].split("\t")[2] == reading.UNREADABLE
    assert ran.err.startswith("error: seq 1 is unreadable: ")
    assert ran.code == ExitCode.PROBLEMS
    assert [row["seq"] for row in run("show", url, "session", "--json").objects if "unreadable" in row] == [1]


def test_show_of_nothing(run: Any, url: str, tmp_path: Path) -> None:
    """A session without messages shows nothing, says so, and makes no database."""
    ran = run("show", url, "session")
    assert (ran.code, ran.out, ran.err) == (ExitCode.DONE, "", "note: the session session has no messages\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("last", [[], ["--last", "1"]], ids=["all", "last"])
def test_follow_goes_on_with_new_messages(
    process: Any, next_line: Any, store: Store, url: str, last: list[str]
) -> None:
    """--follow shows what is there, and then each message as it comes."""
    if last:
        fill(store, 3)
    store.append("session", {"role": "user", "content": "first"})
    followed = process("show", url, "session", "--follow", "--json", *last)
    contents = [json.loads(next_line(followed))["message"]["content"]]
    for content in ("second", "third"):
        store.append("session", {"role": "user", "content": content})
        contents.append(json.loads(next_line(followed))["message"]["content"])
    assert contents == ["first", "second", "third"]


def test_follow_waits_for_a_session_that_is_not_there(process: Any, next_line: Any, store: Store, url: str) -> None:
    """--follow of an empty session shows what comes first."""
    followed = process("show", url, "session", "--follow", "--last", "3")
    store.append("session", {"role": "user", "content": "at last"})
    assert b"at last" in next_line(followed)


def test_terminal_shows_text_that_cannot_pretend(store: Store) -> None:
    """On a terminal a text keeps its lines, indented so that none looks like a head, and nothing is interpreted."""
    store.append("session", Message("user", HOSTILE, name="eve\n#8 user"))
    screen = Console(file=io.StringIO(), force_terminal=True, width=90, color_system=None, markup=False, emoji=False)
    reading._show_readably(screen, store.last("session")[0])
    shown = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert shown[0].startswith("#0 user eve\\n#8 user  ")
    assert shown[1].rstrip() == r"  red \x1b[31m"
    assert shown[2].startswith("  #9 user  2020-01-01")
    assert r"bye\u2028\u202e\ [bold]:smile:[/bold]" in shown[2]
    assert not any("\x1b" in line for line in shown)


def test_sessions_lists_every_page(run: Any, store: Store, url: str) -> None:
    """All sessions are listed, over all pages, and --prefix chooses among them."""
    ids = [f"s{n:03}" for n in range(150)] + ["t"]
    for session_id in ids:
        store.append(session_id, {"role": "user", "content": "hi"})
    assert run("sessions", url).out.splitlines() == ids
    assert run("sessions", url, "--prefix", "s14").out.splitlines() == ids[140:150]
    assert run("sessions", url, "--json").objects == [{"session_id": session_id} for session_id in ids]


def test_hostile_sessions_stay_apart(run: Any, store: Store, url: str) -> None:
    """Ids with line ends, escapes and backslashes are one line each, all different; --json is exact."""
    ids = {"a\nb", "a\\nb", "a\x1b[2J", "a\u2028b", "a\tb", " a ", "-a", "[red]a", "日本\x00"}
    for session_id in ids:
        store.append(session_id, {"role": "user", "content": "hi"})
    lines = run("sessions", url).out.removesuffix("\n").split("\n")
    assert len(set(lines)) == len(lines) == len(ids)
    assert not any("\x1b" in line for line in lines)
    assert {row["session_id"] for row in run("sessions", url, "--json").objects} == ids
    assert run("show", url, "--", "-a").out.endswith("\thi\n")


def test_large_session_is_streamed(store: Store, url: str) -> None:
    """Showing a session holds no more than a part of it in memory."""
    for _ in range(40):
        store.append("session", [{"role": "user", "content": "x" * 10_000} for _ in range(100)])
    code = (
        "import resource, sys\n"
        "from backscroll.cli import main\n"
        "main(['show', sys.argv[1], 'session', '--last', '1'])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "main(['show', sys.argv[1], 'session'])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, file=sys.stderr)\n"
    )

    command = [sys.executable, "-c", code, url]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60, check=True)
    assert int(done.stderr) < 15_000, "KiB more than idle, for 40,000"
