"""Measure a backend against hand-written code and its peers; writes the figures as JSON and as a table.

Ratios are medians over rounds in which both sides take turns in one process, so that a noisy machine
disturbs both. Times by themselves say more about the machine than about the code.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from rows import Row

import backscroll


def main() -> None:
    """Run the measures of a backend that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="the folder for the results")
    parser.add_argument("--rounds", type=int, default=21, help="how often both sides take turns")
    parser.add_argument("backend", nargs="?", default="sqlite", help="the backend; there is a module of_… for each")
    parser.add_argument("measures", nargs="*", help="all by default")
    arguments = parser.parse_args()
    name = f"of_{arguments.backend.replace('-', '_')}"
    if not Path(__file__).with_name(f"{name}.py").exists():
        parser.error(f"nothing measures {arguments.backend}")
    module = import_module(name)
    if unknown := set(arguments.measures) - set(module.MEASURES):
        parser.error(f"there is no measure {', '.join(unknown)}; there are {', '.join(module.MEASURES)}")
    rows: list[Row] = []
    for name in arguments.measures or sorted(set(module.MEASURES) - module.ONLY_WHEN_NAMED):
        print(f"{name} …", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            rows += module.MEASURES[name](Path(folder), arguments.rounds)
    text = table(rows)
    print(text)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / f"{arguments.backend}.md").write_text(text + "\n", encoding="utf-8")
    found = {"machine": machine(module.version()), "rows": [row._asdict() | {"verdict": row.verdict} for row in rows]}
    (arguments.out / f"{arguments.backend}.json").write_text(
        json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def table(rows: list[Row]) -> str:
    """The figures as a Markdown table."""
    lines = ["| what | measured | target | |", "|---|---:|---:|---|"]
    for row in rows:
        target = "" if row.target is None else f"{row.relation} {row.target:g}"
        value = f"{row.value:,.4g}" if abs(row.value) < 10_000 else f"{row.value:,.0f}"
        lines.append(f"| {row.what} | {value} {row.unit} | {target} | {row.verdict} |")
    return "\n".join(lines)


def machine(measured: str) -> dict[str, str | int | None]:
    """What the figures were measured with."""
    return {
        "backscroll": backscroll.__version__,
        "python": platform.python_version(),
        "measured": measured,
        "system": platform.platform(),
        "processors": os.cpu_count(),
    }


if __name__ == "__main__":
    main()
