"""Sessions of several segments are like any other, also where a change to their chain was interrupted."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from backscroll import OutcomeUnknown, Store, Unavailable
from backscroll.errors import DeadlineExceeded
from backscroll.futures import done, pending
from backscroll.recent import WINDOW
from backscroll_cassandra import connections, segments
from backscroll_cassandra.connections import Connections
from backscroll_cassandra.layout import DELETED, DROPPED, SEGMENT_ROWS, Query
from backscroll_cassandra.segments import Segments

Opened = Callable[..., Store]
Ask = Callable[..., list[tuple[Any, ...]]]

ROWS = 5


class Interrupted(BaseException):
    """What ends a call as the end of its process would."""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of a few messages."""
    monkeypatch.setattr(segments, "SEGMENT_ROWS", ROWS)


def message(text: object) -> dict[str, str]:
    """A message."""
    return {"role": "user", "content": str(text)}


def texts(store: Store, session_id: str, **window: Any) -> list[str]:
    """The texts of a window, of the whole session where none is given."""
    records = store.read(session_id, **window) if window else store.iterate(session_id)
    return [record.message.content for record in records]


def filled(store: Store, session_id: str, count: int) -> None:
    """Append messages, one by one."""
    for number in range(count):
        store.append(session_id, message(number))


@pytest.mark.usefixtures("small")
def test_pages_go_across_segments_in_both_directions(opened: Opened, session_id: str) -> None:
    """For the store that wrote them and for one that has never seen the session."""
    store = opened()
    filled(store, session_id, 23)
    numbers = [str(number) for number in range(23)]
    for each in (store, opened()):
        for after in (None, 3, 4, 5, 11, 22):
            for limit in (1, 5, 6, 30):
                start = 0 if after is None else after + 1
                assert texts(each, session_id, after=after, limit=limit) == numbers[start : start + limit]
        for before in (None, 1, 5, 6, 17, 23):
            for limit in (1, 5, 6, 30):
                end = 23 if before is None else before
                found = texts(each, session_id, before=before, limit=limit, newest=True)
                assert found == numbers[max(0, end - limit) : end]
        assert texts(each, session_id, after=3, before=12, limit=30) == numbers[4:12]
        assert each.count(session_id) == 23


@pytest.mark.parametrize("count", [4, ROWS, 2 * ROWS, 3 * ROWS, 3 * ROWS + 1])
@pytest.mark.usefixtures("small")
def test_the_newest_messages_of_a_long_session_take_two_statements(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, session_id: str, count: int
) -> None:
    """Also where the last one is full, and the one that follows is still to be made; one where there is only one."""
    one, other = opened(), opened()
    filled(one, session_id, count)
    expected = [str(number) for number in range(count)][-3:]
    for _ in range(2):
        assert texts(other, session_id, limit=3, newest=True) == expected
    ask, asked = Connections.ask, []

    def counted(self: Connections, query: Any, *args: Any, **kwargs: Any) -> Future[Any]:
        asked.append(query)
        return ask(self, query, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Connections, "ask", counted)
        assert texts(other, session_id, limit=3, newest=True) == expected
    assert len(asked) <= (1 if count < ROWS else 2)
    one.append(session_id, message("more"))
    assert texts(other, session_id, limit=3, newest=True)[-1] == "more"
    one.clear(session_id)
    filled(one, session_id, 2 * ROWS)
    assert texts(other, session_id, limit=3, newest=True) == [str(number) for number in range(2 * ROWS)][-3:]


@pytest.mark.usefixtures("small")
def test_what_one_store_remembers_of_a_session_does_not_mislead_it(opened: Opened, session_id: str) -> None:
    """When another one fills segments, drops them, or deletes the session and begins it anew."""
    one, other = opened(), opened()
    filled(one, session_id, 12)
    assert texts(other, session_id, limit=3, newest=True) == ["9", "10", "11"]
    filled(one, session_id, 12)
    assert texts(other, session_id, limit=3, newest=True) == ["9", "10", "11"]
    assert other.version(session_id) == 24
    one.discard(session_id, before=20)
    assert texts(other, session_id) == ["8", "9", "10", "11"]
    assert other.append(session_id, message("more")).seqs == (24,)
    one.delete(session_id)
    assert (texts(other, session_id), other.version(session_id)) == ([], 0)
    filled(one, session_id, 7)
    assert texts(other, session_id, limit=3, newest=True) == ["4", "5", "6"]
    assert other.append(session_id, message("other")).seqs == (7,)
    assert texts(one, session_id) == [*map(str, range(7)), "other"]


@pytest.mark.parametrize("drop", ["discard", "remove"])
@pytest.mark.parametrize("rows", [ROWS, SEGMENT_ROWS])
def test_a_page_has_no_hole_where_a_discard_goes_on(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, session_id: str, drop: str, rows: int
) -> None:
    """A page of several statements begins anew where what it has read so far was dropped meanwhile."""
    monkeypatch.setattr(segments, "SEGMENT_ROWS", rows)
    one, other = opened(), opened()
    filled(one, session_id, 30)
    expected = {"discard": range(12, 30), "remove": [*range(8), *range(12, 30)]}[drop]
    assert one.last(session_id, 1)  # and knows the segments
    ask, asked = Connections.ask, 0

    def between(self: Connections, query: Any, *args: Any, **kwargs: Any) -> Future[Any]:
        nonlocal asked
        asked += isinstance(query, Query) and "ORDER BY seq ASC" in query.text
        if asked != 2:
            return ask(self, query, *args, **kwargs)
        asked += 1
        future: Future[Any] = pending()

        def drop_first() -> None:
            if drop == "discard":
                other.discard(session_id, before=12)
            else:
                other.remove(session_id, list(range(8, 12)))
            future.set_result(ask(self, query, *args, **kwargs).result())

        threading.Thread(target=drop_first).start()
        return future

    monkeypatch.setattr(Connections, "ask", between)
    assert texts(one, session_id, limit=30) == [*map(str, expected)]


def test_messages_that_do_not_arrive_in_time_together_are_read_one_by_one(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, session_id: str
) -> None:
    """The last few are asked for at once, whatever their size; where that takes too long, they still come."""
    store = opened(max_message_bytes=8 << 20, max_turn_bytes=8 << 20)
    for number in range(8):
        store.append(session_id, message(f"{number}{'x' * (6 << 20)}"))
    monkeypatch.setattr(connections, "LONGEST_TRY", 0.05)
    assert [record.message.content[:1] for record in store.last(session_id, 8)] == [*"01234567"]


@pytest.mark.parametrize("given", [{"limit": 60}, {"limit": 60, "newest": True}, {"limit": 1}])
def test_a_read_without_an_answer_ends_with_its_deadline(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, session_id: str, given: dict[str, Any]
) -> None:
    """Also one whose first statement was answered; and the driver goes on with what others want."""
    store, other = opened(), opened()
    filled(store, session_id, 60)
    ask, asked = Connections.ask, 0

    def lost(self: Connections, query: Any, deadline: Any, **kwargs: Any) -> Future[Any]:
        nonlocal asked
        asked += 1
        if asked == 1 and given["limit"] > 1:
            return ask(self, query, deadline, **kwargs)
        future: Future[Any] = pending()
        error = Unavailable("a node is gone") if deadline.remaining() else DeadlineExceeded("too late")
        future.set_exception(error)
        return future

    with monkeypatch.context() as patch:
        patch.setattr(Connections, "ask", lost)
        with pytest.raises(Unavailable):
            store.read(session_id, timeout=0.3, **given)
    assert texts(other, session_id, limit=60) == [*map(str, range(60))]


@pytest.mark.usefixtures("small")
def test_a_page_goes_across_segments_of_which_nothing_is_left(opened: Opened, session_id: str) -> None:
    """Their messages were removed, or have expired."""
    store = opened()
    filled(store, session_id, 23)
    store.remove(session_id, list(range(4, 16)))
    left = [str(number) for number in [*range(4), *range(16, 23)]]
    for each in (store, opened()):
        assert texts(each, session_id, limit=30) == left
        assert texts(each, session_id, limit=30, newest=True) == left
        assert texts(each, session_id) == left


@pytest.mark.parametrize("window", [{}, {"before": 12}, {"after": 6, "before": 9}, {"after": 6}], ids=str)
@pytest.mark.parametrize("newest", [False, True])
def test_a_session_begun_anew_is_not_read_by_what_is_known_of_the_former_one(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, session_id: str, window: dict[str, int], newest: bool
) -> None:
    """Its segments are others, and begin elsewhere."""
    one, other = opened(), opened()
    monkeypatch.setattr(segments, "SEGMENT_ROWS", 10)
    filled(one, session_id, 25)
    assert len(texts(one, session_id, limit=30, newest=True)) == 25
    other.delete(session_id)
    monkeypatch.setattr(segments, "SEGMENT_ROWS", 2)
    filled(other, session_id, 13)
    first, end = window.get("after", -1) + 1, window.get("before", 13)
    expected = [str(number) for number in range(first, min(end, 13))]
    assert texts(one, session_id, limit=30, newest=newest, **window) == expected


@pytest.mark.usefixtures("small")
def test_nothing_is_left_of_a_deleted_session(opened: Opened, ask: Ask, keyspace: str, session_id: str) -> None:
    """Of its segments, but for marks that go by themselves, and of its entry in the index."""
    store = opened()
    filled(store, session_id, 17)
    store.delete(session_id)
    rows = ask(
        f"SELECT seq, next_seq, sealed, TTL(sealed) FROM {keyspace}.backscroll_message "
        f"WHERE session_id = '{session_id}' ALLOW FILTERING"
    )
    assert sorted(sealed for _, _, sealed, _ in rows) == [DROPPED, DROPPED, DELETED]
    assert all((seq, next_seq, ttl > 80_000) == (None, None, True) for seq, next_seq, _, ttl in rows)
    assert session_id not in store.sessions(limit=1_000).session_ids


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.usefixtures("small")
def test_a_chain_that_is_interrupted_anywhere_is_mended_by_the_next_one(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, session_id: str, seed: int
) -> None:
    """Whatever step of an append, a clear, a discard or a deletion was the last one, nothing is lost or comes twice."""
    choose = random.Random(seed)
    stores = [opened(timeout=30.0), opened(timeout=30.0)]
    left, write = 0, Segments._write

    async def interrupted(self: Segments, query: Any, deadline: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            raise Interrupted
        answer = await write(self, query, deadline, **kwargs)
        if left == 1:
            raise Interrupted
        return answer

    expected: list[tuple[int, str]] = []
    version = 0
    for step in range(60):
        store = choose.choice(stores)
        action = choose.choices(["append", "discard", "remove", "clear", "delete"], [12, 2, 2, 1, 1])[0]
        given = message(f"{step}"), message(f"{step}b")
        bound = choose.randint(0, version)
        calls: dict[str, Callable[[Store], Any]] = {
            "append": lambda store, given=given, step=step: store.append(session_id, given, turn_id=f"{step}"),
            "discard": lambda store, bound=bound: store.discard(session_id, before=bound),
            "remove": lambda store, bound=bound: store.remove(session_id, [bound]),
            "clear": lambda store: store.clear(session_id),
            "delete": lambda store: store.delete(session_id),
        }
        if choose.random() < 0.3 and action != "remove":
            monkeypatch.setattr(Segments, "_write", interrupted)
            left = choose.randint(1, 8)
            with suppress(Interrupted):
                calls[action](store)
            monkeypatch.setattr(Segments, "_write", write)
            store = choose.choice(stores)
        answer = calls[action](store)
        if action == "append":
            assert answer.seqs == (version, version + 1)
            expected += zip(answer.seqs, [each["content"] for each in given], strict=True)
            version += 2
        elif action == "delete":
            expected, version = [], 0
        else:
            bound = version if action == "clear" else bound
            expected = [each for each in expected if (each[0] != bound if action == "remove" else each[0] >= bound)]
        for each in stores:
            assert [(record.seq, record.message.content) for record in each.iterate(session_id)] == expected
            assert each.version(session_id) == version
            newest = each.read(session_id, limit=3, newest=True)
            assert [record.seq for record in newest] == [seq for seq, _ in expected[-3:]]


def test_a_segment_holds_as_many_messages_as_it_is_said_to(
    opened: Opened, ask: Ask, keyspace: str, session_id: str
) -> None:
    """It is sealed by the turn that fills it."""
    store = opened()
    for count in (1_000, 1_000, 1_000, 1_000, 95, 1, 3):
        store.append(session_id, [message(number) for number in range(count)])
    rows = ask(
        f"SELECT segment, COUNT(seq) FROM {keyspace}.backscroll_message WHERE session_id = '{session_id}' "
        "GROUP BY session_id, segment ALLOW FILTERING"
    )
    assert sorted(count for _, count in rows) == [3, SEGMENT_ROWS]
    assert store.count(session_id) == SEGMENT_ROWS + 3


@pytest.mark.parametrize("turns", [5, 10])
@pytest.mark.usefixtures("small")
def test_a_segment_that_was_dropped_is_not_made_again(opened: Opened, session_id: str, turns: int) -> None:
    """By a store that remembers it as the one to be made next, while others made, filled and cleared it."""
    one, other = opened(), opened()
    filled(one, session_id, turns)
    filled(other, session_id, 6)
    other.clear(session_id)
    assert one.append(session_id, message("more")).seqs == (turns + 6,)
    for each in (one, other):
        assert texts(each, session_id) == ["more"]
        assert each.version(session_id) == turns + 7
    filled(one, session_id, 5)
    other.delete(session_id)
    assert one.append(session_id, message("anew")).seqs == (0,)
    assert texts(other, session_id) == ["anew"]


def test_a_session_begun_anew_by_the_same_turn_is_listed(opened: Opened, session_id: str) -> None:
    """An entry in the index is of one life of the session."""
    store = opened()
    for _ in range(2):
        assert not store.append(session_id, message("hello"), turn_id="greeting").duplicate
        assert store.sessions(prefix=session_id).session_ids == (session_id,)
        store.delete(session_id)


def test_a_first_turn_whose_answer_was_lost_among_many_others_lands_once(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, session_id: str
) -> None:
    """The window does not reach back to it any more, so that nobody can tell, and it is not sent again."""
    store, other = opened(), opened()
    other.append("other", message("warm"))
    write, pool, lost = Segments._write, ThreadPoolExecutor(1), []

    async def losing(self: Segments, query: Any, deadline: Any, **kwargs: Any) -> Any:
        answer = await write(self, query, deadline, **kwargs)
        if not lost and not isinstance(query, Query):
            lost.append(query)
            await done(pool.submit(filled, other, session_id, WINDOW))
            raise OutcomeUnknown("the answer was lost")
        return answer

    monkeypatch.setattr(Segments, "_write", losing)
    with pool, pytest.raises(OutcomeUnknown):
        store.append(session_id, message("first"), turn_id="first")
    assert texts(store, session_id) == ["first", *map(str, range(WINDOW))]


def test_a_removal_that_fails_half_way_does_not_say_that_nothing_was_done(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, session_id: str
) -> None:
    """What was removed would be told by nobody, if it were tried again."""
    store = opened()
    store.append(session_id, [message(number) for number in range(150)])
    remove, calls = Segments._remove, []

    async def failing(self: Segments, *args: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise Unavailable("a node is gone")
        return await remove(self, *args)

    monkeypatch.setattr(Segments, "_remove", failing)
    with pytest.raises(OutcomeUnknown, match="a part may be done"):
        store.remove(session_id, list(range(150)))
    assert store.count(session_id) == 50
