"""The durable tier catches what a killed client may leave behind."""

from pathlib import Path

import attrs
import pytest
from planted import judged, planted

from backscroll_conformance.clauses import BOTH, Clause, Form
from backscroll_conformance.durable import kept, repeated, unlocked, whole
from backscroll_conformance.outcomes import Verdict
from backscroll_conformance.target import EFFORTS

KILLS = attrs.evolve(EFFORTS["short"], kills=6)

ACKNOWLEDGES_BEFORE_IT_STORES = """
    def append(self, session_id, turn, deadline):
        with self.lock:
            if earlier := self.state.pop(session_id, None):
                super().append(session_id, earlier, deadline)
            self.state[session_id] = turn
            first = self.info(session_id, deadline).version
            end = first + len(turn.bodies)
            return Appended(end, tuple(range(first, end)), turn.turn_id)
"""

STORES_MESSAGE_BY_MESSAGE = """
    def append(self, session_id, turn, deadline):
        with self.lock:
            parts = [attrs.evolve(turn, bodies=(body,)) for body in turn.bodies]
            seqs = super().append(session_id, parts[0], deadline).seqs
            for part in parts[1:]:
                time.sleep(0.01)
                seqs += super().append(session_id, attrs.evolve(part, turn_id=uuid4()), deadline).seqs
        return Appended(seqs[-1] + 1, seqs, turn.turn_id)
"""

LOCKS_WITH_A_FILE = """
    def append(self, session_id, turn, deadline):
        path = self._file.path + ".lock"
        while True:
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL))
                break
            except FileExistsError:
                if not deadline.remaining():
                    raise Unavailable("locked") from None
        try:
            time.sleep(0.002)
            return super().append(session_id, turn, deadline)
        finally:
            os.unlink(path)
"""

KNOWS_ONLY_ITS_OWN_TURNS = """
    def append(self, session_id, turn, deadline):
        with self.lock:
            key = session_id, turn.turn_id
            if key in self.state:
                return attrs.evolve(self.state[key], duplicate=True)
            answer = super().append(session_id, attrs.evolve(turn, turn_id=uuid4()), deadline)
            self.state[key] = attrs.evolve(answer, turn_id=turn.turn_id)
            return self.state[key]
"""


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.parametrize("clause", [kept, whole, unlocked, repeated], ids=lambda clause: clause.id)
def test_it_passes_what_is_durable(tmp_path: Path, clause: Clause, form: Form) -> None:
    """A backend without fault passes."""
    with planted(tmp_path, "", elsewhere=True) as target:
        outcome = judged(clause, target, form, effort="short")
    assert (outcome.verdict, outcome.evidence) == (Verdict.PASSED, "")


@pytest.mark.parametrize(
    ("clause", "fault", "told"),
    [
        (kept, ACKNOWLEDGES_BEFORE_IT_STORES, "which was acknowledged before the client was killed"),
        (whole, STORES_MESSAGE_BY_MESSAGE, "which was under way at the kill"),
        (unlocked, LOCKS_WITH_A_FILE, "another could not append: Unavailable"),
        (repeated, KNOWS_ONLY_ITS_OWN_TURNS, "which was under way and then repeated"),
    ],
    ids=lambda value: getattr(value, "id", ""),
)
def test_it_catches(tmp_path: Path, clause: Clause, fault: str, told: str) -> None:
    """What a backend loses, tears, leaves locked or stores twice when its client is killed is caught and told."""
    with planted(tmp_path, fault, elsewhere=True) as target:
        outcome = judged(clause, attrs.evolve(target, options={"timeout": 5.0}), effort=KILLS)
    assert outcome.verdict is Verdict.FAILED
    assert told in outcome.evidence


def test_what_others_cannot_open_was_not_judged(tmp_path: Path) -> None:
    """A backend that only this process knows neither passes nor fails."""
    with planted(tmp_path, "") as target:
        outcome = judged(kept, target, effort="short")
    assert (outcome.verdict, "entry point" in outcome.evidence) == (Verdict.NOT_RUN, True)
