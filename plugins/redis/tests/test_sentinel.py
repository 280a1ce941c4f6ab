"""Stores on a master and its replica, watched by a sentinel."""

from collections.abc import Iterator

import groups
import pytest

import backscroll
from backscroll import Store
from backscroll.errors import InvalidOption, InvalidURL, StorageError, Unavailable
from backscroll_redis.layout import SHARDS, Layout

MESSAGES = Layout("backscroll").channel("s").decode()


@pytest.fixture
def group() -> Iterator[groups.Group]:
    """A master, its replica and a sentinel, in this order."""
    with groups.started(groups.WATCHED) as group:
        yield group


def url_of(group: groups.Group, service: str = "chats") -> str:
    """What opens it; the first sentinel is gone."""
    return f"redis+sentinel://:s3cret@localhost:1,localhost:{group.ports[2]}/{service}/0?sentinel_password=guard"


def texts(store: Store) -> list[str]:
    """The texts of the session."""
    return [str(record.message.content) for record in store.iterate("s")]


def test_a_writer_goes_on_through_a_failover(group: groups.Group) -> None:
    """It meets no error; what was acknowledged before the last moment is there, in order, once."""
    with backscroll.open(url_of(group), timeout=30) as store:
        store.setup()
        group.wait_for_keys(SHARDS, group.ports[1:2], "-a s3cret")
        written, killed = groups.write_through(store, lambda: group.kill(group.ports[0]))
        groups.check_kept(written, killed, texts(store))


async def test_the_async_form_finds_the_new_master_too(group: groups.Group) -> None:
    """It asks the sentinels again after the connection broke."""
    store = backscroll.open(url_of(group), timeout=30)
    await store.aappend("s", {"role": "user", "content": "before"})
    group.run(f"until [ $(redis-cli -p {group.ports[1]} -a s3cret llen '{MESSAGES}') = 1 ]; do sleep 0.1; done")
    group.kill(group.ports[0])
    await store.aappend("s", {"role": "user", "content": "after"})
    assert [record.message.content for record in await store.alast("s")] == ["before", "after"]
    await store.aclose()


async def test_a_replica_that_was_the_master_is_not_read(group: groups.Group) -> None:
    """A store that was idle during the failover finds the new one, in both forms, and not what was."""
    old, new, _ = group.ports
    with backscroll.open(url_of(group)) as writer:
        reader = backscroll.open(url_of(group))
        writer.append("s", {"role": "user", "content": "one"})
        group.run(f"until [ $(redis-cli -p {new} -a s3cret llen '{MESSAGES}') = 1 ]; do sleep 0.1; done")
        assert texts(reader) == ["one"]
        assert len(await reader.alast("s")) == 1
        group.kill(old)
        writer.append("s", {"role": "user", "content": "two"}, timeout=30)
        # It lets nobody in, and so cannot follow the new master; it goes on with what it had.
        group.run(
            f"redis-server --port {old} --bind 0.0.0.0 --protected-mode no --daemonize yes --dir /data/{old} "
            f"--requirepass s3cret --masterauth wrong --appendonly yes --replicaof 127.0.0.1 {new}"
        )
        group.run(f"until redis-cli -p {old} -a s3cret llen '{MESSAGES}' | grep -q 1; do sleep 0.1; done")
        assert texts(reader) == ["one", "two"]
        assert [record.message.content for record in await reader.alast("s")] == ["one", "two"]
        await reader.aclose()


def test_what_sentinels_refuse_is_told(group: groups.Group) -> None:
    """An unknown name, a wrong password of theirs, and a claim that a failover would break."""
    with backscroll.open(url_of(group, "nobody"), timeout=1) as store, pytest.raises(Unavailable, match="no master by"):
        store.last("s")
    with backscroll.open(url_of(group).replace("guard", "gu4rd")) as store:
        with pytest.raises(StorageError, match="WRONGPASS") as caught:
            store.last("s")
        assert "gu4rd" not in repr((caught.value, store))
    with pytest.raises(InvalidOption, match="claim process"):
        backscroll.open(f"{url_of(group)}&durability=server")
    with pytest.raises(InvalidURL, match="as in /mymaster"):
        backscroll.open("redis+sentinel://localhost:26379")


async def test_the_sentinels_have_users_of_their_own(group: groups.Group) -> None:
    """Who is let in by them is not who is let in by the master; a wrong one is told."""
    login = "sentinel_username=reader&sentinel_password=peek"
    store = backscroll.open(url_of(group).replace("sentinel_password=guard", login))
    store.append("s", {"role": "user", "content": "one"})
    assert [record.message.content for record in await store.alast("s")] == ["one"]
    await store.aclose()
    other = backscroll.open(url_of(group) + "&sentinel_username=reader")
    with other, pytest.raises(StorageError, match="WRONGPASS"):
        other.last("s")
