"""How much room a history takes on each database: `nox -s bench -- sizes sqlite redis tidb cassandra kafka`.

TiDB's own store for tests says nothing about TiKV, so MariaDB stands for SQL.
"""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rows import MARIADB, Row, on_server

import backscroll
from backscroll import Store
from backscroll_conformance.servers import spec_of

if TYPE_CHECKING:
    from backscroll_conformance.containers import Server

SESSIONS = 1_000
"""How many sessions there are."""

TURNS = 20
"""How many turns of two messages each of them has."""

LENGTH = 400
"""How many characters a message has."""


def _text(chance: random.Random, words: list[str]) -> str:
    """Text of words that compresses about as chats do, to a half."""
    return " ".join(chance.choices(words, k=LENGTH))[:LENGTH]


def _fill(store: Store, sessions: int = SESSIONS, turns: int = TURNS) -> None:
    chance = random.Random(7)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(2_000)]
    texts = [_text(chance, words) for _ in range(997)]

    def write(session: int) -> None:
        for turn in range(turns):
            first = 2 * (session * turns + turn)
            question = {"role": "user", "content": texts[first % len(texts)]}
            answer = {"role": "assistant", "content": texts[(first + 1) % len(texts)]}
            store.append(f"session-{session:06}", [question, answer], timeout=60)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(sessions)))


def _rows(what: str, store: Store, room: Callable[[], float]) -> Iterator[Row]:
    """Room for a session with one turn, and for each message more."""
    store.setup()
    _fill(store, 1, 1)
    before = room()
    _fill(store, SESSIONS, 1)
    begun = room()
    _fill(store)
    grown = room()
    yield Row(f"{what}: a message of {LENGTH} characters", (grown - begun) / (2 * TURNS * SESSIONS), "bytes")
    yield Row(f"{what}: a session with its first two", (begun - before) / SESSIONS, "bytes")


def _inside(server: "Server", command: str) -> str:
    """What a command prints in the container of a server."""
    import docker

    with closing(docker.from_env()) as engine:
        code, printed = engine.containers.get(server.container).exec_run(["sh", "-c", command])
    if code:
        raise RuntimeError(printed.decode())
    return str(printed.decode())


def sqlite(folder: Path, _: int) -> Iterator[Row]:
    """The file, without what waits in its log."""
    path = folder / "chat.db"

    def room() -> float:
        import sqlite3

        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.stat().st_size

    with backscroll.open(f"sqlite:///{path}?durability=process") as store:
        yield from _rows("SQLite, the file", store, room)


def on_redis(server: "Server", _: int) -> Iterator[Row]:
    """Its memory, and the log that it writes."""
    import redis

    with redis.Redis(port=server.published[0]) as admin, backscroll.open(server.url) as store:
        yield from _rows("Redis, memory", store, lambda: float(admin.info("memory")["used_memory"]))
        admin.bgrewriteaof()
        while admin.info("persistence")["aof_rewrite_in_progress"]:
            pass
        size = float(admin.info("persistence")["aof_current_size"])
        yield Row(
            "Redis, the log once it is rewritten, in all", size / (2 * (TURNS + 1) * SESSIONS + 2), "bytes a message"
        )


def on_mariadb(server: "Server", _: int) -> Iterator[Row]:
    """Its tablespaces."""
    with backscroll.open(server.url) as store:
        yield from _rows(
            "MariaDB, the tables", store, lambda: float(_inside(server, "cat /var/lib/mysql/test/*.ibd | wc -c"))
        )


def on_cassandra(server: "Server", _: int) -> Iterator[Row]:
    """Its tables of one replica, written out by a restart, and not compacted."""

    def room() -> float:
        server.stop()
        server.start_again()
        return float(
            _inside(server, "find / -path '*/backscroll/backscroll_*' -name '*.db' 2>/dev/null | xargs cat | wc -c")
        )

    with backscroll.open(server.url) as store:
        yield from _rows("Cassandra, one replica", store, room)


def on_kafka(server: "Server", _: int) -> Iterator[Row]:
    """The segments of its topic on one broker."""

    def room() -> float:
        return float(_inside(server, "find / -path '*/backscroll-*' -name '*.log' 2>/dev/null | xargs cat | wc -c"))

    with backscroll.open(server.url) as store:
        yield from _rows("Kafka, one replica", store, room)


def _on(backend: str, measure: Callable[["Server", int], Iterator[Row]]) -> Callable[[Path, int], Iterator[Row]]:
    def measured(folder: Path, rounds: int) -> Iterator[Row]:
        return on_server(spec_of(backend), measure)(folder, rounds)

    return measured


MEASURES: dict[str, Callable[[Path, int], Iterator[Row]]] = {
    "cassandra": _on("cassandra", on_cassandra),
    "kafka": _on("kafka", on_kafka),
    "redis": _on("redis", on_redis),
    "sqlite": sqlite,
    "tidb": on_server(MARIADB, on_mariadb),
}
ONLY_WHEN_NAMED: set[str] = set()


def version() -> str:
    """What was measured."""
    return f"{SESSIONS:,} sessions of {TURNS + 1} turns"
