"""The measures of Cassandra: each gives rows; the driver and langchain-community interleaved in the same run, medians.

The node keeps what it acknowledged (`commitlog_sync=batch`), as the tests have it; every side waits for the same disk.
"""

import asyncio
import json
import multiprocessing
import random
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Self

import cassandra
from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy
from cassandra.query import UNSET_VALUE, BatchStatement, BatchType, tuple_factory
from langchain_community.chat_message_histories import CassandraChatMessageHistory
from langchain_core.messages import AIMessage, HumanMessage
from rows import SESSION, TURN, Row, interleaved, microseconds, on_server, race, trips

import backscroll
from backscroll import Store
from backscroll.backend import Turn, Window
from backscroll.envelope import encode_turn
from backscroll.recent import push_turn
from backscroll_cassandra import layout
from backscroll_cassandra.access import NO_DELAY
from backscroll_cassandra.layout import ABSENT, UNSET, Query, Statics, Tables
from backscroll_cassandra.plugin import backscroll_servers
from backscroll_conformance.containers import Server
from backscroll_conformance.relay import Relay

(SPEC,) = backscroll_servers()

KEYSPACE = "backscroll"
TABLES = Tables(KEYSPACE, "backscroll_")

CALLS = 30
"""How often a side acts before the other one does."""


class Raw:
    """The driver alone: a session, and the store's own statements."""

    def __init__(self, server: Server) -> None:
        profile = ExecutionProfile(
            load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy("datacenter1")),
            consistency_level=ConsistencyLevel.LOCAL_QUORUM,
            serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
            row_factory=tuple_factory,
        )
        self.cluster = Cluster(
            ["localhost"],
            port=server.published[0],
            protocol_version=5,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            sockopts=[NO_DELAY],
        )
        self.session = self.cluster.connect()
        self._prepared: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cluster.shutdown()

    def send(self, *queries: Query) -> Any:
        """Send a statement, or several as one batch; gives the rows."""
        bound = [self._bound(query) for query in queries]
        if len(bound) == 1:
            return self.session.execute(bound[0]).all()
        batch = BatchStatement(BatchType.UNLOGGED)
        for each in bound:
            batch.add(each)
        return self.session.execute(batch).all()

    def _bound(self, query: Query) -> Any:
        if query.text not in self._prepared:
            self._prepared[query.text] = self.session.prepare(TABLES.filled(query.text))
        values = [UNSET_VALUE if value is UNSET else value for value in query.values]
        return self._prepared[query.text].bind(values)


class Writer:
    """One session, written by the driver with the same batch, for one caller who makes no mistakes."""

    def __init__(self, raw: Raw, session_id: str) -> None:
        self._raw = raw
        self._session_id = session_id
        self._state = ABSENT

    def append(self) -> bool:
        """Append a turn, if the session still is as it was left; otherwise look how it is."""
        turn, old = _turn(), self._state
        version = old.next_seq or 0
        new = Statics(
            old.incarnation or turn.turn_id,
            version + len(turn.bodies),
            0,
            push_turn(old.recent or b"", turn, version, 1),
            (old.bytes or 0) + sum(map(len, turn.bodies)),
        )
        [row] = self._raw.send(
            layout.set_statics(self._session_id, 0, old, new), *layout.insert(self._session_id, 0, version, turn)
        )
        if row[0]:
            self._state = new
            return True
        # As the columns stand in a refusal: applied, the key, seq, and the condition in its own order.
        self._state = Statics(*row[-len(Statics._fields) :])
        return False

    def insist(self) -> None:
        """Append a turn, retrying at once."""
        while not self.append():
            pass


def _turn() -> Turn:
    turn_id = uuid.uuid4()
    bodies, digest = encode_turn(TURN, turn_id, time.time_ns() // 1_000, None)
    return Turn(turn_id, digest, bodies)


def _langchain(raw: Raw, session_id: str) -> Any:
    peer = Cluster(
        ["localhost"],
        port=raw.cluster.port,
        protocol_version=5,
        load_balancing_policy=DCAwareRoundRobinPolicy("datacenter1"),
    )
    return peer, CassandraChatMessageHistory(session_id, peer.connect(), KEYSPACE)


def _as_langchain() -> list[Any]:
    return [HumanMessage(TURN[0]["content"]), AIMessage(TURN[1]["content"])]


def appends(server: Server, rounds: int) -> Iterator[Row]:
    """A turn of two messages of 400 bytes, alone."""
    with backscroll.open(server.url) as store, Raw(server) as raw:
        store.append(SESSION, TURN)
        writer = Writer(raw, "raw")
        ours = partial(microseconds, lambda: store.append(SESSION, TURN), CALLS)
        a, b, ratio = interleaved(ours, lambda: microseconds(writer.insist, CALLS), rounds)
        yield Row("append", a, "µs")
        yield Row("append, the same batch by the driver", b, "µs")
        yield Row("append / the same batch", ratio, "times", "<=", 1.15)
        cluster, peer = _langchain(raw, "peer")
        turn = _as_langchain()
        b, _, ratio = interleaved(lambda: microseconds(lambda: peer.add_messages(turn), CALLS), ours, rounds)
        yield Row("append by langchain-community", b, "µs")
        yield Row("append by langchain-community / ours", ratio, "times")
        cluster.shutdown()
        large = [{"role": "user", "content": "x" * 6_000}, TURN[1]]
        _, _, ratio = interleaved(lambda: microseconds(lambda: store.append(SESSION, large), CALLS), ours, rounds)
        yield Row("append of 6 KiB / of 1 KiB", ratio, "times", "<=", 1.5)


def reads(server: Server, rounds: int) -> Iterator[Row]:
    """The last twenty messages of a long session and of a short one."""
    with backscroll.open(server.url) as store, Raw(server) as raw:
        for _ in range(100_000 // 800):
            store.append("long", TURN * 400, timeout=60)
        store.append("short", TURN * 50)
        newest = Window(None, None, 20, newest=True, now=0)
        [[*_, segments, _]] = raw.send(layout.statics("long", 0))
        last = max(segments.items())[1]

        def theirs() -> list[Any]:
            rows = raw.send(layout.rows("long", last, newest, 20))
            return [json.loads(row[2])["message"] for row in reversed(rows)]

        ours = partial(microseconds, partial(store.last, "long", 20), CALLS)
        a, b, ratio = interleaved(ours, lambda: microseconds(theirs, CALLS), rounds)
        yield Row("last(20) of 100,000 messages", a, "µs")
        yield Row("last(20), SELECT and json.loads by the driver", b, "µs")
        yield Row("last(20) / SELECT and json.loads", ratio, "times", "<=", 1.4)
        _, _, ratio = interleaved(ours, lambda: microseconds(lambda: store.last("short", 20), CALLS), rounds)
        yield Row("last(20) of 100,000 messages / of 100", ratio, "times", "<=", 1.2)
        yield Row("messages that are not there", 100_000 - store.count("long", timeout=60), "", "<=", 0)


def round_trips(server: Server, _: int) -> Iterator[Row]:
    """How often an operation goes to the node and back, counted on the line."""
    url = "cassandra://localhost:{}/backscroll?replication=1"
    with Relay(server.published[0]) as relay, backscroll.open(url.format(relay.ports[0])) as store:
        yield from trips(store, relay, times=CALLS, most=1.2)


THREADS, TURNS = 8, 15
"""How many threads append, and how many turns each before the other side does."""


def _race(acts: Sequence[Callable[[], Any]], turns: int = TURNS) -> float:
    """Do each of these in a thread of its own, again and again; gives how many in a second."""
    return race(acts, turns)[0]


def contended(server: Server, rounds: int) -> Iterator[Row]:
    """Eight threads append to one session."""
    rounds = min(rounds, 7)
    with backscroll.open(server.url) as store, Raw(server) as raw:
        store.append(SESSION, TURN)
        writers = [Writer(raw, "contended") for _ in range(THREADS)]
        cluster, peer = _langchain(raw, "peer")
        turn = _as_langchain()
        ours = partial(_race, [partial(store.append, SESSION, TURN)] * THREADS)
        a, b, ratio = interleaved(ours, lambda: _race([writer.insist for writer in writers]), rounds)
        yield Row(f"{THREADS} threads on one session", a, "turns/s")
        yield Row("the same batch by the driver, retried at once", b, "turns/s")
        yield Row("threads / retried at once", ratio, "times", ">=", 4)
        _, b, ratio = interleaved(ours, lambda: _race([partial(peer.add_messages, turn)] * THREADS), rounds)
        yield Row("the same by langchain-community", b, "turns/s")
        yield Row("threads / langchain-community", ratio, "times", ">=", 1)
        cluster.shutdown()
        yield Row("turns torn, doubled or moved", _faults(store), "turns", "<=", 0)


def _faults(store: Store) -> int:
    """How much is not once, in one piece and where it ought to be."""
    records = list(store.iterate(SESSION))
    pairs = zip(records[::2], records[1::2], strict=False)
    faults = sum((first.turn_id, first.message.role) != (second.turn_id, "user") for first, second in pairs)
    return faults + abs(len({record.turn_id for record in records}) - len(records) // 2)


def apart(server: Server, rounds: int) -> Iterator[Row]:
    """Eight threads append to eight sessions."""
    with backscroll.open(server.url) as store, Raw(server) as raw:
        ours = [partial(store.append, f"ours {number}", TURN) for number in range(THREADS)]
        theirs = [Writer(raw, f"raw {number}").insist for number in range(THREADS)]
        store.append(SESSION, TURN)
        _race(ours, 1), _race(theirs, 1)
        a, b, ratio = interleaved(lambda: _race(ours), lambda: _race(theirs), min(rounds, 7))
        yield Row(f"{THREADS} threads on {THREADS} sessions", a, "turns/s")
        yield Row("the same batches by the driver", b, "turns/s")
        yield Row("threads / the same batches", ratio, "times", ">=", 0.8)


PROCESSES, IN_EACH, SECONDS = 3, 4, 10


def _write(url: str, waits: "multiprocessing.Queue[list[float]]", begins: Any) -> None:
    """Append by several threads for some seconds; gives how long each append took."""
    took: list[float] = []
    with backscroll.open(url, timeout=30) as store:
        store.last(SESSION)
        begins.wait()
        end = time.monotonic() + SECONDS

        def run(_: int) -> None:
            while time.monotonic() < end:
                began = time.perf_counter()
                store.append(SESSION, TURN)
                took.append(time.perf_counter() - began)

        with ThreadPoolExecutor(IN_EACH) as pool:
            list(pool.map(run, range(IN_EACH)))
    waits.put(took)


def between_processes(server: Server, _: int) -> Iterator[Row]:
    """Three processes of four threads append to one session; a first time, which warms the server up, is not told."""
    with backscroll.open(server.url) as store:
        store.append(SESSION, TURN)
        _between(server.url)
        took = _between(server.url)
        yield Row(f"{PROCESSES} processes of {IN_EACH} threads on one session", len(took) / SECONDS, "turns/s")
        yield Row("p95 of an append among them", statistics.quantiles(took, n=20)[-1] * 1e3, "ms")
        yield Row("the longest", max(took), "s", "<=", 0.5)
        yield Row("turns torn, doubled or moved", _faults(store), "turns", "<=", 0)


def _between(url: str) -> list[float]:
    """Let the processes append at the same time; how long each append took."""
    context = multiprocessing.get_context("spawn")
    waits: multiprocessing.Queue[list[float]] = context.Queue()
    begins = context.Barrier(PROCESSES)
    processes = [context.Process(target=_write, args=(url, waits, begins)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    took = [wait for _ in processes for wait in waits.get()]
    for process in processes:
        process.join()
    return took


IN_FLIGHT = 1_000


def in_flight(server: Server, rounds: int) -> Iterator[Row]:
    """A thousand appends at once on one loop, and one after the other."""
    with backscroll.open(server.url) as store:
        names = [f"flight {number}" for number in range(IN_FLIGHT)]
        random.shuffle(names)

        async def many() -> float:
            began = time.perf_counter()
            await asyncio.gather(*(store.aappend(name, TURN, timeout=60) for name in names))
            return IN_FLIGHT / (time.perf_counter() - began)

        asyncio.run(many())

        def alone() -> float:
            return 1e6 / microseconds(lambda: store.append("flight 0", TURN), CALLS)

        a, b, ratio = interleaved(lambda: asyncio.run(many()), alone, min(rounds, 7))
        yield Row(f"{IN_FLIGHT:,} appends in flight on one loop", a, "turns/s")
        yield Row("one after the other", b, "turns/s")
        yield Row("in flight / one after the other", ratio, "times", ">=", 2)
        yield Row("threads", threading.active_count(), "")


EVERY = (appends, reads, round_trips, contended, apart, between_processes, in_flight)
MEASURES = {measure.__name__: on_server(SPEC, measure) for measure in EVERY}
ONLY_WHEN_NAMED: set[str] = set()


def version() -> str:
    """What was measured."""
    return f"cassandra-driver {cassandra.__version__}, {SPEC.image}"
