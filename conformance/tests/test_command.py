"""The command `backscroll conformance`, and the processes in which it judges."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backscroll_conformance import children
from backscroll_conformance.catalogue import BY_ID
from backscroll_conformance.outcomes import Outcome, Verdict
from backscroll_conformance.target import Target

PLUGIN = """
import os, signal, time
from backscroll.backend import *
from backscroll.hookspecs import BackendInfo, hookimpl
from backscroll.sqlite.backend import SQLiteBackend
from backscroll.sqlite import plugin as sqlite_plugin
import attrs

class Crashing(SQLiteBackend):
    def count(self, *args):
        print("secret-of-the-url", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

@hookimpl
def backscroll_backends():
    (declared,) = sqlite_plugin.backscroll_backends()
    yield attrs.evolve(declared, name="crashing", schemes=("crashing",), factory="crashing_plugin:Crashing")
"""


def run(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "backscroll", "conformance", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd)


def test_one_clause_is_inconclusive_and_repeatable(tmp_path: Path) -> None:
    """What was not judged makes a run inconclusive, and its report can be read again."""
    first = run("sqlite", "--clause", "APP-001", "--seed", "7", "--report", str(tmp_path / "out"))
    assert (first.returncode, first.stderr.strip()) == (2, "")
    assert "backscroll conformance sqlite --clause APP-001 --profile base-1 --effort normal --seed 7" in first.stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    verdicts = {one["id"]: one["verdict"] for one in report["clauses"]}
    assert verdicts.pop("APP-001") == "passed"
    assert set(verdicts.values()) == {"not run"}

    again = run("--from", str(tmp_path / "out" / "report.json"), "--report", str(tmp_path / "again"))
    assert again.returncode == 2
    for name in ("report.json", "certificate.md", "junit.xml"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nosuch"], "no plugin serves"),
        (["sqlite", "--url", "nosuch://x"], "no plugin serves"),
        (["sqlite", "--clause", "APP-999"], "APP-999"),
        (["sqlite", "--profile", "base1"], "did you mean base-1"),
        (["--from", "there-is-none.json"], "there-is-none.json"),
        ([], "name a backend"),
    ],
)
def test_what_cannot_be_judged_ends_with_3(arguments: list[str], told: str, tmp_path: Path) -> None:
    """A wrong name, URL, clause, profile or report is the failure of the harness, told in one line."""
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert told in done.stderr


def test_list_has_every_clause() -> None:
    """The list names each clause with its tier, level and sentence."""
    lines = run("--list").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == list(BY_ID)
    assert {len(line.split("\t")) for line in lines} == {4}


@pytest.fixture
def crashing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A backend that kills its process in `count`, found by an entry point like any other."""
    (tmp_path / "crashing_plugin.py").write_text(PLUGIN, encoding="utf-8")
    information = tmp_path / "crashing-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: crashing\nVersion: 1\n", encoding="utf-8")
    (information / "entry_points.txt").write_text(
        "[backscroll.plugins]\ncrashing = crashing_plugin\n", encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Target(backend="crashing", url="crashing:///{folder}/chat.db")


def test_backend_that_kills_the_interpreter_fails_its_clause_only(
    crashing: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend that ends the process fails the clause under way; the others are judged all the same."""
    monkeypatch.setattr(Target, "redacted", lambda self, text: text.replace("secret-of-the-url", "***"))
    told: list[Any] = []
    outcomes = children.run(crashing, [BY_ID["INF-001"], BY_ID["INF-002"], BY_ID["SEQ-001"]], 1, "short", told.append)
    expected = {"INF-001": Verdict.PASSED, "INF-002": Verdict.FAILED, "SEQ-001": Verdict.PASSED}
    assert [(one.clause, one.form) for one in outcomes] == [
        (name, form) for name in expected for form in ("sync", "async")
    ]
    assert {one.clause: one.verdict for one in outcomes} == expected
    failed: list[Outcome] = [one for one in outcomes if one.verdict is Verdict.FAILED]
    assert {one.evidence for one in failed} == {"the interpreter was ended by SIGKILL\n***"}
    assert told == outcomes
