"""The tour shows what is so, and fails where it is not."""

import time
from pathlib import Path
from typing import Any

import pytest

from backscroll import recent as recent_turns
from backscroll.backend import Page, unsupported
from backscroll.capabilities import Capability
from backscroll.cli import tour
from backscroll.cli.exit_codes import ExitCode
from backscroll.sqlite.backend import SQLiteBackend
from backscroll.store import Store


def test_tour_on_its_own_file(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The tour runs on a file of its own, quickly, plainly in a pipe, and leaves nothing behind."""
    monkeypatch.setattr(tour.tempfile, "tempdir", str(tmp_path))
    started = time.monotonic()
    ran = run("tour")
    assert time.monotonic() - started < 5
    assert (ran.code, ran.err) == (ExitCode.DONE, "")
    assert "✗" not in ran.out
    assert "\x1b" not in ran.out
    assert ran.out.count("✓") == sum(len(step.claims) for step in tour.STEPS)
    for step in tour.STEPS:
        assert step.title in ran.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "memory"])
def test_tour_on_a_given_database(run: Any, store: Store, url: str, place: str) -> None:
    """On a database that is given, the tour leaves what is there, and takes its own sessions away again."""
    store.append("mine", {"role": "user", "content": "hi"})
    assert run("tour", url if place == "file" else "sqlite://").code == ExitCode.DONE
    assert list(store.sessions()) == ["mine"]


APPEND = Store.append


def forgetful(*args: Any, expected_version: Any = None, **rest: Any) -> Any:
    """Append, whatever version is expected."""
    return APPEND(*args, **rest)


LIES: dict[str, tuple[Any, str, Any]] = {
    "loses messages": (SQLiteBackend, "read", lambda *_: Page([], None)),
    "forgets turns": (recent_turns, "find_turn", lambda *_: None),
    "ignores expected_version": (Store, "append", forgetful),
    "ignores expiry": (Store, "_now", lambda self: 0),
    "clears nothing": (SQLiteBackend, "discard", lambda *_: None),
}


@pytest.mark.parametrize("lie", LIES)
def test_tour_fails_where_a_claim_does_not_hold(run: Any, monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    """A database that does not do what the tour says ends it with an error."""
    monkeypatch.setattr(*LIES[lie])
    ran = run("tour")
    assert ran.code == ExitCode.FAILED
    assert ran.err.startswith("error: ")


def test_tour_leaves_out_what_is_not_supported(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that the backend does not support is left out, with its reason."""
    monkeypatch.setattr(
        Store,
        "capabilities",
        property(lambda self: self._backend.capabilities | {Capability.TTL: unsupported("it has no clock")}),
    )
    ran = run("tour")
    assert ran.code == ExitCode.DONE
    assert "Left out: sqlite does not support ttl: it has no clock\n" in ran.out
    assert "door code" not in ran.out
