"""The command ``doctor``: what a database is, what it keeps, and what would be wrong in production."""

import platform
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import attrs
import click

import backscroll
from backscroll.cli.exit_codes import ExitCode
from backscroll.cli.output import console, counted, emit, emit_json, on_terminal, readable, tell
from backscroll.examination import Examination, Finding, Severity
from backscroll.store import Store
from backscroll.url import parse_url
from backscroll.versions import drivers_of, plugin_of

PINGS: Final = 5
"""How many pings the latency is the median of."""

CLOCKS_APART: Final = 1.0
"""How many seconds two clocks may differ: a TTL is seldom meant more exactly."""


@click.command()
@click.argument("url")
@click.option("--json", "as_json", is_flag=True, help="Answer with a JSON object.")
def doctor(url: str, as_json: bool) -> None:
    """Look at a database: versions, latency, schema, guarantees, clock, and what would be wrong in production.

    Changes nothing. Each finding has what was seen, what to do and the page that explains it. The exit code is 1
    where there is one that is more than a note.
    """
    with backscroll.open(url) as store:
        latency = {"first_ms": _timed(store)}
        seen = store.examine()
        latency["median_ms"] = statistics.median(_timed(store) for _ in range(PINGS))
        findings = sorted((*seen.findings, *_of_clock(seen)), key=lambda found: list(Severity).index(found.severity))
        facts = {"url": str(parse_url(url)), **_versions(store), **_of_server(seen), "latency": latency}
        facts |= _guarantees(store)
    if as_json:
        emit_json(facts | {"findings": [_fields(finding) for finding in findings]})
    else:
        (_show if on_terminal(sys.stdout) else _list)(facts, findings)
    if worse := sum(finding.severity is not Severity.NOTE for finding in findings):
        tell("error", f"{counted(worse, 'finding')} to see to; see the list")
        click.get_current_context().exit(ExitCode.PROBLEMS)


def _timed(store: Store) -> float:
    """How many milliseconds a ping takes."""
    begun = time.perf_counter()
    store.ping()
    return round((time.perf_counter() - begun) * 1_000, 3)


def _versions(store: Store) -> dict[str, Any]:
    plugin = plugin_of(store.backend)
    return {
        "backscroll": backscroll.__version__,
        "python": platform.python_version(),
        "plugin": plugin.origin if plugin else "",
        "drivers": drivers_of(plugin.distribution) if plugin and plugin.distribution else {},
    }


def _of_server(seen: Examination) -> dict[str, Any]:
    return {"server": seen.server, "schema": seen.schema, "clock_ahead": seen.clock_ahead}


def _of_clock(seen: Examination) -> Iterator[Finding]:
    ahead = seen.clock_ahead or 0.0
    if abs(ahead) >= CLOCKS_APART:
        yield Finding(
            Severity.WARNING,
            f"the server's clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's, which "
            "decides what has expired",
            "keep both in step, by NTP for example",
            "docs/contract.md#expiry",
        )


def _guarantees(store: Store) -> dict[str, Any]:
    limits = {name: getattr(value, "value", value) for name, value in attrs.asdict(store.limits).items()}
    capabilities = {
        one.value: {"level": how.level.value, "reason": how.reason} for one, how in store.capabilities.items()
    }
    return {"limits": limits, "capabilities": capabilities}


def _fields(finding: Finding) -> dict[str, str]:
    return attrs.asdict(finding) | {"severity": finding.severity.value}


def _rows(facts: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """What is told beside the findings: a name, and what is to be said of it."""
    for name in ("url", "backscroll", "python", "plugin"):
        yield name, facts[name]
    for name, version in facts["drivers"].items():
        yield "driver", f"{name} {version}"
    yield "server", facts["server"]
    yield "schema", facts["schema"] or "not told"
    yield "clock", "not told" if facts["clock_ahead"] is None else f"{facts['clock_ahead']:+.1f} s"
    latency = facts["latency"]
    yield "latency", f"{latency['median_ms']:.1f} ms", f"the first ping took {latency['first_ms']:.1f} ms"
    for name, limit in facts["limits"].items():
        yield name, "no limit" if limit is None else str(limit)
    for name, how in facts["capabilities"].items():
        yield name, *filter(None, how.values())


def _list(facts: dict[str, Any], findings: list[Finding]) -> None:
    for row in _rows(facts):
        emit(*row)
    for finding in findings:
        emit(finding.severity.value, finding.seen, finding.advice, finding.page)


def _show(facts: dict[str, Any], findings: list[Finding]) -> None:
    """The same for people."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    screen, table = console(), Table.grid(padding=(0, 2))
    for name, *rest in _rows(facts):
        table.add_row(Text(name, "dim"), Text(readable("; ".join(rest))))
    screen.print(table)
    if not findings:
        screen.print()
        screen.print(Text("nothing was found that would be wrong in production", "bold green"))
    for finding in findings:
        screen.print()
        screen.print(Text(f"{finding.severity.value}: ", _COLORS[finding.severity]).append(readable(finding.seen), ""))
        for line in filter(None, (finding.advice, finding.page)):
            screen.print(Padding(Text(readable(line)), (0, 0, 0, 2)))


_COLORS: Final = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold"}
