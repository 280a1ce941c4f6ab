"""What goes wrong with LangChain's classes for chat history, counted, and the same with the classes in their place.

Each count is of messages or turns that are not as they should be, so ours has to be 0.
"""

import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple
from unittest import mock

import attrs
import pymysql
import redis
from cassandra.cluster import Cluster, Session
from confluent_kafka.admin import AdminClient, ConfigResource
from langchain_community.chat_message_histories import CassandraChatMessageHistory as OriginalCassandra
from langchain_community.chat_message_histories import KafkaChatMessageHistory as OriginalKafka
from langchain_community.chat_message_histories import RedisChatMessageHistory as OriginalRedis
from langchain_community.chat_message_histories import TiDBChatMessageHistory as OriginalTiDB
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_google_memorystore_redis import MemorystoreChatMessageHistory as OriginalMemorystore
from rows import Row

from backscroll_conformance.containers import Server
from backscroll_conformance.relay import Relay
from backscroll_langchain import (
    CassandraChatMessageHistory,
    KafkaChatMessageHistory,
    MemorystoreChatMessageHistory,
    RedisChatMessageHistory,
    TiDBChatMessageHistory,
)
from backscroll_langchain.sharing import close_all

TURNS = 100
"""How many turns each of two writers adds."""

LOST_ANSWERS = 20
"""How many turns are added while the answer to the first request of each is lost."""


@attrs.frozen
class Peer:
    """A class of LangChain's, or ours in its place.

    Args:
        whose: What the rows say of it.
        make: Makes a history of a session, at a port of this machine.
        read: All messages of a session, as someone who comes later reads them.
        most: How many faults are allowed; None for any number.
    """

    whose: str
    make: Callable[[str, int], Any]
    read: Callable[[Any], list[BaseMessage]] = attrs.field(default=lambda history: history.messages, kw_only=True)
    most: float | None = attrs.field(default=None, kw_only=True)

    def row(self, what: str, count: float) -> Row:
        """A count."""
        return Row(f"{what}, by {self.whose}", count, "", "" if self.most is None else "<=", self.most)


class Both(NamedTuple):
    """LangChain's class, and ours in its place."""

    theirs: Peer
    ours: Peer


def _both(theirs: Callable[[str, int], Any], ours: Callable[[str, int], Any], **read: Any) -> Both:
    return Both(Peer("langchain-community", theirs, **read), Peer("ours", ours, **read, most=0.0))


def _turn(name: str) -> list[BaseMessage]:
    return [HumanMessage(f"question {name}"), AIMessage(f"answer {name}")]


def _texts(messages: Sequence[BaseMessage]) -> list[str]:
    return [str(message.content) for message in messages]


def torn(both: Both, port: int) -> Iterator[Row]:
    """Two clients of one session, each of which adds questions with their answers."""
    for peer in both:
        session_id = uuid.uuid4().hex
        histories = [peer.make(session_id, port) for _ in range(2)]

        def write(writer: int, histories: list[Any] = histories) -> None:
            for number in range(TURNS):
                histories[writer].add_messages(_turn(f"{writer}/{number}"))

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(write, range(2)))
        found = _texts(peer.read(peer.make(session_id, port)))
        pairs = set(pairwise(found))
        wanted = [tuple(_texts(_turn(f"{writer}/{number}"))) for writer in range(2) for number in range(TURNS)]
        count = sum(pair not in pairs for pair in wanted)
        yield peer.row(f"turns of {2 * TURNS} by two clients whose answer does not follow its question", count)


def lost_answers(both: Both, port: int) -> Iterator[Row]:
    """Turns of which an answer of the server is lost on the way; what raises is added once more, as a caller would."""
    for peer in both:
        session_id, raised = uuid.uuid4().hex, 0
        with Relay(port) as relay:
            history = peer.make(session_id, relay.ports[0])
            history.add_messages(_turn("first"))
            for number in range(LOST_ANSWERS):
                relay.lose_answer()
                try:
                    history.add_messages(_turn(str(number)))
                except Exception:  # noqa: BLE001 - each class has errors of its own
                    raised += 1
                    history.add_messages(_turn(str(number)))
            found = Counter(_texts(peer.read(peer.make(session_id, port))))
            close_all()
        every = [text for number in range(LOST_ANSWERS) for text in _texts(_turn(str(number)))]
        yield peer.row(f"messages of {len(every)} that are there twice", sum(found[text] > 1 for text in every))
        yield peer.row(f"messages of {len(every)} that are missing", sum(not found[text] for text in every))


# Redis and Memorystore.


def _redis_url(port: int) -> str:
    return f"redis://localhost:{port}/0"


def _memorystore(kind: Callable[..., Any], session_id: str, port: int) -> Any:
    return kind(redis.Redis(port=port), session_id)


REDIS = _both(
    lambda session_id, port: OriginalRedis(session_id, _redis_url(port)),
    lambda session_id, port: RedisChatMessageHistory(session_id, _redis_url(port)),
)
MEMORYSTORE = Both(
    Peer("langchain-google-memorystore-redis", partial(_memorystore, OriginalMemorystore)),
    Peer("ours", partial(_memorystore, MemorystoreChatMessageHistory), most=0.0),
)


def outlived(port: int) -> Iterator[Row]:
    """A message with a time to live of two seconds, and another one added to its session meanwhile."""
    for peer, kind in zip(REDIS, (OriginalRedis, RedisChatMessageHistory), strict=True):
        history = kind(uuid.uuid4().hex, _redis_url(port), ttl=2)
        history.add_messages([HumanMessage("first")])
        time.sleep(1.5)
        history.add_messages([HumanMessage("second")])
        time.sleep(1)
        yield peer.row("messages that are read half a second after their ttl", _texts(history.messages).count("first"))


def taken_from_others(port: int) -> Iterator[Row]:
    """A session whose name is that of a key of another program, and which is cleared."""
    with redis.Redis(port=port) as other:
        for peer in MEMORYSTORE:
            other.hset("settings", "colour", "blue")
            with suppress(redis.RedisError):
                peer.make("settings", port).clear()
            yield peer.row("keys of other programs that clear() took", 1 - int(other.exists("settings")))


def faults_on_redis(server: Server, _: int) -> Iterator[Row]:
    """Those of the class for Redis."""
    port = server.published[0]
    yield from torn(REDIS, port)
    yield from lost_answers(REDIS, port)
    yield from outlived(port)
    close_all()


def faults_on_memorystore(server: Server, _: int) -> Iterator[Row]:
    """Those of the class for Memorystore, on a Redis."""
    port = server.published[0]
    yield from torn(MEMORYSTORE, port)
    yield from lost_answers(MEMORYSTORE, port)
    yield from taken_from_others(port)
    close_all()


# TiDB.


def _tidb_url(port: int) -> str:
    return f"mysql+pymysql://root@127.0.0.1:{port}/test"


TIDB = _both(
    lambda session_id, port: OriginalTiDB(session_id, _tidb_url(port)),
    lambda session_id, port: TiDBChatMessageHistory(session_id, _tidb_url(port)),
)


@contextmanager
def _administrator(port: int) -> Iterator[Any]:
    with (
        pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        yield cursor


def hung_up(port: int) -> Iterator[Row]:
    """Turns before each of which the server closes the connections, as it does when it restarts or after idle hours."""
    with _administrator(port) as cursor:
        for peer in TIDB:
            session_id = uuid.uuid4().hex
            history = peer.make(session_id, port)
            history.add_messages(_turn("first"))
            acknowledged = []
            for number in range(LOST_ANSWERS):
                _hang_up(cursor)
                history.add_messages(_turn(str(number)))
                acknowledged += _texts(_turn(str(number)))
            close_all()
            found = _texts(peer.read(peer.make(session_id, port)))
            what = f"messages of {len(acknowledged)} that are missing, without an error"
            yield peer.row(what, sum(text not in found for text in acknowledged))


def _hang_up(cursor: Any) -> None:
    cursor.execute("SELECT CONNECTION_ID()")
    (own,) = cursor.fetchone()
    cursor.execute("SHOW PROCESSLIST")
    for number, *_ in cursor.fetchall():
        if number != own:
            with suppress(pymysql.MySQLError):
                cursor.execute(f"KILL {int(number)}")


def unseen(port: int) -> Iterator[Row]:
    """Messages that another process adds to a session that was read before."""
    for peer in TIDB:
        session_id = uuid.uuid4().hex
        one, other = peer.make(session_id, port), peer.make(session_id, port)
        one.add_messages(_turn("first"))
        _ = one.messages
        other.add_messages(_turn("second"))
        missing = set(_texts(_turn("second"))) - set(_texts(one.messages))
        yield peer.row("messages of 2 by another client that are not read", len(missing))


def merged(port: int) -> Iterator[Row]:
    """Sessions of four users whose names look alike; what one of them said is read by the others."""
    for peer in TIDB:
        names = ("alice", "Alice", "alice ", "älice")
        for name in names:
            peer.make(name, port).add_messages([HumanMessage(name)])
        foreign = sum(text != name for name in names for text in _texts(peer.read(peer.make(name, port))))
        yield peer.row("messages of 4 users that are read in the sessions of the others", foreign)


def faults_on_mariadb(server: Server, _: int) -> Iterator[Row]:
    """What the class for TiDB does on a MariaDB, which compares texts in another way."""
    yield from merged(server.published[0])
    close_all()


def faults_on_tidb(server: Server, _: int) -> Iterator[Row]:
    """Those of the class for TiDB."""
    port = server.published[0]
    logging.getLogger("langchain_community").setLevel(logging.CRITICAL)
    _ = TIDB.theirs.make("makes the table", port).messages
    yield from torn(TIDB, port)
    yield from hung_up(port)
    yield from unseen(port)
    yield from merged(port)
    close_all()


# Cassandra.


@contextmanager
def _clock_behind(seconds: float) -> Iterator[None]:
    """A client whose clock is late: what LangChain's class orders by is made of that."""
    real = uuid.uuid1

    def late() -> uuid.UUID:
        made = real()
        ticks = made.time - int(seconds * 1e7)
        fields = ticks & 0xFFFFFFFF, ticks >> 32 & 0xFFFF, ticks >> 48 & 0x0FFF, *made.fields[3:]
        return uuid.UUID(fields=fields, version=1)  # type: ignore[arg-type]

    with mock.patch("langchain_community.chat_message_histories.cassandra.uuid.uuid1", late):
        yield


def reordered(both: Both, port: int) -> Iterator[Row]:
    """A chat in which the questions come from a client with the right time, the answers from one a second behind."""
    for peer in both:
        session_id = uuid.uuid4().hex
        asks, answers = peer.make(session_id, port), peer.make(session_id, port)
        for number in range(LOST_ANSWERS):
            question, answer = _turn(str(number))
            asks.add_messages([question])
            with _clock_behind(1):
                answers.add_messages([answer])
        found = _texts(peer.read(peer.make(session_id, port)))
        early = sum(
            found.index(f"answer {number}") < found.index(f"question {number}") for number in range(LOST_ANSWERS)
        )
        yield peer.row(f"answers of {LOST_ANSWERS} that come before their question", early)


def faults_on_cassandra(server: Server, _: int) -> Iterator[Row]:
    """Those of the class for Cassandra."""
    port = server.published[0]
    sessions: dict[int, Session] = {}

    def session(port: int) -> Session:
        if port not in sessions:
            sessions[port] = Cluster(["localhost"], port=port).connect()
        return sessions[port]

    replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    session(port).execute(f"CREATE KEYSPACE chat WITH replication = {replication}")
    both = _both(
        lambda session_id, port: OriginalCassandra(session_id, session(port), "chat"),
        lambda session_id, port: CassandraChatMessageHistory(session_id, session(port), "chat"),
    )
    yield from torn(both, port)
    yield from reordered(both, port)
    close_all()
    for one in sessions.values():
        one.cluster.shutdown()


# Kafka.


def _kafka(kind: Callable[..., Any], session_id: str, port: int) -> Any:
    return kind(session_id, f"localhost:{port}")


KAFKA = _both(
    partial(_kafka, OriginalKafka),
    partial(_kafka, KafkaChatMessageHistory),
    read=lambda history: history.messages_from_beginning(None, 10),
)


def scattered(port: int) -> Iterator[Row]:
    """A chat of one client, with an object for each turn, as where each request makes one; read from the beginning."""
    for peer in KAFKA:
        session_id = uuid.uuid4().hex
        wanted = []
        for number in range(LOST_ANSWERS):
            peer.make(session_id, port).add_messages(_turn(str(number)))
            wanted += _texts(_turn(str(number)))
        history = peer.make(session_id, port)
        yield peer.row(f"messages of {len(wanted)} that `messages` does not give", len(wanted) - len(history.messages))
        found = _texts(peer.read(history))
        misplaced = sum(one != other for one, other in zip(found, wanted, strict=True))
        yield peer.row(f"messages of {len(wanted)} at another place than added", misplaced)


def standing_still(server: Server) -> Iterator[Row]:
    """A turn that is added while the broker stands still."""
    port = server.published[0]
    for peer, more in zip(KAFKA, ({}, {"flush_timeout_seconds": 5.0}), strict=True):
        history = peer.make(uuid.uuid4().hex, port)
        history.add_messages(_turn("first"))
        acknowledged = 0
        with server.paused(), suppress(Exception):
            history.add_messages(_turn("second"), **more)
            acknowledged = 1
        yield peer.row("turns of 1 that are acknowledged while the broker stands still", acknowledged)


def kept_for(port: int) -> Iterator[Row]:
    """For how many days a broker keeps what is added without a word about it."""
    history = KAFKA.theirs.make("kept", port)
    history.add_messages(_turn("first"))
    resource = ConfigResource(ConfigResource.Type.TOPIC, "kept")
    admin = AdminClient({"bootstrap.servers": f"localhost:{port}"})  # gone, it would answer nothing
    (future,) = admin.describe_configs([resource]).values()
    days = int(future.result()["retention.ms"].value) / 86_400_000
    yield Row("days after which the broker drops a message, by langchain-community", days, "")


def faults_on_kafka(server: Server, _: int) -> Iterator[Row]:
    """Those of the class for Kafka."""
    port = server.published[0]
    logging.getLogger("langchain_community").setLevel(logging.CRITICAL)
    yield from scattered(port)
    yield from kept_for(port)
    yield from standing_still(server)
    close_all()
