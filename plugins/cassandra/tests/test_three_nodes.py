"""Three nodes with three replicas go on without one of them."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import attrs
import docker
import pytest
from cassandra import ConsistencyLevel, Timeout
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.policies import HostFilterPolicy, RoundRobinPolicy
from conftest import CASSANDRA

import backscroll
from backscroll import OutcomeUnknown, Store, Unavailable, WindowExceeded
from backscroll.url import parse_url
from backscroll_cassandra.plugin import SETTINGS
from backscroll_conformance.containers import Server, start

TOKENS = (-9223372036854775808, -3074457345618258603, 3074457345618258602)

BACK = 10.0
"""Within how many seconds every append has to be acknowledged."""

TRIES = 3
"""How often a node is lost where that was not so, since the machine may have been busy."""

BEFORE, AFTER = 40, 80
"""How many turns are acknowledged before a node is lost, and how many more after it."""

WRITERS = 4

OF_THREE_REPLICAS = "SELECT * FROM system_distributed.view_build_status WHERE keyspace_name = '' AND view_name = ''"
"""Asks for nothing, in a keyspace of the server's own with three replicas."""

LOOKED_AT = 1_000
"""How many messages are looked through for a turn of which the store cannot tell what became of it."""


def _address(server: Server) -> str:
    """Where the other nodes find it."""
    engine = docker.from_env()
    try:
        return str(engine.containers.get(server.container).attrs["NetworkSettings"]["IPAddress"])
    finally:
        engine.close()


def _wait_for_others(server: Server) -> None:
    """Wait until a node sees that all are up, so that it can ask all replicas."""
    [port] = server.published
    policy = HostFilterPolicy(RoundRobinPolicy(), lambda host: host.endpoint.port == port)
    profile = ExecutionProfile(policy, consistency_level=ConsistencyLevel.ALL)
    end = time.monotonic() + 60
    with Cluster(
        ["localhost"], port=port, protocol_version=5, execution_profiles={EXEC_PROFILE_DEFAULT: profile}
    ) as cluster:
        session = cluster.connect()
        while True:
            try:
                session.execute(OF_THREE_REPLICAS)
                return
            except (NoHostAvailable, Timeout):
                assert time.monotonic() < end
                time.sleep(0.1)


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Server]]:
    """Three nodes, one after the other, each at a port of its own on this machine."""
    with ExitStack() as stack:
        found: list[Server] = []
        for token in TOKENS:
            settings = (
                *SETTINGS,
                "settings.native_transport_port={port}",
                "settings.broadcast_rpc_address=127.0.0.1",
                f"settings.initial_token={token}",
                "settings.auto_bootstrap=false",
                "ring_delay_ms=0",
            )
            environment = {
                "JAVA_TOOL_OPTIONS": " ".join(f"-Dcassandra.{each}" for each in settings),
                "CASSANDRA_SEEDS": _address(found[0]) if found else "",
                "MAX_HEAP_SIZE": "512M",
                "HEAP_NEWSIZE": "128M",
            }
            environment = {name: value for name, value in environment.items() if value}
            found.append(start(attrs.evolve(CASSANDRA, environment=environment, container_port="{port}")))
            stack.callback(found[-1].remove)
        for server in found:
            _wait_for_others(server)
        yield found


@contextmanager
def _lost(server: Server, how: str) -> Iterator[None]:
    if how == "frozen":
        with server.paused():
            yield
    else:
        server.kill()
        yield


def _url(nodes: list[Server], name: str) -> str:
    ports = [parse_url(node.url).hosts[0].port for node in nodes]
    return f"cassandra://{','.join(f'localhost:{port}' for port in ports)}/{name}?replication=datacenter1:3"


def _appended(store: Store, session_id: str, writer: int, number: int) -> tuple[str, float]:
    """Append a turn until it is acknowledged; how long that took."""
    name, began, turn_id = f"{writer}.{number}", time.monotonic(), f"{writer}.{number}"
    while True:
        try:
            store.append(session_id, [{"role": "user", "content": name}] * 2, turn_id=turn_id, timeout=BACK)
        except WindowExceeded:
            if any(record.message.content == name for record in store.last(session_id, LOOKED_AT)):
                break
        except (OutcomeUnknown, Unavailable):
            pass
        else:
            break
    return name, time.monotonic() - began


def test_a_node_that_is_lost_in_mid_stream_loses_and_doubles_nothing(nodes: list[Server]) -> None:
    """Every append is acknowledged within ten seconds, and reads go on, while a node is frozen, and after it died."""
    for how in ("frozen", "killed"):
        with backscroll.open(_url(nodes, how), durability="replicated", timeout=30) as store:
            assert store.setup().problems == ()
            assert store.examine().findings == ()
            longest: list[float] = []
            while len(longest) < TRIES and min(longest, default=BACK + 1) > BACK:
                if longest and how == "killed":
                    _start_again(nodes)
                longest.append(_longest(store, f"stream {len(longest)}", nodes[-1], how))
            assert min(longest) <= BACK


def _start_again(nodes: list[Server]) -> None:
    nodes[-1].start_again()
    for node in nodes:
        _wait_for_others(node)


def _longest(store: Store, session_id: str, lost: Server, how: str) -> float:
    """How long an append took at the most while a node was lost; whatever was acknowledged is there, once."""
    acknowledged = _stream(store, session_id, lost, how)
    expected: Any = sorted(name for name, _ in acknowledged for _ in range(2))
    assert sorted(record.message.content for record in store.iterate(session_id)) == expected
    return max(seconds for _, seconds in acknowledged)


def _stream(store: Store, session_id: str, lost: Server, how: str) -> list[tuple[str, float]]:
    """Lose a node while several append; the turns that were acknowledged, and how long each took."""
    acknowledged: list[tuple[str, float]] = []
    over = threading.Event()

    def write(writer: int) -> None:
        number = 0
        while not over.is_set():
            acknowledged.append(_appended(store, session_id, writer, number))
            number += 1

    def until(count: int) -> None:
        end = time.monotonic() + 60
        while len(acknowledged) < count:
            assert time.monotonic() < end, f"{how}: {len(acknowledged)} of {count} turns after 60 s"
            time.sleep(0.01)

    with ThreadPoolExecutor(WRITERS) as pool:
        writing = pool.map(write, range(WRITERS))
        try:
            until(BEFORE)
            with _lost(lost, how):
                until(len(acknowledged) + AFTER)
                assert store.last(session_id, 1)
        finally:
            over.set()
        list(writing)
    return acknowledged
