"""`ChatMessageHistory` does what LangChain's own interface says, on any store."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    get_buffer_string,
)
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from lc_strategies import messages

import backscroll
from backscroll import Message, Store
from backscroll.errors import InvalidArgument, InvalidMessage, UnreadableMessage
from backscroll_langchain import ChatMessageHistory

WITHOUT_BASE = """
import sys
sys.modules["langchain_core.chat_history"] = None
import backscroll
from backscroll_langchain import ChatMessageHistory

with backscroll.open("sqlite://") as store:
    history = ChatMessageHistory(store, "s")
    history.add_user_message("hi!")
    history.add_ai_message("hello")
    print(ChatMessageHistory.__mro__[1] is object, len(history.messages), history)
"""


@pytest.fixture
def store() -> Iterator[Store]:
    """A store in memory."""
    with backscroll.open("sqlite://") as store:
        yield store


@pytest.fixture
def history(store: Store) -> ChatMessageHistory:
    """A history on it."""
    return ChatMessageHistory(store, "s")


def test_it_is_what_langchain_expects(history: ChatMessageHistory) -> None:
    """As long as langchain-core has the class."""
    assert isinstance(history, BaseChatMessageHistory)
    missing = {name for name in vars(BaseChatMessageHistory) if not name.startswith("_")} - set(dir(history))
    assert missing == set()


def test_it_has_the_same_surface_without_the_base() -> None:
    """As langchain-core 2 announces it."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_BASE], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("True 2 Human: hi!\nAI: hello\n", "")


def test_what_is_added_is_read_in_order(history: ChatMessageHistory) -> None:
    """By each of the ways to add."""
    history.add_user_message("a")
    history.add_user_message(HumanMessage("b", id="b"))
    history.add_ai_message("c")
    history.add_ai_message(AIMessage("d", id="d"))
    history.add_message(SystemMessage("e"))
    history.add_messages([HumanMessage("f"), AIMessage("g")])
    expected = [
        HumanMessage("a"),
        HumanMessage("b", id="b"),
        AIMessage("c"),
        AIMessage("d", id="d"),
        SystemMessage("e"),
        HumanMessage("f"),
        AIMessage("g"),
    ]
    assert history.messages == expected


async def test_the_async_form_does_the_same(history: ChatMessageHistory) -> None:
    """Reading, adding and clearing."""
    await history.aadd_messages([HumanMessage("a"), AIMessage("b")])
    assert await history.aget_messages() == [HumanMessage("a"), AIMessage("b")]
    await history.aclear()
    assert await history.aget_messages() == []


async def test_the_window_bounds_what_is_read(store: Store) -> None:
    """In both forms; what is older stays where it is."""
    history = ChatMessageHistory(store, "s", window=2)
    history.add_messages([HumanMessage("a"), AIMessage("b"), HumanMessage("c")])
    assert history.messages == [AIMessage("b"), HumanMessage("c")]
    assert await history.aget_messages() == [AIMessage("b"), HumanMessage("c")]
    assert store.count("s") == 3


@pytest.mark.parametrize("window", [0, -1, "2", 1.5, True])
def test_a_window_that_is_none_is_refused(store: Store, history: ChatMessageHistory, window: Any) -> None:
    """When the history is made, and when it is set."""
    with pytest.raises(InvalidArgument, match=r"^window: must be "):
        ChatMessageHistory(store, "s", window=window)
    with pytest.raises(InvalidArgument, match=r"^window: must be "):
        history.window = window
    assert history.window is None


def test_a_turn_lands_whole_or_not_at_all(history: ChatMessageHistory) -> None:
    """A message that cannot be stored keeps those beside it out."""
    odd = HumanMessage("b", additional_kwargs={"raw": b"\0"})
    with pytest.raises(InvalidMessage) as caught:
        history.add_messages([HumanMessage("a"), odd])
    assert caught.value.path == "messages[1].additional_kwargs.raw"
    assert history.messages == []


def test_adding_nothing_does_nothing(history: ChatMessageHistory) -> None:
    """No turn is empty."""
    history.add_messages([])
    assert history.store.version("s") == 0


@pytest.mark.parametrize("messages", [None, "hi!", HumanMessage("hi!"), 7], ids=repr)
async def test_what_is_no_list_of_messages_is_refused(history: ChatMessageHistory, messages: Any) -> None:
    """And nothing is stored."""
    with pytest.raises(InvalidMessage, match=r"^messages: must be a list of messages"):
        history.add_messages(messages)
    with pytest.raises(InvalidMessage, match=r"^messages: must be a list of messages"):
        await history.aadd_messages(messages)
    assert history.messages == []


@settings(deadline=None)
@given(st.lists(messages, max_size=3))
def test_every_message_has_a_line(some: list[BaseMessage]) -> None:
    """But for those that remove others."""
    with backscroll.open("sqlite://") as store:
        history = ChatMessageHistory(store, "s")
        history.add_messages([*some, RemoveMessage(id="1")])
        assert str(history) == get_buffer_string([one for one in some if not isinstance(one, RemoveMessage)])


def test_clearing_takes_one_session_only(store: Store) -> None:
    """The others stay."""
    one, other = ChatMessageHistory(store, "one"), ChatMessageHistory(store, "other")
    one.add_user_message("a")
    other.add_user_message("b")
    one.clear()
    assert (one.messages, other.messages) == ([], [HumanMessage("b")])


def test_making_one_does_no_io() -> None:
    """A server that is not there is told at the first use."""
    store = backscroll.open("sqlite:////no/such/folder/chat.db")
    history = ChatMessageHistory(store, "s")
    with pytest.raises(backscroll.BackscrollError):
        history.add_user_message("a")


def test_it_is_told_by_its_session(history: ChatMessageHistory) -> None:
    """And by its store."""
    assert repr(history) == f"<ChatMessageHistory of 's' in {history.store!r}>"


def test_what_other_programs_wrote_is_read(store: Store, history: ChatMessageHistory) -> None:
    """A session may be shared with one that does not use LangChain."""
    store.append("s", [{"role": "user", "content": "a"}, Message("assistant", "b")])
    assert history.messages == [HumanMessage("a"), AIMessage("b")]


def test_a_damaged_record_is_told(store: Store, history: ChatMessageHistory, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its place, by which the store's own reading passes it."""
    monkeypatch.setattr(store, "iterate", lambda session_id: iter([backscroll.Unreadable(7, "torn", b"{")]))
    with pytest.raises(UnreadableMessage, match="7"):
        _ = history.messages


@pytest.mark.filterwarnings("ignore:.*RunnableWithMessageHistory")
async def test_a_runnable_keeps_its_history_in_it(store: Store) -> None:
    """As LangChain's documentation shows it, sync and async."""
    from langchain_core.runnables.history import RunnableWithMessageHistory

    prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{question}")])
    model: Any = FakeListChatModel(responses=["Hi Bob!", "Bob."])
    chain = RunnableWithMessageHistory(
        prompt | model,
        lambda session_id: ChatMessageHistory(store, session_id),
        input_messages_key="question",
        history_messages_key="history",
    )
    config: Any = {"configurable": {"session_id": "bob"}}
    chain.invoke({"question": "I am Bob."}, config=config)
    await chain.ainvoke({"question": "Who am I?"}, config=config)
    texts = [message.content for message in ChatMessageHistory(store, "bob").messages]
    assert texts == ["I am Bob.", "Hi Bob!", "Who am I?", "Bob."]
