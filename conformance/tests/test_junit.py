"""The JUnit XML counts what failed, and nothing in a report breaks it."""

from xml.etree import ElementTree as ET

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample import ENVIRONMENT, check

from backscroll.cli.output import readable
from backscroll_conformance.clauses import Clause, Form, Tier
from backscroll_conformance.junit import LONGEST_MESSAGE, junit
from backscroll_conformance.outcomes import Gap, Outcome, Verdict
from backscroll_conformance.report import Report, build

GAP = Gap("Bodies are cut.", "https://example.org/7")


def clause(tier: Tier = Tier.CONTRACT, word: str = "MUST", name: str = "APP-001") -> Clause:
    """A clause of one form."""
    return Clause(name, f"It {word} hold.", tier, frozenset(), None, (Form.SYNC,), check)


def report(clauses: list[Clause], seen: list[Outcome], gaps: dict[str, Gap] | None = None) -> Report:
    """The report of a run."""
    return build(
        clauses,
        seen,
        gaps,
        environment=ENVIRONMENT,
        profile="base-1",
        seed=7,
        effort="short",
        tiers=tuple(Tier),
        command="backscroll conformance mystore",
    )


def outcome(verdict: Verdict, evidence: str = "saw 3\nnot 4", name: str = "APP-001") -> Outcome:
    """What became of a clause."""
    return Outcome(name, "sync", verdict, 0.25, evidence)


@pytest.mark.parametrize(
    ("verdict", "word", "tag", "kind"),
    [
        (Verdict.NOT_APPLICABLE, "MUST", "skipped", "not applicable"),
        (Verdict.NOT_RUN, "MUST", "error", "not run"),
        (Verdict.NOT_RUN, "SHOULD", "error", "not run"),
        (Verdict.ERROR, "MUST", "error", "error"),
        (Verdict.FAILED, "MUST", "failure", "failed"),
        (Verdict.FAILED, "SHOULD", "skipped", "not met"),
    ],
)
def test_what_did_not_pass_has_an_element_with_its_evidence(verdict: Verdict, word: str, tag: str, kind: str) -> None:
    """What was not run is an error, since no skip counts as a pass."""
    case = ET.fromstring(junit(report([clause(word=word)], [outcome(verdict)]))).find(".//testcase")
    assert case is not None
    assert [(tag, kind, f"{kind}: saw 3 not 4", f"It {word} hold.\n\nsaw 3\nnot 4")] == [
        (one.tag, one.get("type"), one.get("message"), one.text) for one in case
    ]


@pytest.mark.parametrize(
    ("verdict", "tag", "kind"),
    [(Verdict.FAILED, "skipped", "known gap"), (Verdict.PASSED, "failure", "gap closed")],
)
def test_a_known_gap_is_told_with_its_reason_and_link(verdict: Verdict, tag: str, kind: str) -> None:
    """It fails the run only once it has closed."""
    result = ET.fromstring(junit(report([clause()], [outcome(verdict)], {"APP-001": GAP}))).find(f".//{tag}")
    assert result is not None
    assert (kind, f"{kind}: Bodies are cut. https://example.org/7") == (result.get("type"), result.get("message"))


def test_what_passed_is_an_empty_case() -> None:
    """With its name, its place and its time."""
    case = ET.fromstring(junit(report([clause()], [outcome(Verdict.PASSED, "")]))).find(".//testcase")
    assert case is not None
    assert list(case) == []
    assert case.attrib == {"classname": "base-1.contract", "name": "APP-001 (sync)", "time": "0.250"}


def test_there_is_a_suite_for_each_tier_with_its_counts() -> None:
    """And their sums above them."""
    verdicts = {
        "APP-001": Verdict.PASSED,
        "APP-002": Verdict.FAILED,
        "APP-003": Verdict.NOT_RUN,
        "APP-004": Verdict.NOT_APPLICABLE,
        "APP-005": Verdict.FAILED,
    }
    clauses = [clause(name=name) for name in verdicts] + [clause(Tier.DURABLE, name="DUR-001")]
    seen = [outcome(verdict, name=name) for name, verdict in verdicts.items()] + [
        outcome(Verdict.ERROR, name="DUR-001")
    ]
    root = ET.fromstring(junit(report(clauses, seen, {"APP-005": GAP})))
    names = ("name", "tests", "failures", "errors", "skipped", "time")
    assert [tuple(one.get(name) for name in names) for one in (root, *root)] == [
        ("backscroll-conformance", "6", "1", "2", "2", "1.500"),
        ("contract", "5", "1", "1", "2", "1.250"),
        ("durable", "1", "0", "1", "0", "0.250"),
    ]


def test_each_suite_says_what_ran() -> None:
    """Versions, profile and seed as properties, the time of the run, and no name of a machine."""
    suite = ET.fromstring(junit(report([clause()], []))).find("testsuite")
    assert suite is not None
    assert (ENVIRONMENT.date, None) == (suite.get("timestamp"), suite.get("hostname"))
    expected = {
        "profile": "base-1",
        "seed": "7",
        "effort": "short",
        "conclusion": "inconclusive",
        "backscroll-conformance": "0.1.0",
        "backscroll": "0.2.0",
        "backend": "mystore",
        "plugin": "backscroll-mystore 1.2",
        "drivers": "mydriver 3.4",
        "server": "MyStore 5",
        "python": "CPython 3.11.0",
        "platform": "Linux x86_64",
        "command": "backscroll conformance mystore",
    }
    assert expected == {one.attrib["name"]: one.attrib["value"] for one in suite.iter("property")}


def test_a_long_message_is_cut_and_the_text_is_whole() -> None:
    """CI systems show the message in lists."""
    result = ET.fromstring(junit(report([clause()], [outcome(Verdict.FAILED, "x" * 5_000)]))).find(".//failure")
    assert result is not None
    assert len(result.attrib["message"]) == LONGEST_MESSAGE
    assert result.text == "It MUST hold.\n\n" + "x" * 5_000


def test_an_empty_report_is_xml() -> None:
    """With nothing counted."""
    root = ET.fromstring(junit(report([], [])))
    assert (root.get("tests"), list(root)) == ("0", [])


@settings(deadline=None)  # others may keep the machine busy
@given(st.text(st.characters()) | st.text("\ud800\x00\x1b\x85\ufffe\uffff]>&<'\"\r\n\t "))
def test_no_text_breaks_the_xml(text: str) -> None:
    """What XML can hold comes back as it is, what it cannot in a visible form."""
    made = report([clause()], [outcome(Verdict.FAILED, text)])
    environment = attrs.evolve(ENVIRONMENT, server=text, date=text)
    made = attrs.evolve(made, environment=environment, profile=text, command=text)
    root = ET.fromstring(junit(made).encode())
    result = root.find(".//failure")
    assert result is not None
    legal = readable(text).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
    assert f"It MUST hold.\n\n{legal}" == result.text
    values = {one.attrib["name"]: one.attrib["value"] for one in root.iter("property")}
    assert [legal] * 3 == [values[name] for name in ("server", "profile", "command")]
