"""What only Cassandra does, or can have done to it."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import attrs
import pytest
from cassandra import ConsistencyLevel
from cassandra.cluster import Cluster
from cassandra.query import dict_factory
from conftest import CASSANDRA

import backscroll
from backscroll import Store
from backscroll.backend import Severity
from backscroll.errors import (
    InvalidOption,
    InvalidURL,
    MessageTooLarge,
    SchemaError,
    StorageError,
    TurnIdReused,
    Unavailable,
    VersionConflict,
)
from backscroll_cassandra import connected
from backscroll_cassandra.access import NO_DELAY, has_no_delay
from backscroll_cassandra.layout import PREPARED
from backscroll_cassandra.plugin import SETTINGS
from backscroll_conformance.containers import free_ports
from backscroll_conformance.servers import running

Opened = Callable[..., Store]
Ask = Callable[..., list[tuple[Any, ...]]]

HOUR = 3_600_000_000

LEVELS = {
    "local": (ConsistencyLevel.LOCAL_QUORUM, ConsistencyLevel.LOCAL_SERIAL),
    "global": (ConsistencyLevel.QUORUM, ConsistencyLevel.SERIAL),
}


def message(text: object) -> dict[str, str]:
    """A message."""
    return {"role": "user", "content": str(text)}


def texts(store: Store, session_id: str) -> list[Any]:
    """The texts of a session."""
    return [record.message.content for record in store.iterate(session_id)]


@pytest.fixture
def connect(port: int) -> Iterator[Callable[..., Any]]:
    """Makes sessions of the driver, in the old way of setting them up, and closes them."""
    clusters = []

    def connect(**options: Any) -> Any:
        given = {"protocol_version": 5, "sockopts": [NO_DELAY], **options}
        cluster = Cluster([("localhost", port)], **given)
        clusters.append(cluster)
        return cluster.connect()

    yield connect
    for cluster in clusters:
        cluster.shutdown()


@pytest.mark.filterwarnings("ignore:.*load_balancing_policy", "ignore:Legacy execution parameters")
def test_a_session_brought_along_is_left_as_it_is(
    connect: Callable[..., Any], keyspace: str, opened: Opened, session_id: str
) -> None:
    """Whatever rows, timeout and keyspace it has; and it goes on after the store is closed."""
    session = connect()
    session.row_factory = dict_factory
    session.default_timeout = 7.5
    session.set_keyspace("system")
    store = opened(f"cassandra:///{keyspace}", session=session)
    assert store.append(session_id, [message("a"), message("b")]).seqs == (0, 1)
    assert texts(store, session_id) == ["a", "b"]
    assert store.remove(session_id, [0]) == (0,)
    store.close()
    [row] = session.execute("SELECT key FROM local")
    assert row == {"key": "local"}
    assert (session.row_factory, session.default_timeout, session.keyspace) == (dict_factory, 7.5, "system")


@pytest.mark.filterwarnings("ignore:.*load_balancing_policy")
@pytest.mark.parametrize("consistency", LEVELS)
def test_the_consistency_is_that_of_every_request(
    connect: Callable[..., Any], keyspace: str, opened: Opened, session_id: str, consistency: str
) -> None:
    """Of one data centre or of all: reads belong to the same order as the writes."""
    plain, serial = LEVELS[consistency]
    session, sent = connect(), []
    session.add_request_init_listener(lambda request: sent.append(request.message))
    store = opened(f"cassandra:///{keyspace}", session=session, consistency=consistency)
    store.setup()
    sent.clear()
    store.append(session_id, [message("a"), message("b")])
    store.remove(session_id, [0])
    assert texts(store, session_id) == ["b"]
    assert {one.serial_consistency_level for one in sent} == {serial}
    assert {one.consistency_level for one in sent} == {plain, serial}


@pytest.mark.filterwarnings("ignore:.*load_balancing_policy")
@pytest.mark.parametrize("shift", [HOUR, -HOUR])
def test_a_client_whose_clock_is_wrong_orders_and_lists_like_any_other(
    connect: Callable[..., Any], keyspace: str, opened: Opened, session_id: str, shift: int
) -> None:
    """Also a session that it deleted and others began anew, and the other way round."""
    session = connect(timestamp_generator=lambda: time.time_ns() // 1_000 + shift)
    wrong, right = opened(f"cassandra:///{keyspace}", session=session), opened()
    for one, other in ((wrong, right), (right, wrong)):
        one.append(session_id, message("a"))
        other.append(session_id, message("b"))
        one.append(session_id, message("c"))
        assert texts(other, session_id) == ["a", "b", "c"]
        one.remove(session_id, [1])
        assert texts(other, session_id) == ["a", "c"]
        one.delete(session_id)
        assert session_id not in other.sessions(prefix=session_id).session_ids
        assert texts(other, session_id) == []
        other.append(session_id, message("anew"))
        assert session_id in one.sessions(prefix=session_id).session_ids
        assert texts(one, session_id) == ["anew"]
        other.delete(session_id)


@pytest.mark.filterwarnings("ignore:.*load_balancing_policy")
def test_a_session_without_tcp_nodelay_is_warned_of(connect: Callable[..., Any], keyspace: str) -> None:
    """When the store is opened, and by `ping`."""
    session = connect(sockopts=None)
    with pytest.warns(RuntimeWarning, match="TCP_NODELAY"):
        store = backscroll.open(f"cassandra:///{keyspace}", session=session)
    with store:
        assert any("TCP_NODELAY" in problem for problem in store.ping().problems)


def test_the_connections_of_a_store_send_at_once(opened: Opened) -> None:
    """A large request does not wait for the acknowledgement of its first half."""
    store = opened()
    store.ping()
    pools = store._backend._connections.session.get_pools()
    sockets = [connection._socket for pool in pools for connection in pool.get_connections()]
    assert [each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for each in sockets] == [1] * len(sockets)
    assert sockets


@pytest.mark.filterwarnings("ignore:.*load_balancing_policy")
def test_what_does_not_go_with_a_session_is_refused(connect: Callable[..., Any], keyspace: str) -> None:
    """With what to do instead; one that is shut down at first use."""
    session = connect()
    with pytest.raises(InvalidOption, match="neither hosts nor a user"):
        backscroll.open(f"cassandra://user@/{keyspace}", session=session)
    session.shutdown()
    with (
        backscroll.open(f"cassandra:///{keyspace}", session=session) as store,
        pytest.raises(StorageError, match="bring one that is open"),
    ):
        store.last("s")
    with pytest.raises(InvalidOption, match="expected a Session"):
        backscroll.open(f"cassandra:///{keyspace}", session=object())
    with pytest.raises(InvalidURL, match="has to name a keyspace"):
        backscroll.open("cassandra://localhost/")
    with pytest.raises(InvalidOption, match="astra://"):
        backscroll.open(f"cassandra://localhost/{keyspace}", token="t")
    with pytest.raises(InvalidOption, match="secure_connect_bundle"):
        backscroll.open(f"astra:///{keyspace}", token="t")


def test_a_keyspace_is_made_only_where_it_is_told_how(port: int, ask: Ask) -> None:
    """The error gives the statement; nothing is made in silence."""
    name = f"made_{uuid4().hex}"
    with backscroll.open(f"cassandra://localhost:{port}/{name}") as store:
        why = f'give replication=1, or run: CREATE KEYSPACE IF NOT EXISTS "{name}" WITH replication'
        for call in (lambda: store.last("s"), lambda: store.append("s", message("a")), store.setup):
            with pytest.raises(SchemaError, match=why):
                call()
        [problem] = store.ping().problems
        assert why in problem
    with (
        backscroll.open(f"cassandra://localhost:{port}/{name}?replication=dcX:1") as store,
        pytest.raises(SchemaError, match="there is no data centre dcX, only datacenter1"),
    ):
        store.setup()
    with backscroll.open(f"cassandra://localhost:{port}/{name}?replication=1") as store:
        assert (store.last("s"), store.version("s"), store.ping().problems) == ([], 0, ())
        statements = store.schema_statements()
        assert [statement.split()[1] for statement in statements] == ["KEYSPACE", "TABLE", "TABLE"]
        try:
            assert store.append("s", message("a")).version == 1
            assert store.schema_statements() == ()
        finally:
            ask(f"DROP KEYSPACE {name}")


def test_the_schema_is_left_to_others_where_it_is_told_so(port: int, ask: Ask) -> None:
    """Appending says what to do; what was printed and run is all that it takes."""
    name = f"left_{uuid4().hex}"
    with backscroll.open(f"cassandra://localhost:{port}/{name}?replication=datacenter1:1&setup=never") as store:
        with pytest.raises(SchemaError, match="there is no keyspace"):
            store.append("s", message("a"))
        make_keyspace, *make_tables = store.schema_statements()
        ask(make_keyspace)
        with pytest.raises(SchemaError, match="call setup"):
            store.append("s", message("a"))
        assert store.ping().problems == ("the tables are missing: call setup(), or run: backscroll setup",)
        for statement in make_tables:
            ask(statement)
        try:
            assert store.append("s", message("a")).version == 1
        finally:
            ask(f"DROP KEYSPACE {name}")


def test_more_replicas_than_nodes_are_told_of(opened: Opened, port: int, ask: Ask) -> None:
    """By setup and ping: two of three replicas have to answer, and there is one."""
    for replication, where in (("3", "the cluster"), ("datacenter1:3", "the data centre datacenter1")):
        name = f"many_{uuid4().hex}"
        store = opened(f"cassandra://localhost:{port}/{name}?replication={replication}")
        try:
            assert store.setup().problems == (f"the keyspace wants 3 replicas, but {where} has 1 node: ALTER KEYSPACE",)
        finally:
            ask(f"DROP KEYSPACE {name}")


@pytest.mark.parametrize(("comment", "told"), [("backscroll 2", "newer"), ("of mine", "another program's")])
def test_tables_of_a_newer_release_or_another_program_are_left_alone(
    port: int, ask: Ask, opened: Opened, comment: str, told: str
) -> None:
    """The comment of the table tells."""
    name = f"newer_{uuid4().hex}"
    store = opened(f"cassandra://localhost:{port}/{name}?replication=1")
    store.setup()
    try:
        ask(f"ALTER TABLE {name}.backscroll_message WITH comment = '{comment}'")
        with pytest.raises(SchemaError, match=told):
            opened(f"cassandra://localhost:{port}/{name}").append("s", message("a"))
    finally:
        ask(f"DROP KEYSPACE {name}")


def test_a_node_that_does_not_know_all_tables_yet_is_waited_for(
    port: int, keyspace: str, opened: Opened, ask: Ask, session_id: str
) -> None:
    """A table that stands in the schema is not refused for another one that the node does not know yet."""
    with backscroll.open(f"cassandra://localhost:{port}/{keyspace}", prefix="late_") as store:
        store.setup()
    made = ask(f"DESCRIBE TABLE {keyspace}.late_session")[0][3]
    ask(f"DROP TABLE {keyspace}.late_session")
    store = opened(prefix="late_", timeout=30)
    with ThreadPoolExecutor() as pool:
        appended = pool.submit(store.append, session_id, message("waited for"))
        with pytest.raises(Unavailable, match="does not know all the tables"):
            opened(prefix="late_", timeout=8).append(session_id, message("given up"))
        ask(made)
        appended.result()
    assert texts(store, session_id) == ["waited for"]


def test_a_node_that_is_down_is_passed_over_at_first_use(port: int, keyspace: str, opened: Opened) -> None:
    """It is named first, and another one answers."""
    [dead] = free_ports()
    store = opened(f"cassandra://localhost:{dead},localhost:{port}/{keyspace}")
    assert store.ping().problems == ()


@pytest.mark.parametrize("protocol_version", [4, 5])
def test_both_versions_of_the_protocol_do(opened: Opened, session_id: str, protocol_version: int) -> None:
    """A turn, its repeat, and a message of its own time."""
    store = opened(protocol_version=protocol_version)
    store.append(session_id, [message("a"), message("b")], turn_id="t", ttl=60)
    assert store.append(session_id, [message("a"), message("b")], turn_id="t").duplicate
    assert texts(store, session_id) == ["a", "b"]


def test_a_data_centre_that_is_not_there_is_told_with_those_that_are(port: int, keyspace: str, opened: Opened) -> None:
    """At first use."""
    with pytest.raises(StorageError, match="only datacenter1"):
        opened(f"cassandra://localhost:{port}/{keyspace}?local_dc=dc9").ping()


def test_others_may_connect_as_a_store_does(port: int, keyspace: str) -> None:
    """To ask the cluster something else; errors are those of a store, and tell no address."""
    url = f"cassandra://localhost:{port}/{keyspace}"
    session, name = connected(url, protocol_version=4)
    [row] = session.execute("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = %s", [name])
    assert (row.keyspace_name, session.cluster.protocol_version, has_no_delay(session)) == (keyspace, 4, True)
    session.cluster.shutdown()
    with pytest.raises(Unavailable, match="no node can be reached") as caught:
        connected("cassandra://localhost:1/chat")
    assert ("127.0.0.1" in str(caught.value), caught.value.__context__) == (False, None)
    with pytest.raises(InvalidURL, match="has to name a keyspace"):
        connected("cassandra://localhost")
    with pytest.raises(InvalidOption, match="did you mean local_dc"):
        connected(url, locl_dc="dc1")


def test_no_statement_filters() -> None:
    """Each names its partition."""
    assert not [text for text in PREPARED if "FILTERING" in text]
    assert all("shard = ?" in text or "segment = ?" in text or text.startswith("INSERT") for text in PREPARED)


def test_appending_leaves_no_tombstones_and_clearing_few(
    session: Any, opened: Opened, keyspace: str, session_id: str
) -> None:
    """Nothing that is not given is stored as null; each clear leaves one mark."""
    store = opened()

    def tombstones() -> int:
        statement = (
            f"SELECT seq, expires_at, body FROM {keyspace}.backscroll_message WHERE session_id = %s AND segment = 0"
        )
        events = session.execute(statement, [session_id], trace=True).get_query_trace().events
        [told] = [event.description for event in events if "tombstone cells" in event.description]
        return int(told.split(" live rows and ")[1].split()[0])

    for number in range(20):
        store.append(session_id, [message(number), message("answer")])
    assert tombstones() == 0
    for number in range(10):
        store.clear(session_id)
        store.append(session_id, message(number))
    assert tombstones() <= 20


def test_turns_that_wait_together_have_their_own_outcomes(opened: Opened, session_id: str) -> None:
    """Threads and event loops mixed: what lands, what was there, what conflicts, and what is another turn's id."""
    store = opened()
    store.append(session_id, message("first"), turn_id="first")

    def in_loop(start: int) -> list[Any]:
        async def many() -> list[Any]:
            return await asyncio.gather(*(store.aappend(session_id, message(f"loop {start + n}")) for n in range(3)))

        return asyncio.run(many())

    def told(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (VersionConflict, TurnIdReused) as error:
            return type(error)

    with ThreadPoolExecutor(20) as pool:
        loops = [pool.submit(in_loop, start) for start in (0, 3)]
        landed = [pool.submit(store.append, session_id, message(f"thread {n}")) for n in range(6)]
        known = [pool.submit(store.append, session_id, message("first"), turn_id="first") for _ in range(3)]
        late = [pool.submit(told, lambda: store.append(session_id, message("x"), expected_version=0)) for _ in range(3)]
        other = [pool.submit(told, lambda: store.append(session_id, message("y"), turn_id="first")) for _ in range(3)]
    answers = [each.result() for each in landed] + [each for loop in loops for each in loop.result()]
    seqs = sorted(seq for answer in answers for seq in answer.seqs)
    assert seqs == list(range(1, 13))
    assert {each.result().seqs for each in known} == {(0,)}
    assert {each.result() for each in late} == {VersionConflict}
    assert {each.result() for each in other} == {TurnIdReused}
    assert sorted(texts(store, session_id)) == sorted(
        ["first", *(f"loop {n}" for n in range(6)), *(f"thread {n}" for n in range(6))]
    )


async def test_calls_in_flight_take_no_thread_each(opened: Opened) -> None:
    """Two hundred appends and reads at once, by the threads of the driver."""
    store = opened()
    await store.aappend("warm", message("a"))
    before = threading.active_count()
    most = 0

    async def one(number: int) -> None:
        nonlocal most
        session_id = uuid4().hex
        await store.aappend(session_id, message(number), timeout=60)
        most = max(most, threading.active_count())
        assert len(await store.alast(session_id)) == 1

    await asyncio.gather(*(one(number) for number in range(200)))
    assert most < before + 20  # the driver has a few of its own


def test_a_turn_over_the_servers_own_limit_is_told(session_id: str) -> None:
    """It is not stored, and the error names the setting."""
    settings = [each for each in SETTINGS if "commitlog" not in each]
    settings += ["settings.commitlog_segment_size=2MiB", "settings.commitlog_sync=periodic"]
    settings += ["settings.commitlog_sync_period=10s"]
    environment = {"JAVA_TOOL_OPTIONS": " ".join(f"-Dcassandra.{each}" for each in settings)}
    with (
        running(attrs.evolve(CASSANDRA, environment=environment)) as server,
        backscroll.open(server.url, max_message_bytes=2 << 20) as store,
    ):
        assert any("commitlog_sync is periodic" in problem for problem in store.setup().problems)
        with backscroll.open(server.url, durability="process") as careless:
            assert careless.ping().problems == ()
            [_, periodic] = careless.examine().findings
            assert (periodic.severity, periodic.seen.partition(",")[0]) == (
                Severity.WARNING,
                "commitlog_sync is periodic",
            )
        with pytest.raises(MessageTooLarge, match="max_turn_bytes"):
            store.append(session_id, message("x" * 1_500_000))
        assert store.version(session_id) == 0
        assert store.append(session_id, message("y" * 500_000)).version == 1
