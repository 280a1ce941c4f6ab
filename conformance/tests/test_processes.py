"""Clients in processes of their own."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from at_work import eventually, needs_proc, those_in
from planted import planted

from backscroll_conformance.clauses import BOTH, Form
from backscroll_conformance.client import Job, Planned
from backscroll_conformance.expect import Broken
from backscroll_conformance.processes import Client, why_not_elsewhere
from backscroll_conformance.target import Target

PARENT = """
import sys
from backscroll_conformance.client import Job
from backscroll_conformance.clauses import Form
from backscroll_conformance.processes import Client
client = Client(Job.from_json(sys.argv[1]))
print(client.line(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    """SQLite in a file, with its schema."""
    target = Target(backend="sqlite", url=f"sqlite:///{tmp_path}/chat.db")
    with target.open() as store:
        store.setup()
    return target


def appending(target: Target, form: Form = Form.SYNC) -> Job:
    """A job that never ends by itself."""
    return Job(kind="append", target=target, form=form, arguments={"sessions": ["a", "b"], "workers": 3})


@pytest.mark.parametrize("form", BOTH)
def test_what_it_says_is_stored(target: Target, form: Form) -> None:
    """Each line of a client that appends tells of a turn that stands at these seqs, also those heard after the kill."""
    with Client(appending(target, form)) as client:
        lines = [client.line() for _ in range(10)]
        while {line["worker"] for line in lines} != {0, 1, 2} and len(lines) < 5_000:
            lines.append(client.line())
        lines += client.kill()
    with target.open() as store:
        for line in lines:
            turn = Planned(line["worker"], line["number"])
            session_id = "ab"[turn.worker % 2]
            found = store.read(session_id, after=line["seqs"][0] - 1, before=line["seqs"][-1] + 1)
            assert [record.message.content for record in found] == turn.texts  # type: ignore[union-attr]
    assert {line["worker"] for line in lines} == {0, 1, 2}


@needs_proc
def test_none_is_left_behind(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the block is the end of the client, whatever ended the block."""
    monkeypatch.chdir(tmp_path)
    with suppress(ZeroDivisionError), Client(appending(target)) as client:
        assert client.line()
        assert 1 / 0
    assert those_in(tmp_path) <= {client._host._process.pid}


@needs_proc
def test_it_ends_with_the_process_that_started_it(target: Target, tmp_path: Path) -> None:
    """A client ends also where its parent is killed and cannot end it."""
    folder = tmp_path / "here"
    folder.mkdir()
    command = [sys.executable, "-c", PARENT, appending(target).to_json()]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder)
    try:
        assert parent.stdout
        assert parent.stdout.readline()
        assert len(those_in(folder)) >= 3  # the parent, what forks the client, and the client
    finally:
        parent.kill()
        parent.communicate()
    eventually(lambda: not those_in(folder))


def test_what_went_wrong_is_told(tmp_path: Path) -> None:
    """A client that fails says why."""
    nowhere = Target(backend="sqlite", url=f"sqlite:///{tmp_path}/missing/chat.db")
    with Client(appending(nowhere)) as client, pytest.raises(Broken, match=r"failed: StorageError: .*missing"):
        client.line()


def test_waiting_has_a_deadline(target: Target) -> None:
    """A client that says nothing in time is told as such."""
    with Client(appending(target)) as client, pytest.raises(Broken, match="said nothing for 0 s"):
        client.line(0)


@needs_proc
def test_an_ended_one_is_told(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that ended without a word, as one that crashed, is told with its exit code."""
    monkeypatch.chdir(tmp_path)
    with Client(appending(target)) as client:
        client.line()
        (pid,) = those_in(tmp_path) - {client._host._process.pid}
        os.kill(pid, signal.SIGSEGV)
        with pytest.raises(Broken, match=r"ended \(exit code -11\)"):
            all(client.line() for _ in itertools.count())


def test_it_starts_from_any_directory(
    target: Target, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of the current directory that is called like a module does no harm."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in ("json", "queue", "backscroll", "attrs"):
        (folder / f"{name}.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONNODEBUGRANGES", "1")  # makes another process start, here
    with Client(appending(target)) as client:
        assert client.line()["seqs"] is not None


def test_a_relative_path_is_the_same_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client works in the directory in which its parent is when it starts it."""
    monkeypatch.chdir(tmp_path)
    with Client(appending(Target(backend="sqlite", url="sqlite:///here.db"))) as client:
        client.line()
    assert (tmp_path / "here.db").exists()


def test_why_others_cannot_open_it(tmp_path: Path, target: Target) -> None:
    """What only this process has is named: a backend without entry point, an option that is an object."""
    assert why_not_elsewhere(target) == ""
    assert "object of this process" in why_not_elsewhere(
        Target(backend="sqlite", url=target.url, options={"clock": time.time_ns})
    )
    with planted(tmp_path, "") as only_here:
        assert "entry point" in why_not_elsewhere(only_here)
