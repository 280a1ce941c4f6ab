"""The report is made of outcomes, written, and read again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import sample
from hypothesis import given, settings
from hypothesis import strategies as st
from sample import check

from backscroll_conformance.clauses import Clause, Form, Level, Tier
from backscroll_conformance.environment import Declared
from backscroll_conformance.outcomes import Conclusion, Gap, Outcome, Verdict, conclude
from backscroll_conformance.report import (
    SCHEMA,
    WAS_NOT_RUN,
    ClauseReport,
    Report,
    UnknownReport,
    build,
    load,
    save,
)

GAP = Gap("Bodies are cut.", "https://example.org/7")
ENVIRONMENT = attrs.evolve(
    sample.ENVIRONMENT,
    problems=("turn fsync on",),
    capabilities=(Declared("ttl", "unsupported", "no clock"),),
    limits={"dedupe_turns": 16, "max_ttl": None, "durability": "server"},
)


def clause(id: str = "APP-001", word: str = "MUST", tier: Tier = Tier.CONTRACT, *forms: Form) -> Clause:
    """A clause, in both forms unless told otherwise."""
    return Clause(id, f"It {word} hold.", tier, frozenset(), None, forms or tuple(Form), check)


def outcomes(sync: Verdict, other: Verdict | None = None, id: str = "APP-001") -> list[Outcome]:
    """The outcomes of a clause in both forms."""
    verdicts = {"sync": sync, "async": other or sync}
    return [Outcome(id, form, verdict, 1.25, f"saw {form}") for form, verdict in verdicts.items()]


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
        tiers=(Tier.CONTRACT,),
        command="backscroll conformance mystore --seed 7",
    )


FULL = report(
    [clause("APP-001"), clause("APP-002"), clause("MEA-004", "SHOULD", Tier.MEASURED, Form.SYNC)],
    [
        *outcomes(Verdict.PASSED),
        *outcomes(Verdict.FAILED, id="APP-002"),
        Outcome("MEA-004", "sync", Verdict.FAILED, 0.5, "slow", {"import (s)": 1.5, "modules": ["a", None, True]}),
    ],
    {"APP-002": GAP},
)


def test_a_report_says_what_it_was_given() -> None:
    """The fields of the run, and for each clause its rule, level, tier, forms and time."""
    seen = outcomes(Verdict.PASSED)
    expected = Report(
        schema=SCHEMA,
        environment=ENVIRONMENT,
        profile="base-1",
        seed=7,
        effort="short",
        tiers=(Tier.CONTRACT,),
        command="backscroll conformance mystore --seed 7",
        clauses=(
            ClauseReport(
                "APP-001", Level.MUST, Tier.CONTRACT, "It MUST hold.", Verdict.PASSED, 2.5, tuple(seen), gap=None
            ),
        ),
        conclusion=Conclusion.CONFORMANT,
    )
    assert expected == report([clause()], seen[::-1])


def test_what_has_no_outcome_was_not_run() -> None:
    """A form that nobody judged makes the run inconclusive."""
    made = report([clause()], outcomes(Verdict.PASSED)[:1])
    assert made.clauses[0].forms[1] == Outcome("APP-001", "async", Verdict.NOT_RUN, 0.0, WAS_NOT_RUN)
    assert (made.clauses[0].verdict, made.conclusion) == (Verdict.NOT_RUN, Conclusion.INCONCLUSIVE)


def test_a_clause_has_only_its_own_forms() -> None:
    """A clause that is judged in one form does not lack the other."""
    made = report([clause("LIF-003", "MUST", Tier.CONTRACT, Form.ASYNC)], [Outcome("LIF-003", "async", Verdict.PASSED)])
    assert [(form.form, form.verdict) for form in made.clauses[0].forms] == [("async", Verdict.PASSED)]


@pytest.mark.parametrize("worse", list(Verdict)[1:])
@pytest.mark.parametrize("first", [True, False])
def test_the_worst_form_decides(worse: Verdict, first: bool) -> None:
    """Whichever of the two forms it is."""
    verdicts = (worse, Verdict.PASSED) if first else (Verdict.PASSED, worse)
    assert worse is report([clause()], outcomes(*verdicts)).clauses[0].verdict


def test_of_several_outcomes_for_one_form_the_worst_counts() -> None:
    """A repeated run does not wash a failure away, in either order."""
    seen = [*outcomes(Verdict.FAILED), *outcomes(Verdict.PASSED)]
    assert report([clause()], seen) == report([clause()], seen[::-1])
    assert Verdict.FAILED is report([clause()], seen).clauses[0].verdict


def test_a_judged_form_that_says_not_run_keeps_its_reason() -> None:
    """What the suite says itself is not replaced by the words for what is missing."""
    made = report([clause()], outcomes(Verdict.NOT_RUN))
    assert [form.evidence for form in made.clauses[0].forms] == ["saw sync", "saw async"]


@pytest.mark.parametrize(
    ("seen", "expected", "conclusion"),
    [
        ((Verdict.FAILED, Verdict.FAILED), (Verdict.KNOWN_GAP, Verdict.KNOWN_GAP), Conclusion.INCONCLUSIVE),
        ((Verdict.PASSED, Verdict.FAILED), (Verdict.PASSED, Verdict.KNOWN_GAP), Conclusion.CONFORMANT),
        ((Verdict.PASSED, Verdict.PASSED), (Verdict.GAP_CLOSED, Verdict.GAP_CLOSED), Conclusion.NOT_CONFORMANT),
        (
            (Verdict.NOT_APPLICABLE, Verdict.PASSED),
            (Verdict.NOT_APPLICABLE, Verdict.GAP_CLOSED),
            Conclusion.NOT_CONFORMANT,
        ),
        ((Verdict.PASSED, Verdict.NOT_RUN), (Verdict.PASSED, Verdict.NOT_RUN), Conclusion.INCONCLUSIVE),
        ((Verdict.ERROR, Verdict.FAILED), (Verdict.ERROR, Verdict.KNOWN_GAP), Conclusion.HARNESS_FAILED),
        (
            (Verdict.NOT_APPLICABLE, Verdict.NOT_APPLICABLE),
            (Verdict.NOT_APPLICABLE, Verdict.NOT_APPLICABLE),
            Conclusion.INCONCLUSIVE,
        ),
    ],
)
def test_a_known_gap_changes_what_failed_and_what_passed_everywhere(
    seen: tuple[Verdict, Verdict], expected: tuple[Verdict, Verdict], conclusion: Conclusion
) -> None:
    """The evidence stays, and the gap stands beside it."""
    made = report([clause()], outcomes(*seen), {"APP-001": GAP})
    forms = made.clauses[0].forms
    assert (*expected, "saw sync", GAP) == (*(one.verdict for one in forms), forms[0].evidence, made.clauses[0].gap)
    assert conclusion is made.conclusion


@pytest.mark.parametrize(("word", "conclusion"), [("MUST", "NOT_CONFORMANT"), ("SHOULD", "CONFORMANT")])
def test_only_a_must_decides(word: str, conclusion: str) -> None:
    """A failed SHOULD is told as not met, and the backend conforms."""
    made = report(
        [clause("APP-001", word), clause("APP-002")],
        [*outcomes(Verdict.FAILED), *outcomes(Verdict.PASSED, id="APP-002")],
    )
    assert Conclusion[conclusion] is made.conclusion
    assert ("not met" if word == "SHOULD" else "failed") == made.clauses[0].label


@pytest.mark.parametrize(
    "seen",
    [(Verdict.KNOWN_GAP, True), (Verdict.FAILED, False), (Verdict.PASSED, False), (Verdict.NOT_APPLICABLE, True)],
)
def test_a_backend_of_which_nothing_binding_holds_is_not_said_to_conform(seen: tuple[Verdict, bool]) -> None:
    """However many clauses fail as was said beforehand, or do not decide."""
    assert conclude([seen] * 112) is Conclusion.INCONCLUSIVE
    assert conclude([seen, (Verdict.PASSED, True)]) is Conclusion.CONFORMANT


@pytest.mark.parametrize(("id", "near"), [("APP-01", "APP-001"), ("app-001", "APP-001"), ("DUP-002", "DUP-001")])
def test_a_gap_for_no_clause_of_the_profile_is_refused(id: str, near: str) -> None:
    """With the nearest id, so that a slip of the pen does not hide a failure."""
    with pytest.raises(ValueError, match=rf"a known gap is of {id}, .*did you mean {near}\?"):
        report([clause(), clause("DUP-001")], [], {id: GAP})


def test_an_outcome_for_no_clause_of_the_profile_is_refused() -> None:
    """Neither of another clause nor of a form in which it is not judged."""
    with pytest.raises(ValueError, match=r"an outcome is of APP-002, .*did you mean APP-001\?"):
        report([clause()], outcomes(Verdict.PASSED, id="APP-002"))
    with pytest.raises(ValueError, match="APP-001 in the form sync, in which it is not judged"):
        report([clause("APP-001", "MUST", Tier.CONTRACT, Form.ASYNC)], outcomes(Verdict.PASSED)[:1])


def test_an_outcome_is_refused_where_the_profile_is_empty() -> None:
    """There is no nearest id then."""
    with pytest.raises(ValueError, match=r"which is no clause of the profile$"):
        report([], outcomes(Verdict.PASSED))


def test_a_saved_report_comes_back(tmp_path: Path) -> None:
    """With everything in it, and saving it again writes the same bytes."""
    save(FULL, tmp_path / "new" / "folder")
    assert load(tmp_path / "new" / "folder" / "report.json") == FULL
    save(load(tmp_path / "new" / "folder" / "report.json"), tmp_path)
    for name in ("report.json", "certificate.md", "junit.xml"):
        assert (tmp_path / "new" / "folder" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_saved_report_begins_with_its_schema(tmp_path: Path) -> None:
    """Readable for people, too: indented, umlauts as they are, in the order of the fields."""
    save(attrs.evolve(FULL, profile="größe"), tmp_path)
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    assert text.startswith('{\n  "schema": 1,\n  "environment": {\n    "suite": "0.1.0",')
    assert '"profile": "größe"' in text
    assert [field.name for field in attrs.fields(Report)] == list(json.loads(text))


def test_an_earlier_report_is_replaced(tmp_path: Path) -> None:
    """Even where the earlier one was longer."""
    save(FULL, tmp_path)
    save(report([], []), tmp_path)
    assert load(tmp_path / "report.json").clauses == ()


def test_figures_that_json_lacks_become_text(tmp_path: Path) -> None:
    """Infinite numbers, numbers as keys, objects."""
    figures = {"ratio": float("inf"), "path": Path("a"), "by size": {1: (2, float("nan"))}}
    save(report([clause()], [Outcome("APP-001", "sync", Verdict.PASSED, 0.0, "", figures)]), tmp_path)
    expected = {"ratio": "inf", "path": "a", "by size": {"1": [2, "nan"]}}
    assert expected == load(tmp_path / "report.json").clauses[0].forms[0].figures


@settings(deadline=None)  # others may keep the machine busy
@given(st.text(st.characters()) | st.text("\ud800\udc00a\x00\x1b\ufffe|`<]>\n"))
def test_any_evidence_survives(tmp_path_factory: pytest.TempPathFactory, evidence: str) -> None:
    """As it was given, but for lone surrogates, which no file in UTF-8 can hold."""
    folder = tmp_path_factory.mktemp("report")
    save(report([clause()], [Outcome("APP-001", "sync", Verdict.FAILED, 0.0, evidence)]), folder)
    first = (folder / "report.json").read_bytes()
    loaded = load(folder / "report.json")
    assert evidence.encode("utf-8", "backslashreplace").decode() == loaded.clauses[0].forms[0].evidence
    save(loaded, folder)
    assert first == (folder / "report.json").read_bytes()


def test_timelines_are_kept(tmp_path: Path) -> None:
    """With the calls and their times; those that were never answered, too."""
    seen = [Outcome("APP-001", "sync", Verdict.FAILED, 0.0, "lost", timelines=(sample.TIMELINE, sample.TIMELINE))]
    made = report([clause()], seen)
    save(made, tmp_path)
    assert load(tmp_path / "report.json") == made


@pytest.fixture
def damaged(tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], Any]], Path]:
    """Writes a report with one change."""

    def damaged(change: Callable[[dict[str, Any]], Any]) -> Path:
        save(FULL, tmp_path)
        path = tmp_path / "report.json"
        data = json.loads(path.read_bytes())
        change(data)
        path.write_text(json.dumps(data), encoding="utf-8")
        return path

    return damaged


def test_keys_that_are_not_known_are_passed_over(damaged: Callable[..., Path]) -> None:
    """At every level, so that a later release may add some."""

    def add(data: dict[str, Any]) -> None:
        for place in (data, data["environment"], data["clauses"][0], data["clauses"][0]["forms"][0]):
            place["later"] = {"deep": []}

    assert load(damaged(add)) == FULL


def test_what_earlier_releases_did_not_write_may_be_missing(damaged: Callable[..., Path]) -> None:
    """A report without timelines has none, and its schema is the same: who knows none passes them over."""

    def remove(data: dict[str, Any]) -> None:
        for one in data["clauses"]:
            for form in one["forms"]:
                assert form.pop("timelines") == []

    assert load(damaged(remove)) == FULL


@pytest.mark.parametrize(
    ("schema", "step"), [(2, "install a newer backscroll-conformance"), (0, "run the suite again")]
)
def test_another_schema_is_refused_with_the_next_step(damaged: Callable[..., Path], schema: int, step: str) -> None:
    """With the number read and the one known, whatever else is in the file."""
    path = damaged(lambda data: (data.clear(), data.update(schema=schema)))
    with pytest.raises(UnknownReport) as caught:
        load(path)
    assert f"report.json has schema {schema}, and this release knows 1: {step}" == str(caught.value)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is no JSON"),
        (b"<html>", "is no JSON"),
        (b"\xff\xfe{}", "is no JSON"),
        (b'{"schema": 1, "seed": NaN}', "NaN is no number of JSON"),
        (b"[" * 200_000, "is no JSON"),
        (b"9" * 5_000, "is no JSON"),
        (b"[]", "says no schema"),
        (b"{}", "says no schema"),
        (b'{"schema": "1"}', "says no schema"),
        (b'{"schema": true}', "says no schema"),
        (b'{"schema": 1}', "is damaged: environment is missing"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    """With what is wrong with it."""
    (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(UnknownReport, match=what):
        load(tmp_path / "report.json")


def test_a_report_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    """It is not taken for a damaged one."""
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "report.json")


FORM = ("clauses", 1, "forms", 0)


@pytest.mark.parametrize(
    ("place", "value", "what"),
    [
        (("seed",), None, "seed is missing"),
        (("environment", "date"), None, "environment.date is missing"),
        ((*FORM, "verdict"), None, "clauses[1].forms[0].verdict is missing"),
        (("seed",), "7", "seed has to be of the kind int, not str"),
        (("seed",), True, "seed has to be of the kind int, not bool"),
        (("seed",), 7.5, "seed has to be of the kind int, not float"),
        (("environment",), [], "environment has to be of the kind dict, not list"),
        (("environment", "problems"), ["a", 1], "environment.problems[1] has to be of the kind str, not int"),
        (("environment", "plugin"), "x", "environment.plugin has to be of the kind dict, not str"),
        (("environment", "limits"), "x", "environment.limits has to be of the kind dict, not str"),
        (("clauses",), {}, "clauses has to be of the kind list, not dict"),
        (("tiers",), ["soon"], "tiers[0] is none of contract, stateful, concurrent, durable, measured"),
        (("conclusion",), ["conformant"], "conclusion is none of conformant"),
        ((*FORM, "verdict"), "fine", "clauses[1].forms[0].verdict is none of passed"),
        ((*FORM, "seconds"), "1", "clauses[1].forms[0].seconds has to be of the kind float, not str"),
        ((*FORM, "seconds"), 10**400, "clauses[1].forms[0].seconds is too large"),
        ((*FORM, "figures"), None, "clauses[1].forms[0].figures is missing"),
        ((*FORM, "timelines"), [{}], "clauses[1].forms[0].timelines[0].kind is missing"),
        ((*FORM, "timelines"), {}, "clauses[1].forms[0].timelines has to be of the kind list, not dict"),
        (("conclusion",), "harness failed", "its conclusion does not follow from its clauses"),
        (("clauses", 0, "forms", 0, "verdict"), "failed", "the verdict of a clause does not follow from its forms"),
        (("clauses", 1, "id"), "APP-001", "a clause stands in it twice"),
        (("clauses", 1, "gap", "link"), "ftp://x", "clauses[1].gap: a known gap needs a reason and a link"),
    ],
)
def test_a_damaged_report_is_refused_with_the_place(
    damaged: Callable[..., Path], place: tuple[Any, ...], value: Any, what: str
) -> None:
    """What is missing, or of another kind, is named by where it stands."""

    def change(data: Any) -> None:
        for step in place[:-1]:
            data = data[step]
        if value is None:
            del data[place[-1]]
        else:
            data[place[-1]] = value

    with pytest.raises(UnknownReport) as caught:
        load(damaged(change))
    assert f"report.json is damaged: {what}" in str(caught.value)


def test_whole_numbers_of_seconds_are_read(damaged: Callable[..., Path]) -> None:
    """Other programs write 1.0 as 1."""
    path = damaged(lambda data: data["clauses"][0].update(seconds=1))
    assert load(path).clauses[0].seconds == 1.0


def test_a_plugin_that_is_not_known_is_none(damaged: Callable[..., Path]) -> None:
    """As is a clause without a gap."""
    loaded = load(damaged(lambda data: data["environment"].update(plugin=None)))
    assert (loaded.environment.plugin, loaded.clauses[0].gap, loaded.clauses[1].gap) == (None, None, GAP)
