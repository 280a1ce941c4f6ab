"""The command copy."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest

import backscroll
from backscroll import errors
from backscroll.cli import transfer
from backscroll.cli.exit_codes import ExitCode
from backscroll.message import Message
from backscroll.sqlite.backend import SQLiteBackend
from backscroll.store import Store

PATIENCE = 60
SLOW = "?max_turn_messages=2&durability=process"
"""What a target is opened with so that a copy takes many appends."""


@pytest.fixture
def other(tmp_path: Path) -> str:
    """The URL of a second file that is not there yet."""
    return f"sqlite:///{tmp_path}/other.db"


def talk(count: int) -> list[Message]:
    """Messages that tell one from another."""
    return [Message("user", f"message {n}") for n in range(count)]


def held(url: str) -> dict[str, list[Any]]:
    """Everything that a database holds, but for the seqs."""
    with backscroll.open(url) as store:
        return {
            session_id: [attrs.evolve(record, seq=0) for record in store.iterate(session_id)]
            for session_id in store.sessions(limit=1_000)
        }


def test_copy_says_what_it_did(run: Any, store: Store, url: str, other: str) -> None:
    """All sessions of all pages are copied, and copying again adds nothing."""
    for n in range(150):
        store.append(f"s{n:03} \x1b", talk(3), ttl=None if n % 2 else 1_000)
    ran = run("copy", url, other)
    assert (ran.code, ran.err) == (ExitCode.DONE, "")
    assert ran.out == "150 sessions: 450 messages copied, 450 the same on both sides\n"
    assert held(other) == held(url)
    store.append("new", talk(1))
    assert run("copy", url, other, "--json").objects == [
        {"sessions": 151, "messages": 451, "added": 1, "later": 0, "problems": 0}
    ]


@pytest.mark.parametrize("jobs", [1, 3, 64])
def test_copy_in_parallel(run: Any, store: Store, url: str, other: str, jobs: int) -> None:
    """However many sessions are copied at once, the target is the same."""
    for n in range(40):
        store.append(f"s{n}", talk(n + 1))
    assert run("copy", url, other, "--jobs", jobs).code == ExitCode.DONE
    assert held(other) == held(url)


def test_copy_with_a_prefix(run: Any, store: Store, url: str, other: str) -> None:
    """Only the sessions whose id starts so are copied."""
    for name in ("a", "ab", "b"):
        store.append(name, talk(1))
    assert run("copy", url, other, "--prefix", "a").out.startswith("2 sessions: 2 messages copied")
    assert list(held(other)) == ["a", "ab"]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["SOURCE", "SOURCE"], "SOURCE and TARGET are the same database"),
        (["SOURCE", "env:COPY_SOURCE"], "SOURCE and TARGET are the same database"),
        (["SOURCE", "sqlite://"], "TARGET is a database in memory"),
        (["SOURCE", "sqlite:///:memory:"], "TARGET is a database in memory"),
        (["SOURCE", "chat.db"], "a database URL starts with its scheme"),
        (["SOURCE", "mongo://host/chat"], "no plugin serves this scheme"),
        (["SOURCE", "sqlite:///chat.db?dura=x"], "an option in the URL is unknown"),
        (["SOURCE"], "Missing argument 'TARGET'"),
        (["SOURCE", "TARGET", "--jobs", "0"], "0 is not in the range 1<=x<=64"),
        (["SOURCE", "TARGET", "--prefix", "\ud800"], "prefix: a lone surrogate"),
    ],
)
def test_copy_refuses(run: Any, url: str, other: str, args: list[str], told: str) -> None:
    """What cannot be done is told in one line, and nothing is made."""
    with backscroll.open(url) as store, pytest.MonkeyPatch.context() as patched:
        store.append("s", talk(1))
        patched.setenv("COPY_SOURCE", url)
        ran = run("copy", *({"SOURCE": url, "TARGET": other}.get(arg, arg) for arg in args))
    assert (ran.code, ran.out, ran.err.count("\n")) == (ExitCode.USAGE, "", 1)
    assert told in ran.err
    assert not Path(other.removeprefix("sqlite:///")).exists()


def test_copy_of_nothing(run: Any, url: str, other: str, tmp_path: Path) -> None:
    """A mistyped source is told, and nothing is made."""
    ran = run("copy", url, other)
    assert (ran.code, ran.out) == (ExitCode.FAILED, "")
    assert ran.err == "error: there is no session to copy: is the URL right?\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("side", ["source", "target"])
def test_copy_says_which_side_does_not_answer(run: Any, store: Store, url: str, other: str, side: str) -> None:
    """Before anything is copied."""
    store.append("s", talk(1))
    file = Path((url if side == "source" else other).removeprefix("sqlite:///"))
    store.close()
    file.write_bytes(b"no database at all" * 100)
    ran = run("copy", url, other)
    assert (ran.code, ran.err.count("\n")) == (ExitCode.FAILED, 1)
    assert ran.err.startswith(f"error: the {side}: {file}: is not a SQLite database")


def test_copy_makes_no_schema_where_it_must_not(run: Any, store: Store, url: str, other: str) -> None:
    """A target that is set up by its administrator only is told to be, with the session at which it was noticed."""
    store.append("s", talk(1))
    ran = run("copy", url, f"{other}?setup=never")
    assert (ran.code, ran.out) == (ExitCode.FAILED, "")
    assert "there is no schema yet: call setup(), or run: backscroll setup URL (session s); copy again" in ran.err
    assert run("setup", other).code == ExitCode.DONE
    assert run("copy", url, f"{other}?setup=never").code == ExitCode.DONE


def test_copy_tells_problems_and_goes_on(run: Any, store: Store, url: str, other: str, tmp_path: Path) -> None:
    """A damaged record, one that is too large and a session with other messages are told; the rest is copied."""
    for name in ("damaged", "large", "other\n", "whole"):
        store.append(name, [*talk(2), Message("user", "x" * (2_000 if name == "large" else 1)), Message("user", "z")])
    with closing(sqlite3.connect(tmp_path / "chat.db", isolation_level=None)) as db:
        db.execute("UPDATE message SET body = ? WHERE id = ?", (b"?", 1 << 32 | 1))
    with backscroll.open(other) as target:
        target.append("other\n", talk(1))
    ran = run("copy", url, f"{other}?max_message_bytes=1000")
    assert ran.code == ExitCode.PROBLEMS
    assert ran.out == "4 sessions: 10 messages copied, 10 the same on both sides; 3 problems\n"
    told = sorted(ran.err.splitlines())
    assert [line.rpartition(" (session ")[2] for line in told] == ["other )", "damaged)", "large)"]
    assert told[0].startswith("error: left alone: seq 0 of the target, its newest, is not in the source")
    assert told[1].startswith("error: seq 1 is unreadable and left out: ")
    assert told[2].startswith("error: seq 2 is left out: 2,1")
    assert "over max_message_bytes=1,000" in told[2]
    assert held(other)["whole"] == held(url)["whole"]


def test_copy_that_fails_goes_on_later(
    run: Any, store: Store, url: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a database fails, the error names a session, and copying again goes on from there."""
    for n in range(9):
        store.append(f"s{n}", talk(2))
    land, calls = SQLiteBackend.append, iter(range(100))

    def failing(*args: Any) -> Any:
        if next(calls) == 5:
            raise errors.StorageError("the disk is full: free some space")
        return land(*args)

    with monkeypatch.context() as patched:
        patched.setattr(SQLiteBackend, "append", failing)
        ran = run("copy", url, other, "--jobs", 1)
    assert (ran.code, ran.out) == (ExitCode.FAILED, "")
    assert ran.err == ("error: the disk is full: free some space (session s5); copy again, and it goes on from there\n")
    assert len(held(other)) < 9
    assert run("copy", url, other).code == ExitCode.DONE
    assert held(other) == held(url)


def waited_for(is_so: Callable[[], object]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end


def test_killed_copy_goes_on_where_it_stopped(process: Any, store: Store, url: str, other: str) -> None:
    """A copy that is killed at any place, again and again, and repeated, copies every message once, in order."""
    for n in range(10):
        for _ in range(20):
            store.append(f"s{n}", talk(20))
    whole, kills = held(url), 0
    with backscroll.open(other) as target:

        def copied() -> int:
            return sum(target.version(f"s{n}") for n in range(10))

        while True:
            copy = process("copy", url, other + SLOW)
            waited_for(partial(_has_come_on, copy, copied, copied() + 700))
            if copy.poll() is not None:
                break
            copy.send_signal(signal.SIGKILL)
            copy.wait(PATIENCE)
            kills += 1
            assert all(found == whole[name][: len(found)] for name, found in held(other).items())
    out, err = copy.communicate(timeout=PATIENCE)
    assert (copy.returncode, err) == (ExitCode.DONE, b"")
    assert out.startswith(b"10 sessions: ")
    assert kills > 3
    assert held(other) == whole


def _has_come_on(process: "subprocess.Popen[bytes]", copied: Callable[[], int], far: int) -> bool:
    return process.poll() is not None or copied() > far


def test_two_copies_at_once(process: Any, store: Store, url: str, other: str) -> None:
    """Two processes that copy the same at the same time copy every message once, in order."""
    for n in range(5):
        for _ in range(10):
            store.append(f"s{n}", talk(12))
    both = [process("copy", url, other + SLOW, "--json") for _ in range(2)]
    for one in both:
        out, err = one.communicate(timeout=PATIENCE)
        assert (err, one.returncode) == (b"", ExitCode.DONE)
        assert json.loads(out)["messages"] == 600
    assert held(other) == held(url)


def test_copy_while_writers_go_on(process: Any, store: Store, url: str, other: str) -> None:
    """A copy of a source that is written to is whole up to where it was read, and the next one brings the rest."""
    store.append("s0", talk(1))
    stop = threading.Event()

    def write(name: str) -> None:
        with backscroll.open(f"{url}?durability=process") as writer:
            while not stop.is_set():
                writer.append(name, talk(3))

    writers = [threading.Thread(target=write, args=(f"s{n}",)) for n in range(3)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(2):
            out, err = process("copy", url, other, "--json").communicate(timeout=PATIENCE)
            assert json.loads(out)["problems"] == 0
            assert all(line.endswith(b"copy again to have them, too") for line in err.splitlines())
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert process("copy", url, other).wait(PATIENCE) == ExitCode.DONE
    assert held(other) == held(url)


@pytest.mark.usefixtures("interruptible")
def test_interrupted_copy_says_how_to_go_on(process: Any, store: Store, url: str, other: str) -> None:
    """An interrupt ends it soon, in one line, with the exit code of all commands."""
    for n in range(3):
        store.append(f"s{n}", talk(1_000))
        store.append(f"s{n}", talk(1_000))
    copy = process("copy", url, other + SLOW)
    with backscroll.open(other) as target:
        waited_for(lambda: sum(target.version(f"s{n}") for n in range(3)) > 100)
        copy.send_signal(signal.SIGINT)
        out, err = copy.communicate(timeout=PATIENCE)
        assert sum(target.version(f"s{n}") for n in range(3)) < 6_000
    assert (copy.returncode, out) == (ExitCode.INTERRUPTED, b"")
    assert err == b"note: interrupted: copy again, and it goes on from there\n"
    assert process("copy", url, other).wait(PATIENCE) == ExitCode.DONE
    assert held(other) == held(url)


def test_copy_compares_what_lies_in_the_target(
    run: Any, store: Store, url: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the target lost after it was copied is told, and so is what it got of others."""
    for name in ("kept", "lost", "grown"):
        store.append(name, talk(3))
    in_parallel = transfer.in_parallel

    def meanwhile(jobs: int, act: Any, things: Any, stopping: Any) -> None:
        in_parallel(jobs, act, things, stopping)
        with backscroll.open(other) as target:
            if target.version("grown") == 3:
                target.remove("lost", [1])
                target.append("grown", talk(2))

    monkeypatch.setattr(transfer, "in_parallel", meanwhile)
    ran = run("copy", url, other)
    assert ran.code == ExitCode.PROBLEMS
    assert ran.out == "3 sessions: 9 messages copied, 8 the same on both sides; 2 problems\n"
    assert sorted(ran.err.splitlines()) == [
        "error: seq 1 of the source is not in the target (session lost)",
        "error: seq 3 of the target is not in the source, or not any more, and 1 more (session grown)",
    ]


def test_copy_shows_its_progress_on_a_terminal(store: Store, url: str, other: str, on_terminal: Any) -> None:
    """A bar with what was done, which is gone in the end."""
    for n in range(30):
        store.append(f"s{n}", talk(10))
    shown = on_terminal("stderr", "copy", url, other + SLOW)
    assert shown.piped == b"30 sessions: 300 messages copied, 300 the same on both sides\n"
    assert b"copying: " in shown.screen
    assert b"comparing: 30 sessions, 300 messages copied" in shown.screen


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of a process's memory in /proc")
def test_copy_takes_no_more_memory_for_more(store: Store, url: str, other: str, measuring: str) -> None:
    """Ten times as many sessions, and a session ten times as long, take the same memory."""
    peaks = []
    for many in (1, 10):
        for n in range(200 * many):
            store.append(f"{many} {n}", talk(2))
        for _ in range(2 * many):
            store.append(f"{many} long", [Message("user", "x" * 1_000)] * 1_000)
        command = [sys.executable, "-c", measuring, "copy", url, other, "--prefix", f"{many} "]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
        peaks.append(int(done.stdout.splitlines()[-1]))
    # The larger ones have 18 MB more, which whoever held them would have on top of some 43.
    assert peaks[1] < 1.3 * peaks[0]
