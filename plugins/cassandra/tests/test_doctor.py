"""What is found by a closer look at a cluster."""

import json
import time
from uuid import uuid4

import pytest
from conftest import Ask, Opened

import backscroll
from backscroll.backend import Examination, Severity
from backscroll.cli import main

ALONE = "the keyspace has 1 replica, so that the loss of a node may lose data"


def others(seen: Examination) -> list[tuple[Severity, str]]:
    """The findings but for the one of every keyspace on a lone node."""
    return [(one.severity, one.seen) for one in seen.findings if one.seen != ALONE]


async def test_a_node_that_is_set_up_well_has_no_other_findings(port: int, keyspace: str, ask: Ask) -> None:
    """Its version, schema and clock are told, in both forms alike; looking makes nothing."""
    tables = f"SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{keyspace}' AND table_name = "
    with backscroll.open(f"cassandra://localhost:{port}/{keyspace}", prefix="well_") as store:
        assert (store.examine().schema, ask(f"{tables} 'well_message'")) == ("not there yet", [])
        store.setup()
        seen = store.examine()
        [(version,)] = ask("SELECT release_version FROM system.local")
        assert seen.server == f"Cassandra {version}"
        assert (seen.schema, seen.clock_ahead, others(seen)) == ("version 1", 0.0, [])
        assert (await store.aexamine()).findings == seen.findings


@pytest.mark.parametrize(
    ("durability", "severity"),
    [("process", Severity.WARNING), ("server", Severity.WARNING), ("replicated", Severity.ERROR)],
)
def test_a_keyspace_with_one_replica_is_told(opened: Opened, durability: str, severity: Severity) -> None:
    """Of what claims to survive the loss of a node, ping tells it, too."""
    store = opened(durability=durability)
    [finding] = store.examine().findings
    assert (finding.severity, finding.seen, finding.page) == (severity, ALONE, "docs/cassandra.md#setting-it-up")
    assert store.ping().problems == ((str(finding),) if severity is Severity.ERROR else ())


def test_a_keyspace_that_is_missing_is_found(port: int, opened: Opened) -> None:
    """With the words of ping, and the statement that makes it."""
    store = opened(f"cassandra://localhost:{port}/none_{uuid4().hex}")
    [finding] = store.examine().findings
    assert (finding.severity, store.ping().problems) == (Severity.ERROR, (str(finding),))
    assert finding.advice.startswith("give replication=1, or run: CREATE KEYSPACE")


def test_a_clock_that_differs_is_told(opened: Opened) -> None:
    """By how much, with its sign, against the clock that decides what has expired."""
    ahead = opened(clock=lambda: time.time_ns() - 5_000_000_000).examine().clock_ahead
    assert ahead is not None
    assert 4.0 < ahead <= 5.0


def test_the_command_tells_all_of_it(port: int, keyspace: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """With the driver; the exit code is 1 where something is wrong."""
    code = main(["doctor", "--json", f"cassandra://joe:s3cret@localhost:{port}/{keyspace}"])
    captured = capsysbinary.readouterr()
    told = json.loads(captured.out)
    assert (code, captured.err) == (1, b"error: 1 finding to see to; see the list\n")
    assert (told["url"], set(told["drivers"])) == (f"cassandra://localhost:{port}", {"cassandra-driver"})
    assert [finding["seen"] for finding in told["findings"]] == [ALONE]
    assert b"s3cret" not in captured.out
