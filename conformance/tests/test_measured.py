"""The measured tier catches what costs more as a session grows."""

import re
import tracemalloc
from pathlib import Path

import pytest
from planted import judged, planted

from backscroll_conformance.clauses import BOTH, Clause, Form
from backscroll_conformance.measured import append, import_cost, last, memory
from backscroll_conformance.outcomes import Verdict
from backscroll_conformance.target import Target

SQLITE = Target(backend="sqlite", url="sqlite:///{folder}/chat.db")

READS_EVERYTHING = """
    def read(self, session_id, window, deadline):
        found, after = [], -1
        while after is not None:
            page = super().read(session_id, attrs.evolve(window, after=after, newest=False, limit=1000), deadline)
            found, after = found + page.rows, page.resume
        if window.newest:
            return Page(found[::-1][:window.limit], None)
        rows = [row for row in found if row.seq > (-1 if window.after is None else window.after)]
        return Page(rows, None)
"""

WAITS_FOR_EACH_MESSAGE = """
    def append(self, session_id, turn, deadline):
        if len(turn.bodies) == 1:
            time.sleep(self.info(session_id, deadline).version / 50_000)
        return super().append(session_id, turn, deadline)
"""


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.parametrize(
    ("clause", "fault", "told"),
    [
        (last, READS_EVERYTHING, r"last\(20\) took .* ms at 100 messages and .* ms at 3,000"),
        (memory, READS_EVERYTHING, r"more of memory: read page by page"),
        (append, WAITS_FOR_EACH_MESSAGE, r"append took .* ms at 100 messages and .* ms at 3,000"),
    ],
    ids=lambda value: getattr(value, "id", ""),
)
def test_it_catches(tmp_path: Path, clause: Clause, fault: str, told: str, form: Form) -> None:
    """What reads, holds or waits for all that a session has is caught, also by a short run."""
    with planted(tmp_path, fault) as target:
        outcome = judged(clause, target, form, effort="short")
    assert outcome.verdict is Verdict.FAILED
    assert re.search(told, outcome.evidence)


@pytest.mark.parametrize(("clause", "figures"), [(last, 3), (memory, 2), (append, 3), (import_cost, 1)])
def test_it_reports_what_it_measured(clause: Clause, figures: int) -> None:
    """SQLite passes, and the figures are there, with their units."""
    outcome = judged(clause, SQLITE, effort="short")
    assert (outcome.verdict, len(outcome.figures)) == (Verdict.PASSED, figures)
    assert all(value > 0 for value in outcome.figures.values())
    assert any(name.endswith(("(ms)", "(MiB)")) for name in outcome.figures)


@pytest.mark.parametrize("is_traced", [False, True])
def test_tracing_stays_as_it_was(is_traced: bool) -> None:
    """Memory is traced only for as long as it is measured, unless it was traced before."""
    if is_traced:
        tracemalloc.start()
    try:
        assert judged(memory, SQLITE, effort="short").verdict is Verdict.PASSED
        assert tracemalloc.is_tracing() is is_traced
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        ("import time; time.sleep(0.4)", r"importing planted_plugin takes 0\.[4-9]\d s, over 0\.25 s"),
        ("import planted_driver", "importing planted_plugin brings planted_driver: leave them"),
    ],
)
def test_a_heavy_plugin_is_caught(tmp_path: Path, plugin: str, told: str) -> None:
    """A plugin's module that is slow to import or brings a driver is caught; it is a SHOULD."""
    (tmp_path / "planted_driver.py").write_text("")
    with planted(tmp_path, "", plugin=plugin, elsewhere=True) as target:
        outcome = judged(import_cost, target, effort="short")
    assert outcome.verdict is Verdict.FAILED
    assert re.search(told, outcome.evidence)


def test_a_plugin_without_entry_point_has_no_module_to_import(tmp_path: Path) -> None:
    """A backend that the application registered says nothing about imports."""
    with planted(tmp_path, "") as target:
        assert judged(import_cost, target, effort="short").verdict is Verdict.NOT_APPLICABLE
