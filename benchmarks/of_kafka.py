"""The measures of Kafka: each gives rows; the driver and langchain-community interleaved in the same run, medians.

The topics of the big logs are filled by the driver with records as the store writes them.
"""

import asyncio
import multiprocessing
import os
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

import confluent_kafka
from confluent_kafka import Producer, murmur2
from langchain_community.chat_message_histories.kafka import KafkaChatMessageHistory
from langchain_core.messages import HumanMessage
from rows import SESSION, TURN, Row, interleaved, microseconds, on_server, race, trips

import backscroll
from backscroll import Store
from backscroll.backend import Deadline, Turn
from backscroll.envelope import encode_turn
from backscroll.futures import start as steps
from backscroll_conformance.containers import Server, free_ports, start
from backscroll_conformance.relay import Relay
from backscroll_kafka.access import COMMON, producing
from backscroll_kafka.index import Chunk
from backscroll_kafka.layout import Kinds, turn_value
from backscroll_kafka.options import KafkaOptions
from backscroll_kafka.plugin import backscroll_servers
from backscroll_kafka.readers import Job

(SPEC,) = backscroll_servers()

CALLS = 30
"""How often a side acts before the other one does."""

THREADS, TURNS = 8, 60
PARTITIONS = 16
SESSIONS = 20_000
"""Over how many sessions the big logs are spread."""

BEHIND = 100
"""How many records a writer's view of the log is behind in the big logs."""

MILLION = 1_000_000
TOUCHED = 1_000

_topics = count()


def _url(server: Server, partitions: int = PARTITIONS) -> tuple[str, str]:
    """A topic that nobody else has, and what opens it."""
    name = f"bench-{next(_topics)}-{uuid.uuid4().hex[:6]}"
    return name, f"kafka://localhost:{server.published[0]}/{name}?replication=1&partitions={partitions}"


class Raw:
    """The driver alone, with the store's own settings."""

    def __init__(self, server: Server, topic: str, **settings: Any) -> None:
        common = {"bootstrap.servers": f"localhost:{server.published[0]}", **settings}
        self._topic = topic
        self._value = _values()(1)
        self._producer = Producer({**COMMON, **producing(KafkaOptions()), **common})

    def append(self, session_id: str = "raw") -> int:
        """A turn, and its report."""
        told: list[Any] = []
        self._produce(session_id, lambda error, message: told.append((error, message.offset())))
        while not told:
            self._producer.poll(1)
        return _offset(*told[0])

    @contextmanager
    def served(self) -> Iterator[Callable[[], int]]:
        """Appends by many threads, whose reports one more thread hands on: a thread that polls takes all there are."""
        over = Event()

        def serve() -> None:
            while not over.is_set():
                self._producer.poll(0.02)

        def append() -> int:
            told: SimpleQueue[tuple[Any, int]] = SimpleQueue()
            self._produce("raw", lambda error, message: told.put((error, message.offset())))
            return _offset(*told.get(timeout=30))

        thread = Thread(target=serve)
        thread.start()
        try:
            yield append
        finally:
            over.set()
            thread.join()

    def _produce(self, session_id: str, report: Callable[[Any, Any], None]) -> None:
        key = session_id.encode()
        place = murmur2(key, PARTITIONS)
        self._producer.produce(self._topic, self._value, key, partition=place, on_delivery=report)

    def fill(self, records: int, sessions: int = SESSIONS) -> None:
        """Write so many turns, over so many sessions in turn."""
        value = _values()
        keys = [f"session {number}".encode() for number in range(sessions)]
        places = [murmur2(key, PARTITIONS) for key in keys]
        written = [0] * PARTITIONS
        for number in range(records):
            at = number % sessions
            place = places[at]
            checked = max(0, written[place] - BEHIND)
            while True:
                try:
                    self._producer.produce(self._topic, value(checked), keys[at], partition=place)
                    break
                except BufferError:
                    self._producer.poll(0.05)
            written[place] += 1
        if left := self._producer.flush(120):
            raise RuntimeError(f"{left} records were not written")


def _offset(error: Any, offset: int) -> int:
    if error is not None:
        raise RuntimeError(error.name())
    return offset


def _values() -> Callable[[int], bytes]:
    """Makes records of turns, each with an id of its own, from the offset that its writer knew."""
    bodies, digest = encode_turn(TURN, uuid.uuid4(), time.time_ns() // 1_000, None)
    return lambda checked: turn_value(Turn(uuid.uuid4(), digest, bodies), checked, PARTITIONS)


def appends(server: Server, rounds: int) -> Iterator[Row]:
    """A turn of two messages of 400 bytes, alone, and read by another process at the answer."""
    name, url = _url(server)
    with backscroll.open(url) as store, backscroll.open(url) as other:
        store.append(SESSION, TURN)
        raw = Raw(server, name)
        raw.append()
        ours = partial(microseconds, lambda: store.append(SESSION, TURN), CALLS)
        a, b, ratio = interleaved(ours, lambda: microseconds(raw.append, CALLS), rounds)
        yield Row("append", a, "µs")
        yield Row("produce and its report, by the driver", b, "µs")
        yield Row("append / produce", ratio, "times", "<=", 1.3)
        missed = 0
        for _ in range(100):
            seq = store.append("seen", TURN).seqs[-1]
            missed += other.last("seen", 1)[0].seq != seq
        yield Row("appends that another client did not see at once, of 100", missed, "", "<=", 0)


def reads(server: Server, rounds: int) -> Iterator[Row]:
    """The last twenty messages of a long session and of a short one, of a session in use and of another one."""
    _, url = _url(server)
    with backscroll.open(url) as store:
        for _ in range(20_000 // 2):
            store.append("long", TURN)
        for _ in range(15):
            store.append("short", TURN)
        for name in ("long", "short"):
            store.last(name)
        a, b, ratio = interleaved(
            partial(microseconds, partial(store.last, "long", 20), CALLS),
            partial(microseconds, partial(store.last, "short", 20), CALLS),
            rounds,
        )
        yield Row("last(20) of 20,000 messages", a / 1e3, "ms", "<=", 2)
        yield Row("last(20) of 30 messages", b / 1e3, "ms", "<=", 2)
        yield Row("last(20) of 20,000 messages / of 30", ratio, "times")

        def both() -> None:
            store.append("short", TURN)
            store.last("short", 20)

        a, b, _ = interleaved(
            partial(microseconds, both, CALLS),
            partial(microseconds, lambda: store.append("short", TURN), CALLS),
            rounds,
        )
        yield Row("append and last(20), over the append", (a - b) / 1e3, "ms", "<=", 1.5)
        names = [f"other {number}" for number in range(40)]
        for _ in range(10):
            for name in names:
                store.append(name, TURN)
    with backscroll.open(url) as store:
        store.sessions()  # the index
        took = [microseconds(partial(store.last, name), 1) for name in names]
        yield Row("last(20) of another session, with a warm index", statistics.median(took) / 1e3, "ms", "<=", 30)


def order(server: Server, _: int) -> Iterator[Row]:
    """Twenty messages, read by another client; the same by langchain-community."""
    _, url = _url(server)
    right = 0
    with backscroll.open(url) as store, backscroll.open(url) as other:
        for number in range(100):
            for text in range(20):
                store.append(f"order {number}", {"role": "user", "content": str(text)})
            right += [record.message.content for record in other.last(f"order {number}")] == [*map(str, range(20))]
        yield Row("runs of 20 messages in order, of 100", right, "", ">=", 100)
        waits = [microseconds(partial(other.last, f"order {number}"), 1) for number in range(100)]
        yield Row("the longest read", max(waits) / 1e3, "ms")
    right, waits = 0, []
    for number in range(10):
        peer = KafkaChatMessageHistory(f"peer-{number}-{uuid.uuid4().hex[:6]}", f"localhost:{server.published[0]}")
        for text in range(20):
            peer.add_messages([HumanMessage(str(text))])
        began = time.perf_counter()
        right += [message.content for message in peer.messages] == [*map(str, range(20))]
        waits.append(time.perf_counter() - began)
        peer.close()
    yield Row("the same by langchain-community, of 10", right, "")
    yield Row("its longest read", max(waits), "s")


def contended(server: Server, rounds: int) -> Iterator[Row]:
    """Eight threads append to one session, and by the driver with one producer for all."""
    name, url = _url(server)
    with backscroll.open(url) as store:
        store.append(SESSION, TURN)
        raw = Raw(server, name)
        ours = partial(_race, partial(store.append, SESSION, TURN))
        with raw.served() as append:
            a, b, ratio = interleaved(ours, partial(_race, append), min(rounds, 7))
        yield Row(f"{THREADS} threads on one session", a, "turns/s")
        yield Row("the same by the driver with one producer", b, "turns/s")
        yield Row("threads / the driver", ratio, "times", ">=", 0.8)
        yield Row("turns torn or doubled", _faults(store), "turns", "<=", 0)


def _race(act: Callable[[], Any]) -> float:
    return race([act] * THREADS, TURNS)[0]


def _faults(store: Store) -> int:
    records: list[Any] = list(store.iterate(SESSION))
    torn = sum(one.turn_id != other.turn_id for one, other in zip(records[::2], records[1::2], strict=True))
    return torn + abs(len({record.turn_id for record in records}) - len(records) // 2)


def in_flight(server: Server, rounds: int) -> Iterator[Row]:
    """A thousand appends at once on one loop, and one after the other."""
    _, url = _url(server)
    with backscroll.open(url) as store:

        async def many() -> float:
            began = time.perf_counter()
            await asyncio.gather(*(store.aappend(f"flight {number}", TURN) for number in range(1_000)))
            return 1_000 / (time.perf_counter() - began)

        asyncio.run(many())
        alone = lambda: 1e6 / microseconds(lambda: store.append("flight 0", TURN), CALLS)  # noqa: E731
        a, b, ratio = interleaved(lambda: asyncio.run(many()), alone, min(rounds, 7))
        yield Row("1,000 appends in flight on one loop", a, "turns/s")
        yield Row("one after the other", b, "turns/s")
        yield Row("in flight / one after the other", ratio, "times", ">=", 2)


def round_trips(_: Server, __: int) -> Iterator[Row]:
    """How often an operation goes to the broker and back, counted on the line to it."""
    published = free_ports()
    with Relay(*published) as relay:
        server = start(SPEC, relay.ports, published)
        try:
            with backscroll.open(server.url) as store:
                yield from trips(store, relay, times=CALLS, most=1.5)
        finally:
            server.remove()


def _cold(url: str, told: "multiprocessing.Queue[tuple[float, float, int]]") -> None:
    """Connect, and read the last messages of sessions that this process has never read."""
    began = time.perf_counter()
    with backscroll.open(url) as store:
        store.ping()
        connected = time.perf_counter()
        found = store.last("session 4711")
        told.put((connected - began, time.perf_counter() - connected, len(found)))


def _big(server: Server, rounds: int, records: int) -> Iterator[Row]:
    name, url = _url(server)
    with backscroll.open(url) as store:
        store.setup()
        Raw(server, name, **{"linger.ms": 50, "compression.type": "none"}).fill(records)
    context = multiprocessing.get_context("spawn")
    told: multiprocessing.Queue[tuple[float, float, int]] = context.Queue()
    took = []
    for _ in range(min(rounds, 7)):
        process = context.Process(target=_cold, args=(url, told))
        process.start()
        connecting, reading, found = told.get()
        process.join()
        took.append((connecting, reading))
        if found != 20:
            raise RuntimeError(f"{found} messages were found")
    reading = statistics.median(each[1] for each in took) * 1e3
    size = f"{records:,} records over {PARTITIONS} partitions"
    yield Row(f"cold last(20), {size}, beyond connecting", reading, "ms", "<=", 150 if records == MILLION else None)
    yield Row("connecting", statistics.median(each[0] for each in took) * 1e3, "ms")
    yield from _scan(url, records)


def _scan(url: str, records: int) -> Iterator[Row]:
    with backscroll.open(url) as store:
        store.last("nobody")
        backend: Any = store._backend  # noqa: SLF001  # what lies under a read is measured
        rates = []
        name = backend._topics._name  # noqa: SLF001  # likewise
        for partition in range(4):
            chunk = Chunk(Kinds(PARTITIONS)).below(1 << 47)
            high = _ended(backend, (name, partition))
            began = time.perf_counter()
            backend._logs._scanner.read(  # noqa: SLF001  # likewise
                _job((name, partition), high, chunk.take)
            ).result()
            rates.append(high / (time.perf_counter() - began))
        yield Row(f"scan, {records:,} records", statistics.median(rates), "records/s", ">=", 400_000)


def _ended(backend: Any, place: tuple[str, int]) -> int:
    end: int = steps(backend._connections.end(place, Deadline(30))).result()  # noqa: SLF001  # likewise
    return end


def _job(place: tuple[str, int], high: int, take: Callable[[Any], bool]) -> Any:
    return Job(place, 0, high, take, Deadline(120))


def million(server: Server, rounds: int) -> Iterator[Row]:
    """A new process on a topic of a million records."""
    yield from _big(server, rounds, MILLION)


def five_millions(server: Server, rounds: int) -> Iterator[Row]:
    """The same with five million."""
    yield from _big(server, rounds, 5 * MILLION)


def _touch(url: str, told: "multiprocessing.Queue[tuple[float, float, float]]") -> None:
    """Read the last messages of a thousand sessions, and then list the first hundred of all."""
    with backscroll.open(url) as store:
        store.ping()
        before = _resident()
        for number in range(TOUCHED):
            if len(store.last(f"session {number * (MILLION // TOUCHED)}")) != len(TURN):
                raise RuntimeError(f"session {number} is not there")
        touched = _resident()
        store.sessions(limit=100)
        told.put((before, touched, _resident()))


def _resident() -> float:
    """How many MiB of memory this process takes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def memory(server: Server, _: int) -> Iterator[Row]:
    """What a process takes that reads a thousand of a million sessions."""
    name, url = _url(server)
    with backscroll.open(url) as store:
        store.setup()
        Raw(server, name, **{"linger.ms": 50, "compression.type": "none"}).fill(MILLION, MILLION)
    context = multiprocessing.get_context("spawn")
    told: multiprocessing.Queue[tuple[float, float, float]] = context.Queue()
    process = context.Process(target=_touch, args=(url, told))
    process.start()
    before, touched, listed = told.get(timeout=600)
    process.join()
    yield Row("memory of a process with an open store", before, "MiB")
    yield Row(f"more, once it has read {TOUCHED:,} of {MILLION:,} sessions", touched - before, "MiB")
    yield Row("more, once it has listed sessions, too", listed - touched, "MiB")


EVERY = (appends, reads, order, contended, in_flight, round_trips, million, five_millions, memory)
MEASURES = {measure.__name__: on_server(SPEC, measure) for measure in EVERY}
ONLY_WHEN_NAMED = {"five_millions", "memory"}


def version() -> str:
    """What was measured."""
    return f"confluent-kafka {confluent_kafka.__version__}, {SPEC.image}"
