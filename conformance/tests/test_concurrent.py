"""The concurrent tier asks of a backend what it declares, and passes none of which it has seen nothing."""

import tempfile
from pathlib import Path

import attrs
import pytest
from planted import judged, planted

from backscroll_conformance import children
from backscroll_conformance.catalogue import BY_ID
from backscroll_conformance.clauses import BOTH, Form, Tier
from backscroll_conformance.concurrent import LOST, STALE, WRONG_ANSWER, cleared
from backscroll_conformance.outcomes import Verdict
from backscroll_conformance.target import EFFORTS, Effort, Target
from backscroll_conformance.workload import LONG_TURN, fitting

BRIEF = attrs.evolve(EFFORTS["short"], seconds=0.15)
SQLITE = Target(backend="sqlite", url="sqlite:///{folder}/chat.db")
CONCURRENT = [clause for clause in BY_ID.values() if clause.tier is Tier.CONCURRENT]

TOO_BUSY = """
    def append(self, session_id, turn, deadline):
        if b"client " in turn.bodies[0] or b"shared " in turn.bodies[0]:
            raise Unavailable("too busy")
        return super().append(session_id, turn, deadline)
"""

READS_LATE = """
    def read(self, session_id, window, deadline):
        with self.lock:
            before, self.state[session_id] = self.state.get(session_id), time.monotonic()
            if before is not None and self.state[session_id] - before < 0.1:
                self.state[session_id] = before
                return Page([], None)
        return super().read(session_id, window, deadline)
"""

EVENTUAL = """
from backscroll.backend import Consistency
LIMITS = {"consistency": Consistency.EVENTUAL}
"""

SLOW = """
    def append(self, session_id, turn, deadline):
        time.sleep(0.3)
        return super().append(session_id, turn, deadline)

    def read(self, session_id, window, deadline):
        time.sleep(0.3)
        return super().read(session_id, window, deadline)
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where clients raced, the history is kept in the folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.mark.parametrize("clause", [LOST, WRONG_ANSWER, cleared], ids=lambda clause: clause.id)
def test_where_nothing_lands_nothing_is_shown(tmp_path: Path, clause: object) -> None:
    """A backend that refuses all turns as long as several clients are at work does not pass."""
    with planted(tmp_path, TOO_BUSY, elsewhere=True) as made:
        outcome = judged(BY_ID[clause.id], attrs.evolve(made, options={"timeout": 0.2}), effort=BRIEF)  # type: ignore[attr-defined]
    assert outcome.verdict is Verdict.FAILED
    assert "no append of client 1 was done, so that nothing is shown" in outcome.evidence


def test_a_slow_backend_is_judged_like_others(tmp_path: Path) -> None:
    """Where no call ends within the time of a run, each client has done enough all the same."""
    effort: Effort = attrs.evolve(BRIEF, seconds=0.01)
    with planted(tmp_path, SLOW, elsewhere=True) as made:
        outcome = judged(LOST, made, effort=effort)
    assert (outcome.verdict, outcome.evidence) == (Verdict.PASSED, "")
    assert outcome.figures["appends done at once"] >= 2
    assert outcome.figures["reads done at once"] >= 2


@pytest.mark.parametrize(("plugin", "verdict"), [("", Verdict.FAILED), (EVENTUAL, Verdict.NOT_APPLICABLE)])
def test_stale_reads_are_no_fault_of_one_who_declares_them(tmp_path: Path, plugin: str, verdict: Verdict) -> None:
    """A backend whose reads are eventual is not asked whether they are newer."""
    with planted(tmp_path, READS_LATE, plugin=plugin, elsewhere=True) as made:
        outcome = judged(STALE, made, effort=EFFORTS["short"])
    assert outcome.verdict is verdict
    assert ("EVENTUAL" in outcome.evidence) is (verdict is Verdict.NOT_APPLICABLE)


def test_what_is_wrong_is_told_with_the_calls_around_it(tmp_path: Path) -> None:
    """A timeline for each line of the evidence, also where another process judges."""
    with planted(tmp_path, READS_LATE, elsewhere=True) as made:
        here = judged(STALE, made, effort=EFFORTS["short"])
        elsewhere = children.run(made, [STALE], 1, "short", lambda _: None)
    for outcome in (here, *elsewhere):
        *lines, _ = outcome.evidence.splitlines()
        assert [one.text for one in outcome.timelines] == lines
        assert {one.kind for one in outcome.timelines} == {"stale"}
        for one in outcome.timelines:
            involved = [call for call in one.calls if call.involved]
            assert any(f"read by {call.worker} ({call.begin:.3f}" in one.text for call in involved)
            assert len(one.calls) > len(involved)


@pytest.mark.parametrize("form", BOTH)
def test_what_a_backend_lacks_is_not_asked_of_it(tmp_path: Path, form: Form) -> None:
    """Without conditional appends, TTL and discarding the others are judged, and hold."""
    plugin = "\nLACKS = ('CONDITIONAL_APPEND', 'TTL', 'DISCARD', 'DELETE', 'REMOVE')"
    with planted(tmp_path, "", plugin=plugin, elsewhere=True) as made:
        outcomes = {clause.id: judged(clause, made, form, effort=BRIEF) for clause in CONCURRENT}
    left_out = {"CON-007", "CON-009", "CON-010", "CON-011", "CON-012"}
    expected = {name: Verdict.NOT_APPLICABLE if name in left_out else Verdict.PASSED for name in outcomes}
    assert {name: one.verdict for name, one in outcomes.items()} == expected


@pytest.mark.parametrize(
    ("limits", "longest"),
    [({}, LONG_TURN), ({"max_turn_messages": 2}, 2), ({"max_turn_bytes": 20_000, "max_message_bytes": 10_000}, 39)],
)
def test_turns_are_no_longer_than_the_backend_takes(limits: dict[str, int], longest: int) -> None:
    """By their messages and by their bytes; and with such limits, all holds."""
    target = attrs.evolve(SQLITE, options=limits)
    with target.within(Path("nowhere")).open() as store:
        assert fitting(store.limits, LONG_TURN) == longest
    outcomes = [judged(BY_ID[name], target, effort=BRIEF) for name in ("CON-001", "CON-008", "DUR-001", "DUR-004")]
    assert {(one.verdict, one.evidence) for one in outcomes} == {(Verdict.PASSED, "")}
