"""`History`, one session of a store made handy."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from scripted import Form, Scripted, form, store_over, user

from backscroll import Closed, History, InvalidArgument, Message, UnreadableMessage, VersionConflict
from backscroll.backend import Row
from backscroll.capabilities import Capability, declare, unsupported

__all__ = ["form"]

HI, YES = Message("user", "hi!"), Message("assistant", "yes?")


@pytest.fixture
def backend() -> Scripted:
    """A toy."""
    return Scripted()


@pytest.fixture
def chat(backend: Scripted) -> History:
    """A session of it."""
    return store_over(backend).history("s")


async def acollected(chat: History) -> list[Message]:
    return [message async for message in chat]


def ways(form: Form) -> list[Callable[[History], list[Message]]]:
    """The ways to read all messages."""
    if form.prefix:
        return [lambda chat: asyncio.run(chat.amessages()), lambda chat: asyncio.run(acollected(chat))]
    return [lambda chat: chat.messages, lambda chat: list(iter(chat)), list]


def test_messages(form: Form, chat: History) -> None:
    """What is added comes back in its order, by each way of reading."""
    first = form(chat, "add_user_message", "hi!")
    second = form(chat, "add_ai_message", [{"type": "text", "text": "yes?"}])
    third = form(chat, "append", [user("one"), Message("tool", "two")])

    assert [answer.seqs for answer in (first, second, third)] == [(0,), (1,), (2, 3)]
    expected = [HI, Message("assistant", [{"type": "text", "text": "yes?"}])]
    expected += [Message("user", "one"), Message("tool", "two")]
    for way in ways(form):
        assert way(chat) == expected
    assert form(chat, "last", 2) == expected[2:]
    assert form(chat, "last") == expected


def test_append_passes_everything_on(form: Form, chat: History) -> None:
    """An append takes what the store's does."""
    answer = form(chat, "append", HI, turn_id="one", expected_version=0, ttl=60)

    assert form(chat, "append", HI, turn_id="one") == form(chat.store, "append", "s", HI, turn_id="one")
    assert form(chat, "append", HI, turn_id="one").turn_id == answer.turn_id
    assert chat.store.last("s")[0].expires_at is not None
    with pytest.raises(VersionConflict):
        form(chat, "append", YES, expected_version=0)


def test_length(form: Form, chat: History) -> None:
    """Its length is the number of its messages; it is true in any case."""
    for expected in (0, 1, 2):
        assert asyncio.run(chat.acount()) == expected if form.prefix else len(chat) == expected
        assert bool(chat)
        form(chat, "append", HI)


def test_truth_asks_nobody(chat: History, backend: Scripted) -> None:
    """Whether it is there is no question to the database, and neither is its making or its text."""
    assert chat
    assert repr(chat) == "<History of 's' in <Store toy>>"
    assert backend.calls == []


def test_messages_without_counting(form: Form, chat: History, backend: Scripted) -> None:
    """All messages can be read where they cannot be counted."""
    backend.capabilities = declare({Capability.COUNT: unsupported("too slow")})
    form(chat, "append", [HI, YES])

    assert [way(chat) for way in ways(form)[:2]] == [[HI, YES]] * 2
    assert "count" not in backend.called()


def test_clear(form: Form, chat: History) -> None:
    """After clear there is nothing; the session's version stays."""
    form(chat, "append", [HI, YES])

    assert form(chat, "clear") is None

    assert (chat.messages, len(chat), chat.store.version("s")) == ([], 0, 2)


def test_unreadable(form: Form, chat: History, backend: Scripted) -> None:
    """A damaged record is an error that names its place, after those before it."""
    form(chat, "append", [HI, YES, HI])
    backend.saved["s"].rows[1] = Row(1, None, b"{damaged")

    for way in (*ways(form), lambda chat: form(chat, "last", 2)):
        with pytest.raises(UnreadableMessage) as caught:
            way(chat)
        assert (caught.value.seq, caught.value.reason) == (1, "damaged (JSONDecodeError)")
    assert next(iter(chat)) == HI
    assert form(chat, "last", 1) == [HI]


def test_other_sessions(form: Form, chat: History) -> None:
    """It knows nothing of other sessions."""
    form(chat.store.history("S"), "append", YES)
    form(chat, "append", HI)

    assert chat.messages == [HI]


@pytest.mark.parametrize("session_id", ["", None, "x" * 513, "\ud800"])
def test_bad_session_ids(chat: History, session_id: Any) -> None:
    """A wrong session id is refused at once."""
    with pytest.raises(InvalidArgument, match=r"^session_id: "):
        chat.store.history(session_id)


def test_closed(form: Form, chat: History) -> None:
    """After the store is closed nothing can be done."""
    chat.store.close()

    calls = [lambda: form(chat, "append", HI), lambda: form(chat, "clear"), lambda: form(chat, "last")]
    for call in (*calls, *(lambda way=way: way(chat) for way in ways(form)), lambda: len(chat)):
        with pytest.raises(Closed):
            call()


def test_twins() -> None:
    """Each method has an async twin with the same arguments, and a docstring."""
    names = {name for name in vars(History) if not name.startswith("_")} - {"session_id", "store"}
    plain = {"append", "add_user_message", "add_ai_message", "messages", "last", "clear"}

    assert names == plain | {f"a{name}" for name in plain} | {"acount"}
    for name in plain - {"messages"}:
        one, twin = getattr(History, name), getattr(History, f"a{name}")
        assert inspect.signature(one) == inspect.signature(twin)
        assert one.__doc__
        assert twin.__doc__


async def test_append_takes_a_timeout() -> None:
    """Both forms hand the timeout on."""
    chat = store_over(Scripted()).history("s")
    with pytest.raises(InvalidArgument, match="timeout"):
        chat.append(Message("user", "hi"), timeout=-1)
    with pytest.raises(InvalidArgument, match="timeout"):
        await chat.aappend(Message("user", "hi"), timeout=-1)
