"""Three brokers with three replicas go on without one of them."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import attrs
import docker
import pytest
from confluent_kafka import murmur2
from confluent_kafka.admin import AdminClient
from conftest import KAFKA
from told import make, until

import backscroll
from backscroll import OutcomeUnknown, Store, Unavailable, WindowExceeded
from backscroll.backend import Severity
from backscroll_conformance.containers import Server, free_ports

BACK = 30.0
"""Within how many seconds every append has to be acknowledged: the default deadline."""

BEFORE, AFTER = 200, 200
"""How many turns are acknowledged before the leader is lost, and how many more after it."""

WRITERS = 4
SESSION = "stream"
PARTITIONS = 6
LOOKED_AT = 1_000

TOO_FEW = "the loss of one broker may lose what was acknowledged (replicas: 3, min.insync.replicas=1)"
UNCLEAN = "a broker that lacks what was acknowledged may become the leader (unclean.leader.election.enable=true)"


@attrs.frozen
class Cluster:
    """Three brokers in containers of this machine's network, since each has to reach the others where clients do."""

    ports: tuple[int, ...]
    containers: list[Any]

    @property
    def addresses(self) -> str:
        """Where they are."""
        return ",".join(f"localhost:{port}" for port in self.ports)

    @contextmanager
    def without(self, broker: int) -> Iterator[None]:
        """End one at once; afterwards it is there again."""
        container = self.containers[broker - 1]
        container.kill()
        try:
            yield
        finally:
            container.start()
            admin = AdminClient({"bootstrap.servers": self.addresses})
            until(lambda: len(admin.list_topics(timeout=10).brokers) == len(self.ports))


@pytest.fixture(scope="module")
def cluster(server: Server) -> Iterator[Cluster]:
    """Three brokers, each of which is a controller, too; `server` skips where none can run."""
    with ExitStack() as stack:
        ports = free_ports(6)
        clients, controllers = ports[:3], ports[3:]
        voters = ",".join(f"{number}@localhost:{port}" for number, port in enumerate(controllers, 1))
        engine = docker.from_env()
        stack.callback(engine.close)
        found: list[Any] = []
        for number, (port, controller) in enumerate(zip(clients, controllers, strict=True), 1):
            environment = {
                "KAFKA_NODE_ID": str(number),
                "KAFKA_LISTENERS": f"PLAINTEXT://localhost:{port},CONTROLLER://localhost:{controller}",
                "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://localhost:{port}",
                "KAFKA_CONTROLLER_QUORUM_VOTERS": voters,
                "KAFKA_DEFAULT_REPLICATION_FACTOR": "3",
                "KAFKA_MIN_INSYNC_REPLICAS": "2",
                "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "3",
                "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "3",
                "KAFKA_HEAP_OPTS": "-Xms256m -Xmx384m",
            }
            found.append(engine.containers.run(KAFKA.image, detach=True, network_mode="host", environment=environment))
            stack.callback(found[-1].remove, force=True, v=True)
        for container in found:
            until(lambda container=container: KAFKA.ready.encode() in container.logs())
        yield Cluster(clients, found)


def _appended(store: Store, writer: int, number: int) -> tuple[str, float]:
    """Append a turn until it is acknowledged; how long that took."""
    name, began = f"{writer}.{number}", time.monotonic()
    while True:
        try:
            store.append(SESSION, [{"role": "user", "content": name}] * 2, turn_id=name)
        except WindowExceeded:
            if any(record.message.content == name for record in store.last(SESSION, LOOKED_AT)):
                break
        except (OutcomeUnknown, Unavailable):
            pass
        else:
            break
    return name, time.monotonic() - began


def test_a_leader_that_is_killed_in_mid_stream_loses_and_doubles_nothing(cluster: Cluster) -> None:
    """Every append is acknowledged within the default deadline, each turn is there once, whole and in order."""
    url = f"kafka://{cluster.addresses}/killed?partitions={PARTITIONS}&replication=3"
    with backscroll.open(url, durability="replicated") as store:
        assert store.setup().problems == ()
        assert store.examine().findings == ()
        acknowledged = _stream(store, cluster)
        with backscroll.open(url, durability="replicated") as other:
            for each in (store, other):
                found: list[Any] = [record.message.content for record in each.iterate(SESSION)]
                assert sorted(found) == sorted(name for name, _ in acknowledged for _ in range(2))
                assert found[::2] == found[1::2]
                for writer in range(WRITERS):
                    mine = [int(name.split(".")[1]) for name in found[::2] if name.startswith(f"{writer}.")]
                    assert mine == sorted(mine)
        assert max(seconds for _, seconds in acknowledged) <= BACK


def _stream(store: Store, cluster: Cluster) -> list[tuple[str, float]]:
    """Lose the leader of the session's partition while several append; what was acknowledged, and how long it took."""
    acknowledged: list[tuple[str, float]] = []
    over = threading.Event()
    admin = AdminClient({"bootstrap.servers": cluster.addresses})
    topic = admin.list_topics("killed").topics["killed"]
    leader = topic.partitions[murmur2(SESSION.encode(), PARTITIONS)].leader

    def write(writer: int) -> None:
        number = 0
        while not over.is_set():
            acknowledged.append(_appended(store, writer, number))
            number += 1

    with ThreadPoolExecutor(WRITERS) as pool:
        writing = pool.map(write, range(WRITERS))
        try:
            until(lambda: len(acknowledged) >= BEFORE)
            with cluster.without(leader):
                before = len(acknowledged)
                until(lambda: len(acknowledged) >= before + AFTER)
                assert store.last(SESSION, 1)
        finally:
            over.set()
        list(writing)
    return acknowledged


@pytest.mark.parametrize(
    ("setting", "value", "seen", "advice"),
    [
        ("min_insync_replicas", "1", TOO_FEW, "give it 3 replicas and min.insync.replicas=2"),
        ("unclean_leader_election_enable", "true", UNCLEAN, "set unclean.leader.election.enable=false"),
    ],
)
def test_replicas_that_may_lose_what_was_acknowledged_are_told(
    cluster: Cluster, setting: str, value: str, seen: str, advice: str
) -> None:
    """An error where the loss of a broker is claimed to take nothing, else a warning."""
    make(AdminClient({"bootstrap.servers": cluster.addresses}), setting, replicas=3, **{setting: value})
    for durability, severity in (("server", Severity.WARNING), ("replicated", Severity.ERROR)):
        with backscroll.open(f"kafka://{cluster.addresses}/{setting}", durability=durability) as store:
            [found] = store.examine().findings
            assert (found.severity, found.seen, found.advice.partition(",")[0]) == (severity, seen, advice)
