"""The commands setup, ping and plugins."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import backscroll
from backscroll.backend import Health
from backscroll.cli.exit_codes import ExitCode
from backscroll.discovery import Plugin, Status
from backscroll.hookspecs import API, BackendInfo, hookimpl
from backscroll.registry import Registry
from backscroll.sqlite.backend import SQLiteBackend


def test_setup_makes_the_database(run: Any, url: str, tmp_path: Path) -> None:
    """The command setup makes the database, ping does not, and both say what answered."""
    assert run("ping", url).code == ExitCode.DONE
    assert list(tmp_path.iterdir()) == []
    ran = run("setup", url)
    assert (ran.code, ran.err) == (ExitCode.DONE, "")
    assert ran.out.startswith("SQLite 3.")
    assert ran.out.endswith(": ready\n")
    assert (tmp_path / "chat.db").exists()
    assert run("setup", url).code == ExitCode.DONE


@pytest.mark.parametrize("command", ["setup", "ping"])
def test_health_problems(run: Any, url: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that fall short are told one a line, and the exit code says so."""
    monkeypatch.setattr(SQLiteBackend, command, lambda *_: Health("SQLite 3", ("slow: mend it", "old: renew it")))
    ran = run(command, url)
    assert (ran.code, ran.out) == (ExitCode.PROBLEMS, "SQLite 3: has problems\n")
    assert ran.err == "warning: slow: mend it\nwarning: old: renew it\n"
    assert run(command, url, "--json").objects == [
        {"server": "SQLite 3", "problems": ["slow: mend it", "old: renew it"]}
    ]


def test_setup_prints_what_it_would_run(run: Any, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One statement a line, with a semicolon, and nothing is done."""
    monkeypatch.setattr(
        SQLiteBackend, "schema_statements", lambda *_: ("CREATE TABLE a (b INT)", "CREATE TABLE c (d INT)")
    )
    ran = run("setup", "--print", url)
    assert (ran.code, ran.err) == (ExitCode.DONE, "")
    assert ran.out == "CREATE TABLE a (b INT);\nCREATE TABLE c (d INT);\n"
    assert run("setup", "--print", "--json", url).objects == [
        {"statements": ["CREATE TABLE a (b INT)", "CREATE TABLE c (d INT)"]}
    ]
    monkeypatch.setattr(SQLiteBackend, "schema_statements", lambda *_: ())
    ran = run("setup", "--print", url)
    assert (ran.code, ran.out, ran.err.count("\n")) == (ExitCode.DONE, "", 1)
    assert list(tmp_path.iterdir()) == []


def test_setup_without_statements_prints_none(run: Any, url: str) -> None:
    """A file is made by more than statements, so that there are none to print."""
    ran = run("setup", "--print", url)
    assert (ran.code, ran.out) == (ExitCode.FAILED, "")
    assert "not made of statements" in ran.err


def test_ping_of_what_is_no_database(run: Any, url: str, tmp_path: Path) -> None:
    """A file that is no database is an error."""
    (tmp_path / "chat.db").write_bytes(b"no database at all" * 100)
    ran = run("ping", url)
    assert (ran.code, ran.err.count("\n")) == (ExitCode.FAILED, 1)
    assert "is not a SQLite database" in ran.err


def test_plugins_are_listed(run: Any) -> None:
    """Every plugin is listed with its status, those that are not installed with the next step."""
    rows = {row["name"]: row for row in run("plugins", "--json").objects}
    assert (rows["sqlite"]["status"], rows["sqlite"]["schemes"]) == ("ok", ["sqlite"])
    listed = [line.split("\t") for line in run("plugins").out.splitlines()]
    assert [row[:2] for row in listed] == [[name, row["status"]] for name, row in rows.items()]
    assert listed[list(rows).index("sqlite")][2] == f"backscroll {backscroll.__version__}"


@pytest.mark.parametrize("status", Status, ids=lambda status: status.value)
def test_strict_fails_for_what_cannot_be_used(run: Any, status: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    """--strict fails for a plugin that should work and does not, not for one that is absent on purpose."""
    plugin = Plugin(name="odd", status=status, detail="does not work")
    monkeypatch.setattr(Registry, "plugins", lambda self, *, strict=False: [plugin])
    fine = status in (Status.OK, Status.MISSING, Status.BLOCKED)
    assert run("plugins", "--strict").code == (ExitCode.DONE if fine else ExitCode.PROBLEMS)
    assert run("plugins").code == ExitCode.DONE


class Odd:
    @hookimpl
    def backscroll_backends(self) -> list[BackendInfo]:
        (info,) = [plugin.backends[0] for plugin in Registry().plugins() if plugin.name == "sqlite"]
        return [
            BackendInfo(
                name="odd",
                schemes=("odd",),
                api=API,
                factory="backscroll.nowhere:Backend",
                options=info.options,
                capabilities=info.capabilities,
                limits=info.limits,
            )
        ]


@pytest.fixture
def odd() -> Iterator[None]:
    """A plugin whose driver does not exist."""
    plugin = Odd()
    backscroll.register(plugin)
    yield
    backscroll.unregister(plugin)


@pytest.mark.usefixtures("odd")
def test_strict_imports_the_drivers(run: Any) -> None:
    """--strict finds a driver that cannot be imported; without it no driver is imported."""
    assert run("plugins").code == ExitCode.DONE
    ran = run("plugins", "--strict")
    assert ran.code == ExitCode.PROBLEMS
    assert "\tbroken\t" in ran.out
    assert ran.err == "error: not every plugin can be used; see the list\n"
