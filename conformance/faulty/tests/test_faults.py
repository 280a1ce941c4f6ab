"""Every fault is caught by the clauses named for it and passes all others; the reference passes everything."""

import gc

import pytest
from backscroll_faulty.fault import Fault
from backscroll_faulty.faults import FAULTS

from backscroll_conformance.catalogue import CATALOGUE
from backscroll_conformance.clauses import Tier
from backscroll_conformance.outcomes import Outcome, Verdict
from backscroll_conformance.running import judge
from backscroll_conformance.target import EFFORTS, Effort, Target

BRIEF = Effort(examples=5, steps=15, seconds=0.15, kills=1, messages=1_000, shrink=False)
SEED = 4_711
OF_SERVERS = "backscroll_conformance.outage"
IDS = {clause.id for clause in CATALOGUE if clause.check.__module__ != OF_SERVERS}
IN_THE_MATRIX = [fault for fault in FAULTS.values() if not fault.harness]
BY_CHANCE = {clause.id for clause in CATALOGUE if clause.tier in (Tier.CONCURRENT, Tier.DURABLE, Tier.MEASURED)}
BY_THE_CLOCK = {"DUP-008", "DUP-011"}
"""What may come out otherwise where the clock of the machine is set meanwhile."""
MOST_ALSO = 4
FEWEST = 40
FINE = {Verdict.PASSED, Verdict.NOT_APPLICABLE}


def judged(target: Target, insist_on: frozenset[str] = frozenset(IDS), seed: int = SEED) -> list[Outcome]:
    """The outcome of each clause; in its other form only where it is one to insist on that passed in the first.

    Tiers without such a clause are gone through more briefly, and where clients race, nothing else is looked at.
    """
    tiers = {clause.tier for clause in CATALOGUE if clause.id in insist_on}
    outcomes = []
    for clause in [each for each in CATALOGUE if each.id in insist_on or each.id not in BY_CHANCE]:
        for form in clause.forms:
            outcome = judge(clause, form, target, seed, EFFORTS["short"] if clause.tier in tiers else BRIEF)
            outcomes.append(outcome)
            if outcome.verdict not in FINE or clause.id not in insist_on:
                break
    return outcomes


def mismatch(fault: Fault, seed: int) -> tuple[set[str], str]:
    """The clauses that should have failed and did not, or the other way round; and what was told."""
    outcomes = judged(Target(backend=fault.scheme, url=fault.url), fault.caught_by, seed)
    gc.collect()  # what a fault leaks must not be told in the next test
    told = "\n".join(f"{o.clause} {o.form} {o.evidence}" for o in outcomes if o.verdict not in FINE)
    assert {o.verdict for o in outcomes} <= FINE | {Verdict.FAILED}, told
    failed = {o.clause for o in outcomes if o.verdict is Verdict.FAILED}
    return (fault.caught_by - failed) | (failed - fault.caught_by - fault.also), told


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("fault", IN_THE_MATRIX, ids=lambda fault: fault.name)
def test_a_fault_is_caught_by_its_clauses_and_passes_the_others(fault: Fault) -> None:
    """A faulty backend fails every clause that is named for it, and none that is not.

    Where clients race, chance has a part in what shows: what has to show there gets a second run, and whatever else is
    wrong may show there, so it is not looked at. What goes by the machine's clock gets a second run, too. That these
    clauses do not fail for nothing is shown by the reference.
    """
    odd, told = mismatch(fault, SEED)
    if odd and odd <= BY_CHANCE | BY_THE_CLOCK:
        again, told_again = mismatch(fault, SEED + 1)
        odd, told = odd & again, f"{told}\n\nand again:\n{told_again}"
    assert not odd, told


def test_the_reference_passes_everything() -> None:
    """The correct backend passes each clause in each form."""
    outcomes = judged(Target(backend="reference", url="reference:///{folder}/db"))
    assert [o for o in outcomes if o.verdict not in FINE] == []
    applicable = {clause.id for clause in CATALOGUE if not clause.lacks} & IDS
    assert {o.clause for o in outcomes if o.verdict is Verdict.PASSED} >= applicable


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
