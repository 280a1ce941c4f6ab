"""What the cluster says of its settings, and where they fall short of what is claimed, or of production."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import attrs

from backscroll.backend import Durability, Examination, Finding, Severity, clock_ahead
from backscroll_cassandra.layout import Tables
from backscroll_cassandra.options import CassandraOptions, replicas
from backscroll_cassandra.refusals import MISSING

VERSION: Final = "SELECT release_version, toUnixTimestamp(now()) FROM system.local"
"""The version of the node that is asked, and its time in milliseconds since 1970."""

REPLICATION: Final = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s"
COMMIT_LOG: Final = "SELECT value FROM system_views.settings WHERE name = 'commitlog_sync'"

ENOUGH: Final = 3
"""How many replicas it takes so that a quorum does without one of them."""

KEEPS: Final = ("batch", "group")
"""The settings of the commit log with which a node keeps what it acknowledged when it is killed."""

SET_UP: Final = "docs/cassandra.md#setting-it-up"


@attrs.frozen
class Seen:
    """What was looked at in a cluster.

    Args:
        version: That of the node that was asked.
        time: Its time, in milliseconds since 1970.
        asked: When it was asked, in nanoseconds since 1970 by the clock of the store.
        answered: When the answer was there.
        nodes: How many nodes each data centre has.
        replication: That of the keyspace; None where there is no keyspace.
        tables: The version of the tables; 0 where there are none.
        commit_log: Its way of writing to disk; None where it does not tell.
        has_no_delay: Whether the connections send at once.
    """

    version: str
    time: int
    asked: int
    answered: int
    nodes: dict[str, int]
    replication: dict[str, str] | None
    tables: int
    commit_log: str | None
    has_no_delay: bool


def nodes_of(session: Any) -> dict[str, int]:
    """How many nodes each data centre has, by what the driver knows."""
    return dict(Counter(host.datacenter for host in session.cluster.metadata.all_hosts() if host.datacenter))


def no_keyspace(tables: Tables, nodes: dict[str, int]) -> str:
    """What an error says of a keyspace that is missing, with what fits this cluster."""
    alone = sum(nodes.values()) <= 1
    if not all(re.fullmatch(r"[A-Za-z0-9_.-]+", name) for name in nodes):
        return f"there is no keyspace {tables.keyspace}: make it first"
    given = "1" if alone else ",".join(f"{name}:{min(ENOUGH, count)}" for name, count in sorted(nodes.items()))
    return (
        f"there is no keyspace {tables.keyspace}: give replication={given}, "
        f"or run: {tables.make_keyspace(replicas(given))}"
    )


def unknown_centres(replication: str, nodes: dict[str, int]) -> list[str]:
    """The data centres of a replication, as CQL has it, that the cluster does not have."""
    named = re.findall(r"'([^']+)': [0-9]", replication)
    return [name for name in named if name != "replication_factor" and name not in nodes]


def examined(seen: Seen, tables: Tables, options: CassandraOptions) -> Examination:
    """What was seen of a cluster."""
    findings = [*_schema(seen, tables, options), *_durability(seen, options)]
    if not seen.has_no_delay:
        findings.append(
            Finding(
                Severity.ERROR,
                "TCP_NODELAY is off, so that each request of 4 KiB or more takes 40 ms",
                "see sockopts",
                "docs/cassandra.md#url",
            )
        )
    return Examination(
        server=f"Cassandra {seen.version}",
        schema=f"version {seen.tables}" if seen.tables else "not there yet",
        clock_ahead=clock_ahead(seen.time * 1_000_000, seen.asked, seen.answered),
        findings=tuple(findings),
    )


def _schema(seen: Seen, tables: Tables, options: CassandraOptions) -> Iterator[Finding]:
    is_made = options.setup == "auto"
    if seen.replication is None:
        if not is_made or options.replication is None:
            yield _error_of(no_keyspace(tables, seen.nodes))
        return
    if not seen.tables and not is_made:
        yield _error_of(MISSING)
    for name, count in _counts(seen.replication).items():
        there = sum(seen.nodes.values()) if name == "replication_factor" else seen.nodes.get(name, 0)
        if there < count:
            where = "the cluster" if name == "replication_factor" else f"the data centre {name}"
            yield _error_of(
                f"the keyspace wants {count} replicas, but {where} has {_number(there, 'node')}: ALTER KEYSPACE"
            )


def _error_of(problem: str) -> Finding:
    """What an error, too, says of the schema: what is wrong, a colon, and what to do."""
    what, _, advice = problem.partition(": ")
    return Finding(Severity.ERROR, what, advice, SET_UP)


def _durability(seen: Seen, options: CassandraOptions) -> Iterator[Finding]:
    if (fewest := _fewest(seen.replication, options)) >= ENOUGH:
        return
    if seen.replication is not None:
        yield _of_replicas(fewest, options.durability)
    if options.durability != Durability.REPLICATED.value and seen.commit_log not in KEEPS:
        yield _of_commit_log(seen.commit_log, options.durability)


def _of_replicas(fewest: int, claim: str) -> Finding:
    is_claimed = claim == Durability.REPLICATED.value
    return Finding(
        Severity.ERROR if is_claimed else Severity.WARNING,
        f"the keyspace has {_number(fewest, 'replica')}, so that the loss of a node may lose data",
        f"give it {ENOUGH}, or claim durability=server" if is_claimed else f"give it {ENOUGH}",
        SET_UP,
    )


def _of_commit_log(commit_log: str | None, claim: str) -> Finding:
    """What is wrong with a commit log that may not keep what was acknowledged, with fewer replicas than enough."""
    is_claimed = claim == Durability.SERVER.value
    instead = f", give the keyspace {ENOUGH} replicas, or claim durability=process" if is_claimed else ""
    risk = "so that kill -9 of a node may lose its last ten seconds"
    if commit_log is None:
        return Finding(
            Severity.ERROR if is_claimed else Severity.NOTE,
            f"commitlog_sync cannot be looked at, {risk}",
            f"GRANT SELECT ON system_views.settings to the user{instead}",
            "docs/cassandra.md#permissions",
        )
    return Finding(
        Severity.ERROR if is_claimed else Severity.WARNING,
        f"commitlog_sync is {commit_log}, {risk}",
        f"set batch{instead}",
        SET_UP,
    )


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _counts(replication: dict[str, str] | None) -> dict[str, int]:
    """How many replicas there are in each data centre, or in all, as `replication_factor`."""
    counts = {name: str(count) for name, count in (replication or {}).items() if name != "class"}
    return {name: int(count.partition("/")[0]) for name, count in counts.items()}


def _fewest(replication: dict[str, str] | None, options: CassandraOptions) -> int:
    """How many replicas there are where the fewest are, or in the data centre that is asked."""
    counts = _counts(replication)
    if options.consistency == "local" and options.local_dc in counts:
        return counts[options.local_dc]
    return min(counts.values(), default=0)
