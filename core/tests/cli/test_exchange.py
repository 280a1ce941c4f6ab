"""The commands import and export, and how both fit together."""

import io
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import backscroll
from backscroll import errors
from backscroll.cli import exporting
from backscroll.cli.exit_codes import ExitCode
from backscroll.cli.exporting import export
from backscroll.cli.importing import Importer
from backscroll.cli.jsonl import parse, read_lines
from backscroll.message import ROLES, Message
from backscroll.sqlite.backend import SQLiteBackend
from backscroll.store import Store

PATIENCE = 60
EXAMPLE = Path(__file__).parents[3] / "examples" / "conversations.jsonl"

TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\0\u2028\u2029\x85\n\r"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.builds(
    Message,
    st.sampled_from(sorted(ROLES)),
    TEXT | st.lists(JSON, max_size=3),
    id=st.none() | TEXT,
    name=st.none() | TEXT,
    tool_calls=st.none() | st.lists(JSON, max_size=2),
    tool_call_id=st.none() | TEXT,
    extra=st.none() | st.dictionaries(TEXT | st.just("openai"), JSON, max_size=3),
)
SESSIONS = st.dictionaries(TEXT.filter(bool), st.lists(MESSAGES, min_size=1, max_size=5), max_size=4)


def line(session: str | None, *contents: str) -> bytes:
    """A line of a file."""
    value = {} if session is None else {"session_id": session}
    messages = [{"role": "user", "content": content} for content in contents]
    return json.dumps(value | {"messages": messages}).encode() + b"\n"


def exported(store: Store) -> bytes:
    """What an export of the store writes."""
    target = io.BytesIO()
    for _ in export(store, target, pytest.fail):
        pass
    return target.getvalue()


def bring(store: Store, data: bytes) -> int:
    """Import what was exported; returns how many messages were added."""
    importer = Importer(store)
    lines = read_lines(io.BytesIO(data), 1 << 30)
    return sum(importer.bring(parse(text or b"", f"file:{number}")).added for number, text in lines)


def held(store: Store) -> dict[str, list[Message]]:
    """Everything that a store holds."""
    return {session_id: store.history(session_id).messages for session_id in store.sessions(limit=1_000)}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(SESSIONS)
def test_export_then_import_gives_equal_conversations(conversations: dict[str, list[Message]]) -> None:
    """Whatever can be stored comes back equal through a file, and importing the file again adds nothing."""
    with backscroll.open("sqlite://") as source, backscroll.open("sqlite://") as target:
        for session_id, messages in conversations.items():
            source.append(session_id, messages)
        data = exported(source)
        assert data.count(b"\n") == len(conversations)
        assert bring(target, data) == sum(map(len, conversations.values()))
        assert held(target) == held(source) == conversations
        assert bring(target, data) == 0


def test_long_session_takes_several_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that is too long for one line goes on in the next one, and comes back as one."""
    monkeypatch.setattr(exporting, "LINE_BYTES", 1_000)
    talk = [Message("user", f"{n} " + "x" * 90) for n in range(100)]
    with backscroll.open("sqlite://") as source, backscroll.open("sqlite://") as target:
        source.append("long", talk)
        data = exported(source)
        assert 5 < data.count(b"\n") < 20
        assert max(map(len, data.split(b"\n"))) < 1_400
        assert bring(target, data) == 100
        assert held(target) == {"long": talk}
        assert bring(target, data) == 0


def test_export_holds_only_a_part_in_memory(url: str) -> None:
    """Exporting a session of 20 MB takes a few MB of memory."""
    with backscroll.open(url) as store:
        for _ in range(20):
            store.append("long", [Message("user", "x" * 10_000)] * 100)
        with Path(os.devnull).open("wb") as target:
            tracemalloc.start()
            for _ in export(store, target, pytest.fail):
                pass
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    assert peak < 8_000_000


def test_example_file(run: Any, store: Store, url: str) -> None:
    """The conversations that ship with the project are imported whole, and once."""
    ran = run("import", EXAMPLE, url)
    assert (ran.code, ran.err) == (ExitCode.DONE, "")
    assert ran.out == "6 conversations with 37 messages: 37 added, 0 there already\n"
    assert run("import", EXAMPLE, url).out == "6 conversations with 37 messages: 0 added, 37 there already\n"
    assert len(held(store)["conversations.jsonl:6"]) == 4
    assert "日本語の練習" in held(store)
    assert any(message.tool_calls for message in held(store)["trip-planner/lena"])


def test_import_from_a_pipe(run: Any, store: Store, url: str) -> None:
    """A dash reads a pipe; a line without a session gets its name from there."""
    (answer,) = run("import", "-", url, "--json", stdin=line("a", "hi") + b"\n" + line(None, "ho")).objects
    assert answer == {"conversations": 2, "messages": 2, "added": 2, "broken": 0}
    assert list(store.sessions()) == ["a", "stdin:3"]


def test_broken_line_keeps_the_rest(run: Any, store: Store, url: str, tmp_path: Path) -> None:
    """Each broken line is told with its number and its reason; all others are imported."""
    file = tmp_path / "chat\x1b.jsonl"
    lines = [
        line("a", "1"),
        b'{"session_id": "b", "messages": [\n',
        line("c", "3"),
        b'{"session_id": "d", "messages": [{"role": "user", "content": "fine"}, {"role": "user", "content": [NaN]}]}\n',
        b'{"session_id": "e\x1b\xff"}\n',
        line("f", "6"),
    ]
    file.write_bytes(b"".join(lines))
    ran = run("import", file, url)
    assert ran.code == ExitCode.PROBLEMS
    told = ran.err.splitlines()
    assert [text.rpartition(".jsonl:")[2].partition(":")[0] for text in told] == ["2", "4", "5"]
    assert "messages[1].content[0]: nan is not JSON" in told[1]
    assert "\x1b" not in ran.err
    assert ran.out == "3 conversations with 3 messages: 3 added, 0 there already; 3 broken lines\n"
    assert list(store.sessions()) == ["a", "c", "f"]


def test_what_is_not_imported_is_named(run: Any, url: str) -> None:
    """Keys that the format does not know are named once."""
    text = b'{"title": "t", "tools": [], "messages": [{"role": "user", "content": "hi"}]}\n'
    ran = run("import", "-", url, stdin=text * 3)
    assert ran.err == "note: only session_id and messages are imported, not title, tools\n"
    assert ran.code == ExitCode.DONE


def test_byte_order_mark(run: Any, store: Store, url: str) -> None:
    """A file that starts with the mark of UTF-8 is read as if it did not."""
    assert run("import", "-", url, stdin=b"\xef\xbb\xbf" + line("a", "hi")).code == ExitCode.DONE
    assert list(store.sessions()) == ["a"]


def test_utf16_is_refused_as_a_whole(run: Any, url: str, tmp_path: Path) -> None:
    """A file in UTF-16 is refused with the next step before anything is written."""
    ran = run("import", "-", url, stdin=line("a", "hi").decode().encode("utf-16"))
    assert (ran.code, ran.out, ran.err.count("\n")) == (ExitCode.USAGE, "", 1)
    assert "iconv" in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("args", [["import", "FILE", "URL"], ["export", "URL", "FILE"]], ids=["import", "export"])
@pytest.mark.parametrize("file", ["no/such/file", ".", "sqlite:///swapped.db"])
def test_unusable_file(run: Any, url: str, tmp_path: Path, args: list[str], file: str) -> None:
    """A file that cannot be opened is told in one line, and no database is made."""
    name = file if "://" in file else tmp_path / file
    ran = run(*({"FILE": name, "URL": url}.get(arg, arg) for arg in args))
    assert (ran.code, ran.out, ran.err.count("\n")) == (ExitCode.USAGE, "", 1)
    assert ("FILE is a URL" if "://" in file else f"error: {name.parent if file == '.' else name}") in ran.err or (
        file == "."
    )
    assert ".part" not in ran.err
    assert list(tmp_path.iterdir()) == []


def test_database_that_fails_in_between(run: Any, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the database fails, the error names the line, and importing again goes on from there."""
    land, calls = SQLiteBackend.append, iter(range(100))

    def failing(*args: Any) -> Any:
        if next(calls) == 2:
            raise errors.StorageError("the disk is full: free some space")
        return land(*args)

    data = b"".join(line(f"s{n}", "hi") for n in range(5))
    with monkeypatch.context() as patched:
        patched.setattr(SQLiteBackend, "append", failing)
        ran = run("import", "-", url, stdin=data)
    assert ran.code == ExitCode.FAILED
    assert ran.err == (
        "error: stdin:3: the disk is full: free some space; import again later, and it goes on from here\n"
    )
    assert run("import", "-", url, stdin=data).out == "5 conversations with 5 messages: 3 added, 2 there already\n"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of a process's memory in /proc")
def test_line_of_300_megabytes(store: Store, url: str, measuring: str) -> None:
    """A line over the limit is passed over without being held, whatever its length; its neighbours are imported."""
    command = [sys.executable, "-c", measuring, "import", "-", url, "--max-line-bytes", str(1 << 20), "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.write(line("before", "hi") + b'{"messages": [{"role": "user", "content": "')
        for _ in range(300):
            child.stdin.write(b"x" * (1 << 20))
        child.stdin.write(b'"}]}\n' + line("after", "hi"))
        out, err = child.communicate(timeout=PATIENCE)
    answer, peak = out.splitlines()
    assert child.returncode == ExitCode.PROBLEMS
    assert json.loads(answer) == {"conversations": 2, "messages": 2, "added": 2, "broken": 1}
    assert err == b"error: stdin:2: more than 1,048,576 bytes: raise --max-line-bytes, or split the conversation\n"
    assert int(peak) < 100_000, "KiB"
    assert list(store.sessions()) == ["after", "before"]


def test_killed_import_goes_on_where_it_stopped(process: Any, store: Store, url: str, tmp_path: Path) -> None:
    """An import that is killed and repeated adds every message once, in order."""
    contents = [f"message {n}" for n in range(6_000)]
    file = tmp_path / "long.jsonl"
    file.write_bytes(line("long", *contents[:3_000]) + line("long", *contents[3_000:]))
    slow = f"{url}?max_turn_messages=3"
    killed = process("import", file, slow)
    deadline = time.monotonic() + PATIENCE
    while store.version("long") < 300:
        assert time.monotonic() < deadline
    killed.send_signal(signal.SIGKILL)
    killed.wait(PATIENCE)
    before = store.count("long")
    assert 300 <= before < 6_000
    again = process("import", file, f"{url}?max_turn_messages=1000", "--json")
    out, err = again.communicate(timeout=PATIENCE)
    assert (err, again.returncode) == (b"", ExitCode.DONE)
    assert json.loads(out)["added"] == 6_000 - before
    assert [message.content for message in store.history("long")] == contents


def test_two_imports_at_once_add_everything_once(process: Any, store: Store, url: str, tmp_path: Path) -> None:
    """Two processes that import the same file at the same time add it once, each session in order."""
    contents = [f"message {n}" for n in range(60)]
    file = tmp_path / "chats.jsonl"
    file.write_bytes(b"".join(line(f"s{n % 10}", *contents) for n in range(20)))
    both = [process("import", file, f"{url}?max_turn_messages=2", "--json") for _ in range(2)]
    answers = []
    for one in both:
        out, err = one.communicate(timeout=PATIENCE)
        assert (err, one.returncode) == (b"", ExitCode.DONE)
        answers.append(json.loads(out))
    assert sum(answer["added"] for answer in answers) == 1_200
    assert {session_id: [m.content for m in messages] for session_id, messages in held(store).items()} == {
        f"s{n}": contents * 2 for n in range(10)
    }


def test_export_to_a_file(run: Any, store: Store, url: str, tmp_path: Path) -> None:
    """An export replaces the file as a whole, with all sessions of all pages."""
    for n in range(150):
        store.append(f"s{n:03}", Message("user", "hi"))
    file = tmp_path / "chats.jsonl"
    file.write_text("old")
    ran = run("export", url, file)
    assert (ran.code, ran.out, ran.err) == (ExitCode.DONE, "exported 150 sessions, 150 messages\n", "")
    assert [json.loads(text)["session_id"] for text in file.read_text().splitlines()] == list(held(store))
    assert not list(tmp_path.glob(".*"))


def test_export_follows_a_link(run: Any, store: Store, url: str, tmp_path: Path) -> None:
    """A symbolic link stays one; the file behind it is replaced."""
    store.append("s", Message("user", "hi"))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert run("export", url, tmp_path / "link").code == ExitCode.DONE
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == line("s", "hi")


def test_export_to_what_is_no_file(process: Any, store: Store, url: str, tmp_path: Path) -> None:
    """A named pipe is written to, not replaced."""
    store.append("s", Message("user", "hi"))
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    one = process("export", url, fifo)
    with fifo.open("rb") as reader:
        assert reader.read() == line("s", "hi")
    assert one.wait(PATIENCE) == ExitCode.DONE
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_failed_export_leaves_the_old_file(
    run: Any, store: Store, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that fails in the middle leaves what was there, and nothing else."""
    for n in range(3):
        store.append(f"s{n}", Message("user", "hi"))
    file = tmp_path / "chats.jsonl"
    file.write_text("old")
    read = SQLiteBackend.read

    def failing(backend: SQLiteBackend, session_id: str, *rest: Any) -> Any:
        if session_id == "s2":
            raise errors.StorageError("the disk failed: check it")
        return read(backend, session_id, *rest)

    monkeypatch.setattr(SQLiteBackend, "read", failing)
    ran = run("export", url, file)
    assert (ran.code, ran.err) == (ExitCode.FAILED, "error: the disk failed: check it\n")
    assert file.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir() if "chat.db" not in path.name} == {"chats.jsonl"}


def test_export_leaves_out_what_is_damaged(run: Any, store: Store, url: str, tmp_path: Path) -> None:
    """A damaged record is told with its session and its seq and left out; the rest is written."""
    for session in ("a\n", "b"):
        store.append(session, [Message("user", str(n)) for n in range(3)])
    with sqlite3.connect(tmp_path / "chat.db") as db:
        db.execute("UPDATE message SET body = ? WHERE id = ?", (b"?", 1 << 32 | 1))
    db.close()
    ran = run("export", url, "-")
    assert ran.code == ExitCode.PROBLEMS
    assert ran.out.encode() == line("a\n", "0", "2") + line("b", "0", "1", "2")
    told = ran.err.splitlines()
    assert len(told) == 2
    assert "seq 1 is unreadable and left out" in told[0]
    assert told[1] == "exported 2 sessions, 5 messages"


def test_cleared_session_is_exported_without_messages(run: Any, store: Store, url: str) -> None:
    """A session whose messages are gone is there, and importing it adds nothing."""
    store.append("s", Message("user", "hi"))
    store.clear("s")
    data = run("export", url, "-").out
    assert json.loads(data) == {"session_id": "s", "messages": []}
    assert run("import", "-", url, stdin=data.encode()).out.startswith("1 conversation with 0 messages: 0 added")


def test_export_of_nothing_writes_nothing(run: Any, tmp_path: Path) -> None:
    """A mistyped URL gives no empty backup, and replaces none."""
    target = tmp_path / "backup.jsonl"
    target.write_text("kept")
    done = run("export", f"sqlite:///{tmp_path}/typo.db", str(target))
    assert (done.code, target.read_text()) == (ExitCode.FAILED, "kept")
    assert "no session to export" in done.err
