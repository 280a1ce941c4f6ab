"""The measures of Redis: each gives rows, redis-py alone and langchain-community interleaved in the same run, medians.

The server keeps nothing on disk, since waiting for a disk would hide what is measured.
"""

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import redis
import redis.asyncio
from copying import copies
from langchain_community.chat_message_histories import RedisChatMessageHistory
from langchain_core.messages import AIMessage, HumanMessage
from rows import SESSION, TURN, Row, interleaved, microseconds, on_server, trips

import backscroll
from backscroll import Store
from backscroll.backend import Turn
from backscroll_conformance.containers import Server
from backscroll_conformance.relay import Relay
from backscroll_redis.layout import Layout
from backscroll_redis.plugin import backscroll_servers
from backscroll_redis.scripts import APPEND

(SPEC,) = backscroll_servers()
SPEC = attrs.evolve(SPEC, url="redis://localhost:{port}/0", command=("redis-server", "--port", "{port}", "--save", ""))

KEEPING = attrs.evolve(SPEC, command=(*SPEC.command[:-1], "86400 1000000000"))
"""One that would keep something on disk after a day, of which nothing is told to those who copy."""

CALLS = 200
"""How often a side acts before the other one does."""

ENVELOPE = {"v": 1, "turn_id": uuid.uuid4().hex, "stored_at": time.time_ns() // 1_000, "expires_at": None}
BODIES = tuple(
    json.dumps({**ENVELOPE, "index": index, "message": message}, separators=(",", ":")).encode()
    for index, message in enumerate(TURN)
)
"""A turn as it is stored."""


class Raw:
    """What one would write by hand with redis-py: the same script, with all that does not change made beforehand.

    Args:
        client: A client of either form.
        session_id: The session.
    """

    def __init__(self, client: Any, session_id: str = "raw") -> None:
        self.client = client
        self.keys = Layout("backscroll").append(session_id, Turn(uuid.uuid4(), bytes(8), BODIES), None, {}).keys
        self.session_id = session_id

    def append(self) -> Any:
        """Append a turn; to be awaited where the client is async."""
        turn = uuid.uuid4().bytes + bytes(8)
        fixed = b"", self.session_id, turn, "", "", "", "", self.keys[0]
        return self.client.evalsha(APPEND.sha, len(self.keys), *self.keys, *fixed, *BODIES)

    def last(self, count: int) -> list[Any]:
        """The newest messages."""
        found = self.client.lrange(self.keys[0], -count, -1)
        return [json.loads(one.split(b":", 3)[3])["message"] for one in found]


def _port(server: Server) -> int:
    return server.published[0]


def _langchain(server: Server, session_id: str) -> RedisChatMessageHistory:
    return RedisChatMessageHistory(session_id, url=f"redis://localhost:{_port(server)}/0")


def _as_langchain() -> list[Any]:
    return [HumanMessage(TURN[0]["content"]), AIMessage(TURN[1]["content"])]


def appends(server: Server, rounds: int) -> Iterator[Row]:
    """A turn of two messages of 400 bytes."""
    with backscroll.open(server.url) as store, redis.Redis(port=_port(server)) as client:
        store.setup()
        raw, peer, turn = Raw(client), _langchain(server, "peer"), _as_langchain()
        store.append(SESSION, TURN)

        def ours() -> float:
            return microseconds(lambda: store.append(SESSION, TURN), CALLS)

        a, b, ratio = interleaved(ours, lambda: microseconds(raw.append, CALLS), rounds)
        yield Row("append", a, "µs")
        yield Row("append, EVALSHA of the same script by redis-py", b, "µs")
        yield Row("append / EVALSHA of the same script", ratio, "times", "<=", 1.25)
        _, b, ratio = interleaved(lambda: microseconds(lambda: peer.add_messages(turn), CALLS), ours, rounds)
        yield Row("append by langchain-community / ours", ratio, "times", ">=", 1.3)


def reads(server: Server, rounds: int) -> Iterator[Row]:
    """The last twenty messages of a long session and of a short one."""
    with backscroll.open(server.url) as store, redis.Redis(port=_port(server)) as client:
        for _ in range(500):
            store.append("raw", TURN * 100)
        store.append("short", TURN * 50)
        raw = Raw(client)

        def ours() -> float:
            return microseconds(lambda: store.last("raw", 20), CALLS)

        a, b, ratio = interleaved(ours, lambda: microseconds(lambda: raw.last(20), CALLS), rounds)
        yield Row("last(20) of 100,000 messages", a, "µs")
        yield Row("last(20), LRANGE and json.loads by redis-py", b, "µs")
        yield Row("last(20) / LRANGE and json.loads", ratio, "times", "<=", 1.6)
        _, _, ratio = interleaved(ours, lambda: microseconds(lambda: store.last("short", 20), CALLS), rounds)
        yield Row("last(20) of 100,000 messages / of 100", ratio, "times", "<=", 1.2)
        peer = _langchain(server, "peer")
        for _ in range(50):
            peer.add_messages(_as_langchain())
        yield Row("all 100 messages by langchain-community", microseconds(lambda: peer.messages, CALLS), "µs")


def round_trips(server: Server, _: int) -> Iterator[Row]:
    """How often an operation goes to the server and back, counted on the line."""
    with Relay(_port(server)) as relay, backscroll.open(f"redis://localhost:{relay.ports[0]}/0") as store:
        yield from trips(store, relay, times=100, most=1, clear=lambda: store.clear(SESSION))


THREADS, IN_FLIGHT, TURNS = 8, 50, 4_000


def threads(server: Server, rounds: int) -> Iterator[Row]:
    """Eight threads append to one session."""
    with backscroll.open(server.url) as store, redis.Redis(port=_port(server)) as client:
        store.setup()
        raw = Raw(client)
        number = iter(range(1_000_000))

        def ours() -> float:
            session_id = f"threads {next(number)}"
            return _per_second(lambda: _threaded(lambda turn: store.append(session_id, turn)))

        a, b, ratio = interleaved(ours, lambda: _per_second(lambda: _threaded(lambda _: raw.append())), min(rounds, 7))
        yield Row(f"{THREADS} threads on one session", a, "turns/s")
        yield Row("the same by redis-py", b, "turns/s")
        yield Row("threads / redis-py", ratio, "times", ">=", 0.8)
        yield Row("turns lost, doubled, torn or reordered", _faults(store, "threads 0"), "turns", "<=", 0)


def _threaded(append: Callable[[list[dict[str, str]]], Any]) -> None:
    def write(thread: int) -> None:
        for place in range(TURNS // THREADS):
            name = f"{thread}.{place}."
            append([{"role": "user", "content": name + "0"}, {"role": "assistant", "content": name + "1"}])

    writers = [threading.Thread(target=write, args=(number,)) for number in range(THREADS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()


def _faults(store: Store, session_id: str) -> int:
    """How many turns are not there once, whole, in one piece and in their writer's order."""
    contents = [str(record.message.content) for record in store.iterate(session_id)]
    faults = abs(len(contents) - 2 * TURNS)
    next_of: dict[str, int] = {}
    for first, second in zip(contents[::2], contents[1::2], strict=False):
        writer, place, _ = first.split(".")
        faults += (first, second) != (f"{writer}.{next_of.get(writer, 0)}.0", f"{writer}.{place}.1")
        next_of[writer] = int(place) + 1
    return faults


def _per_second(act: Callable[[], None]) -> float:
    started = time.perf_counter()
    act()
    return TURNS / (time.perf_counter() - started)


def in_flight(server: Server, rounds: int) -> Iterator[Row]:
    """Fifty appends under way at once on one event loop."""
    with asyncio.Runner() as runner:
        store = backscroll.open(server.url)
        client = redis.asyncio.Redis(port=_port(server))
        raw = Raw(client)
        runner.run(store.asetup())

        def ours() -> float:
            return _per_second(lambda: runner.run(_at_once(lambda: store.aappend(SESSION, TURN))))

        a, b, ratio = interleaved(ours, lambda: _per_second(lambda: runner.run(_at_once(raw.append))), min(rounds, 7))
        yield Row(f"{IN_FLIGHT} appends in flight", a, "turns/s")
        yield Row("the same by redis.asyncio", b, "turns/s")
        yield Row("in flight / redis.asyncio", ratio, "times", ">=", 0.9)
        runner.run(store.aclose())
        runner.run(client.aclose())


async def _at_once(append: Callable[[], Any]) -> None:
    async def write() -> None:
        for _ in range(TURNS // IN_FLIGHT):
            await append()

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(write())


def connections(server: Server, _: int) -> Iterator[Row]:
    """Two hundred sessions in one process."""
    with redis.Redis(port=_port(server)) as admin:
        before = int(admin.info("clients")["connected_clients"])
        with backscroll.open(server.url) as store:
            for number in range(200):
                store.append(f"session {number}", TURN)
            ours = int(admin.info("clients")["connected_clients"]) - before
        yield Row("connections for 200 sessions", ours, "", "<=", 1)
        peers = [_langchain(server, f"peer {number}") for number in range(200)]
        for peer in peers:
            peer.add_messages(_as_langchain())
        theirs = int(admin.info("clients")["connected_clients"]) - before
        yield Row("connections for 200 sessions by langchain-community", theirs, "")
        for peer in peers:
            peer.redis_client.close()


def million(server: Server, _: int) -> Iterator[Row]:
    """A million sessions; only when asked for, since it takes long."""
    count = 1_000_000
    with backscroll.open(server.url) as store, redis.Redis(port=_port(server)) as admin:
        store.setup()
        used = int(admin.info("memory")["used_memory"])
        started = time.perf_counter()

        def write(first: int) -> None:
            for number in range(first, count, THREADS):
                store.append(f"session {number:07}", TURN)

        writers = [threading.Thread(target=write, args=(number,)) for number in range(THREADS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        yield Row("a million sessions of a turn each", count / (time.perf_counter() - started), "turns/s")
        grown = (int(admin.info("memory")["used_memory"]) - used) / count
        yield Row("memory of a session with a turn of 800 bytes", grown, "bytes")
        yield Row("… beyond its two bodies", grown - sum(map(len, BODIES)), "bytes")
        yield Row("a page of 100 sessions", microseconds(lambda: store.sessions(limit=100), 20), "µs")
        prefix = "session 05000"
        yield Row("those with a prefix, 100 of them", microseconds(lambda: store.sessions(prefix=prefix), 20), "µs")
        started, found, page = time.perf_counter(), 0, store.sessions(limit=1_000)
        while True:
            found += len(list(page))
            if page.cursor is None:
                break
            page = store.sessions(limit=1_000, cursor=page.cursor)
        yield Row("all of them, page by page", time.perf_counter() - started, "s")
        yield Row("… sessions that are missing", count - found, "", "<=", 0)
        yield Row("last(20) among them", microseconds(lambda: store.last("session 0500000", 20), CALLS), "µs")


def copy(server: Server, rounds: int) -> Iterator[Row]:
    """A hundred thousand messages copied from SQLite."""
    yield from copies(f"redis://localhost:{_port(server)}/0?prefix={{}}", 100_000, min(rounds, 3))


def copy_million(server: Server, _: int) -> Iterator[Row]:
    """A million of them; only when asked for, since it takes long."""
    yield from copies(f"redis://localhost:{_port(server)}/0?prefix={{}}", 1_000_000, 1)


EVERY = (appends, reads, round_trips, threads, in_flight, connections, million)
MEASURES = {measure.__name__: on_server(SPEC, measure) for measure in EVERY}
MEASURES |= {measure.__name__: on_server(KEEPING, measure) for measure in (copy, copy_million)}
ONLY_WHEN_NAMED = {"million", "copy_million"}


def version() -> str:
    """What was measured."""
    return f"redis-py {redis.__version__}"
