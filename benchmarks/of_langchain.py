"""The measures of LangChain's drop-ins: each beside the class that it stands in for, in the same run, medians.

Redis keeps nothing on disk, since waiting for a disk would hide what is measured; TiDB has the store for tests.
"""

import json
import socket
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import pymysql
import redis
from cassandra.cluster import Cluster
from langchain_community.chat_message_histories import CassandraChatMessageHistory as OriginalCassandra
from langchain_community.chat_message_histories import KafkaChatMessageHistory as OriginalKafka
from langchain_community.chat_message_histories import RedisChatMessageHistory as OriginalRedis
from langchain_community.chat_message_histories import TiDBChatMessageHistory as OriginalTiDB
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, message_to_dict, messages_from_dict
from langchain_faults import (
    faults_on_cassandra,
    faults_on_kafka,
    faults_on_mariadb,
    faults_on_memorystore,
    faults_on_redis,
    faults_on_tidb,
)
from rows import MARIADB, TURN, Row, interleaved, microseconds, on_server

from backscroll import Record
from backscroll.envelope import decode, encode_turn
from backscroll_cassandra.plugin import backscroll_servers as cassandra_servers
from backscroll_conformance.containers import Server
from backscroll_kafka.plugin import backscroll_servers as kafka_servers
from backscroll_langchain import (
    CassandraChatMessageHistory,
    KafkaChatMessageHistory,
    RedisChatMessageHistory,
    TiDBChatMessageHistory,
    from_langchain,
    to_langchain,
)
from backscroll_langchain.dropin import DropIn
from backscroll_langchain.sharing import close_all
from backscroll_redis.plugin import backscroll_servers as redis_servers
from backscroll_tidb.plugin import backscroll_servers as tidb_servers

(REDIS,) = redis_servers()
REDIS = attrs.evolve(
    REDIS, url="redis://localhost:{port}/0", command=("redis-server", "--port", "{port}", "--save", "")
)
(TIDB,) = tidb_servers()
(CASSANDRA,) = cassandra_servers()
(KAFKA,) = kafka_servers()

LONG = 10_000
"""How many messages a long history has."""

WINDOW = 20
"""How many of them are read."""

SESSIONS = 200
"""How many sessions a process serves."""

CALLS = 100
"""How often a side acts before the other one does."""

MADE: list[BaseMessage] = [HumanMessage(TURN[0]["content"]), AIMessage(TURN[1]["content"])]


class Side(NamedTuple):
    """A class of LangChain's and ours in its place.

    Args:
        ours: Makes a history of ours.
        theirs: Makes one of theirs.
        fill: Stores long histories as theirs would, at once.
        read: Reads all messages of one of theirs, which may keep what it has read.
        close: Ends the connections of one of theirs.
    """

    ours: Callable[[str], DropIn]
    theirs: Callable[[str], Any]
    fill: Callable[[str, list[str]], None]
    read: Callable[[Any], list[BaseMessage]]
    close: Callable[[Any], None]


def _redis(server: Server) -> Side:
    url = f"redis://localhost:{server.published[0]}/0"

    def fill(session_id: str, texts: list[str]) -> None:
        with redis.Redis.from_url(url) as client:
            client.lpush(f"message_store:{session_id}", *texts)

    return Side(
        lambda session_id: RedisChatMessageHistory(session_id, url),
        lambda session_id: OriginalRedis(session_id, url),
        fill,
        lambda history: history.messages,
        lambda history: history.redis_client.close(),
    )


def _tidb(server: Server) -> Side:
    port = server.published[0]
    url = f"mysql+pymysql://root@127.0.0.1:{port}/test"

    def fill(session_id: str, texts: list[str]) -> None:
        with pymysql.connect(host="127.0.0.1", port=port, user="root", database="test", autocommit=True) as connection:
            rows = [(session_id, text) for text in texts]
            statement = "INSERT INTO langchain_message_store (session_id, message) VALUES (%s, %s)"
            connection.cursor().executemany(statement, rows)

    def read(history: OriginalTiDB) -> list[BaseMessage]:
        history.reload_cache()
        return history.messages

    def close(history: OriginalTiDB) -> None:
        history.session.close()
        history.engine.dispose()

    return Side(
        lambda session_id: TiDBChatMessageHistory(session_id, url),
        lambda session_id: OriginalTiDB(session_id, url),
        fill,
        read,
        close,
    )


def _cassandra(server: Server) -> Side:
    # What the two share has no delay in it that one of them alone would notice.
    no_delay = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    session = Cluster(["localhost"], port=server.published[0], sockopts=no_delay).connect()
    replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    session.execute(f"CREATE KEYSPACE chat WITH replication = {replication}")

    def theirs(session_id: str) -> Any:
        return OriginalCassandra(session_id, session, "chat")

    def fill(session_id: str, texts: list[str]) -> None:
        theirs(session_id).add_messages(messages_from_dict([json.loads(text) for text in texts]))

    return Side(
        lambda session_id: CassandraChatMessageHistory(session_id, session, "chat"),
        theirs,
        fill,
        lambda history: history.messages,
        lambda _: None,
    )


def _windows(side: Side, rounds: int) -> Iterator[Row]:
    """The end of a long history, each with what it wrote itself."""
    ours = side.ours("ours")
    for _ in range(LONG // 100):
        ours.add_messages(MADE * 50)
    side.close(side.theirs("theirs"))  # makes its table
    side.fill("theirs", [json.dumps(message_to_dict(message)) for message in MADE] * (LONG // 2))
    theirs = side.theirs("theirs")  # one that was there before might never see it: it reads in its first transaction
    ours.window = WINDOW
    if not len(ours.messages) == len(side.read(theirs)[-WINDOW:]) == WINDOW:
        raise RuntimeError("one of the two has other messages than it should")
    a, b, ratio = interleaved(
        lambda: microseconds(lambda: side.read(theirs)[-WINDOW:], 1),
        lambda: microseconds(lambda: ours.messages, CALLS),
        min(rounds, 11),
    )
    yield Row(f"messages[-{WINDOW}:] of {LONG:,} by langchain-community", a, "µs")
    yield Row(f"messages of {LONG:,} with window={WINDOW}", b, "µs")
    yield Row(f"messages[-{WINDOW}:] by langchain-community / window={WINDOW}", ratio, "times", ">=", 50)
    side.close(theirs)


def _turns(side: Side, rounds: int, target: float) -> Iterator[Row]:
    """A turn of two messages of 400 bytes."""
    ours, theirs = side.ours("our turns"), side.theirs("their turns")
    ours.add_messages(MADE)
    a, b, ratio = interleaved(
        lambda: microseconds(lambda: theirs.add_messages(MADE), CALLS),
        lambda: microseconds(lambda: ours.add_messages(MADE), CALLS),
        rounds,
    )
    yield Row("a turn by langchain-community", a, "µs")
    yield Row("a turn", b, "µs")
    yield Row("a turn by langchain-community / ours", ratio, "times", ">=", target)
    side.close(theirs)


def _sessions(side: Side, connected: Callable[[], int]) -> Iterator[Row]:
    """Connections of many sessions in one process, each written and read."""
    before = _settled(connected)
    for number in range(SESSIONS):
        side.ours(f"session {number}").add_messages(MADE)
        _ = side.ours(f"session {number}").messages
    yield Row(f"connections for {SESSIONS} sessions", connected() - before, "", "<=", 2)
    close_all()
    before = _settled(connected)
    peers = [side.theirs(f"peer {number}") for number in range(SESSIONS)]
    for peer in peers:
        peer.add_messages(MADE)
    yield Row(f"connections for {SESSIONS} sessions by langchain-community", connected() - before, "")
    for peer in peers:
        side.close(peer)


def _settled(connected: Callable[[], int]) -> int:
    """How many connections there are when those that were closed are gone on the server, too."""
    found = [connected()]
    while len(found) < 5 or len(set(found[-5:])) > 1:
        time.sleep(0.1)
        found.append(connected())
    return found[-1]


def on_redis(server: Server, rounds: int) -> Iterator[Row]:
    """Beside the class for Redis."""
    side = _redis(server)
    yield from _named("Redis", _windows(side, rounds))
    yield from _named("Redis", _turns(side, rounds, 1.3))
    close_all()
    with redis.Redis(port=server.published[0]) as admin:
        yield from _named("Redis", _sessions(side, lambda: int(admin.info("clients")["connected_clients"])))


def on_tidb(server: Server, rounds: int) -> Iterator[Row]:
    """Beside the class for TiDB."""
    side = _tidb(server)
    yield from _named("TiDB", _windows(side, rounds))
    yield from _named("TiDB", _turns(side, rounds, 1.5))
    close_all()
    with pymysql.connect(host="127.0.0.1", port=server.published[0], user="root") as connection:

        def connected() -> int:
            with connection.cursor() as cursor:
                cursor.execute("SHOW PROCESSLIST")
                return len(cursor.fetchall())

        yield from _named("TiDB", _sessions(side, connected))


def on_cassandra(server: Server, rounds: int) -> Iterator[Row]:
    """Beside the class for Cassandra."""
    side = _cassandra(server)
    yield from _named("Cassandra", _windows(side, rounds))
    yield from _named("Cassandra", _turns(side, rounds, 1))
    close_all()


def on_kafka(server: Server, rounds: int) -> Iterator[Row]:
    """Each way to read in Kafka, behind a turn; LangChain's class waits for its time with most of them."""
    servers = f"localhost:{server.published[0]}"
    ours, theirs = KafkaChatMessageHistory("ours", servers), OriginalKafka("theirs", servers)
    for name in ("messages", "messages_from_beginning", "messages_from_last_consumed", "messages_from_latest"):
        for history, who, times in ((ours, "", rounds), (theirs, " by langchain-community", 2)):
            taken = []
            for _ in range(times):
                history.add_messages(MADE)
                taken.append(microseconds(lambda read=name, of=history: _read(of, read), 1) / 1_000)  # type: ignore[misc]
            bound = ("<=", 50.0) if history is ours else ("", None)
            yield Row(f"Kafka: {name}{who}", statistics.median(taken), "ms")
            yield Row(f"Kafka: {name}{who}, the longest of {times}", max(taken), "ms", *bound)
    theirs.close()
    close_all()


def _read(history: Any, name: str) -> Any:
    found = getattr(history, name)
    return found() if callable(found) else found


def _named(database: str, rows: Iterator[Row]) -> Iterator[Row]:
    return (row._replace(what=f"{database}: {row.what}") for row in rows)


def round_trips(_: Path, rounds: int) -> Iterator[Row]:
    """A message to the bytes that are stored, and back, beside what LangChain's classes do."""
    calling = AIMessage(
        "x" * 400,
        id="run-1",
        tool_calls=[{"name": "search", "args": {"query": "y" * 50}, "id": "call_1", "type": "tool_call"}],
        usage_metadata={"input_tokens": 10, "output_tokens": 20, "total_tokens": 30},
        response_metadata={"model_name": "model", "finish_reason": "tool_calls"},
    )
    for name, message in (("a human's message", MADE[0]), ("a call of a tool", calling)):
        turn_id, now = uuid.uuid4(), time.time_ns() // 1_000

        def ours(message: BaseMessage = message, turn_id: uuid.UUID = turn_id, now: int = now) -> BaseMessage:
            bodies, _ = encode_turn([from_langchain(message)], turn_id, now, None)
            record = decode(0, None, bodies[0])
            return to_langchain(record.message) if isinstance(record, Record) else message

        def theirs(message: BaseMessage = message) -> BaseMessage:
            return messages_from_dict([json.loads(json.dumps(message_to_dict(message)))])[0]

        if not ours() == theirs() == message:
            raise RuntimeError("a message does not come back equal")
        a, b, ratio = interleaved(lambda: microseconds(ours, 1_000), lambda: microseconds(theirs, 1_000), rounds)
        yield Row(f"the round trip of {name}", a, "µs")
        yield Row(f"the round trip of {name} by message_to_dict and json", b, "µs")
        yield Row(f"the round trip of {name} / message_to_dict and json", ratio, "times", "<=", 2)


MEASURES: dict[str, Callable[[Path, int], Iterator[Row]]] = {
    "faults_on_cassandra": on_server(CASSANDRA, faults_on_cassandra),
    "faults_on_kafka": on_server(KAFKA, faults_on_kafka),
    "faults_on_mariadb": on_server(MARIADB, faults_on_mariadb),
    "faults_on_memorystore": on_server(REDIS, faults_on_memorystore),
    "faults_on_redis": on_server(REDIS, faults_on_redis),
    "faults_on_tidb": on_server(TIDB, faults_on_tidb),
    "on_cassandra": on_server(CASSANDRA, on_cassandra),
    "on_kafka": on_server(KAFKA, on_kafka),
    "on_redis": on_server(REDIS, on_redis),
    "on_tidb": on_server(TIDB, on_tidb),
    "round_trips": round_trips,
}
ONLY_WHEN_NAMED: set[str] = set()


def version() -> str:
    """What was measured."""
    return ", ".join(f"{name} {version_of(name)}" for name in ("langchain-core", "langchain-community"))
