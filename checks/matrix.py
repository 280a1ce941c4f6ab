"""The page of the matrix, from the reports of real runs: ``python -m checks.matrix FOLDER > docs/matrix.md``.

The folder has a ``report.json`` in a folder for each backend, as ``backscroll conformance NAME --report FOLDER/NAME``
leaves it.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from backscroll_conformance.certificate import summary
from backscroll_conformance.clauses import Tier
from backscroll_conformance.outcomes import Verdict
from backscroll_conformance.report import ClauseReport, Report, load
from backscroll_conformance.servers import spec_of

ORDER: Final = ("sqlite", "redis", "tidb", "cassandra", "kafka")
"""The backends, in the order of their columns; others come behind them."""

SIGNS: Final = {Verdict.PASSED.value: "✓", Verdict.NOT_APPLICABLE.value: "n/a"}
"""What stands for a verdict in a cell; every other one is told in words."""

INTRODUCTION: Final = """\
# The matrix

What [the conformance suite](conformance.md) found on each database: {total} clauses of `{profile}`, each judged in both
forms, sync and async. ✓ holds, n/a does not apply to what the backend declares or is. The page is made from the reports
of the runs below: `python -m checks.matrix FOLDER > docs/matrix.md`.
"""


def page(reports: Sequence[Report]) -> str:
    """The page, in Markdown.

    Args:
        reports: One for each backend, all of the same profile.

    Raises:
        ValueError: There is none, or they are of several profiles.
    """
    profiles = {report.profile for report in reports}
    if len(profiles) != 1:
        raise ValueError(f"expected reports of one profile, not of {', '.join(sorted(profiles)) or 'none'}")
    clauses = reports[0].clauses
    parts = [INTRODUCTION.format(total=len(clauses), profile=profiles.pop()), *_runs(reports)]
    for tier in Tier:
        rows = [_row(clause, reports) for clause in clauses if clause.tier is tier]
        head = _head(["clause", *map(_name, reports)])
        parts.append("\n".join([f"## {tier.value.capitalize()}\n", head, *rows]) + "\n")
    return "\n".join([*parts, *_reasons(reports)])


def read(folder: Path) -> list[Report]:
    """The reports below a folder, in the order of their columns."""
    found = [load(path) for path in sorted(folder.glob("*/report.json"))]
    places = {name: place for place, name in enumerate(ORDER)}
    return sorted(found, key=lambda report: places.get(_name(report), len(places)))


def _name(report: Report) -> str:
    return report.environment.backend


def _head(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n|{'---|' * len(cells)}"


def _runs(reports: Sequence[Report]) -> Iterator[str]:
    rows = [_head(["backend", "server", "image", "drivers", "Python", "when", "seed"])]
    for report in reports:
        seen = report.environment
        drivers = ", ".join(map(str, seen.drivers)) or "built in"
        when = seen.date.partition("T")[0]
        image = spec_of(_name(report)).image or "none"
        cells = (_name(report), seen.server, image, drivers, seen.python, when, report.seed)
        rows.append(f"| {' | '.join(map(str, cells))} |")
    yield "\n".join(rows) + "\n"
    yield "\n".join(f"- {summary(report)}" for report in reports) + "\n"
    yield f"Each was run with `{reports[0].command.partition(' --seed')[0]}` and the like, the servers in containers.\n"


def _row(clause: ClauseReport, reports: Sequence[Report]) -> str:
    signs = [SIGNS.get(one.label, one.label) for report in reports for one in report.clauses if one.id == clause.id]
    return f"| **{clause.id}** {clause.sentence.replace('|', chr(92) + '|')} | {' | '.join(signs)} |"


def _reasons(reports: Sequence[Report]) -> Iterator[str]:
    yield "## What does not apply, and why\n"
    for report in reports:
        reasons: dict[str, list[str]] = {}
        for clause in report.clauses:
            if clause.verdict is Verdict.NOT_APPLICABLE:
                reasons.setdefault(clause.forms[0].evidence, []).append(clause.id)
        lines = [
            f"- {', '.join(ids)}: {reason}" for reason, ids in reasons.items() if "declared as supported" not in reason
        ]
        yield (
            f"**{_name(report)}**\n\n"
            + "\n".join(lines or ["- only what is about features that are not supported"])
            + "\n"
        )
    yield "Left out here are the clauses about what is not supported, where it is.\n"


if __name__ == "__main__":
    sys.stdout.write(page(read(Path(sys.argv[1]))))
