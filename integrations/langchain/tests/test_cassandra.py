"""`CassandraChatMessageHistory` does what LangChain's class of this name does, and reads what that one wrote."""

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cassio
import pytest
import released
from cassandra.cluster import Cluster
from cassandra.query import dict_factory, named_tuple_factory, tuple_factory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from backscroll.errors import InvalidArgument, SchemaError, StorageError, Unavailable
from backscroll_conformance.containers import Server
from backscroll_langchain import CassandraChatMessageHistory, SetupMode
from backscroll_langchain.cassandra import CassandraOriginal, prefix
from backscroll_langchain.originals import UnreadableOriginal

TURN: list[BaseMessage] = [HumanMessage("hi!"), AIMessage("whats up?")]

PROGRAM = """
cluster = Cluster(["localhost"], port=PORT, auth_provider=ADMIN)
session = cluster.connect()

message_history = CassandraChatMessageHistory(
    session_id="test-session",
    session=session,
    keyspace=CASSANDRA_KEYSPACE,
)

message_history.add_user_message("hi!")

message_history.add_ai_message("whats up?")

message_history.messages
"""
"""What LangChain's page on Cassandra shows, but for the import."""


@pytest.fixture
def original(cassandra_session: Any, keyspace: str, session_id: str) -> released.CassandraChatMessageHistory:
    """LangChain's own, on the session of this test."""
    return released.CassandraChatMessageHistory(session_id, session=cassandra_session, keyspace=keyspace)


@pytest.fixture
def history(cassandra_session: Any, keyspace: str, session_id: str) -> CassandraChatMessageHistory:
    """Ours, on the same."""
    return CassandraChatMessageHistory(session_id, session=cassandra_session, keyspace=keyspace)


@pytest.fixture
def no_cassio() -> Iterator[None]:
    """Nothing was given to cassio, now and afterwards."""
    cassio.config.default_session = cassio.config.default_keyspace = None
    yield
    cassio.config.default_session = cassio.config.default_keyspace = None


def test_the_program_of_the_documentation_runs(astra: Any, cassandra: Server, keyspace: str) -> None:
    """With the output that the page shows, and a warning that its Cluster waits before it sends."""
    names: dict[str, Any] = {
        "Cluster": Cluster,
        "CassandraChatMessageHistory": CassandraChatMessageHistory,
        "PORT": cassandra.published[0],
        "ADMIN": astra.ADMIN,
        "CASSANDRA_KEYSPACE": keyspace,
    }
    program, _, shown = PROGRAM.rstrip().rpartition("\n")
    with pytest.warns(RuntimeWarning, match="TCP_NODELAY"):
        exec(program, names)
    assert eval(shown, names) == TURN
    names["cluster"].shutdown()


@pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated")  # the driver makes its own context
@pytest.mark.usefixtures("no_cassio")
def test_astra_is_reached_by_a_bundle_and_a_token(
    astra: Any, cassandra: Server, keyspace: str, session_id: str, tmp_path: Path
) -> None:
    """As cassio.init opens it; both forms of it read the same."""
    authority = astra.Authority()
    with astra.administrator(cassandra) as session:
        session.execute(f"CREATE ROLE IF NOT EXISTS 'token' WITH PASSWORD = '{astra.TOKEN}' AND LOGIN = true")
        session.execute(f"GRANT ALL ON KEYSPACE {keyspace} TO 'token'")
        session.execute("GRANT SELECT ON system_views.settings TO 'token'")
        [row] = session.execute("SELECT host_id FROM system.local")
    with (
        astra.serving(astra.Proxy(authority.context(), cassandra.published[0])) as proxy,
        astra.serving(astra.metadata(authority, str(row.host_id), proxy)) as port,
    ):
        bundle = authority.bundle(tmp_path / "bundle.zip", port)
        cassio.init(secure_connect_bundle=bundle, token=astra.TOKEN, keyspace=keyspace)
        released.CassandraChatMessageHistory(session_id).add_message(TURN[0])
        history = CassandraChatMessageHistory(session_id)
        with pytest.warns(RuntimeWarning, match="TCP_NODELAY"):
            history.add_message(TURN[1])
        assert history.messages == TURN
        assert astra.TOKEN not in repr(history)
        cassio.config.default_session.cluster.shutdown()


def test_what_langchain_wrote_is_read_first_and_cleared(
    original: released.CassandraChatMessageHistory, history: CassandraChatMessageHistory
) -> None:
    """And nothing is written in its form."""
    history.add_user_message("later")
    rich = ToolMessage("done", tool_call_id="1", artifact={"rows": [1, None]}, name="look", id="m")
    original.add_messages([*TURN, rich])
    assert history.messages == [*TURN, rich, HumanMessage("later")]
    history.add_ai_message("last")
    assert original.messages == [*TURN, rich]
    history.clear()
    assert (original.messages, history.messages) == ([], [])


def test_clearing_takes_what_a_clock_that_is_ahead_wrote(
    cassandra_session: Any, keyspace: str, original: Any, history: CassandraChatMessageHistory
) -> None:
    """And hides nothing that is written afterwards."""
    ahead = int((time.time() + 3_600) * 1_000_000)
    insert = (
        "INSERT INTO {}.message_store (partition_id, row_id, body_blob) VALUES (%s, now(), '{{}}') USING TIMESTAMP {}"
    )
    original.add_messages(TURN)
    cassandra_session.execute(insert.format(keyspace, ahead), (history.session_id,))
    history.clear()
    assert history.read() == []
    original.add_messages(TURN)
    assert original.messages == TURN


async def test_the_async_form_does_the_same(
    original: released.CassandraChatMessageHistory, history: CassandraChatMessageHistory
) -> None:
    """Of which the look at what LangChain wrote runs in a thread."""
    original.add_messages(TURN)
    await history.aadd_messages([HumanMessage("later")])
    assert await history.aget_messages() == [*TURN, HumanMessage("later")]
    await history.aclear()
    assert (original.messages, await history.aget_messages()) == ([], [])


def test_more_than_a_page_of_it_is_in_order(
    original: released.CassandraChatMessageHistory, history: CassandraChatMessageHistory
) -> None:
    """All, or the newest of a window."""
    written: list[BaseMessage] = [HumanMessage(str(number)) for number in range(250)]
    original.add_messages(written)
    assert history.messages == written
    history.add_ai_message("ours")
    history.window = 120
    assert history.messages == [*written[-119:], AIMessage("ours")]
    rows = CassandraOriginal(original.table.session, original.table.keyspace, original.table.table)
    assert rows.rows(history.session_id, 120) == rows.rows(history.session_id)[-120:]


def test_other_sessions_and_tables_stay_apart(
    cassandra_session: Any, keyspace: str, original: Any, history: CassandraChatMessageHistory
) -> None:
    """Of LangChain's, and of ours."""
    original.add_messages(TURN)
    history.add_user_message("ours")
    other = CassandraChatMessageHistory(f"{history.session_id}2", session=cassandra_session, keyspace=keyspace)
    table = CassandraChatMessageHistory(history.session_id, cassandra_session, keyspace, "another_table")
    assert (other.messages, table.messages) == ([], [])
    other.clear()
    table.clear()
    assert history.messages == [*TURN, HumanMessage("ours")]


def test_a_damaged_row_is_told_by_its_place(
    cassandra_session: Any, keyspace: str, original: Any, history: CassandraChatMessageHistory
) -> None:
    """And `read` returns the others."""
    original.add_message(TURN[0])
    original.table.put(partition_id=history.session_id, row_id=_now(cassandra_session), body_blob="{torn")
    original.add_message(TURN[1])
    with pytest.raises(UnreadableOriginal, match=rf"table '{keyspace}.message_store', row_id [0-9a-f-]*: .* not JSON"):
        _ = history.messages
    first, damaged, last = history.read()
    assert [first, last] == TURN
    assert isinstance(damaged, UnreadableOriginal)


def _now(session: Any) -> Any:
    return session.execute("SELECT now() AS now FROM system.local").one().now


def test_a_message_has_its_own_time_to_live(cassandra_session: Any, keyspace: str, session_id: str) -> None:
    """Which the next one does not renew."""
    history = CassandraChatMessageHistory(session_id, cassandra_session, keyspace, ttl_seconds=100)
    history.add_messages(TURN)
    CassandraChatMessageHistory(session_id, cassandra_session, keyspace).add_user_message("stays")
    first, second, third = history.store.read(session_id)
    lives = [
        record.expires_at and (record.expires_at - record.stored_at).total_seconds()
        for record in history.store.read(session_id)
    ]
    assert lives == [100, 100, None]
    assert first.turn_id == second.turn_id != third.turn_id


def test_many_histories_share_a_store(cassandra_session: Any, keyspace: str) -> None:
    """And nothing is opened by making them."""
    made = [CassandraChatMessageHistory(f"s{number}", cassandra_session, keyspace) for number in range(1_000)]
    assert len({id(history.store) for history in made}) == 1
    other = CassandraChatMessageHistory("s", cassandra_session, keyspace, setup_mode=SetupMode.OFF)
    assert other.store is not made[0].store


@pytest.mark.parametrize("factory", [dict_factory, tuple_factory, named_tuple_factory])
def test_the_rows_of_the_session_may_have_any_shape(
    astra: Any, cassandra: Server, keyspace: str, original: Any, factory: Any
) -> None:
    """That the driver gives them."""
    original.add_messages(TURN)
    session_id = original.session_id
    cluster = Cluster(["localhost"], port=cassandra.published[0], auth_provider=astra.ADMIN, protocol_version=5)
    session = cluster.connect()
    session.row_factory = factory
    assert [row.text[:8] for row in CassandraOriginal(session, keyspace, "message_store").rows(session_id)] == [
        '{"type":'
    ] * 2
    cluster.shutdown()


@pytest.mark.usefixtures("no_cassio")
def test_without_arguments_cassio_is_asked(cassandra_session: Any, keyspace: str, session_id: str) -> None:
    """As LangChain's class does; the error says what else to give."""
    for given, missing in (({}, "session"), ({"session": cassandra_session}, "keyspace")):
        with pytest.raises(InvalidArgument, match=f"{missing}: give .*, or call cassio.init first"):
            CassandraChatMessageHistory(session_id, **given)
    cassio.init(session=cassandra_session, keyspace=keyspace)
    history = CassandraChatMessageHistory(session_id)
    history.add_messages(TURN)
    assert CassandraChatMessageHistory(session_id, cassandra_session, keyspace).messages == TURN


def test_without_cassio_the_error_is_the_same(session_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It need not be installed."""
    monkeypatch.delitem(sys.modules, "cassio.config", raising=False)
    with pytest.raises(InvalidArgument, match="session: give"):
        CassandraChatMessageHistory(session_id)


@pytest.mark.parametrize("mode", [SetupMode.OFF, released.SetupMode.OFF, "off", "OFF"])
def test_off_makes_no_table(cassandra_session: Any, keyspace: str, session_id: str, mode: Any) -> None:
    """Whoever's word it is: a read finds nothing, and a write says what to do."""
    history = CassandraChatMessageHistory(session_id, cassandra_session, keyspace, "never_made", setup_mode=mode)
    assert history.messages == []
    history.clear()
    with pytest.raises(SchemaError, match="setup"):
        history.add_messages(TURN)
    assert not {name for name in _tables(cassandra_session, keyspace) if "never_made" in name}


@pytest.mark.parametrize("mode", [SetupMode.SYNC, released.SetupMode.ASYNC, "async"])
def test_the_other_modes_make_them_at_the_first_write(
    cassandra_session: Any, keyspace: str, session_id: str, mode: Any
) -> None:
    """And never LangChain's."""
    history = CassandraChatMessageHistory(session_id, cassandra_session, keyspace, "made_once", setup_mode=mode)
    history.add_messages(TURN)
    assert history.messages == TURN
    made = {name for name in _tables(cassandra_session, keyspace) if "made_once" in name}
    assert made == {"backscroll_made_once_message", "backscroll_made_once_session"}


def _tables(session: Any, keyspace: str) -> set[str]:
    rows = session.execute("SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s", [keyspace])
    return {row.table_name for row in rows}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"table_name": "t; DROP TABLE message_store"}, "table_name"),
        ({"table_name": 't"."u'}, "table_name"),
        ({"table_name": ""}, "table_name"),
        ({"table_name": "x" * 49}, "table_name"),
        ({"table_name": 7}, "table_name"),
        ({"keyspace": "k.message_store WHERE"}, "keyspace"),
        ({"setup_mode": "sometimes"}, "setup_mode"),
        ({"setup_mode": None}, "setup_mode"),
        ({"session_id": ""}, "session_id"),
        ({"session_id": "\ud800"}, "session_id"),
        ({"session": "localhost"}, "session: give a Session"),
    ],
)
def test_what_is_no_name_is_refused_at_once(wrong: dict[str, Any], named: str) -> None:
    """Before anything is sent."""
    arguments = {"session_id": "s", "session": SimpleNamespace(prepare=None), "keyspace": "k", **wrong}
    with pytest.raises(InvalidArgument, match=named):
        CassandraChatMessageHistory(**arguments)


def test_names_are_what_cassandra_makes_of_them(cassandra_session: Any, keyspace: str, session_id: str) -> None:
    """Small letters, unless they are quoted; also where they are long."""
    for name in ("Mixed_Case", '"Mixed_Case"', "l" * 44):
        released.CassandraChatMessageHistory(session_id, cassandra_session, keyspace, name).add_messages(TURN)
        history = CassandraChatMessageHistory(session_id, cassandra_session, keyspace.upper(), name)
        history.add_user_message(name)
        assert history.messages == [*TURN, HumanMessage(name)]
    assert {"mixed_case", "Mixed_Case"} <= _tables(cassandra_session, keyspace)


def test_two_tables_never_get_one_of_ours() -> None:
    """However alike their names are."""
    long = "l" * 40
    names = ["message_store", "Message_store", "backscroll_message_store", f"{long}a", f"{long}b", "m"]
    names += [prefix(name).removeprefix("backscroll_")[:-1] for name in names]
    assert len({prefix(name) for name in names}) == len(set(names))
    assert all(len(prefix(name)) <= 40 for name in names if len(name) <= 48)


def test_a_table_of_another_program_is_told(cassandra_session: Any, keyspace: str, session_id: str) -> None:
    """Instead of being taken for LangChain's, or for an empty one."""
    columns = "partition_id int, row_id timeuuid, body_blob text"
    cassandra_session.execute(f"CREATE TABLE {keyspace}.theirs (id int PRIMARY KEY)")
    cassandra_session.execute(f"CREATE TABLE {keyspace}.numbered ({columns}, PRIMARY KEY (partition_id, row_id))")
    for table in ("theirs", "numbered"):
        history = CassandraChatMessageHistory(session_id, cassandra_session, keyspace, table)
        for use in (history.read, history.clear):
            with pytest.raises(StorageError, match=f"'{keyspace}.{table}' is not as LangChain's class makes it"):
                use()


def test_a_body_of_bytes_does_not_hide_its_neighbours(cassandra_session: Any, keyspace: str, session_id: str) -> None:
    """Of which some may be no text."""
    columns = "partition_id text, row_id timeuuid, body_blob blob, PRIMARY KEY (partition_id, row_id)"
    cassandra_session.execute(f"CREATE TABLE {keyspace}.bytes ({columns})")
    insert = f"INSERT INTO {keyspace}.bytes (partition_id, row_id, body_blob) VALUES (%s, now(), %s)"
    for body in (b'{"type": "human", "data": {"content": "hi!"}}', b"\xff"):
        cassandra_session.execute(insert, (session_id, body))
    first, second = CassandraChatMessageHistory(session_id, cassandra_session, keyspace, "bytes").read()
    assert first == TURN[0]
    assert isinstance(second, UnreadableOriginal)


def test_a_cluster_that_is_down_is_an_error_at_the_first_use(
    astra: Any, cassandra: Server, keyspace: str, session_id: str
) -> None:
    """And none when the history is made; no address is told."""
    cluster = Cluster(["localhost"], port=cassandra.published[0], auth_provider=astra.ADMIN, protocol_version=5)
    session = cluster.connect()
    cluster.shutdown()
    history = CassandraChatMessageHistory(session_id, session, keyspace)
    with pytest.raises(Unavailable, match="cannot be reached") as caught:
        CassandraOriginal(session, keyspace, "message_store").rows(session_id)
    assert "127.0.0.1" not in str(caught.value)
    assert caught.value.__context__ is None
    with pytest.warns(RuntimeWarning, match="TCP_NODELAY"), pytest.raises(StorageError, match="shut down"):
        _ = history.messages


def test_sessions_are_listed_once(cassandra_session: Any, keyspace: str) -> None:
    """In whatever order; for moving them over."""
    written = {f"s{number}" for number in range(150)}
    for session_id in written:
        history = released.CassandraChatMessageHistory(session_id, cassandra_session, keyspace, "listed")
        history.add_messages(TURN)
    found = [*CassandraOriginal(cassandra_session, keyspace, "listed").session_ids()]
    assert len(found) == len(written)
    assert {*found} == written
    for names in ((keyspace, "missing"), ("missing", "missing")):
        with pytest.raises(StorageError, match=r"missing' is not there: is its name right\?"):
            list(CassandraOriginal(cassandra_session, *names).session_ids())


def test_threads_share_a_history(history: CassandraChatMessageHistory) -> None:
    """Also at its first use."""
    threads = [threading.Thread(target=history.add_user_message, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(str(message.content) for message in history.messages) == [str(number) for number in range(8)]
