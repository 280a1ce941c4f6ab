"""The command `backscroll conformance`, and the processes in which it judges."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import sample

from backscroll.registry import Registry
from backscroll_conformance import children
from backscroll_conformance.catalogue import BY_ID
from backscroll_conformance.clauses import DEADLINES, Form, Tier
from backscroll_conformance.matrix import matrix
from backscroll_conformance.outcomes import Outcome, Verdict
from backscroll_conformance.report import save
from backscroll_conformance.running import judge
from backscroll_conformance.target import EFFORTS, Target

PLUGIN = """
import os, re, signal, time
from backscroll.backend import *
from backscroll.hookspecs import BackendInfo, hookimpl
from backscroll.sqlite.backend import SQLiteBackend
from backscroll.sqlite import plugin as sqlite_plugin
import attrs

class Crashing(SQLiteBackend):
    def count(self, *args):
        print("secret-of-the-url", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

class Hanging(SQLiteBackend):
    def count(self, *args):
        time.sleep(3_600)

class Gripping(SQLiteBackend):
    def count(self, *args):
        re.match(r"(a+)+$", "a" * 64 + "b")

class Pinging(SQLiteBackend):
    def ping(self, deadline):
        os.kill(os.getpid(), signal.SIGKILL)

@hookimpl
def backscroll_backends():
    (declared,) = sqlite_plugin.backscroll_backends()
    for name in ("crashing", "hanging", "gripping", "pinging"):
        yield attrs.evolve(declared, name=name, schemes=(name,), factory=f"broken_plugin:{name.title()}")
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
    for name in ("report.json", "report.html", "certificate.md", "junit.xml"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nosuch"], "no plugin serves"),
        (["sqlite", "--url", "nosuch://x"], "no plugin serves"),
        (["sqlite", "--clause", "APP-999"], "APP-999"),
        (["sqlite", "--gap", "APP-999", "why", "https://example.org"], "APP-999"),
        (["sqlite", "--gap", "APP-001", "why", "nowhere"], "needs a reason and a link"),
        (["sqlite", "--profile", "base1"], "did you mean base-1"),
        (["sqlite", "--clause", "APP-001", "--tier", "stateful"], "none of APP-001 is in the tier stateful"),
        (["sqlite", "--from", "there-is-none.json"], "leave out NAME"),
        (["--from", "there-is-none.json"], "there-is-none.json"),
        ([], "name a backend"),
    ],
)
def test_what_cannot_be_judged_ends_with_3(arguments: list[str], told: str, tmp_path: Path) -> None:
    """A wrong name, URL, clause, profile or report is the failure of the harness, told in one line."""
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert told in done.stderr


def test_reports_are_joined_on_one_page(tmp_path: Path) -> None:
    """The page has a column for each, in their order, and goes where it is told to."""
    sqlite = attrs.evolve(sample.ENVIRONMENT, backend="sqlite")
    made = [sample.report(Verdict.FAILED), sample.report(Verdict.PASSED, environment=sqlite)]
    for number, one in enumerate(made):
        save(one, tmp_path / str(number))
    paths = [str(Path(str(number), "report.json")) for number in range(2)]
    done = run("report", *paths, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "written: report.html\n", "")
    assert (tmp_path / "report.html").read_bytes().decode() == matrix(made)
    assert run("report", paths[1], "--output", "here.html", cwd=tmp_path).stdout == "written: here.html\n"
    assert (tmp_path / "here.html").read_bytes().decode() == matrix(made[1:])


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["no-report.json"], 3, "error: no-report.json: no-report.json is no JSON"),
        (["nosuch.json"], 3, "error: nosuch.json: No such file or directory"),
        (["report.json", "no-report.json"], 3, "no-report.json is no JSON"),
        (["report.json", "--output", "nosuch/report.html"], 3, "nosuch/report.html"),
        ([], 2, "Missing argument 'REPORT.JSON...'"),
    ],
)
def test_what_cannot_be_joined_is_named(arguments: list[str], code: int, told: str, tmp_path: Path) -> None:
    """A report that is none, one that is not there, a page that cannot be written; and no page is left."""
    save(sample.report(Verdict.PASSED), tmp_path)
    (tmp_path / "report.html").unlink()
    (tmp_path / "no-report.json").write_text("<html>", encoding="utf-8")
    done = run("report", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert told in done.stderr
    assert not (tmp_path / "report.html").exists()


def test_the_help_names_the_command_that_joins() -> None:
    """Below the options of a run."""
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: backscroll conformance [OPTIONS] [NAME]")
    assert "Commands:\n  report  Join the reports of several runs" in done.stdout


def test_list_has_every_clause() -> None:
    """The list names each clause with its tier, level and sentence."""
    lines = run("--list").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == list(BY_ID)
    assert {len(line.split("\t")) for line in lines} == {4}


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Target]:
    """Backends that end or hold up their process, found by an entry point like any other."""
    (tmp_path / "broken_plugin.py").write_text(PLUGIN, encoding="utf-8")
    information = tmp_path / "broken-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n", encoding="utf-8")
    entries = "".join(f"{name} = broken_plugin\n" for name in ("crashing", "hanging", "gripping", "pinging"))
    (information / "entry_points.txt").write_text(f"[backscroll.plugins]\n{entries}", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return lambda name: Target(backend=name, url=f"{name}:///{{folder}}/chat.db")


def test_backend_that_kills_the_interpreter_fails_its_clause_only(
    broken: Callable[[str], Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend that ends the process fails the clause under way; the others are judged all the same."""
    monkeypatch.setattr(Target, "redacted", lambda self, text: text.replace("secret-of-the-url", "***"))
    told: list[Any] = []
    outcomes = children.run(
        broken("crashing"), [BY_ID["INF-001"], BY_ID["INF-002"], BY_ID["SEQ-001"]], 1, "short", told.append
    )
    expected = {"INF-001": Verdict.PASSED, "INF-002": Verdict.FAILED, "SEQ-001": Verdict.PASSED}
    assert [(one.clause, one.form) for one in outcomes] == [
        (name, form) for name in expected for form in ("sync", "async")
    ]
    assert {one.clause: one.verdict for one in outcomes} == expected
    failed: list[Outcome] = [one for one in outcomes if one.verdict is Verdict.FAILED]
    assert {one.evidence for one in failed} == {"the interpreter was ended by SIGKILL\n***"}
    assert told == outcomes


def test_a_backend_that_never_comes_back_fails_its_clause_only(
    broken: Callable[[str], Target], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A call that hangs is given up at the clause's deadline, and the evidence says where it was."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(DEADLINES, Tier.CONTRACT, 1.0)
    target = broken("hanging")
    monkeypatch.setattr("backscroll_conformance.target.registry", Registry())
    outcome = judge(BY_ID["INF-002"], Form.SYNC, target, 1, EFFORTS["short"])
    assert outcome.verdict is Verdict.FAILED
    assert outcome.evidence.startswith("did not end within 1 s; it was here:")
    assert "broken_plugin.py" in outcome.evidence
    assert str(tmp_path) not in outcome.evidence


def test_a_backend_that_holds_the_interpreter_up_fails_its_clause_only(
    broken: Callable[[str], Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that hangs and lets no other thread run costs its process, and the others are judged all the same."""
    monkeypatch.setitem(DEADLINES, Tier.CONTRACT, 1.0)
    monkeypatch.setattr(children, "GRACE", 3.0)
    outcomes = children.run(broken("gripping"), [BY_ID["INF-002"], BY_ID["SEQ-001"]], 1, "short", lambda _: None)
    verdicts = [(one.clause, one.verdict) for one in outcomes]
    assert verdicts == [("INF-002", Verdict.FAILED)] * 2 + [("SEQ-001", Verdict.PASSED)] * 2
    assert outcomes[0].evidence.startswith("did not end in time, and neither did its thread give way")


def test_a_backend_whose_ping_ends_the_process_is_told_of(broken: Callable[[str], Target]) -> None:
    """The report of a backend that cannot even be pinged says so."""
    assert children.ask(broken("pinging")).unanswered == "its process was ended by SIGKILL"
    assert children.ask(broken("hanging")).server.startswith("SQLite")


def test_a_known_gap_is_repeated_with_its_reason() -> None:
    """A gap that has closed fails the run, and the command that repeats it names the gap."""
    gap = ("APP-001", "It's slow.", "https://example.org/1")
    done = run("sqlite", "--clause", "APP-001", "--effort", "short", "--gap", *gap)
    assert done.returncode == 1
    assert "--gap APP-001 'It'\"'\"'s slow.' https://example.org/1" in done.stdout
