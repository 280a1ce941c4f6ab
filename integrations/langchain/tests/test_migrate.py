"""``backscroll migrate`` moves what LangChain's own classes wrote, as released, on the real servers."""

import io
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
import pytest
import redis
import released
import sqlalchemy
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    message_to_dict,
)

import backscroll
from backscroll import Store
from backscroll.cli import main
from backscroll.errors import Unavailable, UnreadableMessage
from backscroll.url import parse_url
from backscroll_conformance.containers import Server
from backscroll_langchain import (
    CassandraChatMessageHistory,
    ChatMessageHistory,
    KafkaChatMessageHistory,
    MemorystoreChatMessageHistory,
    RedisChatMessageHistory,
    TiDBChatMessageHistory,
)
from backscroll_langchain.originals import OriginalRow
from backscroll_langchain.sharing import close_all
from backscroll_langchain.sources import opened

MESSAGES: list[BaseMessage] = [
    SystemMessage("be kind"),
    HumanMessage([{"type": "text", "text": "hi!"}], name="bob", id="1"),
    AIMessage("", tool_calls=[{"name": "f", "args": {"a": [1, "ä"]}, "id": "c", "type": "tool_call"}]),
    ToolMessage("3", tool_call_id="c", artifact={"x": 1}),
]

PATIENCE = 60
"""Seconds after which a test gives up."""


@attrs.frozen
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@attrs.frozen
class Kind:
    """One of LangChain's classes on its server.

    Args:
        source: The URL of what it wrote.
        target: A store on the same server.
        written: LangChain's own object for a session.
        drop_in: Ours in its place.
        names: Sessions that nobody else has.
        only: Arguments for these only, where others have sessions, too.
    """

    source: str
    target: str
    written: Callable[[str], Any]
    drop_in: Callable[[str], Any]
    names: tuple[str, ...] = ("alice", "böb ⚡", "x:y/{z} 1%2F*")
    only: tuple[str, ...] = ()

    def write(self, name: str, *messages: BaseMessage) -> None:
        """Let LangChain's class write messages, each in a millisecond of its own, by which Kafka's order them."""
        written = self.written(name)
        for message in messages:
            written.add_messages([message])
            now = time.time_ns() // 1_000_000
            while time.time_ns() // 1_000_000 == now:
                pass

    def rows(self, name: str) -> list[OriginalRow]:
        """What the source has of a session."""
        with closing(opened(self.source).original) as original:
            return original.rows(name)


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in this process."""

    def run(*args: object) -> Ran:
        capsysbinary.readouterr()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
        code = main(["migrate", *map(str, args)])
        captured = capsysbinary.readouterr()
        return Ran(code, captured.out.decode(), captured.err.decode())

    return run


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A file that is not there yet."""
    return f"sqlite:///{tmp_path}/chat.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store on that file."""
    with backscroll.open(url) as store:
        yield store


@pytest.fixture
def redis_url(redis_server: Server) -> str:
    """Where Redis is."""
    return redis_server.url.partition("?")[0]


@pytest.fixture
def on_redis(redis_url: str) -> Iterator[Kind]:
    """Lists with a prefix of their own."""
    prefix = f"{uuid4().hex}:"
    yield Kind(
        f"langchain+{redis_url}?key_prefix={prefix}",
        redis_url,
        lambda session_id: released.RedisChatMessageHistory(session_id, redis_url, prefix),
        lambda session_id: RedisChatMessageHistory(session_id, redis_url, prefix),
    )
    close_all()


@pytest.fixture
def on_memorystore(redis_url: str) -> Iterator[Kind]:
    """Lists without a prefix, in a database of their own."""
    url = f"{redis_url.rpartition('/')[0]}/7"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield Kind(
            url.replace("redis://", "langchain+memorystore://"),
            url,
            lambda session_id: released.MemorystoreChatMessageHistory(client, session_id),
            lambda session_id: MemorystoreChatMessageHistory(client, session_id),
        )
    close_all()


@pytest.fixture
def on_cassandra(cassandra: Server, cassandra_session: Any, keyspace: str) -> Kind:
    """A table of its own."""
    table = f"t{uuid4().hex}"
    url = f"cassandra://cassandra:cassandra@localhost:{cassandra.published[0]}/{keyspace}"
    return Kind(
        f"langchain+{url}?table_name={table}",
        url,
        lambda session_id: released.CassandraChatMessageHistory(session_id, cassandra_session, keyspace, table),
        lambda session_id: CassandraChatMessageHistory(session_id, cassandra_session, keyspace, table),
    )


@pytest.fixture
def on_kafka(kafka_servers: str) -> Iterator[Kind]:
    """Topics that are named as nobody else's."""
    names = tuple(f"{name}-{uuid4().hex}" for name in ("alice", "bob", "carol"))
    yield Kind(
        f"langchain+kafka://{kafka_servers}",
        f"kafka://{kafka_servers}",
        lambda session_id: released.KafkaChatMessageHistory(session_id, kafka_servers),
        lambda session_id: KafkaChatMessageHistory(session_id, kafka_servers),
        names,
        tuple(chain(*(("--session", name) for name in names))),
    )
    close_all()


@pytest.fixture
def on_tidb(tidb_server: Server) -> Iterator[Kind]:
    """A table of its own."""
    table = f"t{uuid4().hex}"
    [host] = parse_url(tidb_server.url).hosts
    where = f"root@127.0.0.1:{host.port}/test"
    yield Kind(
        f"langchain+tidb://{where}?table_name={table}",
        f"tidb://{where}",
        lambda session_id: released.TiDBChatMessageHistory(session_id, f"mysql+pymysql://{where}", table),
        lambda session_id: TiDBChatMessageHistory(session_id, f"mysql+pymysql://{where}", table),
    )
    close_all()


@pytest.fixture
def in_sql(tmp_path: Path) -> Iterator[Kind]:
    """A table in a file."""
    url = f"sqlite:///{tmp_path}/old.db"
    engine = sqlalchemy.create_engine(url)
    yield Kind(
        f"langchain+sql+{url}?table_name=old",
        url,
        lambda session_id: released.SQLChatMessageHistory(session_id, table_name="old", connection=engine),
        lambda session_id: pytest.fail("there is none"),
    )
    engine.dispose()


@pytest.fixture(params=["redis", "memorystore", "cassandra", "tidb", "kafka"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each of LangChain's classes."""
    found: Kind = request.getfixturevalue(f"on_{request.param}")
    return found


def held(store: Store, session_id: str) -> list[BaseMessage]:
    """What a store has of a session."""
    return ChatMessageHistory(store, session_id).messages


@pytest.fixture(params=["on_redis", "on_memorystore", "on_cassandra", "on_tidb", "in_sql", "on_kafka"])
def source(request: pytest.FixtureRequest) -> Kind:
    """Each of LangChain's classes, also the one that has no drop-in."""
    found: Kind = request.getfixturevalue(request.param)
    return found


def test_all_sessions_are_moved_once(source: Kind, run: Run, url: str, store: Store) -> None:
    """Equal and in order; the source stays as it is, and a second run adds nothing."""
    for name in source.names:
        source.write(name, *MESSAGES, HumanMessage(name))
    before = [source.rows(name) for name in source.names]
    moved = "3 sessions with 15 messages: {} moved, {} there already\n"
    assert run(source.source, url, *source.only) == Ran(0, moved.format(15, 0), "")
    assert run(source.source, url, *source.only) == Ran(0, moved.format(0, 15), "")
    for name in source.names:
        assert held(store, name) == [*MESSAGES, HumanMessage(name)]
    assert sorted(store.sessions()) == sorted(source.names)
    assert [source.rows(name) for name in source.names] == before


def test_the_drop_in_finds_what_was_moved(kind: Kind, run: Run) -> None:
    """Once, and what is added afterwards behind it, on either side."""
    name = kind.names[0]
    kind.write(name, *MESSAGES)
    assert run(kind.source, kind.target, "--drop-in", "--session", name).code == 0
    history = kind.drop_in(name)
    assert len(history.store.read(name)) == len(MESSAGES)
    assert history.read() == MESSAGES
    kind.write(name, HumanMessage("late"))
    close_all()
    history.add_user_message("later")
    assert history.read() == [*MESSAGES, HumanMessage("late"), HumanMessage("later")]
    history.clear()
    assert (history.read(), kind.rows(name)) == ([], [])


def test_what_the_original_took_the_drop_in_takes(kind: Kind, run: Run) -> None:
    """A message of 3 MB, moved over or added, and a turn of 1,500 messages."""
    large = HumanMessage("x" * (900_000 if "kafka" in kind.source else 3_000_000))  # the original for Kafka takes 1 MB
    small = [HumanMessage(str(number)) for number in range(1_500)]
    alice = kind.names[0]
    kind.write(alice, large)
    ran = run(kind.source, kind.target, "--drop-in", "--session", alice)
    assert (ran.code, ran.out) == (0, "1 session with 1 message: 1 moved, 0 there already\n")
    kind.written(alice).clear()
    kind.drop_in(alice).add_messages([HumanMessage("y" * 3_000_000)])
    kind.drop_in(alice).add_messages(small)
    assert kind.drop_in(alice).read() == [large, HumanMessage("y" * 3_000_000), *small]


def test_a_session_that_the_drop_in_uses_stays_where_it_is(kind: Kind, run: Run) -> None:
    """Which is told; nothing is lost, doubled or out of order."""
    used, unused, _ = kind.names
    kind.write(used, *MESSAGES)
    kind.write(unused, *MESSAGES)
    kind.drop_in(used).add_user_message("later")
    ran = run(kind.source, kind.target, "--drop-in", "--session", used, "--session", unused)
    assert (ran.code, ran.out) == (1, "2 sessions with 4 messages: 4 moved, 0 there already; 1 problem\n")
    assert f"left in the source: the target has newer messages of its own (session {used})" in ran.err
    assert kind.drop_in(used).read() == [*MESSAGES, HumanMessage("later")]
    assert kind.drop_in(unused).read() == MESSAGES


def test_only_the_sessions_that_are_named_are_moved(on_redis: Kind, run: Run, url: str, store: Store) -> None:
    """And one that is not there is told."""
    for name in ("a", "b", "c"):
        on_redis.write(name, *MESSAGES)
    ran = run(on_redis.source, url, "--session", "c", "--session", "a", "--session", "d", "--json")
    assert (ran.code, json.loads(ran.out)) == (1, {"sessions": 3, "messages": 8, "added": 8, "problems": 1})
    assert ran.err == "error: the source has no messages (session d)\n"
    assert [*store.sessions()] == ["a", "c"]


def test_what_is_moved_may_expire(in_sql: Kind, run: Run, url: str) -> None:
    """After the seconds that are given, from the move on, and not before."""
    in_sql.write("alice", *MESSAGES)
    assert run(in_sql.source, url, "--ttl", 3_600).code == 0
    for later, kept in ((3_500, MESSAGES), (3_700, [])):
        moment = time.time_ns() + later * 1_000_000_000
        with backscroll.open(url, clock=lambda moment=moment: moment) as store:
            assert held(store, "alice") == kept
    assert run(in_sql.source, url, "--ttl", 0).code == 2


def test_damaged_rows_of_redis_are_told(on_redis: Kind, run: Run, url: str, store: Store) -> None:
    """By list and index; the rest is moved."""
    written = on_redis.written("alice")
    written.add_message(MESSAGES[0])
    written.redis_client.lpush(written.key, b"{torn", b"\xff")
    written.add_message(MESSAGES[1])
    ran = run(on_redis.source, url)
    assert (ran.code, held(store, "alice")) == (1, MESSAGES[:2])
    assert ran.err == (
        f"error: list '{written.key}', index -2 left in the source: it is damaged: it is not JSON (session alice)\n"
        f"error: list '{written.key}', index -3 left in the source: it is damaged: it is not UTF-8 (session alice)\n"
    )


def test_a_row_that_stays_in_redis_is_read_where_it_was(on_redis: Kind, run: Run) -> None:
    """Damaged or not to be stored; and moved to where it was, when somebody has mended it."""
    written = on_redis.written("alice")
    written.add_message(HumanMessage("0"))
    nan = '{"type": "human", "data": {"content": "1", "additional_kwargs": {"score": NaN}}}'
    written.redis_client.lpush(written.key, nan, b"{torn")
    written.add_message(HumanMessage("3"))
    history = on_redis.drop_in("alice")
    before = list(map(repr, history.read()))
    ran = run(on_redis.source, on_redis.target, "--drop-in")
    assert (ran.code, len(ran.err.splitlines())) == (1, 2)
    close_all()
    assert len(history.store.read("alice")) == 2
    assert list(map(repr, history.read())) == before
    with pytest.raises(UnreadableMessage, match="index -3"):
        _ = history.messages
    for index, text in ((-2, "1"), (-3, "2")):
        written.redis_client.lset(written.key, index, json.dumps(message_to_dict(HumanMessage(text))))
    ran = run(on_redis.source, on_redis.target, "--drop-in")
    assert ran == Ran(0, "1 session with 4 messages: 2 moved, 2 there already\n", "")
    close_all()
    assert len(history.store.read("alice")) == 4
    assert history.messages == [HumanMessage(str(number)) for number in range(4)]


def test_what_the_source_got_after_it_was_cleared_is_moved(kind: Kind, run: Run) -> None:
    """Though it has the places of what was moved, which is told, and can be dropped by itself."""
    name = kind.names[0]
    command = (kind.source, kind.target, "--drop-in", "--session", name)
    kind.write(name, HumanMessage("secret 0"), HumanMessage("secret 1"))
    assert run(*command).code == 0
    kind.written(name).clear()
    assert (gone := run(*command)).code == 1
    assert "and 1 more: in the target, and in the source no more" in gone.err
    wait_until_gone(kind, name)
    fresh = [HumanMessage("fresh 0"), HumanMessage("fresh 1"), HumanMessage("fresh 2")]
    kind.write(name, *fresh)
    close_all()
    history = kind.drop_in(name)
    assert [message for message in history.read() if "fresh" in str(message)] == fresh
    ran = run(*command)
    assert (ran.code, ran.out) == (1, "1 session with 3 messages: 3 moved, 0 there already; 1 problem\n")
    close_all()
    history.store.clear(name)
    assert run(*command) == Ran(0, "1 session with 3 messages: 3 moved, 0 there already\n", "")
    close_all()
    assert history.read() == fresh


def wait_until_gone(kind: Kind, name: str) -> None:
    """Wait until a server that takes its time has cleared a session."""
    end = time.monotonic() + PATIENCE
    while kind.rows(name):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_what_was_cleared_in_the_source_is_told(on_redis: Kind, run: Run, url: str) -> None:
    """Also where nothing of the session is there any more; by each run."""
    on_redis.write("a", *MESSAGES)
    on_redis.write("b", *MESSAGES)
    assert run(on_redis.source, url).code == 0
    on_redis.written("a").clear()
    for _ in range(2):
        ran = run(on_redis.source, url)
        assert (ran.code, ran.out) == (1, "1 session with 4 messages: 0 moved, 4 there already; 1 problem\n")
        assert "index -1 and 3 more: in the target, and in the source no more: cleared" in ran.err
        assert ran.err.endswith("(session a)\n")


@pytest.mark.parametrize("moment", [1, 2])
def test_what_is_cleared_while_it_is_moved_stays_cleared(
    on_redis: Kind, run: Run, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """Before the first turn lands, or between two."""
    monkeypatch.setattr("backscroll_langchain.moving.AT_ONCE", 2)
    on_redis.write("alice", *MESSAGES)
    history, append, appends = on_redis.drop_in("alice"), Store.append, 0

    def cleared(self: Store, *args: Any, **kwargs: Any) -> Any:
        nonlocal appends
        appends += 1
        if appends == moment:
            history.clear()
        return append(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "append", cleared)
        ran = run(on_redis.source, on_redis.target, "--drop-in")
    close_all()
    assert (history.read(), ran.code, appends) == ([], 1, 2)


def test_a_clear_among_other_writes_stays_one(on_redis: Kind, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the move has to begin again, it reads the source again."""
    on_redis.write("alice", *MESSAGES)
    history, append, appends = on_redis.drop_in("alice"), Store.append, 0

    def overtaken(self: Store, *args: Any, **kwargs: Any) -> Any:
        nonlocal appends
        appends += 1
        if appends == 1:
            history.add_user_message("new")
            history.clear()
        return append(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "append", overtaken)
        run(on_redis.source, on_redis.target, "--drop-in")
    close_all()
    assert history.read() == []


def test_no_session_of_redis_is_passed_over_in_silence(on_redis: Kind, run: Run, url: str, store: Store) -> None:
    """Those that no store takes are told; one that is called as the keys of a store are, is moved, read and cleared."""
    names = ("ok", "x:{1}:messages", ":{1}:messages")
    for name in names:
        on_redis.write(name, *MESSAGES)
    written = on_redis.written("")
    written.add_messages(MESSAGES)
    written.redis_client.copy(written.key, written.key.encode() + b"\xff\xfe")
    ran = run(on_redis.source, url)
    assert (ran.code, ran.out) == (1, "5 sessions with 12 messages: 12 moved, 0 there already; 2 problems\n")
    assert sorted(store.sessions()) == sorted(names)
    assert "left in the source: session_id: must not be empty (session )" in ran.err
    for name in names:
        history = on_redis.drop_in(name)
        assert history.messages == MESSAGES
        history.clear()
        assert on_redis.rows(name) == []
    assert run(on_redis.source.replace("key_prefix=", "key_prefix=typo"), f"{url}2").code == 1


def test_a_key_of_another_program_stops_no_move(on_memorystore: Kind, run: Run, url: str, store: Store) -> None:
    """Though it is no UTF-8; the lists of a store are no sessions."""
    on_memorystore.write("alice", *MESSAGES)
    with redis.Redis.from_url(on_memorystore.target) as client:
        client.set(b"\xff\xfe", b"x")
        client.rpush(b"\xff\xfd", b"x")
    on_memorystore.drop_in("alice").add_user_message("ours")
    assert run(on_memorystore.source, url) == Ran(0, "1 session with 4 messages: 4 moved, 0 there already\n", "")
    assert [*store.sessions()] == ["alice"]


def test_rows_of_no_session_are_told(in_sql: Kind, run: Run, url: str, store: Store) -> None:
    """The others are moved."""
    in_sql.write("alice", *MESSAGES)
    engine = sqlalchemy.create_engine(in_sql.target)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("INSERT INTO old (session_id, message) VALUES (NULL, '{}'), ('', '{}')"))
    engine.dispose()
    ran = run(in_sql.source, url)
    assert (ran.code, ran.out) == (1, "3 sessions with 4 messages: 4 moved, 0 there already; 2 problems\n")
    assert "must be a string, not NoneType (session is NULL)" in ran.err
    assert [*store.sessions()] == ["alice"]


def test_rows_that_get_the_numbers_of_others_are_moved(in_sql: Kind, run: Run, url: str, store: Store) -> None:
    """As SQLite gives them."""
    in_sql.write("alice", HumanMessage("secret 0"), HumanMessage("secret 1"))
    assert run(in_sql.source, url).code == 0
    in_sql.written("alice").clear()
    in_sql.write("alice", HumanMessage("fresh 0"))
    ran = run(in_sql.source, url)
    assert (ran.code, ran.out) == (1, "1 session with 1 message: 1 moved, 0 there already; 1 problem\n")
    assert held(store, "alice")[2:] == [HumanMessage("fresh 0")]


def test_what_a_drop_in_would_read_again_does_not_expire(on_redis: Kind, run: Run) -> None:
    """It is refused; nothing is moved."""
    on_redis.write("alice", *MESSAGES)
    ran = run(on_redis.source, on_redis.target, "--drop-in", "--ttl", 60)
    assert (ran.code, ran.out) == (2, "")
    assert "--ttl: not with --drop-in: what expires there is read from the source again" in ran.err
    assert on_redis.drop_in("alice").store.read("alice") == []


def test_damaged_rows_of_cassandra_are_told(on_cassandra: Kind, run: Run, url: str, store: Store) -> None:
    """By table and row; the rest is moved."""
    import uuid

    written = on_cassandra.written("alice")
    written.add_message(MESSAGES[0])
    row_id = uuid.uuid1()
    written.table.put(partition_id="alice", row_id=row_id, body_blob="[]")
    written.add_message(MESSAGES[1])
    ran = run(on_cassandra.source, url)
    assert (ran.code, held(store, "alice")) == (1, MESSAGES[:2])
    assert f"row_id {row_id} left in the source: it is damaged" in ran.err


def test_redis_is_only_read(on_redis: Kind, redis_url: str, run: Run, url: str) -> None:
    """By a user who may do nothing else; the password is told nowhere."""
    on_redis.written("alice").add_messages(MESSAGES)
    with redis.Redis.from_url(redis_url) as client:
        client.acl_setuser(
            "reader", enabled=True, passwords=["+s3cret"], keys=["*"], categories=["+@read"], commands=["+info"]
        )
        source = on_redis.source.replace("redis://", "redis://reader:{}@")
        assert run(source.format("s3cret"), url).out == "1 session with 4 messages: 4 moved, 0 there already\n"
        ran = run(source.format("wr0ng"), url)
        client.acl_deluser("reader")
    assert (ran.code, ran.out) == (3, "")
    assert "wr0ng" not in ran.err


def test_cassandra_is_only_read(on_cassandra: Kind, cassandra_session: Any, keyspace: str, run: Run, url: str) -> None:
    """By a role that may do nothing else; the password is told nowhere."""
    on_cassandra.written("alice").add_messages(MESSAGES)
    role = f"r{uuid4().hex}"
    cassandra_session.execute(f"CREATE ROLE {role} WITH PASSWORD = 's3cret' AND LOGIN = true")
    cassandra_session.execute(f"GRANT SELECT ON KEYSPACE {keyspace} TO {role}")
    source = on_cassandra.source.replace("cassandra:cassandra@", f"{role}:{{}}@")
    assert run(source.format("s3cret"), url).out == "1 session with 4 messages: 4 moved, 0 there already\n"
    ran = run(source.format("wr0ng"), url)
    assert (ran.code, ran.out) == (3, "")
    assert "does not accept user and password" in ran.err
    assert "wr0ng" not in ran.err


def test_the_session_of_cassandra_ends_with_the_command(on_cassandra: Kind) -> None:
    """Since it was opened for it."""
    original = opened(on_cassandra.source).original
    assert original.rows("alice") == []
    original.close()
    with pytest.raises(Unavailable):
        original.rows("alice")


def test_the_source_may_stand_in_a_variable(on_redis: Kind, run: Run, url: str, monkeypatch: Any) -> None:
    """So that no password stands in a list of processes."""
    on_redis.written("alice").add_messages(MESSAGES)
    monkeypatch.setenv("OLD_CHATS", on_redis.source)
    assert run("env:OLD_CHATS", url).code == 0


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("redis://user:s3cret@localhost/0", "SOURCE begins with one of langchain+redis, "),
        ("langchain+nosuch://user:s3cret@localhost/0", "SOURCE begins with one of langchain+redis, "),
        ("langchain+redis", "SOURCE begins with one of langchain+redis, "),
        ("env:s3cret", "SOURCE: env: is followed by"),
        ("env:", "SOURCE: env: is followed by"),
        ("langchain+redis+nosuch://user:s3cret@localhost/0", "url: begins with one of"),
        ("langchain+cassandra://localhost:1/k?table_name=t;s3cret", "table_name: expected a letter"),
        ("langchain+cassandra://user:s3cret@localhost:1", "has to name a keyspace"),
        ("langchain+cassandra://localhost:1/k?s3cret=1", "an option in the URL is unknown"),
        ("langchain+astra:///k?token=s3cret", "secure_connect_bundle"),
        ("langchain+kafka://user:s3cret@localhost:1", "and nothing else"),
        ("langchain+sql://user:s3cret@localhost/x", "SQLAlchemy cannot open it"),
        ("langchain+sql+sqlite+aiosqlite:///s3cret.db", "aiosqlite is an async driver: give a sync one"),
        ("langchain+sql+nosuch://user:s3cret@localhost/x", "SQLAlchemy cannot open it"),
        ("langchain+tidb://localhost/x?table_name=s3cret;", "table_name: a name"),
        ("langchain+tidb://user:s3cret@localhost:port/x", "connection_string: expected"),
        ("langchain+kafka://", "and nothing else"),
    ],
)
def test_what_is_no_source_is_refused(run: Run, url: str, source: str, problem: str) -> None:
    """Without repeating it; nothing is done."""
    ran = run(source, url)
    assert (ran.code, ran.out) == (2, "")
    assert problem in ran.err
    assert "s3cret" not in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    "source",
    [
        "langchain+redis://:s3cret@localhost:1/0",
        "langchain+memorystore://:s3cret@localhost:1/0",
        "langchain+cassandra://u:s3cret@localhost:1/k",
        "langchain+tidb://u:s3cret@localhost:1/k",
        "langchain+sql+mysql+pymysql://u:s3cret@localhost:1/k",
    ],
)
def test_a_source_that_is_down_is_a_failure(run: Run, url: str, source: str) -> None:
    """In one line."""
    ran = run(source, url)
    assert (ran.code, ran.out) == (3, "")
    assert "s3cret" not in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_target_that_is_down_is_a_failure(on_redis: Kind, run: Run) -> None:
    """Which says what to do next."""
    on_redis.written("alice").add_messages(MESSAGES)
    ran = run(on_redis.source, "redis://:s3cret@localhost:1/0?timeout=1")
    assert ran.code == 3
    assert ran.err.endswith("(session alice); run it again, and it goes on from there\n")
    assert "s3cret" not in ran.err


def test_a_drop_in_looks_in_its_own_database(on_redis: Kind, run: Run, url: str) -> None:
    """So that another one for it is a mistake."""
    ran = run(on_redis.source, url, "--drop-in")
    assert (ran.code, ran.out) == (2, "")
    assert "looks in redis or rediss or valkey, not in sqlite" in ran.err


@pytest.mark.parametrize("named", ["on_cassandra", "on_tidb", "in_sql"])
def test_a_table_that_is_missing_is_told(request: pytest.FixtureRequest, run: Run, url: str, named: str) -> None:
    """Since its name may be wrong; running it again would not help."""
    source: Kind = request.getfixturevalue(named)
    source.write("alice", HumanMessage("a"))
    ran = run(source.source.replace("table_name=", "table_name=typo"), url)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.endswith("is its name right? (the list of sessions)\n")


def test_the_class_for_sql_has_no_drop_in(in_sql: Kind, run: Run, url: str) -> None:
    """So that there is nothing to be named after it."""
    in_sql.write("alice", *MESSAGES)
    ran = run(in_sql.source, url, "--drop-in")
    assert (ran.code, ran.out) == (2, "")
    assert "there is none for the class of this source" in ran.err
    no_file = run(in_sql.source.replace("old.db", "missing.db"), url)
    assert (no_file.code, no_file.err) == (3, "error: sql: there is no such file\n")


def test_an_interruption_says_how_to_go_on(on_redis: Kind, run: Run, url: str, store: Store, monkeypatch: Any) -> None:
    """And then it does."""
    for name in ("a", "b"):
        on_redis.written(name).add_messages(MESSAGES)
    append = Store.append

    def interrupted(self: Store, session_id: str, *args: Any, **kwargs: Any) -> Any:
        if [*self.sessions()]:
            raise KeyboardInterrupt
        return append(self, session_id, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "append", interrupted)
        assert run(on_redis.source, url) == Ran(130, "", "note: interrupted: run it again, and it goes on from there\n")
    assert run(on_redis.source, url).out == "2 sessions with 8 messages: 4 moved, 4 there already\n"


def test_a_move_that_was_killed_goes_on(on_redis: Kind, run: Run, url: str, store: Store) -> None:
    """Nothing is lost, and nothing is there twice."""
    numbers = [HumanMessage(str(number)) for number in range(500)]
    names = {f"s{number}" for number in range(20)}
    first = on_redis.written("s0")
    first.add_messages(numbers)
    for name in names - {"s0"}:
        first.redis_client.copy(first.key, on_redis.written(name).key)
    command = [sys.executable, "-m", "backscroll", "migrate", on_redis.source, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        end = time.monotonic() + PATIENCE
        while len([*store.sessions()]) < 3:
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    before = sum(store.count(name) for name in names)
    assert 1_000 <= before < 10_000
    assert run(on_redis.source, url).out == (
        f"20 sessions with 10,000 messages: {10_000 - before:,} moved, {before:,} there already\n"
    )
    for name in names:
        assert held(store, name) == numbers


def test_a_terminal_shows_how_far_it_is(on_redis: Kind, url: str) -> None:
    """On stderr; the answer stands on stdout."""
    on_redis.written("alice").add_messages(MESSAGES)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "backscroll", "migrate", on_redis.source, url]
    environment = {**os.environ, "TERM": "xterm"}
    with (
        os.fdopen(ours, "rb", buffering=0) as screen,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment) as process,
    ):
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += screen.read(1 << 16)
            except OSError:  # it has ended
                break
        assert process.stdout
        assert process.stdout.read() == b"1 session with 4 messages: 4 moved, 0 there already\n"
    assert b"moving: 1 session, 4 messages" in shown


@pytest.mark.parametrize(
    "code",
    [
        "import backscroll; backscroll.open('sqlite://').close()",
        "import backscroll.cli; backscroll.cli.main(['migrate', '--help'])",
    ],
)
def test_langchain_is_imported_where_it_is_needed(code: str) -> None:
    """And not by opening a store, nor for the help."""
    shown = (
        f"import sys; {code}; print({{'langchain_core', 'backscroll_langchain'}} & {{*sys.modules}}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.stderr == "{'backscroll_langchain'}\n"
