"""How one clause is judged."""

from pathlib import Path
from typing import Any

import pytest

from backscroll.sqlite.backend import SQLiteBackend
from backscroll_conformance.catalogue import BY_ID
from backscroll_conformance.clauses import Clause, Form, Tier
from backscroll_conformance.expect import fail
from backscroll_conformance.outcomes import Verdict
from backscroll_conformance.running import judge
from backscroll_conformance.subject import Subject
from backscroll_conformance.target import EFFORTS, Target

SQLITE = Target(backend="sqlite", url="sqlite:///{folder}/chat.db")


def clause(check: Any) -> Clause:
    """A clause of its own."""
    return Clause(
        id="OWN-001",
        sentence="It MUST hold.",
        tier=Tier.CONTRACT,
        needs=frozenset(),
        lacks=None,
        forms=tuple(Form),
        check=check,
    )


def broken_cleanup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every clean-up fail in the end."""
    clean_up = Subject.finish

    async def finish(self: Subject) -> None:
        await clean_up(self)
        raise OSError("no space")

    monkeypatch.setattr(Subject, "finish", finish)


@pytest.mark.parametrize("form", list(Form))
def test_a_failing_cleanup_does_not_hide_what_failed(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the clause found comes first, and then that cleaning up failed, too."""
    broken_cleanup(monkeypatch)

    async def check(s: Subject) -> None:
        fail("expected 1, saw 2")

    outcome = judge(clause(check), form, SQLITE, 1, EFFORTS["short"])
    assert outcome.verdict is Verdict.FAILED
    assert outcome.evidence == "expected 1, saw 2\ncleaning up failed, too: OSError: no space"


def test_a_failing_cleanup_fails_the_clause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that cannot be cleaned up is told as just that."""
    broken_cleanup(monkeypatch)

    async def check(s: Subject) -> None:
        pass

    outcome = judge(clause(check), Form.SYNC, SQLITE, 1, EFFORTS["short"])
    assert outcome.verdict is Verdict.FAILED
    assert "while the sessions of the clause were deleted" in outcome.evidence


def test_evidence_names_no_folder_of_this_machine() -> None:
    """A place is told by its package and file, and the steps of the event loop are left out."""

    async def check(s: Subject) -> None:
        raise RuntimeError("odd")

    outcome = judge(clause(check), Form.ASYNC, SQLITE, 1, EFFORTS["short"])
    assert "tests/test_running.py" in outcome.evidence
    assert str(Path.cwd()) not in outcome.evidence
    assert "asyncio" not in outcome.evidence


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("operation", ["append", "info"])
def test_what_a_backend_said_is_told(form: Form, operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that the backend did not map is told with its text, and without the secrets of the URL."""

    def unwritten(*_: Any) -> None:
        raise NotImplementedError(f"{operation}: write s3cret")

    async def check(s: Subject) -> None:
        if operation == "append":
            await s.store.append("alice", {"role": "user", "content": "hi!"})
        else:
            await s.store.info("alice")

    unwritten.__name__ = operation
    monkeypatch.setattr(SQLiteBackend, operation, unwritten)
    monkeypatch.setattr(Target, "secrets", lambda _: {"s3cret"})
    outcome = judge(clause(check), form, SQLITE, 1, EFFORTS["short"])
    first, second, *_ = outcome.evidence.splitlines()
    assert "the backend failed with NotImplementedError at test_running.py:" in first
    assert second == f"it said: {operation}: write ***"


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("name", ["RDG-003", "RDG-005", "TTL-004", "CON-010", "MEA-001", "STA-001"])
def test_a_backend_with_small_limits_is_judged_like_others(name: str, form: Form) -> None:
    """Sessions are filled by turns that are no larger than the limits in force."""
    small = {"max_turn_messages": 10, "max_turn_bytes": 20_000, "max_message_bytes": 10_000}
    target = Target(backend="sqlite", url=SQLITE.url, options=small)
    outcome = judge(BY_ID[name], form, target, 1, EFFORTS["short"])
    assert (outcome.verdict, outcome.evidence) == (Verdict.PASSED, "")
