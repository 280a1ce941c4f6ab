"""The report of a run, from which the page, the certificate and the JUnit XML are made: one run, one truth."""

import difflib
import json
import math
import types
import typing
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final

import attrs

from backscroll_conformance.clauses import Clause, Level, Tier
from backscroll_conformance.environment import SUITE, Environment
from backscroll_conformance.outcomes import ADDED, Conclusion, Gap, Outcome, Verdict, conclude

SCHEMA: Final = 1
"""Of `report.json`; raised when a reader of the older one would misunderstand the newer one."""

REPORT: Final = "report.json"
PAGE: Final = "report.html"
CERTIFICATE: Final = "certificate.md"
JUNIT: Final = "junit.xml"
"""What `save` writes."""

WAS_NOT_RUN: Final = "was not run"
"""The evidence of what nobody judged."""

NOT_MET: Final = "not met"
"""How a failed SHOULD is told: it does not decide whether the backend conforms."""

_ORDER: Final = {verdict: place for place, verdict in enumerate(Verdict)}


class UnknownReport(ValueError):
    """A file is no report, or one that this release cannot read; the text says what to do next."""


@attrs.frozen
class ClauseReport:
    """What became of one clause.

    Args:
        id: Its id.
        level: How binding it is.
        tier: Where it was judged.
        sentence: The rule.
        verdict: What became of it: the worst of its forms.
        seconds: How long it took, all its forms together.
        forms: What became of each form.
        gap: Why it is known to fail; None where it is not.
    """

    id: str
    level: Level
    tier: Tier
    sentence: str
    verdict: Verdict
    seconds: float
    forms: tuple[Outcome, ...]
    gap: Gap | None = None

    @property
    def is_unmet(self) -> bool:
        """Whether it is a recommendation that the backend does not follow, which costs it nothing."""
        return self.level is Level.SHOULD and self.verdict is Verdict.FAILED

    @property
    def label(self) -> str:
        """The verdict in words; a failed SHOULD is told as not met."""
        return NOT_MET if self.is_unmet else self.verdict.value


@attrs.frozen(kw_only=True)
class Report:
    """One run.

    Args:
        schema: The version of this format.
        environment: What ran where.
        profile: The name of the frozen list of clauses.
        seed: Where random choices came from.
        effort: The name of how far they went.
        tiers: The tiers that were asked for.
        command: The shell command that repeats this run; without secrets.
        clauses: Every clause of the profile, in the order of the catalogue.
        conclusion: What they say together.
    """

    schema: int
    environment: Environment
    profile: str
    seed: int
    effort: str
    tiers: tuple[Tier, ...]
    command: str
    clauses: tuple[ClauseReport, ...]
    conclusion: Conclusion


def build(
    clauses: Iterable[Clause],
    outcomes: Iterable[Outcome],
    gaps: Mapping[str, Gap] | None = None,
    *,
    environment: Environment,
    profile: str,
    seed: int,
    effort: str,
    tiers: Iterable[Tier],
    command: str,
) -> Report:
    """Make the report of a run.

    A form without an outcome was not run; of several outcomes for one form the worst counts.

    Args:
        clauses: Those of the profile.
        outcomes: What became of them, in any order.
        gaps: Those that are known to fail, by id.
        environment: What ran where.
        profile: The name of the profile.
        seed: Where random choices came from.
        effort: The name of how far they went.
        tiers: Those that were asked for.
        command: The shell command that repeats this run; without secrets.

    Raises:
        ValueError: A gap or an outcome is of a clause, or a form, that the profile does not have.
    """
    clauses, gaps = tuple(clauses), gaps or {}
    seen = _by_form(clauses, outcomes)
    check_ids(gaps, {clause.id for clause in clauses}, "a known gap")
    reports = tuple(_judged(clause, seen, gaps.get(clause.id)) for clause in clauses)
    return Report(
        schema=SCHEMA,
        environment=environment,
        profile=profile,
        seed=seed,
        effort=effort,
        tiers=tuple(tiers),
        command=command,
        clauses=reports,
        conclusion=_concluded(reports),
    )


def _by_form(clauses: tuple[Clause, ...], outcomes: Iterable[Outcome]) -> dict[tuple[str, str], Outcome]:
    outcomes = tuple(outcomes)
    check_ids((one.clause for one in outcomes), {clause.id for clause in clauses}, "an outcome")
    found = {
        (clause.id, form.value): Outcome(clause.id, form.value, Verdict.NOT_RUN, 0.0, WAS_NOT_RUN)
        for clause in clauses
        for form in clause.forms
    }
    judged: set[tuple[str, str]] = set()
    for one in outcomes:
        key = one.clause, one.form
        if key not in found:
            raise ValueError(f"an outcome is of {one.clause} in the form {one.form}, in which it is not judged")
        if key not in judged or _ORDER[one.verdict] > _ORDER[found[key].verdict]:
            found[key] = one
        judged.add(key)
    return found


def check_ids(ids: Iterable[str], known: set[str], what: str) -> None:
    """Refuse an id that is not known, with the nearest one.

    Args:
        ids: The ids.
        known: Those of the profile.
        what: What they are the ids of.

    Raises:
        ValueError: One of them is not known.
    """
    for one in ids:
        if one not in known:
            near = difflib.get_close_matches(one.upper(), sorted(known), n=1, cutoff=0)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{what} is of {one}, which is no clause of the profile{hint}")


def _judged(clause: Clause, seen: Mapping[tuple[str, str], Outcome], gap: Gap | None) -> ClauseReport:
    forms = tuple(seen[clause.id, form.value] for form in clause.forms)
    if gap:
        forms = _with_gap(forms)
    verdict = max((form.verdict for form in forms), key=_ORDER.__getitem__)
    seconds = round(float(sum(form.seconds for form in forms)), 3)
    return ClauseReport(clause.id, clause.level, clause.tier, clause.sentence, verdict, seconds, forms, gap)


def _with_gap(forms: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    verdicts = {form.verdict for form in forms}
    # A form that passes while another fails or was not run does not show that the gap has closed.
    has_closed = verdicts <= {Verdict.PASSED, Verdict.NOT_APPLICABLE}
    changes = {Verdict.FAILED: Verdict.KNOWN_GAP, **({Verdict.PASSED: Verdict.GAP_CLOSED} if has_closed else {})}
    return tuple(attrs.evolve(form, verdict=changes.get(form.verdict, form.verdict)) for form in forms)


def save(report: Report, folder: Path) -> None:
    """Write `report.json`, `report.html`, `certificate.md` and `junit.xml`; those of an earlier run are replaced.

    A lone surrogate, which no UTF-8 can hold, is written as the six characters of its escape.

    Args:
        report: The report.
        folder: Where to; made where it is not there.
    """
    from backscroll_conformance.certificate import certificate
    from backscroll_conformance.junit import junit
    from backscroll_conformance.matrix import matrix

    # All of them are made before the first is written, so that no two of them tell of different runs.
    plain = json.dumps(_plain(report), ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    written = {REPORT: plain, PAGE: matrix([report]), CERTIFICATE: certificate(report), JUNIT: junit(report)}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in written.items():
        (folder / name).write_bytes(text.encode())


def _plain(value: Any) -> Any:
    """A value in what JSON has."""
    match value:
        case Enum():
            return _plain(value.value)
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping():
            return {_text(key): _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
    if attrs.has(type(value)):
        return {field.name: _plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    return _text(value)


def _text(value: object) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()


def load(path: Path) -> Report:
    """Read a `report.json`; keys that it does not know are passed over.

    Raises:
        UnknownReport: It is no report, or one with a schema that this release does not know.
        OSError: The file cannot be read.
    """
    try:
        data = json.loads(path.read_bytes().decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UnknownReport(f"{path.name} is no JSON: {error}") from error
    schema = data.get("schema") if isinstance(data, dict) else None
    if type(schema) is not int:
        raise UnknownReport(f"{path.name} is no report of {SUITE}: it says no schema")
    if schema != SCHEMA:
        step = f"install a newer {SUITE}" if schema > SCHEMA else "run the suite again"
        raise UnknownReport(f"{path.name} has schema {schema}, and this release knows {SCHEMA}: {step}")
    try:
        report: Report = _made(Report, data, "")
        _check_whole(report)
    except _Misfit as error:
        raise UnknownReport(f"{path.name} is damaged: {error}") from error
    return report


def _check_whole(report: Report) -> None:
    """Refuse a report that contradicts itself."""
    if len({one.id for one in report.clauses}) < len(report.clauses):
        raise _Misfit("a clause stands in it twice")
    if any(one.verdict is not max((f.verdict for f in one.forms), key=_ORDER.__getitem__) for one in report.clauses):
        raise _Misfit("the verdict of a clause does not follow from its forms")
    if report.conclusion is not _concluded(report.clauses):
        raise _Misfit("its conclusion does not follow from its clauses")


def _concluded(clauses: Iterable[ClauseReport]) -> Conclusion:
    return conclude((form.verdict, one.level is Level.MUST) for one in clauses for form in one.forms)


class _Misfit(ValueError):
    """A part of a file is not what it has to be; the text says where."""


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def _made(kind: Any, value: Any, place: str) -> Any:
    """The object of a type that is made of what JSON has."""
    match typing.get_origin(kind):
        case types.UnionType:
            return None if value is None else _made(typing.get_args(kind)[0], value, place)
        case origin if origin is tuple:
            items = enumerate(_checked(list, value, place))
            return tuple(_made(typing.get_args(kind)[0], item, f"{place}[{number}]") for number, item in items)
        case origin if origin is dict:
            return _checked(dict, value, place)
    if attrs.has(kind):
        return _made_object(kind, _checked(dict, value, place), place)
    if issubclass(kind, Enum):
        return _made_member(kind, value, place)
    if kind is float:
        return _made_number(value, place)
    return _checked(kind, value, place)


def _made_object(kind: Any, value: dict[str, Any], place: str) -> Any:
    hints = typing.get_type_hints(kind)
    fields = {}
    for field in attrs.fields(kind):
        path = f"{place}.{field.name}".lstrip(".")
        if field.name in value:
            fields[field.name] = _made(hints[field.name], value[field.name], path)
        elif not field.metadata.get(ADDED):
            raise _Misfit(f"{path} is missing")
    try:
        return kind(**fields)
    except ValueError as error:
        raise _Misfit(f"{place}: {error}") from error


def _made_member(kind: type[Enum], value: Any, place: str) -> Any:
    members = {member.value: member for member in kind}
    if not isinstance(value, str) or value not in members:
        raise _Misfit(f"{place} is none of {', '.join(members)}")
    return members[value]


def _made_number(value: Any, place: str) -> float:
    try:
        number = float(value) if type(value) is int else _checked(float, value, place)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _Misfit(f"{place} is too large")
    return float(number)


def _checked(kind: Any, value: Any, place: str) -> Any:
    if type(value) is not kind:
        raise _Misfit(f"{place} has to be of the kind {kind.__name__}, not {type(value).__name__}")
    return value
