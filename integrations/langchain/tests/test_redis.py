"""`RedisChatMessageHistory` keeps what LangChain's own class wrote, on the same server."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis
import redis_groups
import released
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder

import backscroll
from backscroll.errors import InvalidArgument, InvalidMessage, InvalidURL, StorageError, Unavailable
from backscroll_conformance.containers import Server
from backscroll_conformance.servers import running
from backscroll_langchain import ChatMessageHistory, RedisChatMessageHistory
from backscroll_langchain.originals import UnreadableOriginal
from backscroll_langchain.redis import store_prefix
from backscroll_langchain.redis_access import Way, way_to
from backscroll_langchain.redis_lists import ListsOriginal
from backscroll_langchain.sharing import aclose_all, close_all

MESSAGES: list[BaseMessage] = [
    SystemMessage("be kind"),
    HumanMessage("hi!", name="bob", id="1"),
    AIMessage("", tool_calls=[{"name": "f", "args": {"a": [1, "ä"]}, "id": "c", "type": "tool_call"}]),
    ToolMessage("3", tool_call_id="c", artifact={"x": 1}),
    ChatMessage("hm", role="critic"),
]


@pytest.fixture
def url(redis_server: Server) -> Iterator[str]:
    """Where the server is, as LangChain's class takes it."""
    yield redis_server.url.partition("?")[0]
    close_all()


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    """A client to look behind the curtain."""
    with redis.Redis.from_url(url) as client:
        yield client


@pytest.fixture
def user(url: str, client: redis.Redis) -> Iterator[str]:
    """The URL of a user of this test alone, by whom its connections are told from others."""
    name = f"user-{uuid4().hex}"
    client.acl_setuser(name, enabled=True, passwords=["+secret"], keys=["*"], channels=["*"], categories=["+@all"])
    yield url.replace("redis://", f"redis://{name}:secret@")
    client.acl_deluser(name)


def original_of(url: str, key_prefix: str = "message_store:") -> ListsOriginal:
    """What LangChain's class wrote."""
    return ListsOriginal(way_to(url), key_prefix, newest_first=True)


def connections(client: redis.Redis, url: str) -> int:
    """How many connections a user has."""
    name = url.partition("://")[2].partition(":")[0]
    return sum(one["user"] == name for one in client.client_list())


def test_the_program_of_langchains_documentation(url: str, session_id: str) -> None:
    """With only the import line changed."""
    history = RedisChatMessageHistory(session_id, url=url)

    history.add_user_message("hi!")

    history.add_ai_message("whats up?")

    assert history.messages == [HumanMessage("hi!"), AIMessage("whats up?")]


@pytest.mark.filterwarnings("ignore:.*RunnableWithMessageHistory")
async def test_the_chain_of_langchains_documentation(url: str, session_id: str) -> None:
    """Sync and async."""
    from langchain_core.runnables.history import RunnableWithMessageHistory

    prompt = ChatPromptTemplate.from_messages(
        [
            ("system", "You're an assistant."),
            MessagesPlaceholder(variable_name="history"),
            ("human", "{question}"),
        ]
    )
    model: Any = FakeListChatModel(responses=["Hello Bob!", "Your name is Bob."])
    chain_with_history = RunnableWithMessageHistory(
        prompt | model,
        lambda session_id: RedisChatMessageHistory(session_id, url=url),
        input_messages_key="question",
        history_messages_key="history",
    )
    config: Any = {"configurable": {"session_id": session_id}}
    chain_with_history.invoke({"question": "Hi! I'm bob"}, config=config)
    await chain_with_history.ainvoke({"question": "Whats my name"}, config=config)
    history = RedisChatMessageHistory(session_id, url=url)
    texts = [message.content for message in await history.aget_messages()]
    assert texts == ["Hi! I'm bob", "Hello Bob!", "Whats my name", "Your name is Bob."]


async def test_what_the_released_class_wrote_is_read_before_ours(url: str, session_id: str) -> None:
    """Equal, in order, in both forms."""
    released.RedisChatMessageHistory(session_id, url).add_messages(MESSAGES)
    history = RedisChatMessageHistory(session_id, url)
    await history.aadd_messages([HumanMessage("new")])
    assert history.messages == await history.aget_messages() == [*MESSAGES, HumanMessage("new")]
    assert released.RedisChatMessageHistory(session_id, url).messages == MESSAGES


@pytest.mark.parametrize("window", [1, 3, 4, 6, 7])
def test_a_window_reaches_back_to_it(url: str, session_id: str, window: int) -> None:
    """For as many as are missing."""
    released.RedisChatMessageHistory(session_id, url).add_messages(MESSAGES)
    history = RedisChatMessageHistory(session_id, url)
    history.add_user_message("new")
    history.window = window
    assert history.messages == [*MESSAGES, HumanMessage("new")][-window:]


async def test_clearing_clears_both(url: str, session_id: str) -> None:
    """In both forms, and no other session."""
    neighbour = released.RedisChatMessageHistory(session_id + "x", url)
    neighbour.add_messages(MESSAGES)
    for form in ("sync", "async"):
        before = released.RedisChatMessageHistory(session_id, url)
        before.add_messages(MESSAGES)
        history = RedisChatMessageHistory(session_id, url)
        history.add_user_message("new")
        if form == "sync":
            history.clear()
        else:
            await history.aclear()
        assert (history.messages, before.messages) == ([], [])
    assert neighbour.messages == MESSAGES


def test_nothing_is_written_in_the_old_form(url: str, client: redis.Redis, session_id: str) -> None:
    """Neither of the two finds a key of the other's."""
    prefix = f"p-{session_id}:"
    history = RedisChatMessageHistory("s", url, key_prefix=prefix)
    history.add_user_message("new")
    assert list(client.scan_iter(match=prefix + "*")) == []
    assert list(original_of(url, prefix).session_ids()) == []
    assert released.RedisChatMessageHistory("s", url, key_prefix=prefix).messages == []


@pytest.mark.parametrize("prefix", ["", "{user}:", "*?[a]-\\", "ä ö\n", "message_store:", "a%7Bb"])
def test_each_prefix_has_sessions_of_its_own(url: str, session_id: str, prefix: str) -> None:
    """Whatever stands in it, for both."""
    released.RedisChatMessageHistory(session_id, url, key_prefix=prefix).add_messages(MESSAGES)
    history = RedisChatMessageHistory(session_id, url, key_prefix=prefix)
    history.add_user_message("new")
    assert history.messages == [*MESSAGES, HumanMessage("new")]
    other = RedisChatMessageHistory(session_id, url, key_prefix=prefix + "x")
    assert other.messages == []
    assert session_id in set(original_of(url, prefix).session_ids())
    history.clear()
    assert session_id not in set(original_of(url, prefix).session_ids())


def test_prefixes_stay_apart() -> None:
    """Also those that look like what others become."""
    prefixes = ["", "a", "a:", "{a}", "%7Ba%7D", "%257Ba%257D", "ä", "%C3%A4"]
    assert len({store_prefix(prefix) for prefix in prefixes}) == len(prefixes)


def test_a_session_named_like_one_of_our_keys_takes_none_for_the_originals(
    url: str, client: redis.Redis, session_id: str
) -> None:
    """Neither reading nor clearing it touches another session."""
    victim = RedisChatMessageHistory(session_id, url, key_prefix="")
    victim.add_user_message("a")
    [key] = [one.decode() for one in client.scan_iter(match=f"*:messages:{session_id}")]
    attacker = RedisChatMessageHistory(key, url, key_prefix="")
    assert attacker.messages == []
    attacker.clear()
    assert victim.messages == [HumanMessage("a")]
    assert key not in set(original_of(url, "").session_ids())


def test_a_key_of_another_program_is_no_session(url: str, client: redis.Redis, session_id: str) -> None:
    """Nor is it cleared."""
    client.set(f"message_store:{session_id}", "x")
    history = RedisChatMessageHistory(session_id, url)
    history.add_user_message("a")
    assert history.messages == [HumanMessage("a")]
    history.clear()
    assert client.get(f"message_store:{session_id}") == b"x"


def test_sessions_that_a_cut_key_would_merge_stay_apart(url: str, session_id: str) -> None:
    """Of hostile names, and long ones."""
    names = [session_id + end for end in ("", " ", "\0", ":", "*", "\n", "A", "a", "ä", "a\u0308", "x" * 480)]
    for name in names:
        RedisChatMessageHistory(name, url).add_user_message(name)
    assert [RedisChatMessageHistory(name, url).messages for name in names] == [[HumanMessage(name)] for name in names]


@pytest.mark.parametrize("torn", [b'{"type": "human", "da', b"\xff\xfe", b"", b"7"])
def test_a_damaged_row_is_told_with_its_place(url: str, client: redis.Redis, session_id: str, torn: bytes) -> None:
    """The rest is kept."""
    before = released.RedisChatMessageHistory(session_id, url)
    before.add_user_message("a")
    client.lpush(f"message_store:{session_id}", torn)
    before.add_user_message("b")
    history = RedisChatMessageHistory(session_id, url)
    history.add_user_message("c")
    with pytest.raises(UnreadableOriginal, match=f"list 'message_store:{session_id}', index -2: ") as caught:
        _ = history.messages
    found = history.read()
    assert [found[0], *found[2:]] == [HumanMessage("a"), HumanMessage("b"), HumanMessage("c")]
    assert str(found[1]) == str(caught.value)


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_row_keeps_its_place(url: str, client: redis.Redis, session_id: str, newest_first: bool) -> None:
    """Whatever is asked for, and whatever is added."""
    original = ListsOriginal(way_to(url), "", newest_first=newest_first)
    push = client.lpush if newest_first else client.rpush
    places: set[tuple[str, str]] = set()
    for number in range(5):
        push(session_id, f"{number}")
        for newest in (None, 1, 2, number + 1, 99):
            rows = original.rows(session_id, newest)
            assert [row.text for row in rows] == [str(each) for each in range(number + 1)][-(newest or 99) :]
            places |= {(row.text, row.place) for row in rows}
    assert len(places) == 5
    original.close()


def test_the_sessions_of_the_original_are_found_once(url: str, session_id: str) -> None:
    """More of them than a server tells at once, among other programs' lists where there is no prefix."""
    for number in range(30):
        released.RedisChatMessageHistory(f"{number}", url, key_prefix=f"{session_id}:").add_user_message("a")
    with redis.Redis.from_url(url) as client:
        client.rpush(f"{session_id}-celery", '{"body": "x"}')
    found = list(original_of(url, f"{session_id}:").session_ids())
    assert sorted(found) == sorted(map(str, range(30)))
    of_all = list(original_of(url, "").session_ids())
    assert {f"{session_id}:{number}" for number in range(30)} <= set(of_all)
    assert f"{session_id}-celery" not in of_all


def test_a_message_that_cannot_be_stored_is_refused_with_the_path(url: str, session_id: str) -> None:
    """Before anything is sent."""
    history = RedisChatMessageHistory(session_id, url)
    with pytest.raises(InvalidMessage, match=r"messages\[0\]\.additional_kwargs\.x"):
        history.add_message(HumanMessage("a", additional_kwargs={"x": float("nan")}))
    assert history.messages == []


async def test_a_server_that_is_down_is_told_at_the_first_use(session_id: str) -> None:
    """Not when the history is made; without its address and password."""
    history = RedisChatMessageHistory(session_id, "redis://user:secret@localhost:1/0")
    for use in (lambda: history.messages, lambda: history.add_user_message("a"), history.clear):
        with pytest.raises(Unavailable) as caught:
            use()
        assert "localhost" not in str(caught.value)
        assert caught.value.__context__ is None
    for coroutine in (history.aget_messages(), history.aadd_messages([HumanMessage("a")]), history.aclear()):
        with pytest.raises(Unavailable):
            await coroutine


def test_a_wrong_password_is_told(user: str, session_id: str) -> None:
    """Without repeating it."""
    history = RedisChatMessageHistory(session_id, user.replace(":secret@", ":wrong-one@"))
    with pytest.raises(StorageError, match="user and password") as caught:
        _ = history.messages
    assert "wrong-one" not in f"{caught.value!r}{history!r}"


def test_a_url_that_cannot_be_is_refused_at_once(session_id: str) -> None:
    """Without repeating it."""
    with pytest.raises(InvalidURL, match="begins with one of") as caught:
        RedisChatMessageHistory(session_id, "http://user:secret@host")
    assert "secret" not in str(caught.value)
    nothing: Any = None
    with pytest.raises(InvalidURL, match="url: must be a string, not NoneType"):
        RedisChatMessageHistory(session_id, nothing)
    history = RedisChatMessageHistory(session_id, "redis://user:secret@host/0?nonsense=1")
    with pytest.raises(InvalidURL, match="redis-py cannot read it"):
        _ = history.messages


@pytest.mark.parametrize("ttl", ["3", -1, float("nan"), 1e12])
def test_a_time_to_live_that_is_none_is_refused_at_once(session_id: str, ttl: Any) -> None:
    """Nothing is opened."""
    with pytest.raises(InvalidArgument, match="ttl: must be "):
        RedisChatMessageHistory(session_id, ttl=ttl)


def test_a_prefix_that_is_none_is_refused_at_once(session_id: str) -> None:
    """Nothing is opened."""
    odd: Any = 7
    for prefix in (odd, "\ud800"):
        with pytest.raises(InvalidArgument, match="key_prefix"):
            RedisChatMessageHistory(session_id, key_prefix=prefix)


def test_a_ttl_counts_for_each_message(url: str, session_id: str) -> None:
    """It is not begun anew by the next one."""
    for ttl in (60, 600, None):
        RedisChatMessageHistory(session_id, url, ttl=ttl).add_user_message("a")
    history = RedisChatMessageHistory(session_id, url)
    records = [one for one in history.store.read(session_id) if isinstance(one, backscroll.Record)]
    kept = [one.expires_at and round((one.expires_at - one.stored_at).total_seconds()) for one in records]
    assert kept == [60, 600, None]


async def test_a_thousand_histories_open_no_more_connections_than_one(
    user: str, client: redis.Redis, session_id: str
) -> None:
    """One for the store, one for the look at the original, and one for the async form."""
    RedisChatMessageHistory(session_id, user).add_user_message("a")
    assert RedisChatMessageHistory(session_id, user).messages == [HumanMessage("a")]
    of_one = connections(client, user)
    for number in range(1_000):
        RedisChatMessageHistory(f"{session_id}-{number}", user).add_user_message("a")
        assert len(RedisChatMessageHistory(f"{session_id}-{number}", user).messages) == 1
    assert (of_one, connections(client, user)) == (2, 2)
    for number in range(100):
        assert len(await RedisChatMessageHistory(f"{session_id}-{number}", user).aget_messages()) == 1
    assert connections(client, user) == 3


def test_closing_all_leaves_no_connection(user: str, client: redis.Redis, session_id: str) -> None:
    """Also where nothing was read; the next use opens others."""
    history = RedisChatMessageHistory(session_id, user)
    for _ in range(2):
        history.add_user_message("a")
        close_all()
        end = time.monotonic() + 10
        while connections(client, user):
            assert time.monotonic() < end
            time.sleep(0.01)
    assert len(history.messages) == 2


def test_no_more_connections_than_calls_at_once(user: str, client: redis.Redis, session_id: str) -> None:
    """Of 200 sessions in 8 threads that begin together."""
    begin = threading.Barrier(8)

    def use(thread: int) -> None:
        begin.wait(10)
        for number in range(25):
            RedisChatMessageHistory(f"{session_id}-{thread}-{number}", user).add_user_message("a")
            assert len(RedisChatMessageHistory(f"{session_id}-{thread}-{number}", user).messages) == 1

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert connections(client, user) <= 2 * 8


def test_each_run_of_asyncio_goes_on(url: str, session_id: str) -> None:
    """A history outlives the loop in which it was used."""
    history = RedisChatMessageHistory(session_id, url)
    for _ in range(3):
        asyncio.run(history.aadd_messages([HumanMessage("a")]))
    assert len(asyncio.run(history.aget_messages())) == 3


@pytest.mark.parametrize("query", ["?db=1", "?socket_timeout=5", "?health_check_interval=30&socket_keepalive=true"])
async def test_the_options_of_redis_py_go_on(url: str, session_id: str, query: str) -> None:
    """In the URL, as LangChain's class passes them on; `db` wins over the path."""
    released.RedisChatMessageHistory(session_id, url + query).add_user_message("a")
    history = RedisChatMessageHistory(session_id, url + query)
    await history.aadd_messages([AIMessage("b")])
    assert history.messages == [HumanMessage("a"), AIMessage("b")]
    assert (RedisChatMessageHistory(session_id, url).messages == []) == (query == "?db=1")


def test_the_store_is_found_by_other_programs(url: str, session_id: str) -> None:
    """With the prefix that the documentation names."""
    RedisChatMessageHistory(session_id, url).add_user_message("a")
    with backscroll.open(f"{url}?prefix=backscroll_message_store:") as store:
        assert ChatMessageHistory(store, session_id).messages == [HumanMessage("a")]


async def test_a_server_of_a_cluster_is_found_out(session_id: str) -> None:
    """By the URL of one server, as LangChain's class does it."""
    with running(redis_groups.CLUSTER) as server:
        released.RedisChatMessageHistory(session_id, server.url).add_messages(MESSAGES)
        history = RedisChatMessageHistory(session_id, server.url)
        await history.aadd_messages([HumanMessage("new")])
        assert history.messages == [*MESSAGES, HumanMessage("new")]
        assert list(original_of(server.url).session_ids()) == [session_id]
        history.clear()
        assert await history.aget_messages() == []
        await aclose_all()
        assert history.messages == []
        await aclose_all()


def test_the_way_to_a_cluster_can_be_gone_again() -> None:
    """When it was closed and is used once more, also where a key has moved to."""
    with running(redis_groups.CLUSTER) as server:
        way = way_to(server.url)
        way.close()
        assert way.client.execute_command("LLEN", "a") == 0
        assert way.client.determine_slot("LLEN", "a") == way.client.keyslot("a")
        way.close()


async def test_a_master_is_found_through_sentinels(session_id: str) -> None:
    """Whether they want the password of the master or none, as LangChain's class does it."""
    with running(redis_groups.WATCHED) as server:
        for port in server.published[1:]:
            url = f"redis+sentinel://:secret@localhost:{port}/mymaster/1"
            # Not through the sentinel: how it gets around one without a password depends on its release.
            direct = f"redis://:secret@localhost:{server.published[0]}/1"
            released.RedisChatMessageHistory(session_id, direct).add_messages(MESSAGES)
            history = RedisChatMessageHistory(session_id, url)
            await history.aadd_messages([HumanMessage("new")])
            assert history.messages == await history.aget_messages() == [*MESSAGES, HumanMessage("new")]
            history.clear()
            assert history.messages == []
        without_path = RedisChatMessageHistory(session_id, f"redis+sentinel://:secret@localhost:{server.published[1]}")
        without_path.add_user_message("a")
        assert without_path.messages == [HumanMessage("a")]
        await aclose_all()


def test_a_url_for_sentinels_that_cannot_be_is_told(session_id: str) -> None:
    """Without repeating it."""
    for place in (":secret@localhost/mymaster/first", "localhost/mymaster/secret", ":secret/it@localhost"):
        history = RedisChatMessageHistory(session_id, f"redis+sentinel://{place}")
        with pytest.raises(InvalidURL, match="expected redis") as caught:
            _ = history.messages
        assert "secret" not in str(caught.value)
        assert caught.value.__context__ is None


def test_no_secret_is_shown() -> None:
    """Of a way to a server."""
    assert repr(Way("client", "redis://secret", {"tls_key": "secret"})) == "Way(client='client', owns=True)"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("query", ["", "?health_check_interval=30"])
def test_it_goes_on_after_a_fork(url: str, session_id: str, query: str) -> None:
    """Parent and child have connections of their own, however they are made."""
    released.RedisChatMessageHistory(session_id, url).add_user_message("before")
    history = RedisChatMessageHistory(session_id, url + query)
    history.add_user_message("a")
    assert len(history.messages) == 2
    child = os.fork()
    if not child:
        code = 1
        try:
            history.add_user_message("b")
            found = [[message.content for message in history.messages] for _ in range(20)]
            code = any(texts != ["before", "a", "b"] for texts in found)
        finally:
            os._exit(code)
    for _ in range(20):
        assert [message.content for message in history.messages][:2] == ["before", "a"]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [message.content for message in history.messages] == ["before", "a", "b"]
