"""A node for tests that look behind the curtain, stores on it, and a keyspace of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy

import backscroll
from backscroll import Store
from backscroll.url import parse_url
from backscroll_cassandra.access import NO_DELAY
from backscroll_cassandra.plugin import backscroll_servers
from backscroll_conformance.containers import Server
from backscroll_conformance.servers import running

(CASSANDRA,) = backscroll_servers()

Ask = Callable[..., list[tuple[Any, ...]]]
Opened = Callable[..., Store]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A node, as the suite has it."""
    with running(CASSANDRA) as server:
        yield server


@pytest.fixture(scope="session")
def port(server: Server) -> int:
    """Where it is reached."""
    [host] = parse_url(server.url).hosts
    return host.port or 0


@pytest.fixture(scope="session")
def session(port: int) -> Iterator[Any]:
    """A session of the driver, as a user has it."""
    profile = ExecutionProfile(load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy("datacenter1")))
    cluster = Cluster(
        ["localhost"],
        port=port,
        protocol_version=5,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        sockopts=[NO_DELAY],
    )
    yield cluster.connect()
    cluster.shutdown()


@pytest.fixture
def ask(session: Any) -> Ask:
    """Asks the node as its administrator."""

    def ask(statement: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in session.execute(statement)]

    return ask


@pytest.fixture(scope="session")
def keyspace(session: Any) -> Iterator[str]:
    """A keyspace of this process."""
    name = f"tests_{uuid4().hex}"
    session.execute(f"CREATE KEYSPACE {name} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}")
    yield name
    session.execute(f"DROP KEYSPACE {name}")


@pytest.fixture
def opened(port: int, keyspace: str) -> Iterator[Opened]:
    """Opens stores on the node, and closes them."""
    with ExitStack() as stack:

        def opened(url: str = f"cassandra://localhost:{port}/{keyspace}", **options: Any) -> Store:
            return stack.enter_context(backscroll.open(url, **options))

        yield opened


@pytest.fixture
def session_id() -> str:
    """A session that nobody else has."""
    return uuid4().hex
