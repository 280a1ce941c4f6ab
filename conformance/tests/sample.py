"""A run as it might have been, for the tests of what is made of reports."""

from typing import Any

from backscroll_conformance.environment import Environment, Package

ENVIRONMENT = Environment(
    suite="0.1.0",
    core="0.2.0",
    backend="mystore",
    plugin=Package("backscroll-mystore", "1.2"),
    drivers=(Package("mydriver", "3.4"),),
    url="URL(scheme='mystore', hosts=())",
    server="MyStore 5",
    problems=(),
    unanswered="",
    capabilities=(),
    limits={},
    python="3.11.0",
    implementation="CPython",
    system="Linux",
    machine="x86_64",
    date="2026-01-02T03:04:05+00:00",
)


async def check(subject: Any) -> None:
    """The check of a clause that is never judged."""
