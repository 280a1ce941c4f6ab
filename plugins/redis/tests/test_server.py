"""What only Redis does: its memory, its scripts, its roles, its settings, and what others leave in it."""

import asyncio
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
import redis.asyncio

import backscroll
from backscroll import Store
from backscroll.backend import Turn
from backscroll.errors import (
    InvalidOption,
    InvalidURL,
    SchemaError,
    StorageError,
    Unavailable,
)
from backscroll_conformance.containers import Server
from backscroll_redis.layout import Layout

Opened = Callable[..., Store]

KEYS = Layout("backscroll").append("s", Turn(uuid4(), bytes(8), (b"{}",), purge_in=1.0), None, {}).keys
"""Of the session ``s``: its list, its hash, and the index, the mark and the due times of its shard."""


def message(text: str) -> dict[str, str]:
    """A message."""
    return {"role": "user", "content": text}


def texts(store: Store, session_id: str = "s") -> list[Any]:
    """The texts of a session."""
    return [record.message.content for record in store.iterate(session_id)]


def test_a_server_that_forgot_its_scripts_is_given_them_again(opened: Opened, admin: redis.Redis) -> None:
    """Nobody notices that the script cache was flushed."""
    store = opened()
    store.append("s", message("a"))
    admin.script_flush()
    store.append("s", message("b"))
    admin.script_flush()
    assert texts(store) == ["a", "b"]


def test_a_full_memory_stores_nothing_half(opened: Opened, admin: redis.Redis) -> None:
    """Where maxmemory is reached, an append is refused as a whole, and what was there is read on."""
    store = opened()
    store.append("s", message("a"))
    before = admin.dbsize()
    admin.config_set("maxmemory", 1)
    for session_id in ("s", "new"):
        with pytest.raises(StorageError, match="maxmemory"):
            store.append(session_id, message("b"), ttl=60)
    assert texts(store) == ["a"]
    admin.config_set("maxmemory", 0)
    assert admin.dbsize() == before
    assert store.append("s", message("b")).seqs == (1,)


def test_a_replica_takes_no_writes(opened: Opened, admin: redis.Redis) -> None:
    """What a replica refuses was surely not done, and ping says that it is one."""
    store = opened()
    store.append("s", message("a"))
    admin.replicaof("localhost", "1")
    with pytest.raises(Unavailable, match="it is a replica"):
        store.append("s", message("b"), timeout=0.3)
    assert any("replica" in problem for problem in store.ping().problems)
    admin.replicaof("NO", "ONE")
    assert texts(store) == ["a"]


@pytest.mark.parametrize("place", [0, 1, 2, 4])
def test_a_key_of_another_type_is_told_of(opened: Opened, admin: redis.Redis, place: int) -> None:
    """A key in the way fails the append as a whole."""
    store = opened()
    store.setup()
    admin.set(KEYS[place], "theirs")
    with pytest.raises(StorageError, match="a key of another program is in the way"):
        store.append("s", message("a"), ttl=60)
    admin.delete(KEYS[place])
    assert texts(store) == []
    assert store.version("s") == 0
    assert list(store.sessions()) == []


def test_a_schema_of_another_program_is_refused(opened: Opened, admin: redis.Redis) -> None:
    """So is a newer one."""
    admin.set(KEYS[3], "theirs")
    with pytest.raises(SchemaError, match="another program's"):
        opened().setup()
    admin.set(KEYS[3], "2 abc")
    with pytest.raises(SchemaError, match="install a newer backscroll-redis"):
        opened().append("s", message("a"))


def test_a_server_that_came_back_empty_is_noticed(opened: Opened, admin: redis.Redis) -> None:
    """A store that was connected neither goes on as though nothing was nor shows an empty history."""
    store = opened()
    store.append("s", message("a"))
    admin.flushall()
    calls: list[Callable[[], object]] = [
        lambda: store.append("s", message("b")),
        lambda: store.last("s"),
        lambda: store.version("s"),
        lambda: store.count("s"),
        lambda: store.remove("s", [0]),
        lambda: store.clear("s"),
        lambda: store.delete("s"),
        store.sessions,
        store.purge,
    ]
    assert any("came back without its data" in problem for problem in store.ping().problems)
    for call in calls:
        with pytest.raises(StorageError, match="came back without its data"):
            call()
    store.setup()
    store.append("s", message("b"))
    assert texts(store) == ["b"]


def test_settings_that_fall_short_are_told(opened: Opened, admin: redis.Redis) -> None:
    """Ping and setup say which setting is wrong, and what to set."""
    store = opened()
    assert store.ping().problems == ()
    admin.config_set("maxmemory-policy", "allkeys-lru")
    admin.config_set("appendfsync", "everysec")
    evicting, lazy = store.setup().problems
    assert "maxmemory-policy is allkeys-lru" in evicting
    assert "appendfsync is everysec" in lazy
    admin.config_set("appendonly", "no")
    try:
        assert any("appendonly is no" in problem for problem in store.ping().problems)
        careless = opened(durability="process")
        assert not any("append" in problem for problem in careless.ping().problems)
        admin.config_set("save", "")
        assert any("keeps nothing on disk" in problem for problem in careless.ping().problems)
    finally:
        admin.config_set("appendonly", "yes")


def test_a_wrong_password_is_told_and_not_shown(server: Server, opened: Opened, admin: redis.Redis) -> None:
    """An ACL user works, and one that is refused leaves no secret in the error."""
    admin.acl_setuser("chat", enabled=True, passwords=["+s3cret"], commands=["+@all"], keys=["*"], channels=["*"])
    store = opened(server.url.replace("localhost", "chat:s3cret@localhost"))
    store.append("s", message("a"))
    wrong = opened(server.url.replace("localhost", "chat:wr0ng@localhost"))
    with pytest.raises(StorageError, match="does not accept user and password") as caught:
        wrong.append("s", message("b"))
    assert "wr0ng" not in "".join(map(repr, (caught.value, caught.value.__cause__, wrong)))
    admin.acl_setuser("chat", enabled=True, keys=["other:*"], reset_keys=True)
    with pytest.raises(StorageError, match="grant it in the ACL"):
        store.append("s", message("b"))


async def test_a_credential_provider_is_asked_for_each_connection(
    server: Server, opened: Opened, admin: redis.Redis
) -> None:
    """So that a token, like one of Memorystore's IAM, may be short-lived; in both forms."""

    class Tokens(redis.CredentialProvider):
        now = "first"

        def get_credentials(self) -> tuple[str, str]:
            return "chat", self.now

    def renew(token: str) -> None:
        admin.acl_setuser(
            "chat",
            enabled=True,
            reset=True,
            passwords=[f"+{token}"],
            commands=["+@all"],
            keys=["*"],
            channels=["*"],
        )
        admin.client_kill_filter(user="chat")
        tokens.now = token

    tokens = Tokens()
    renew("first")
    store = opened(credential_provider=tokens)
    store.append("s", message("a"))
    renew("second")
    store.append("s", message("b"))
    await store.aappend("s", message("c"))
    renew("third")
    await store.aappend("s", message("d"))
    assert [record.message.content for record in await store.alast("s")] == ["a", "b", "c", "d"]
    await store.aclose()
    assert "third" not in repr(store)


@pytest.mark.parametrize(
    ("name", "client"), [("client", redis.asyncio.Redis()), ("async_client", redis.Redis()), ("client", object())]
)
def test_a_client_of_another_kind_is_refused(name: str, client: object) -> None:
    """In the words of redis-py."""
    with pytest.raises(InvalidOption, match=rf"{name}: expected a redis(\.asyncio)?\.Redis or redis"):
        backscroll.open("redis:", **{name: client})


def test_a_password_for_a_server_that_has_none_is_told_of(server: Server, opened: Opened) -> None:
    """Which is another thing than a wrong one."""
    with pytest.raises(StorageError, match="it has no password"):
        opened(server.url.replace("localhost", ":s3cret@localhost")).last("s")


@pytest.mark.parametrize("options", [{}, {"decode_responses": True}, {"protocol": 3}])
def test_a_client_brought_along_is_used_and_not_closed(
    server: Server, opened: Opened, admin: redis.Redis, options: dict[str, Any]
) -> None:
    """Whatever it decodes or speaks, bodies come back as they were; async calls use it from threads."""
    with redis.Redis.from_url(server.url.partition("?")[0], **options) as client:
        with backscroll.open("redis:", client=client) as store:
            store.append("s", message("ä\U0001f600"))
            assert texts(store) == ["ä\U0001f600"]
        assert client.ping()


async def test_an_async_client_brought_along_is_used_and_not_closed(server: Server, admin: redis.Redis) -> None:
    """Either client may be missing: then its form is served by the other one or refused."""
    async with redis.asyncio.Redis.from_url(server.url.partition("?")[0], decode_responses=True) as client:
        store = backscroll.open("redis:", async_client=client)
        await store.aappend("s", message("a"))
        assert [record.message.content async for record in store.aiterate("s")] == ["a"]
        with pytest.raises(StorageError, match="an async client only"):
            store.last("s")
        await store.aclose()
        assert await client.ping()
    with redis.Redis.from_url(server.url.partition("?")[0]) as sync:
        store = backscroll.open("redis:", client=sync)
        await store.aappend("s", message("b"))
        assert [record.message.content for record in await store.alast("s")] == ["a", "b"]
        await store.aclose()


async def test_hiredis_may_be_missing(opened: Opened, admin: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are packed by redis-py then, in both forms."""
    monkeypatch.setattr("backscroll_redis.exchange._PACK", None)
    store = opened()
    store.append("s", message("\U0001f600"))
    await store.aappend("s", message("b"))
    assert texts(store) == ["\U0001f600", "b"]
    await store.aclose()


@pytest.mark.parametrize(
    "lacks", ["-publish", "-pexpire", "-hmset", "-rpush", "-zadd", "-del", "-ltrim", "-lset", "resetchannels"]
)
def test_a_right_that_lacks_is_told_before_anything_is_written(
    server: Server, opened: Opened, admin: redis.Redis, lacks: str
) -> None:
    """A script that meets it half way would not be rolled back."""
    admin.execute_command("ACL", "SETUSER", "few", "reset", "on", ">s3cret", "+@all", "~*", "&*", lacks)
    store = opened(server.url.replace("localhost", "few:s3cret@localhost"))
    for _ in range(2):
        with pytest.raises(StorageError, match="grant it in the ACL"):
            store.append("s", message("a"), ttl=60)
    assert texts(opened()) == []


def test_the_rights_that_the_page_names_suffice(server: Server, opened: Opened, admin: redis.Redis) -> None:
    """For every operation."""
    page = Path(__file__).parents[3].joinpath("docs", "redis.md").read_text(encoding="utf-8")
    lines = re.findall(r'^    "(.*)"$', page.partition("RIGHTS = (\n")[2].partition("\n)")[0], re.MULTILINE)
    rights = " ".join(lines).split()
    assert rights
    admin.execute_command("ACL", "SETUSER", "chat", "reset", "on", ">s3cret", *rights)
    with backscroll.open(server.url.replace("localhost", "chat:s3cret@localhost")) as store:
        _every_operation(store)


def test_a_schema_of_another_version_is_left_alone(opened: Opened, admin: redis.Redis) -> None:
    """Also by a store that is told never to set one up."""
    admin.set(KEYS[3], "2 abc")
    with pytest.raises(SchemaError, match="of another version"):
        opened(setup="never").append("s", message("a"))


@pytest.mark.parametrize(
    ("url", "told"), [("+cluster", "no cluster: begin"), ("+sentinel", "no sentinel"), ("", "NODB")]
)
def test_a_server_of_another_kind_than_the_url_says_is_told_of(server: Server, url: str, told: str) -> None:
    """In words."""
    port = server.published[0]
    path = {"+cluster": "", "+sentinel": "/mymaster", "": "/999"}[url]
    with backscroll.open(f"redis{url}://localhost:{port}{path}") as store, pytest.raises(StorageError, match=told):
        store.last("s")


def test_many_calls_at_once_get_a_connection_each(opened: Opened, admin: redis.Redis) -> None:
    """More than the 100 that a pool of redis-py has by itself."""
    store = opened()
    store.setup()
    with ThreadPoolExecutor(150) as threads:
        waiting = [threads.submit(next, store.follow("s")) for _ in range(150)]
        end = time.monotonic() + 30
        while int(admin.info("stats")["total_connections_received"]) < 150:
            assert time.monotonic() < end
            time.sleep(0.05)
        store.append("s", message("a"))
        assert {one.result().message.content for one in waiting} == {"a"}


async def test_a_connection_that_was_cut_is_not_used_again(opened: Opened, admin: redis.Redis) -> None:
    """So that no outcome is unknown where nothing was sent; in both forms."""
    store = opened()
    await store.aappend("s", [message("a"), message("b")])
    store.append("s", message("c"))
    admin.client_kill_filter(_type="normal", skipme=True)
    while len(admin.client_list()) > 1:
        continue
    await asyncio.sleep(0.01)  # what has arrived is seen by the loop when it looks again
    assert await store.aremove("s", [0]) == (0,)
    assert store.remove("s", [1]) == (1,)
    await store.aclose()


def test_a_client_beside_a_url_of_a_server_is_refused(server: Server) -> None:
    """One of them would be ignored."""
    client = redis.Redis.from_url(server.url.partition("?")[0])
    with client, pytest.raises(InvalidOption, match="the URL names a server, too"):
        backscroll.open(server.url, client=client)


def test_prefixes_keep_applications_apart(opened: Opened, admin: redis.Redis) -> None:
    """Every key starts with the prefix."""
    one, other = opened(prefix="one"), opened(prefix="other")
    one.append("s", message("a"), ttl=60)
    assert texts(other) == []
    assert list(other.sessions()) == []
    other.append("s", message("b"))
    assert {key.split(b":")[0] for key in admin.scan_iter()} == {b"one", b"other"}
    with pytest.raises(InvalidOption, match="no braces"):
        opened(prefix="{one}")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://", "name a server"),
        ("redis:", "or open redis: with client="),
        ("redis://one,two/0", "name one server"),
        ("redis://localhost/chat", "the number of a database"),
    ],
)
def test_a_url_that_names_no_database_is_refused(url: str, told: str) -> None:
    """When it is opened, before anything is sent."""
    with pytest.raises(InvalidURL, match=told):
        backscroll.open(url)


def test_an_old_server_suffices(old_server: Server) -> None:
    """Nothing newer than Redis 5.0 is sent for any operation."""
    with backscroll.open(old_server.url) as store:
        _every_operation(store)


async def test_an_old_server_suffices_for_the_async_form(old_server: Server) -> None:
    """Nor in the async form."""
    store = backscroll.open(old_server.url)
    answer = await store.aappend("async", [message("a"), message("b")], ttl=60)
    assert [record.message.content for record in await store.alast("async")] == ["a", "b"]
    assert await store.aremove("async", answer.seqs[:1]) == answer.seqs[:1]
    assert await store.acount("async") == 1
    assert "async" in list(await store.asessions())
    await store.aclear("async")
    await store.adelete("async")
    assert await store.apurge() == 0
    await store.aclose()


def _every_operation(store: Store) -> None:
    assert store.setup().server.startswith("Redis")
    answer = store.append("s", [message("a"), message("b"), message("c")], expected_version=0)
    store.append("s", message("d"), ttl=60)
    assert store.remove("s", answer.seqs[1:2]) == answer.seqs[1:2]
    assert texts(store) == ["a", "c", "d"]
    assert store.count("s") == 3
    assert list(store.sessions(prefix="s")) == ["s"]
    store.discard("s", before=answer.seqs[2])
    assert texts(store) == ["c", "d"]
    assert store.purge() == 0
    store.delete("s")
    assert list(store.sessions(prefix="s")) == []


def test_a_session_whose_messages_all_expire_is_given_back(opened: Opened, admin: redis.Redis) -> None:
    """Its list goes by itself a little after the last expiry, its counter stays."""
    store = opened()
    store.append("s", message("a"), ttl=5)
    store.append("s", message("b"), ttl=600)
    left = admin.pttl(KEYS[0])
    assert 600_000 < left <= 660_000
    store.append("s", message("for ever"))
    assert admin.pttl(KEYS[0]) == -1
    store.clear("s")
    store.append("s", message("c"), ttl=5)
    assert 0 < admin.pttl(KEYS[0]) <= 65_000
    assert admin.pttl(KEYS[1]) == -1
