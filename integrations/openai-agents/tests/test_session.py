"""A session keeps what the SDK's contract says of its sessions, on any store."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agents import SQLiteSession
from agents.memory import SessionSettings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from item_strategies import items as any_items

import backscroll
import backscroll_openai_agents.session as module
from backscroll import Message, Store
from backscroll.capabilities import Capability, unsupported
from backscroll.errors import (
    InvalidArgument,
    InvalidMessage,
    MessageTooLarge,
    Unavailable,
    UnreadableMessage,
    Unsupported,
)
from backscroll_openai_agents import BackscrollSession

HI: Any = {"role": "user", "content": "hi!"}


def numbered(*numbers: int) -> list[Any]:
    """Items that differ in a number."""
    return [{"type": "hologram", "number": number} for number in numbers]


@pytest.fixture
def damaged(tmp_path: Path) -> Any:
    """A store whose session ``s`` holds the items 0 to 5, of which 2 and 5 are damaged, each in a way of its own."""
    with backscroll.open(f"sqlite:///{tmp_path}/chat.db") as store:
        asyncio.run(BackscrollSession("s", store).add_items(numbered(0, 1, 2, 3, 4)))
        store.append("s", Message("assistant", extra={"openai-agents": 7}))
        with closing(sqlite3.connect(tmp_path / "chat.db")) as connection, connection:
            connection.execute("UPDATE message SET body = CAST('{' AS BLOB) WHERE instr(body, '\"number\":2')")
        yield store


async def test_what_is_added_is_read_in_order(session: BackscrollSession) -> None:
    """Batch after batch."""
    await session.add_items(numbered(0, 1))
    await session.add_items([])
    await session.add_items(numbered(2))
    assert await session.get_items() == numbered(0, 1, 2)


@pytest.mark.parametrize("count", [4, 5])
async def test_a_long_session_is_read_page_by_page(
    session: BackscrollSession, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """To its end."""
    monkeypatch.setattr(module, "PAGE", 2)
    await session.add_items(numbered(*range(count)))
    assert await session.get_items() == numbered(*range(count))


@pytest.mark.parametrize(
    ("settled", "asked", "expected"),
    [
        (None, None, [0, 1, 2]),
        (None, 2, [1, 2]),
        (None, 7, [0, 1, 2]),
        (None, 0, []),
        (None, -1, []),
        (1, None, [2]),
        (1, 2, [1, 2]),
        (0, None, []),
        (0, 3, [0, 1, 2]),
    ],
)
async def test_the_limit_is_how_many_of_the_newest(
    store: Store, settled: int | None, asked: int | None, expected: list[int]
) -> None:
    """Given with the call, or else by the settings; all by default."""
    for wanted in (SessionSettings(limit=settled), {"limit": settled}):
        session = BackscrollSession(f"s-{type(wanted)}", store, session_settings=wanted)
        await session.add_items(numbered(0, 1, 2))
        assert await session.get_items(limit=asked) == numbered(*expected)


@pytest.mark.parametrize("limit", ["3", 1.5, True])
async def test_a_limit_that_is_none_is_refused(session: BackscrollSession, limit: Any) -> None:
    """By its name."""
    with pytest.raises(InvalidArgument, match="limit: must be a whole number"):
        await session.get_items(limit=limit)


async def test_no_settings_are_no_limit(session: BackscrollSession) -> None:
    """The SDK allows an application to take them away."""
    session.session_settings = None
    await session.add_items(numbered(0, 1))
    assert await session.get_items() == numbered(0, 1)


async def test_a_batch_is_one_turn(session: BackscrollSession) -> None:
    """Whoever reads the store sees it so."""
    await session.add_items(numbered(0, 1))
    await session.add_items(numbered(2))
    turns = [record.turn_id for record in session.store.last("s") if isinstance(record, backscroll.Record)]
    assert (turns[0] == turns[1], turns[1] == turns[2]) == (True, False)


@pytest.mark.parametrize("odd", [{"depth": float("nan")}, {"depth": b""}, "hi!"], ids=["NaN", "bytes", "text"])
async def test_a_batch_lands_whole_or_not_at_all(session: BackscrollSession, odd: Any) -> None:
    """An item that cannot be stored keeps those beside it out; the error says which it is."""
    await session.add_items(numbered(0))
    with pytest.raises(InvalidMessage) as caught:
        await session.add_items([*numbered(1, 2), odd, *numbered(3)])
    assert caught.value.path.startswith("items[2]")
    assert await session.get_items() == numbered(0)


async def test_a_batch_over_a_limit_is_refused_whole(store: Store, session: BackscrollSession) -> None:
    """With the name of the setting."""
    with pytest.raises(MessageTooLarge, match="max_turn_messages"):
        await session.add_items([HI] * (store.limits.max_turn_messages + 1))
    assert await session.get_items() == []


async def test_the_newest_item_is_popped(session: BackscrollSession) -> None:
    """Until there is none."""
    await session.add_items(numbered(0, 1))
    await session.add_items(numbered(2))
    popped = [await session.pop_item() for _ in range(4)]
    assert popped == [*numbered(2, 1, 0), None]
    assert await session.get_items() == []


async def test_who_pops_at_the_same_time_gets_another_item(tmp_path: Path) -> None:
    """Through stores of their own."""
    stores = [backscroll.open(f"sqlite:///{tmp_path}/chat.db") for _ in range(4)]
    sessions = [BackscrollSession("s", store) for store in stores] * 5
    await sessions[0].add_items(numbered(*range(18)))
    popped: list[Any] = await asyncio.gather(*(session.pop_item() for session in sessions))
    assert popped.count(None) == 2
    assert sorted(item["number"] for item in popped if item) == list(range(18))
    for store in stores:
        await store.aclose()


async def test_an_item_that_another_popped_is_not_returned(
    session: BackscrollSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where both had read it: the store says who removed it."""
    await session.add_items(numbered(0, 1))
    remove, other = session.store.aremove, []

    async def late(session_id: str, seqs: list[int]) -> tuple[int, ...]:
        if not other:
            other.extend(await remove(session_id, seqs))
        return await remove(session_id, seqs)

    monkeypatch.setattr(session.store, "aremove", late)
    assert await session.pop_item() == numbered(0)[0]
    assert (len(other), await session.pop_item()) == (1, None)


async def test_popping_ends_where_others_are_always_faster(
    session: BackscrollSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than going on for ever."""

    async def never(session_id: str, seqs: list[int]) -> tuple[int, ...]:
        return ()

    await session.add_items(numbered(0))
    monkeypatch.setattr(session.store, "aremove", never)
    monkeypatch.setattr(module, "TRIES", 3)
    with pytest.raises(Unavailable, match="3 times: try again"):
        await session.pop_item()


async def test_a_database_that_cannot_remove_says_so(
    session: BackscrollSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason that its plugin gives, and the item stays."""
    declared = {**session.store.capabilities, Capability.REMOVE: unsupported("it is a tape")}
    await session.add_items(numbered(0))
    monkeypatch.setattr(session.store._backend, "capabilities", declared)
    with pytest.raises(Unsupported, match="does not support remove: it is a tape"):
        await session.pop_item()
    assert await session.get_items() == numbered(0)


async def test_a_message_of_another_program_may_be_several_items(store: Store, session: BackscrollSession) -> None:
    """They count one by one where they are read, and cannot be popped one by one."""
    call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    calls = [{"id": "a", **call}, {"id": "b", **call}]
    store.append("s", [Message("user", "x"), Message("assistant", "y", tool_calls=calls)])
    newest: list[Any] = await session.get_items(limit=2)
    assert [item["call_id"] for item in newest] == ["a", "b"]
    with pytest.raises(Unsupported, match=r"one of the 3 items .* at seq 1 .*Store\.remove"):
        await session.pop_item()
    assert len(await session.get_items()) == 4


async def test_clearing_takes_one_session_only(store: Store) -> None:
    """And what is added afterwards is all there is."""
    one, other = BackscrollSession("one", store), BackscrollSession("other", store)
    await one.clear_session()
    await one.add_items(numbered(0))
    await other.add_items(numbered(1))
    await one.clear_session()
    assert (await one.get_items(), await other.get_items()) == ([], numbered(1))
    await one.add_items(numbered(2))
    assert await one.get_items() == numbered(2)


async def test_a_damaged_item_is_told_with_its_place(damaged: Store) -> None:
    """When it is met, and nothing is removed."""
    session = BackscrollSession("s", damaged)
    with pytest.raises(UnreadableMessage) as caught:
        await session.get_items()
    assert caught.value.seq == 2
    for act in (lambda: session.get_items(limit=2), session.pop_item):
        with pytest.raises(UnreadableMessage) as caught:
            await act()
        assert caught.value.seq == 5
    assert damaged.count("s") == 6


async def test_damaged_items_can_be_skipped(damaged: Store) -> None:
    """The limit counts the others, and they stay where they are."""
    session = BackscrollSession("s", damaged, on_damaged="skip")
    assert await session.get_items() == numbered(0, 1, 3, 4)
    assert await session.get_items(limit=3) == numbered(1, 3, 4)
    popped = [await session.pop_item() for _ in range(5)]
    assert popped == [*numbered(4, 3, 1, 0), None]
    assert damaged.count("s") == 2


async def test_items_expire(tmp_path: Path) -> None:
    """Each by itself, by the store's clock."""
    now = 1_000_000_000_000_000_000
    with backscroll.open("sqlite://", clock=lambda: now) as store:
        for ttl in (60, timedelta(hours=1), None):
            await BackscrollSession("s", store, ttl=ttl).add_items([{"ttl": str(ttl)}])
        session = BackscrollSession("s", store)
        now += 61_000_000_000
        assert await session.get_items() == [{"ttl": "1:00:00"}, {"ttl": "None"}]
        now += 3_600_000_000_000
        assert await session.pop_item() == {"ttl": "None"}
        assert await session.pop_item() is None


async def test_making_one_does_no_io() -> None:
    """A database that is not there is told at the first use; adding nothing is none."""
    session = BackscrollSession("s", backscroll.open("sqlite:////no/such/folder/chat.db"))
    await session.add_items([])
    with pytest.raises(backscroll.BackscrollError):
        await session.add_items([HI])


@pytest.mark.parametrize("session_id", ["", "x" * 513, 7], ids=["empty", "long", "number"])
def test_what_is_no_session_id_is_refused(store: Store, session_id: Any) -> None:
    """When the session is made."""
    with pytest.raises(InvalidArgument, match="session_id"):
        BackscrollSession(session_id, store)


def test_another_way_with_damaged_items_is_refused(store: Store) -> None:
    """When the session is made."""
    with pytest.raises(ValueError, match="'raise' or 'skip', not 'hide'"):
        BackscrollSession("s", store, on_damaged="hide")  # type: ignore[arg-type]


async def test_hostile_ids_stay_apart(store: Store) -> None:
    """None is interpreted, and none is another's beginning."""
    ids = ["a", "a ", "A", "a:b", "a/b", "%", "a\0", "ä", "a\u0308", "'; DROP TABLE message; --"]
    for place, session_id in enumerate(ids):
        await BackscrollSession(session_id, store).add_items(numbered(place))
    found = [await BackscrollSession(session_id, store).get_items() for session_id in ids]
    assert found == [numbered(place) for place in range(len(ids))]


async def test_many_who_write_first_lose_nothing(tmp_path: Path) -> None:
    """Into a database that none of them has made yet; each batch stays together and in order."""
    stores = [backscroll.open(f"sqlite:///{tmp_path}/chat.db") for _ in range(8)]
    sessions = [BackscrollSession("s", store) for store in stores]
    batches = [numbered(10 * place, 10 * place + 1, 10 * place + 2) for place in range(8)]
    await asyncio.gather(*(session.add_items(batch) for session, batch in zip(sessions, batches, strict=True)))
    found = await sessions[0].get_items()
    assert sorted((found[place : place + 3] for place in range(0, 24, 3)), key=str) == sorted(batches, key=str)
    for store in stores:
        await store.aclose()


async def test_a_cancelled_batch_is_there_whole_or_not_at_all(session: BackscrollSession) -> None:
    """And the session goes on."""
    for number in range(20):
        task = asyncio.create_task(session.add_items(numbered(number, number)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await session.add_items(numbered(99, 99))
    found: list[Any] = await session.get_items()
    assert found[::2] == found[1::2]
    assert found[-1] == numbered(99)[0]


def test_one_store_serves_one_loop_after_the_other(session: BackscrollSession) -> None:
    """And is not closed with a session."""
    for number in (0, 1):
        asyncio.run(BackscrollSession("s", session.store).add_items(numbered(number)))
    assert asyncio.run(session.get_items()) == numbered(0, 1)


def test_it_is_told_by_its_session(session: BackscrollSession) -> None:
    """And by its store."""
    assert repr(session) == f"<BackscrollSession of 's' in {session.store!r}>"


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add_items"), st.lists(any_items, max_size=3)),
        st.tuples(st.just("get_items"), st.none() | st.integers(0, 4)),
        st.tuples(st.sampled_from(["pop_item", "clear_session"])),
    ),
    max_size=8,
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_it_answers_as_the_sdks_own_session_does(steps: list[tuple[Any, ...]]) -> None:
    """Whatever is done to both, in whatever order."""

    async def answers(session: Any) -> list[Any]:
        return [await getattr(session, name)(*arguments) for name, *arguments in [*steps, ("get_items",)]]

    async def both() -> tuple[list[Any], list[Any]]:
        own = SQLiteSession("s")
        try:
            async with backscroll.open("sqlite://") as store:
                return await answers(BackscrollSession("s", store)), await answers(own)
        finally:
            own.close()

    ours, theirs = asyncio.run(both())
    assert ours == theirs
