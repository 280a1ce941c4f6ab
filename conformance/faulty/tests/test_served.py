"""Every fault that shows on a server is caught by the clauses named for it; each server clause catches one."""

import pytest
from backscroll_faulty.served import SERVED, ServedFault

from backscroll_conformance.catalogue import CATALOGUE
from backscroll_conformance.clauses import Form
from backscroll_conformance.containers import NoServer
from backscroll_conformance.outcomes import Verdict
from backscroll_conformance.running import judge
from backscroll_conformance.servers import is_required, provided
from backscroll_conformance.target import EFFORTS

CLAUSES = [clause for clause in CATALOGUE if clause.check.__module__ == "backscroll_conformance.outage"]


@pytest.mark.parametrize("fault", SERVED, ids=lambda fault: fault.name)
def test_a_fault_is_caught_by_its_clauses_and_passes_the_others(
    fault: ServedFault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A faulty backend fails every server clause that is named for it, and none that is not."""
    monkeypatch.setattr("backscroll_conformance.outage.BACK", 3.0)
    try:
        with provided("served", None, {"fault": fault.name}) as target:
            outcomes = [judge(clause, Form.SYNC, target, 1, EFFORTS["short"]) for clause in CLAUSES]
    except NoServer as error:
        if is_required():
            raise
        pytest.skip(str(error))
    told = "\n".join(f"{o.clause} {o.verdict.value} {o.evidence}" for o in outcomes)
    assert {o.verdict for o in outcomes} <= {Verdict.PASSED, Verdict.FAILED}, told
    failed = {o.clause for o in outcomes if o.verdict is Verdict.FAILED}
    assert fault.caught_by <= failed <= fault.caught_by | fault.also, told


def test_no_server_clause_is_without_a_fault() -> None:
    """Each clause is the one by which some faulty backend is caught."""
    assert {clause.id for clause in CLAUSES} == {one for fault in SERVED for one in fault.caught_by}
