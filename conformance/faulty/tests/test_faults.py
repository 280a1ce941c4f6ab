"""Every fault is caught by the clauses named for it and passes all others; the reference passes everything."""

from collections.abc import Iterator

import pytest
from backscroll_faulty.fault import Fault
from backscroll_faulty.faults import FAULTS

from backscroll_conformance.catalogue import CATALOGUE
from backscroll_conformance.outcomes import Outcome, Verdict
from backscroll_conformance.running import judge
from backscroll_conformance.target import EFFORTS, Target

SEED = 4_711
IDS = {clause.id for clause in CATALOGUE}
IN_THE_MATRIX = [fault for fault in FAULTS.values() if not fault.harness]
MOST_ALSO = 4
FEWEST = 40
FINE = {Verdict.PASSED, Verdict.NOT_APPLICABLE}


def judged(target: Target, insist_on: frozenset[str] = frozenset(IDS)) -> Iterator[Outcome]:
    """The outcome of each clause; in its other form only where it is one to insist on that passed in the first."""
    for clause in CATALOGUE:
        for form in clause.forms:
            outcome = judge(clause, form, target, SEED, EFFORTS["short"])
            yield outcome
            if outcome.verdict not in FINE or clause.id not in insist_on:
                break


@pytest.mark.parametrize("fault", IN_THE_MATRIX, ids=lambda fault: fault.name)
def test_a_fault_is_caught_by_its_clauses_and_passes_the_others(fault: Fault) -> None:
    """A faulty backend fails every clause that is named for it, and none that is not."""
    outcomes = list(judged(Target(backend=fault.scheme, url=fault.url), fault.caught_by))
    told = "\n".join(f"{o.clause} {o.form} {o.evidence}" for o in outcomes if o.verdict not in FINE)
    assert {o.verdict for o in outcomes} <= FINE | {Verdict.FAILED}, told
    failed = {o.clause for o in outcomes if o.verdict is Verdict.FAILED}
    missed, unexpected = fault.caught_by - failed, failed - fault.caught_by - fault.also
    assert not missed, told
    assert not unexpected, told


def test_the_reference_passes_everything() -> None:
    """The correct backend passes each clause in each form."""
    outcomes = list(judged(Target(backend="reference", url="reference:///{folder}/db")))
    assert [o for o in outcomes if o.verdict not in FINE] == []
    assert {o.clause for o in outcomes if o.verdict is Verdict.PASSED} >= {c.id for c in CATALOGUE if not c.lacks}


def test_no_clause_is_without_a_fault() -> None:
    """Each clause is the one by which some faulty backend is caught."""
    caught = {one for fault in IN_THE_MATRIX for one in fault.caught_by}
    assert caught == IDS


def test_a_fault_is_narrow() -> None:
    """Each fault is caught by at least one clause, and names at most four others, all of which exist."""
    for fault in IN_THE_MATRIX:
        assert fault.caught_by
        assert len(fault.also) <= MOST_ALSO, fault.name
        assert fault.also <= IDS - fault.caught_by, fault.name


def test_there_are_enough_faults() -> None:
    """There are at least forty, each told in a sentence of its own."""
    assert len(IN_THE_MATRIX) >= FEWEST
    sentences = [fault.what for fault in FAULTS.values()]
    assert len(set(sentences)) == len(sentences)
    assert all(sentence.endswith(".") for sentence in sentences)
