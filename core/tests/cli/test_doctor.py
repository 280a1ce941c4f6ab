"""The command doctor, on SQLite and on a backend that finds all kinds of things."""

import platform
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

import backscroll
from backscroll.backend import URL, Deadline, Examination, Finding, Health, Severity
from backscroll.cli.exit_codes import ExitCode
from backscroll.hookspecs import BackendInfo, hookimpl
from backscroll.registry import Registry
from backscroll.sqlite.backend import SQLiteBackend
from backscroll.sqlite.options import SQLiteOptions

IN_MEMORY = [
    "warning",
    "it is in memory, and gone with this process",
    "name a file: sqlite:///chat.db",
    "docs/sqlite.md#guarantees",
]


def found(run: Any, url: str) -> list[dict[str, str]]:
    """What the command finds there."""
    (told,) = run("doctor", url, "--json").objects
    findings: list[dict[str, str]] = told["findings"]
    return findings


def test_a_database_that_is_well_is_told_with_what_it_keeps(run: Any, url: str, store: backscroll.Store) -> None:
    """Versions, server, schema, clock, latency, limits and capabilities; nothing on stderr, and the exit code is 0."""
    store.setup()
    ran = run("doctor", url)
    assert (ran.code, ran.err) == (ExitCode.DONE, "")
    lines = [line.split("\t") for line in ran.out.splitlines()]
    told = {line[0]: line[1:] for line in lines}
    assert [told[name] for name in ("url", "backscroll", "python", "plugin", "server", "schema", "clock")] == [
        ["sqlite://"],
        [backscroll.__version__],
        [platform.python_version()],
        [f"backscroll {backscroll.__version__}"],
        [f"SQLite {sqlite3.sqlite_version}"],
        ["version 1"],
        ["+0.0 s"],
    ]
    assert told["latency"][0].endswith(" ms")
    assert {name: told[name] for name in ("durability", "max_ttl", "ttl", "watch")} == {
        "durability": ["server"],
        "max_ttl": ["no limit"],
        "ttl": ["full"],
        "watch": ["unsupported", "SQLite does not tell other processes; follow() polls"],
    }


def test_the_object_has_the_same(run: Any, url: str, store: backscroll.Store) -> None:
    """--json is one object, in the types of JSON."""
    store.setup()
    ran = run("doctor", "--json", url)
    assert (ran.code, ran.err) == (ExitCode.DONE, "")
    (told,) = ran.objects
    assert (told["schema"], told["clock_ahead"], told["findings"]) == ("version 1", 0.0, [])
    assert set(told["latency"]) == {"first_ms", "median_ms"}
    assert min(told["latency"].values()) > 0
    assert told["limits"] == {
        name: getattr(value, "value", value) for name, value in attrs.asdict(store.limits).items()
    }
    assert {name: how["level"] for name, how in told["capabilities"].items()} == {
        one.value: how.level.value for one, how in store.capabilities.items()
    }


def test_nothing_is_changed(run: Any, url: str, tmp_path: Path) -> None:
    """A file that is not there is told, and not made."""
    (told,) = run("doctor", "--json", url).objects
    assert (told["schema"], told["findings"], list(tmp_path.iterdir())) == ("not there yet", [], [])


def test_a_database_in_memory_is_no_place_to_keep_things(run: Any) -> None:
    """The finding stands in the list, how many there are on stderr, and the exit code says so."""
    ran = run("doctor", "sqlite://")
    assert (ran.code, ran.err) == (ExitCode.PROBLEMS, "error: 1 finding to see to; see the list\n")
    assert ran.out.splitlines()[-1].split("\t") == IN_MEMORY


def test_a_file_that_leaves_writing_to_the_system_is_told(run: Any, url: str) -> None:
    """It is as claimed, and a power cut may take the last turns."""
    [finding] = found(run, f"{url}?durability=process")
    assert (finding["severity"], finding["page"]) == ("warning", "docs/sqlite.md#guarantees")
    assert finding["seen"].startswith("synchronous is NORMAL")
    assert found(run, url) == []


def test_a_terminal_shows_the_same_to_people(url: str, on_terminal: Any) -> None:
    """In columns, and the findings below them, each with what to do and its page on lines of their own."""
    doctor = ("stdout", "doctor", f"{url}?durability=process")
    shown = on_terminal(*doctor, COLUMNS="100", NO_COLOR="1")
    assert (shown.code, shown.piped) == (ExitCode.PROBLEMS, b"error: 1 finding to see to; see the list\n")
    lines = lines_of(shown.screen)
    assert "durability          process" in lines
    assert "watch               unsupported; SQLite does not tell other processes; follow() polls" in lines
    assert lines[-4:] == [
        "",
        "warning: synchronous is NORMAL, so that a power cut may take the last turns",
        "  leave durability=process out",
        "  docs/sqlite.md#guarantees",
    ]


def test_a_terminal_shows_that_nothing_was_found(url: str, on_terminal: Any) -> None:
    """In a line below the facts."""
    shown = on_terminal("stdout", "doctor", url, NO_COLOR="1")
    assert (shown.code, shown.piped) == (ExitCode.DONE, b"")
    assert lines_of(shown.screen)[-2:] == ["", "nothing was found that would be wrong in production"]


def lines_of(screen: bytes) -> list[str]:
    """What stands on a screen."""
    return [line.rstrip() for line in re.sub(rb"\x1b\[[0-9;]*m", b"", screen).decode().splitlines()]


def test_a_problem_of_ping_is_a_finding(run: Any, url: str, store: backscroll.Store, tmp_path: Path) -> None:
    """With the same words."""
    assert run("setup", url).code == ExitCode.DONE
    with closing(sqlite3.connect(tmp_path / "chat.db")) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    [finding] = found(run, url)
    assert (finding["severity"], finding["page"]) == ("error", "docs/sqlite.md#layout")
    assert store.ping().problems == (f"{finding['seen']}: {finding['advice']}",)


def test_a_database_that_cannot_be_asked_is_an_error(run: Any, url: str, tmp_path: Path) -> None:
    """As with every other command."""
    (tmp_path / "chat.db").write_bytes(b"no database at all" * 100)
    ran = run("doctor", url)
    assert (ran.code, ran.out, ran.err.count("\n")) == (ExitCode.FAILED, "", 1)
    assert "is not a SQLite database" in ran.err


class Strange(SQLiteBackend):
    """Finds what it is told to find, whatever its URL says."""

    seen: Examination

    def __init__(self, declared: BackendInfo, url: URL, options: SQLiteOptions) -> None:
        super().__init__(declared, URL(url.scheme), options)

    def examine(self, deadline: Deadline) -> Examination:
        """As told."""
        return self.seen

    def ping(self, deadline: Deadline) -> Health:
        """As told."""
        return self.seen.health


class Strangers:
    """The plugin of a third party."""

    @hookimpl
    def backscroll_backends(self) -> list[BackendInfo]:
        """One backend."""
        (info,) = [plugin.backends[0] for plugin in Registry().plugins() if plugin.name == "sqlite"]
        return [attrs.evolve(info, name="strange", schemes=("strange",), factory=f"{__name__}:Strange")]


@pytest.fixture
def strange(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """That plugin, registered."""
    plugin = Strangers()
    backscroll.register(plugin)
    yield monkeypatch
    backscroll.unregister(plugin)


def test_a_plugin_of_a_third_party_brings_its_own(run: Any, strange: pytest.MonkeyPatch) -> None:
    """The worst come first; what could not be seen does not count; what is not told is told so."""
    note, error = Finding(Severity.NOTE, "fsync could not be seen"), Finding(Severity.ERROR, "x is 1", "set 2", "p#a")
    strange.setattr(Strange, "seen", Examination(server="Strange 1", findings=(note, error)), raising=False)
    ran = run("doctor", "strange:")
    lines = ran.out.splitlines()
    assert (ran.code, ran.err) == (ExitCode.PROBLEMS, "error: 1 finding to see to; see the list\n")
    assert {"schema\tnot told", "clock\tnot told", f"plugin\t{__name__}.Strangers"} <= set(lines)
    assert lines[-2:] == ["error\tx is 1\tset 2\tp#a", "note\tfsync could not be seen\t\t"]
    strange.setattr(Strange, "seen", Examination(server="Strange 1", findings=(note,)))
    assert (run("doctor", "strange:").code, run("doctor", "strange:").err) == (ExitCode.DONE, "")


@pytest.mark.parametrize(("ahead", "text"), [(2.5, "2.5 s ahead of this"), (-61.0, "61.0 s behind this"), (0.9, "")])
def test_clocks_that_differ_are_told(run: Any, strange: pytest.MonkeyPatch, ahead: float, text: str) -> None:
    """From a second on, since messages would expire early or late."""
    strange.setattr(Strange, "seen", Examination(server="Strange 1", clock_ahead=ahead), raising=False)
    findings = found(run, "strange:")
    assert [finding["page"] for finding in findings] == ["docs/contract.md#expiry"] * bool(text)
    assert all(text in finding["seen"] for finding in findings)


def test_a_url_is_shown_without_its_secrets(run: Any, strange: pytest.MonkeyPatch) -> None:
    """Its scheme and its hosts, and nothing else of it."""
    strange.setattr(Strange, "seen", Examination(server="Strange 1"), raising=False)
    for as_json in ((), ("--json",)):
        ran = run("doctor", "strange://joe:s3cret@[::1]:99,two/p4th?timeout=7.25", *as_json)
        assert ran.code == ExitCode.DONE
        assert "strange://[::1]:99,two" in ran.out
        assert not [part for part in ("joe", "s3cret", "p4th", "7.25") if part in ran.out + ran.err]
