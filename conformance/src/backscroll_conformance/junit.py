"""The report as JUnit XML, for the pages of CI systems."""

import re
from typing import Final
from xml.etree import ElementTree as ET

from backscroll.cli.output import readable
from backscroll_conformance.clauses import Level, Tier
from backscroll_conformance.environment import SUITE
from backscroll_conformance.outcomes import Outcome, Verdict
from backscroll_conformance.report import NOT_MET, WAS_NOT_RUN, ClauseReport, Report

_ELEMENTS: Final = {
    Verdict.NOT_APPLICABLE: "skipped",
    Verdict.KNOWN_GAP: "skipped",
    Verdict.NOT_RUN: "error",
    Verdict.ERROR: "error",
    Verdict.GAP_CLOSED: "failure",
    Verdict.FAILED: "failure",
}

LONGEST_MESSAGE: Final = 300
"""How many characters stand in the attribute that CI systems list; the text of the element has all."""

_STILL_ILLEGAL: Final = re.compile("[\ufffe\uffff]")
"""What XML 1.0 cannot hold, beyond what `readable` escapes."""


def junit(report: Report) -> str:
    """The report as JUnit XML: a suite per tier, a case per clause and form.

    What was not run is an error, since no skip counts as a pass; a known gap and a recommendation that is not met are
    skipped, since neither makes the backend fail.
    """
    root = ET.Element("testsuites", name=SUITE)
    for tier in Tier:
        clauses = [clause for clause in report.clauses if clause.tier is tier]
        if clauses:
            _add_suite(root, report, tier, clauses)
    _count(root)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _add_suite(root: ET.Element, report: Report, tier: Tier, clauses: list[ClauseReport]) -> None:
    date = _legal(report.environment.date)
    suite = ET.SubElement(root, "testsuite", name=tier.value, timestamp=date)
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(report).items():
        ET.SubElement(properties, "property", name=name, value=_legal(value))
    for clause in clauses:
        for form in clause.forms:
            _add_case(suite, report, clause, form)
    _count(suite)


def _properties(report: Report) -> dict[str, str]:
    seen = report.environment
    return {
        "profile": report.profile,
        "seed": str(report.seed),
        "effort": report.effort,
        "conclusion": report.conclusion.value,
        SUITE: seen.suite,
        "backscroll": seen.core,
        "backend": seen.backend,
        "plugin": str(seen.plugin or ""),
        "drivers": ", ".join(map(str, seen.drivers)),
        "server": seen.server,
        "python": f"{seen.implementation} {seen.python}",
        "platform": f"{seen.system} {seen.machine}",
        "command": report.command,
    }


def _add_case(suite: ET.Element, report: Report, clause: ClauseReport, form: Outcome) -> None:
    where = _legal(f"{report.profile}.{clause.tier.value}")
    name = _legal(f"{clause.id} ({form.form})")
    case = ET.SubElement(suite, "testcase", classname=where, name=name, time=f"{form.seconds:.3f}")
    if form.verdict is Verdict.PASSED:
        return
    tag, kind = _ELEMENTS[form.verdict], form.verdict.value
    if clause.level is Level.SHOULD and form.verdict is Verdict.FAILED:
        tag, kind = "skipped", NOT_MET
    if form.evidence == WAS_NOT_RUN:
        tag = "skipped"  # nobody asked for it, which the conclusion says
    told = " ".join(form.evidence.split())
    if clause.gap and form.verdict in (Verdict.KNOWN_GAP, Verdict.GAP_CLOSED):
        told = f"{clause.gap.reason} {clause.gap.link}"
    result = ET.SubElement(case, tag, type=kind, message=_legal(f"{kind}: {told}")[:LONGEST_MESSAGE])
    result.text = _legal(f"{clause.sentence}\n\n{form.evidence}")


def _count(element: ET.Element) -> None:
    """Add the counts of all cases below, and the seconds that they took."""
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(name, str(sum(case.find(tag) is not None for case in cases)))
    element.set("time", f"{sum(float(case.attrib['time']) for case in cases):.3f}")


def _legal(text: str) -> str:
    """A text that XML can hold: what it cannot is escaped in a visible way."""
    return _STILL_ILLEGAL.sub("\ufffd", readable(text))
