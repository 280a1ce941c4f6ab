"""Stores on a cluster: three masters, slots that move, a master that is lost."""

from collections.abc import Iterator
from contextlib import closing

import groups
import pytest
import redis
import redis.asyncio

import backscroll
from backscroll import Store
from backscroll.errors import InvalidURL, StorageError
from backscroll_conformance import BackendConformance
from backscroll_redis.layout import SHARDS, Layout, slot_of


@pytest.fixture(scope="module")
def cluster() -> Iterator[groups.Group]:
    """Three masters without replicas."""
    with groups.started(groups.THREE_MASTERS) as group:
        yield group


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """What the keys of a test begin with."""
    return str(request.node.name)


@pytest.fixture
def store(cluster: groups.Group, prefix: str) -> Iterator[Store]:
    """A store of its own keys."""
    with backscroll.open(cluster.url, prefix=prefix) as store:
        yield store


def message(text: object) -> dict[str, str]:
    """A message."""
    return {"role": "user", "content": str(text)}


def texts(store: Store, session_id: str = "s") -> list[str]:
    """The texts of a session."""
    return [str(record.message.content) for record in store.iterate(session_id)]


class TestCluster(BackendConformance):
    """A cluster keeps every clause, too."""

    backend = "redis"
    server = groups.THREE_MASTERS


def test_sessions_of_all_masters_are_listed(store: Store) -> None:
    """In order, page by page, each once."""
    ids = sorted(f"{kind} {number}" for kind in ("a", "b") for number in range(150))
    for session_id in ids:
        store.append(session_id, message("x"), ttl=60)
    page = store.sessions(prefix="b", limit=40)
    found = list(page)
    while page.cursor is not None:
        page = store.sessions(prefix="b", limit=40, cursor=page.cursor)
        assert 0 < len(list(page)) <= 40
        found += page
    assert found == [one for one in ids if one.startswith("b")]


def test_ping_asks_every_master(store: Store, cluster: groups.Group) -> None:
    """A setting that is wrong on one of them is told with its address."""
    assert store.ping().server.endswith("a cluster of 3 masters")
    with redis.Redis(port=cluster.ports[1]) as admin:
        admin.config_set("maxmemory-policy", "allkeys-lru")
        try:
            [problem] = store.ping().problems
        finally:
            admin.config_set("maxmemory-policy", "noeviction")
    assert problem.startswith(f"127.0.0.1:{cluster.ports[1]}: maxmemory-policy")


def test_a_url_of_a_single_server_does_not_do_for_a_cluster(cluster: groups.Group) -> None:
    """The error says what the URL has to begin with."""
    told = r"begin the URL with redis\+cluster"
    with backscroll.open(cluster.url.replace("+cluster", "")) as store, pytest.raises(StorageError, match=told):
        store.setup()
    with pytest.raises(InvalidURL, match="no database but 0"):
        backscroll.open(f"{cluster.url}/1")


def test_one_of_the_servers_named_suffices(cluster: groups.Group, prefix: str) -> None:
    """Where the first one is gone, the next one tells of all."""
    gone = cluster.url.replace("localhost", "localhost:1,localhost:2,localhost")
    with backscroll.open(gone, prefix=prefix) as store:
        for number in range(10):
            store.append(f"s{number}", message("x"))
        assert len(list(store.sessions())) == 10


def test_a_master_that_came_back_empty_is_noticed(store: Store, cluster: groups.Group, prefix: str) -> None:
    """The sessions of the others go on; setup heals it."""
    ids = [f"s{number}" for number in range(30)]
    for session_id in ids:
        store.append(session_id, message("x"))
    with redis.Redis(port=cluster.ports[2]) as admin:
        for key in list(admin.scan_iter(f"{prefix}:*")):
            admin.delete(key)
    layout = Layout(prefix)
    with redis.RedisCluster(host="localhost", port=cluster.ports[0]) as admin:
        lost = [one for one in ids if admin.get_node_from_key(layout.channel(one)).port == cluster.ports[2]]
    for session_id in lost:
        with pytest.raises(StorageError, match="came back without its data"):
            store.last(session_id)
    assert all(texts(store, one) == ["x"] for one in ids if one not in lost)
    assert 0 < len(lost) < len(ids)
    store.setup()
    for session_id in lost:
        assert store.append(session_id, message("y")).seqs == (0,)


def test_a_slot_that_moves_loses_nothing(store: Store, cluster: groups.Group, prefix: str) -> None:
    """While its keys are on their way, after that, and when the move is over."""
    store.append("s", message("before"))
    slot = slot_of(Layout(prefix).channel("s"))
    with redis.RedisCluster(host="localhost", port=cluster.ports[0]) as admin:
        source, target = (admin.get_node_from_key(f"{{{key}}}") for key in _keys_of(admin, slot))
        there, here = (admin.get_redis_connection(node) for node in (target, source))
        ids = {one: one.cluster("MYID").decode() for one in (here, there)}
        there.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[here])
        here.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[there])
        store.append("s", message("begun"))
        here.migrate(target.host, target.port, here.cluster("GETKEYSINSLOT", slot, 1_000), 0, 10_000)
        store.append("s", message("moved"))
        assert texts(store) == ["before", "begun", "moved"]
        assert list(store.sessions()) == ["s"]
        for one in (there, here):
            one.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[there])
    store.append("s", message("over"))
    assert texts(store) == ["before", "begun", "moved", "over"]
    assert list(store.sessions()) == ["s"]


def _keys_of(admin: redis.RedisCluster, slot: int) -> tuple[str, str]:
    """A key of the master that has a slot, and one of another master."""
    owner = admin.nodes_manager.get_node_from_slot(slot)
    by_owner = {admin.get_node_from_key(f"{{{number}}}") == owner: str(number) for number in range(100)}
    return by_owner[True], by_owner[False]


@pytest.mark.parametrize("form", ["client", "async_client"])
async def test_a_cluster_client_brought_along_serves_both_forms(cluster: groups.Group, form: str) -> None:
    """With connections of the store's own, since such a client repeats by itself; it is not closed."""
    kind = redis.RedisCluster if form == "client" else redis.asyncio.RedisCluster
    client = kind(host="localhost", port=cluster.ports[0], decode_responses=True)
    store = backscroll.open("redis:", prefix=form, **{form: client})
    store.append("s", message("ä"))
    await store.aappend("s", message("b"))
    assert texts(store) == ["ä", "b"]
    await store.aclose()
    if form == "client":
        with closing(client):
            assert client.ping()
    else:
        async with client:
            assert await client.ping()


def test_a_replica_that_takes_over_goes_on() -> None:
    """A writer meets no error; what was acknowledged before the last moment is there, in order, once."""
    with groups.started(groups.WITH_REPLICAS) as group:
        with redis.RedisCluster(host="localhost", port=group.ports[0]) as admin:
            master = admin.nodes_manager.get_node_from_slot(slot_of(Layout("backscroll").channel("s")))
        with backscroll.open(group.url, timeout=30) as store:
            store.setup()
            group.wait_for_keys(2 * SHARDS, group.ports)
            written, killed = groups.write_through(store, lambda: group.kill(master.port))
            groups.check_kept(written, killed, texts(store))
