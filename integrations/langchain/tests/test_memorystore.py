"""`MemorystoreChatMessageHistory` keeps what LangChain's own class wrote, through the application's own client."""

import gc
import weakref
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis
import redis_groups
import released
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from redis.backoff import NoBackoff
from redis.retry import Retry

import backscroll
from backscroll.errors import InvalidArgument, Unavailable
from backscroll_conformance.containers import Server
from backscroll_conformance.servers import running
from backscroll_langchain import MemorystoreChatMessageHistory, RedisChatMessageHistory
from backscroll_langchain.originals import UnreadableOriginal
from backscroll_langchain.redis_access import Way
from backscroll_langchain.redis_lists import ListsOriginal
from backscroll_langchain.sharing import aclose_all, close_all

MESSAGES: list[BaseMessage] = [
    SystemMessage("be kind"),
    HumanMessage("hi!", name="bob", id="1"),
    AIMessage("", tool_calls=[{"name": "f", "args": {"a": [1, "ä"]}, "id": "c", "type": "tool_call"}]),
    ToolMessage("3", tool_call_id="c", artifact={"x": 1}),
]


@pytest.fixture
def url(redis_server: Server) -> Iterator[str]:
    """Where the server is."""
    yield redis_server.url.partition("?")[0]
    close_all()


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    """The application's own client."""
    with redis.Redis.from_url(url) as client:
        yield client


def original_of(client: Any) -> ListsOriginal:
    """What LangChain's class wrote."""
    return ListsOriginal(Way(client, "redis:", {}, owns=False), "", newest_first=False)


def test_the_program_of_langchains_documentation(url: str, session_id: str) -> None:
    """With only the import line changed."""
    # Connect to a Memorystore for Redis instance
    redis_client = redis.from_url(url)

    message_history = MemorystoreChatMessageHistory(redis_client, session_id=session_id)
    assert message_history.messages == []
    message_history.add_user_message("hi!")
    message_history.add_ai_message("whats up?")
    assert message_history.messages == [HumanMessage("hi!"), AIMessage("whats up?")]

    message_history.clear()
    assert message_history.messages == []
    redis_client.close()


@pytest.mark.filterwarnings("ignore:.*RunnableWithMessageHistory")
async def test_a_chain_keeps_its_history_in_it(client: redis.Redis, session_id: str) -> None:
    """Sync and async."""
    from langchain_core.runnables.history import RunnableWithMessageHistory

    prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{question}")])
    model: Any = FakeListChatModel(responses=["Hello Bob!", "Your name is Bob."])
    chain = RunnableWithMessageHistory(
        prompt | model,
        lambda session_id: MemorystoreChatMessageHistory(client, session_id),
        input_messages_key="question",
        history_messages_key="history",
    )
    config: Any = {"configurable": {"session_id": session_id}}
    chain.invoke({"question": "Hi! I'm bob"}, config=config)
    await chain.ainvoke({"question": "Whats my name"}, config=config)
    texts = [message.content for message in MemorystoreChatMessageHistory(client, session_id).messages]
    assert texts == ["Hi! I'm bob", "Hello Bob!", "Whats my name", "Your name is Bob."]


async def test_what_the_released_class_wrote_is_read_before_ours(client: redis.Redis, session_id: str) -> None:
    """Equal, in order, in both forms, also through a window."""
    released.MemorystoreChatMessageHistory(client, session_id).add_messages(MESSAGES)
    history = MemorystoreChatMessageHistory(client, session_id)
    await history.aadd_messages([HumanMessage("new")])
    expected = [*MESSAGES, HumanMessage("new")]
    for window in (None, 1, 2, 5, 6):
        history.window = window
        assert history.messages == await history.aget_messages() == expected[-(window or 5) :]
    assert released.MemorystoreChatMessageHistory(client, session_id).messages == MESSAGES


async def test_clearing_clears_both(client: redis.Redis, session_id: str) -> None:
    """In both forms."""
    before = released.MemorystoreChatMessageHistory(client, session_id)
    history = MemorystoreChatMessageHistory(client, session_id)
    before.add_messages(MESSAGES)
    history.add_user_message("new")
    history.clear()
    assert (history.messages, before.messages) == ([], [])
    before.add_messages(MESSAGES)
    await history.aclear()
    assert before.messages == []


def test_nothing_is_written_in_the_old_form(client: redis.Redis, session_id: str) -> None:
    """And no key of ours, or of another program, is taken for a session of the original."""
    history = MemorystoreChatMessageHistory(client, session_id)
    history.add_user_message("new")
    client.rpush(f"{session_id}-jobs", '{"body": 1}')
    client.rpush(f"{session_id}-events", '{"type": "order", "id": 2}')
    client.set(f"{session_id}-text", "x")
    released.MemorystoreChatMessageHistory(client, f"{session_id}-old").add_user_message("a")
    found = [one for one in original_of(client).session_ids() if session_id in one]
    assert found == [f"{session_id}-old"]
    for key in client.scan_iter(match=f"*{session_id}"):
        as_session = MemorystoreChatMessageHistory(client, key.decode())
        assert as_session.messages == []
        as_session.clear()
    assert history.messages == [HumanMessage("new")]


def test_it_stays_apart_from_the_class_for_redis(client: redis.Redis, url: str, session_id: str) -> None:
    """On the same server, whatever its prefix."""
    MemorystoreChatMessageHistory(client, session_id).add_user_message("a")
    for prefix in ("memorystore", "-memorystore", ""):
        assert RedisChatMessageHistory(session_id, url, key_prefix=prefix).messages == []


def test_a_damaged_row_is_told_with_its_place(client: redis.Redis, session_id: str) -> None:
    """The rest is kept."""
    before = released.MemorystoreChatMessageHistory(client, session_id)
    before.add_user_message("a")
    client.rpush(session_id, "{torn")
    before.add_user_message("b")
    history = MemorystoreChatMessageHistory(client, session_id)
    with pytest.raises(UnreadableOriginal, match=f"list '{session_id}', index 1: "):
        _ = history.messages
    first, _, third = history.read()
    assert (first, third) == (HumanMessage("a"), HumanMessage("b"))


@pytest.mark.parametrize("decodes", [False, True])
def test_a_row_that_is_no_text_does_not_hide_its_neighbours(url: str, session_id: str, decodes: bool) -> None:
    """Also through a client that decodes what it is given."""
    with redis.Redis.from_url(url, decode_responses=decodes) as client:
        before = released.MemorystoreChatMessageHistory(client, session_id)
        before.add_user_message("ä")
        client.rpush(session_id, b"\xff\xfe")
        before.add_user_message("b")
        history = MemorystoreChatMessageHistory(client, session_id)
        with pytest.raises(UnreadableOriginal, match=f"list '{session_id}', index 1: .*UTF-8"):
            _ = history.messages
        first, _, third = history.read()
        assert (first, third) == (HumanMessage("ä"), HumanMessage("b"))
        history.clear()
        assert history.messages == []


def test_a_ttl_counts_for_each_message(client: redis.Redis, session_id: str) -> None:
    """It is not begun anew by the next one."""
    for ttl in (60, None):
        MemorystoreChatMessageHistory(client, session_id, ttl=ttl).add_user_message("a")
    records = MemorystoreChatMessageHistory(client, session_id).store.read(session_id)
    assert [isinstance(one, backscroll.Record) and one.expires_at is not None for one in records] == [True, False]


def test_what_is_no_client_is_refused_at_once(session_id: str) -> None:
    """With what to give."""
    odd: Any = "redis://user:secret@host"
    with pytest.raises(InvalidArgument, match=r"a redis\.Redis or redis\.RedisCluster, not a str") as caught:
        MemorystoreChatMessageHistory(odd, session_id)
    assert "secret" not in str(caught.value)


def test_a_pipeline_is_no_client(client: redis.Redis, session_id: str) -> None:
    """Redis-py's is a client by its class, and has no answers."""
    with client.pipeline() as pipeline, pytest.raises(InvalidArgument, match="not a Pipeline"):
        MemorystoreChatMessageHistory(pipeline, session_id)


def test_a_server_that_is_down_is_told_at_the_first_use(session_id: str) -> None:
    """Not when the history is made."""
    with redis.Redis(port=1, retry=Retry(NoBackoff(), 0)) as client:
        history = MemorystoreChatMessageHistory(client, session_id)
        with pytest.raises(Unavailable):
            history.clear()
        with pytest.raises(Unavailable):
            history.store.ping(timeout=0.2)


def test_two_hundred_sessions_use_the_connections_of_the_client(url: str, session_id: str) -> None:
    """One, since one call is under way at a time; the client stays open."""
    name = uuid4().hex
    with redis.Redis.from_url(url, client_name=name) as client:
        for number in range(200):
            MemorystoreChatMessageHistory(client, f"{session_id}-{number}").add_user_message("a")
            assert len(MemorystoreChatMessageHistory(client, f"{session_id}-{number}").messages) == 1
        assert [one["name"] for one in client.client_list()].count(name) == 1
        close_all()
        assert client.ping()


def test_a_client_that_goes_takes_all_with_it(url: str, session_id: str) -> None:
    """A program that makes one for each request keeps none of them."""
    client = redis.Redis.from_url(url)
    history = MemorystoreChatMessageHistory(client, session_id)
    history.add_user_message("a")
    assert history.messages == [HumanMessage("a")]
    gone = weakref.ref(history.store.history(session_id).store)
    client.close()
    del client, history
    gc.collect()
    assert gone() is None


async def test_a_client_of_a_cluster_is_taken_too(session_id: str) -> None:
    """As it is documented."""
    with running(redis_groups.CLUSTER) as server, redis.RedisCluster.from_url(server.url) as client:
        released.MemorystoreChatMessageHistory(client, session_id).add_messages(MESSAGES)
        history = MemorystoreChatMessageHistory(client, session_id)
        await history.aadd_messages([HumanMessage("new")])
        assert history.messages == [*MESSAGES, HumanMessage("new")]
        assert list(original_of(client).session_ids()) == [session_id]
        history.clear()
        assert history.messages == []
        await aclose_all()
