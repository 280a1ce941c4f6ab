"""The stateful tier finds what does not behave like a list, and tells it as a script."""

import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from planted import judged, planted

from backscroll_conformance import game
from backscroll_conformance.clauses import BOTH, Form
from backscroll_conformance.outcomes import Verdict
from backscroll_conformance.stateful import like_a_list, like_a_list_over_a_bad_line
from backscroll_conformance.target import EFFORTS, Target

SQLITE = Target(backend="sqlite", url="sqlite:///{folder}/chat.db")

PLAYS = """
from hypothesis.configuration import storage_directory
from backscroll_conformance.clauses import Form
from backscroll_conformance.running import judge
from backscroll_conformance.stateful import like_a_list
from backscroll_conformance.target import EFFORTS, Target

sqlite = Target(backend="sqlite", url="sqlite:///{folder}/chat.db")
print(judge(like_a_list, Form.SYNC, sqlite, 1, EFFORTS["short"]).verdict.value)
found = storage_directory(intent_to_write=False)
print(getattr(found, "home_directory", found))
"""

FINDING = attrs.evolve(EFFORTS["short"], examples=60)
SHRINKING = attrs.evolve(FINDING, steps=12, shrink=True)

REMOVES_THE_NEXT = """
    def remove(self, session_id, seqs, now, deadline):
        return super().remove(session_id, (*seqs, seqs[0] + 1), now, deadline)
"""

STORES_A_RETRY_AGAIN = """
    def append(self, session_id, turn, deadline):
        anew = attrs.evolve(turn, turn_id=uuid4() if turn.age else turn.turn_id)
        return attrs.evolve(super().append(session_id, anew, deadline), turn_id=turn.turn_id)
"""

FAILS_ONCE = """
    def remove(self, session_id, seqs, now, deadline):
        removed = super().remove(session_id, seqs, now, deadline)
        if removed and not self.state.setdefault("failed", removed == ()):
            self.state["failed"] = True
            return ()
        return removed
"""

LISTS_IN_NO_ORDER = """
    def sessions(self, prefix, cursor, limit, deadline):
        page = super().sessions(prefix, cursor, limit, deadline)
        return attrs.evolve(page, session_ids=page.session_ids[::-1])
"""


def steps(evidence: str) -> list[str]:
    """The steps of the script in the evidence."""
    return [line.strip() for line in evidence.splitlines() if line.startswith("  state.")]


@pytest.mark.parametrize("form", BOTH)
def test_a_fault_is_told_as_a_short_script(tmp_path: Path, form: Form) -> None:
    """What fails is told with what was expected and seen, and the fewest steps that lead to it."""
    with planted(tmp_path, REMOVES_THE_NEXT) as target:
        outcome = judged(like_a_list, target, form, effort=SHRINKING)
    assert outcome.verdict is Verdict.FAILED
    assert "after these steps" in outcome.evidence
    assert "expected" in outcome.evidence
    assert "saw" in outcome.evidence
    assert "Traceback" not in outcome.evidence
    script = steps(outcome.evidence)
    assert 2 <= len(script) <= 3
    assert re.match(r"state\.append\w*\(session='.+', ", script[0])
    assert re.match(r"state\.remove\(session='.+', places=\{\d+\}\)", script[-1])


def test_the_seed_decides_the_scripts(tmp_path: Path) -> None:
    """The same seed leads to the same script, another one to another."""
    with planted(tmp_path, REMOVES_THE_NEXT) as target:
        told = [steps(judged(like_a_list, target, seed=seed, effort=FINDING).evidence) for seed in (5, 5, 6)]
    assert told[0] == told[1] != told[2]
    assert told[0]


def test_a_fault_behind_a_lost_answer_is_found(tmp_path: Path) -> None:
    """A backend that stores a retry again behaves like a list until an answer is lost, which the script shows."""
    with planted(tmp_path, STORES_A_RETRY_AGAIN) as target:
        outcomes = [judged(clause, target, effort=FINDING) for clause in (like_a_list, like_a_list_over_a_bad_line)]
    assert [outcome.verdict for outcome in outcomes] == [Verdict.PASSED, Verdict.FAILED]
    assert "# append: done, and its answer was lost" in outcomes[1].evidence


def test_a_fault_that_does_not_come_back_is_told_as_such(tmp_path: Path) -> None:
    """What went wrong once fails the clause, though the same steps go well when they are repeated."""
    with planted(tmp_path, FAILS_ONCE) as target:
        outcome = judged(like_a_list, target, effort=FINDING)
    assert outcome.verdict is Verdict.FAILED
    assert "it failed once, and went well when it was repeated" in outcome.evidence
    assert steps(outcome.evidence)


def test_what_a_backend_lacks_is_left_out(tmp_path: Path) -> None:
    """Nothing is asked of a backend that it declares as unsupported, the order of a listing included."""
    lacks = "LACKS = ('CONDITIONAL_APPEND', 'TTL', 'COUNT', 'DISCARD', 'REMOVE', 'DELETE', 'PURGE', 'ORDERED_SESSIONS')"
    with planted(tmp_path, LISTS_IN_NO_ORDER, plugin=lacks) as target:
        outcome = judged(like_a_list, target, effort="short")
    assert (outcome.verdict, outcome.evidence) == (Verdict.PASSED, "")


def test_order_is_asked_of_those_who_declare_it(tmp_path: Path) -> None:
    """A listing in another order fails where it is declared as ordered."""
    with planted(tmp_path, LISTS_IN_NO_ORDER) as target:
        outcome = judged(like_a_list, target, effort=FINDING)
    assert outcome.verdict is Verdict.FAILED
    assert "the sessions that start with" in outcome.evidence


def test_it_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed, not even where a script fails."""
    with planted(tmp_path, REMOVES_THE_NEXT) as target:
        judged(like_a_list, target, effort=FINDING)
    assert capfd.readouterr() == ("", "")


def test_it_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No script is begun when most of the clause's time is up, and the report says how many there were."""
    monkeypatch.setattr(game, "PLAYING", 0.0)
    outcome = judged(like_a_list, SQLITE, effort="long")
    assert (outcome.verdict, outcome.figures) == (Verdict.PASSED, {"random scripts": 0})


def test_it_leaves_nothing_in_the_current_directory(tmp_path: Path) -> None:
    """Neither a run of its own nor hypothesis, whose own folder is that of the user's tests again in the end."""
    command = [sys.executable, "-c", PLAYS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=tmp_path)
    assert done.stdout.split() == ["passed", str(tmp_path / ".hypothesis")]
    assert list(tmp_path.iterdir()) == []
