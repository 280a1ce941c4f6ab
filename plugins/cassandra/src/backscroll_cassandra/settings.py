"""What the cluster says of its settings, and where they fall short of what is claimed."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import attrs

from backscroll.backend import Durability, Health
from backscroll_cassandra.layout import Tables
from backscroll_cassandra.options import CassandraOptions, replicas
from backscroll_cassandra.refusals import MISSING

VERSION: Final = "SELECT release_version FROM system.local"
REPLICATION: Final = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s"
COMMIT_LOG: Final = "SELECT value FROM system_views.settings WHERE name = 'commitlog_sync'"

ENOUGH: Final = 3
"""How many replicas it takes so that a quorum does without one of them."""

KEEPS: Final = ("batch", "group")
"""The settings of the commit log with which a node keeps what it acknowledged when it is killed."""


@attrs.frozen
class Seen:
    """What was looked at in a cluster.

    Args:
        version: That of the node that was asked.
        nodes: How many nodes each data centre has.
        replication: That of the keyspace; None where there is no keyspace.
        has_tables: Whether the tables are there.
        commit_log: Its way of writing to disk; None where it does not tell.
        has_no_delay: Whether the connections send at once.
    """

    version: str
    nodes: dict[str, int]
    replication: dict[str, str] | None
    has_tables: bool
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


def health(seen: Seen, tables: Tables, options: CassandraOptions) -> Health:
    """The health of a cluster."""
    problems = [*_schema(seen, tables, options), *_durability(seen, options)]
    if not seen.has_no_delay:
        problems.append("TCP_NODELAY is off, so that each request of 4 KiB or more takes 40 ms: see sockopts")
    return Health(f"Cassandra {seen.version}", tuple(problems))


def _schema(seen: Seen, tables: Tables, options: CassandraOptions) -> Iterator[str]:
    is_made = options.setup == "auto"
    if seen.replication is None:
        if not is_made or options.replication is None:
            yield no_keyspace(tables, seen.nodes)
        return
    if not seen.has_tables and not is_made:
        yield MISSING
    for name, count in _counts(seen.replication).items():
        there = sum(seen.nodes.values()) if name == "replication_factor" else seen.nodes.get(name, 0)
        if there < count:
            where = "the cluster" if name == "replication_factor" else f"the data centre {name}"
            yield f"the keyspace wants {count} replicas, but {where} has {_number(there, 'node')}: ALTER KEYSPACE"


def _durability(seen: Seen, options: CassandraOptions) -> Iterator[str]:
    fewest, claim = _fewest(seen.replication, options), options.durability
    if claim == Durability.REPLICATED.value and seen.replication is not None and fewest < ENOUGH:
        yield (
            f"the keyspace has {_number(fewest, 'replica')}, so that the loss of a node may lose data: "
            f"give it {ENOUGH}, or claim durability=server"
        )
    if claim == Durability.SERVER.value and fewest < ENOUGH and seen.commit_log not in KEEPS:
        if seen.commit_log is None:
            yield (
                "commitlog_sync cannot be looked at, so that kill -9 of a node may lose its last ten seconds: "
                f"GRANT SELECT ON system_views.settings to the user, give the keyspace {ENOUGH} replicas, "
                "or claim durability=process"
            )
        else:
            yield (
                f"commitlog_sync is {seen.commit_log}, so that kill -9 of a node may lose its last ten seconds: "
                f"set batch, give the keyspace {ENOUGH} replicas, or claim durability=process"
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
