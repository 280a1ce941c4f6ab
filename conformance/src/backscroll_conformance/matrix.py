"""The reports of several runs as one page: a matrix of clauses and backends, each cell of which opens its evidence.

The page is one file that needs no network and no script; where scripts run, evidence opens in a dialog. Whatever stands
in a report is shown as text: the template escapes it, and the page's own policy lets nothing run but its own script.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from itertools import count
from typing import Final, NamedTuple
from urllib.parse import quote

import attrs
import jinja2
from markupsafe import Markup

from backscroll.cli.output import readable
from backscroll_conformance.certificate import NEVER_TESTED, TIERS, Finding, figure, shortened, summary, told
from backscroll_conformance.clauses import Tier
from backscroll_conformance.drawing import drawn
from backscroll_conformance.environment import SUITE
from backscroll_conformance.outcomes import Conclusion, Verdict
from backscroll_conformance.report import NOT_MET, ClauseReport, Report


class Look(NamedTuple):
    """How a verdict looks.

    Args:
        sign: What stands before its word.
        tone: The name of its colours.
    """

    sign: str
    tone: str


_GOOD: Final = Look("\N{CHECK MARK}", "good")
_BAD: Final = Look("\N{BALLOT X}", "bad")
_BROKEN: Final = Look("!", "warn")
_UNKNOWN: Final = Look("?", "calm")

LOOKS: Final = {
    Verdict.PASSED.value: _GOOD,
    Verdict.FAILED.value: _BAD,
    Verdict.GAP_CLOSED.value: Look("\N{UPWARDS ARROW}", "bad"),
    Verdict.ERROR.value: _BROKEN,
    Verdict.KNOWN_GAP.value: Look("\N{WHITE UP-POINTING TRIANGLE}", "warn"),
    NOT_MET: Look("\N{WHITE CIRCLE}", "warn"),
    Verdict.NOT_RUN.value: _UNKNOWN,
    Verdict.NOT_APPLICABLE.value: Look("\N{EN DASH}", "calm"),
}
"""By the label of a clause, the order in which the page explains them."""

CONCLUSIONS: Final = {
    Conclusion.CONFORMANT: _GOOD,
    Conclusion.NOT_CONFORMANT: _BAD,
    Conclusion.INCONCLUSIVE: _UNKNOWN,
    Conclusion.HARNESS_FAILED: _BROKEN,
}


@attrs.frozen
class Column:
    """A run on the page.

    Args:
        name: What it is called: the backend, with a number where another run is of the same.
        place: Which of the runs it is, from 1.
        report: Its report.
    """

    name: str
    place: int
    report: Report

    @property
    def look(self) -> Look:
        """How its conclusion looks."""
        return CONCLUSIONS[self.report.conclusion]


@attrs.frozen
class Cell:
    """What became of a clause in a run.

    Args:
        column: The run.
        clause: The clause.
    """

    column: Column
    clause: ClauseReport

    @property
    def id(self) -> str:
        """What its evidence is called in an address."""
        return f"{quote(self.clause.id, safe='', errors='backslashreplace')}.{self.column.place}"

    @property
    def look(self) -> Look:
        """How its verdict looks."""
        return LOOKS[self.clause.label]

    @property
    def told(self) -> str:
        """Its verdict in words."""
        return told(self.clause)

    @property
    def is_finding(self) -> bool:
        """Whether there is something that one has to look at."""
        return self.look.tone in {"bad", "warn"}

    @property
    def evidence(self) -> dict[str, str]:
        """What was seen, with the forms in which it was."""
        return Finding(self.clause, self.clause.forms).evidence


class Row(NamedTuple):
    """A clause on the page.

    Args:
        clause: The clause, as the first run that judged it tells it.
        cells: What became of it in each run; None where it is not in the run's profile.
    """

    clause: ClauseReport
    cells: list[Cell | None]

    @property
    def has_finding(self) -> bool:
        """Whether there is something that one has to look at."""
        return any(cell and cell.is_finding for cell in self.cells)


def matrix(reports: Sequence[Report]) -> str:
    """The page, in HTML.

    Args:
        reports: The runs, in the order of the columns.
    """
    columns = _columns(reports)
    rows = _rows(columns)
    script, style = _asset("matrix.js"), _asset("matrix.css")
    page: str = _template().render(
        columns=columns,
        tiers=[
            (tier, TIERS[tier], found) for tier in Tier if (found := [one for one in rows if one.clause.tier is tier])
        ],
        evidence=[(column, _cells(rows, column, True), _cells(rows, column, False)) for column in columns],
        has_findings=any(row.has_finding for row in rows),
        looks=LOOKS,
        never_tested=NEVER_TESTED,
        suite=SUITE,
        script=script,
        style=style,
        policy=f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'",
    )
    return page


def _columns(reports: Sequence[Report]) -> list[Column]:
    backends = Counter(one.environment.backend for one in reports)
    numbers = {backend: count(1) for backend in backends}
    columns = []
    for place, report in enumerate(reports, 1):
        backend = report.environment.backend
        name = backend if backends[backend] == 1 else f"{backend} ({next(numbers[backend])})"
        columns.append(Column(name, place, report))
    return columns


def _rows(columns: Sequence[Column]) -> list[Row]:
    """The clauses of all runs, by id."""
    by_id = [{clause.id: clause for clause in column.report.clauses} for column in columns]
    first = {clause.id: clause for found in reversed(by_id) for clause in found.values()}
    return [
        Row(
            clause,
            [
                Cell(one, found[clause.id]) if clause.id in found else None
                for one, found in zip(columns, by_id, strict=True)
            ],
        )
        for clause in sorted(first.values(), key=lambda clause: clause.id)
    ]


def _cells(rows: Iterable[Row], column: Column, findings: bool) -> list[Cell]:
    cells = (row.cells[column.place - 1] for row in rows)
    return [cell for cell in cells if cell and cell.is_finding is findings]


def _asset(name: str) -> Markup:
    return Markup((files("backscroll_conformance") / name).read_text(encoding="utf-8"))  # noqa: S704 - our own


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _text(value: object) -> object:
    return value if isinstance(value, Markup) else readable(str(value))


@cache
def _template() -> jinja2.Template:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("backscroll_conformance", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_text,
    )
    made.filters |= {"drawn": drawn, "figure": figure, "readable": readable, "shortened": shortened, "summary": summary}
    return made.get_template("matrix.html.jinja")
