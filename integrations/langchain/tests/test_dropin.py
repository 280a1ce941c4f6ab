"""What all drop-ins have in common: one store, what the original wrote before ours, and no I/O before it is needed."""

import gc
import json
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, message_to_dict

import backscroll
from backscroll import Store
from backscroll.errors import InvalidArgument, Unavailable, UnreadableMessage
from backscroll_langchain import sharing
from backscroll_langchain.dropin import DropIn
from backscroll_langchain.messages import from_langchain
from backscroll_langchain.originals import OriginalRow, UnreadableOriginal, moved
from backscroll_langchain.sharing import Lazy, Shared, aclose_all, close_all, shared, shared_by


class Fake:
    """An original in memory, which counts how often it is asked."""

    def __init__(self) -> None:
        self.by_session: dict[str, list[str]] = {}
        self.looks: list[int | None] = []
        self.is_closed = False

    def write(self, session_id: str, *messages: BaseMessage) -> None:
        texts = (json.dumps(message_to_dict(message)) for message in messages)
        self.by_session.setdefault(session_id, []).extend(texts)

    def place_prefix(self, session_id: str) -> str:
        return "row "

    def rows(self, session_id: str, newest: int | None = None) -> list[OriginalRow]:
        self.looks.append(newest)
        rows = [OriginalRow(f"row {place}", text) for place, text in enumerate(self.by_session.get(session_id, []))]
        return rows if newest is None else rows[-newest:]

    def clear(self, session_id: str) -> None:
        self.by_session.pop(session_id, None)

    def session_ids(self) -> Iterator[str | None]:
        return iter(self.by_session)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def original() -> Fake:
    """What the original wrote."""
    return Fake()


@pytest.fixture
def connection(original: Fake) -> Iterator[Shared]:
    """What histories share."""
    connection = Shared(lambda: backscroll.open("sqlite://"), lambda: original)
    yield connection
    connection.close()


@pytest.fixture
def history(connection: Shared) -> DropIn:
    """A history on it."""
    return DropIn("s", connection)


def human(count: int, start: int = 0) -> list[BaseMessage]:
    """Messages, the oldest first."""
    return [HumanMessage(str(number)) for number in range(start, start + count)]


def test_what_the_original_wrote_comes_first(history: DropIn, original: Fake) -> None:
    """Then what is stored here; the original gets nothing more."""
    original.write("s", HumanMessage("a"), AIMessage("b"))
    history.add_messages([HumanMessage("c"), AIMessage("d")])
    assert history.messages == [HumanMessage("a"), AIMessage("b"), HumanMessage("c"), AIMessage("d")]
    assert len(original.by_session["s"]) == 2


async def test_the_async_form_does_the_same(history: DropIn, original: Fake) -> None:
    """Reading, adding and clearing."""
    original.write("s", HumanMessage("a"))
    await history.aadd_messages([AIMessage("b")])
    assert await history.aget_messages() == [HumanMessage("a"), AIMessage("b")]
    await history.aclear()
    assert await history.aget_messages() == []
    assert original.by_session == {}


def test_that_there_is_nothing_is_found_out_once(connection: Shared, original: Fake) -> None:
    """For each session, by all histories of the connection."""
    for _ in range(3):
        assert DropIn("s", connection).messages == []
    assert len(original.looks) == 1
    assert DropIn("other", connection).messages == []
    assert len(original.looks) == 2


async def test_the_async_form_remembers_it_too(connection: Shared, original: Fake) -> None:
    """And finds nothing where nothing is."""
    for _ in range(3):
        assert await DropIn("s", connection).aget_messages() == []
    assert len(original.looks) == 1


def test_of_many_sessions_the_newest_are_remembered(
    connection: Shared, original: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that memory is bounded."""
    monkeypatch.setattr(sharing, "MOST_REMEMBERED", 2)
    for session_id in ("a", "b", "c", "b", "c"):
        assert DropIn(session_id, connection).messages == []
    assert len(original.looks) == 3
    assert DropIn("a", connection).messages == []
    assert len(original.looks) == 4


def test_clearing_clears_both(connection: Shared, original: Fake) -> None:
    """And nothing of another session."""
    original.write("s", HumanMessage("a"))
    original.write("other", HumanMessage("b"))
    history = DropIn("s", connection)
    history.add_user_message("c")
    history.clear()
    assert history.messages == []
    assert DropIn("other", connection).messages == [HumanMessage("b")]


@pytest.mark.parametrize(("ours", "looks"), [(0, [3]), (1, [2]), (2, [1]), (3, []), (9, [])])
async def test_a_window_asks_the_original_for_what_is_missing(
    history: DropIn, original: Fake, ours: int, looks: list[int]
) -> None:
    """In both forms; where ours fill it, there is no look at all."""
    original.write("s", *human(10))
    if ours:
        history.add_messages(human(ours, 10))
    history.window = 3
    expected = human(10 + ours)[-3:]
    assert history.messages == expected
    assert original.looks == looks
    assert await history.aget_messages() == expected


async def test_what_was_moved_over_is_not_read_twice(history: DropIn, original: Fake) -> None:
    """In both forms, whatever the window; what the original got afterwards comes behind it, and before what is ours."""
    original.write("s", *human(3))
    for row, message in zip(original.rows("s"), human(3), strict=True):
        history.store.append("s", [moved(from_langchain(message), row)])
    history.add_messages(human(2, 5))
    original.write("s", *human(2, 3))
    for window in (None, 1, 2, 3, 4, 5, 6, 7, 8):
        history.window = window
        expected = human(7)[-(window or 7) :]
        assert history.messages == expected
        assert await history.aget_messages() == expected


def test_that_all_was_moved_over_is_found_out_once(history: DropIn, original: Fake) -> None:
    """So that the original may stay where it is."""
    original.write("s", HumanMessage("a"))
    history.store.append("s", [moved(from_langchain(HumanMessage("a")), original.rows("s")[0])])
    for _ in range(3):
        assert history.messages == [HumanMessage("a")]
    assert original.looks == [None, None]


@pytest.mark.parametrize("moves", [(0, 3), (1, 3), (1,), (0, 1), (3,), ()])
async def test_what_was_not_moved_over_stays_where_it_was(
    history: DropIn, original: Fake, moves: tuple[int, ...]
) -> None:
    """Damaged or not, before, among and behind what was; in both forms, whatever the window."""
    original.write("s", *human(2))
    original.by_session["s"].append("{torn")
    original.write("s", *human(1, 3))
    rows = original.rows("s")
    for place in moves:
        history.store.append("s", [moved(from_langchain(HumanMessage(str(place))), rows[place])])
    history.add_messages(human(1, 4))
    for window in (None, *range(1, 7)):
        history.window = window
        for found in (history.read(), await history.aread()):
            shown = [2 if isinstance(one, UnreadableMessage) else int(str(one.content)) for one in found]
            assert shown == [0, 1, 2, 3, 4][-(window or 5) :]


def test_what_the_original_got_after_it_was_cleared_is_read(history: DropIn, original: Fake) -> None:
    """At the places of what was moved over; that comes first, since it is older."""
    original.write("s", *human(2))
    for row, message in zip(original.rows("s"), human(2), strict=True):
        history.store.append("s", [moved(from_langchain(message), row)])
    history.add_messages(human(1, 4))
    original.clear("s")
    original.write("s", *human(2, 2))
    assert history.messages == human(5)


async def test_a_damaged_row_is_told_and_does_not_hide_the_others(history: DropIn, original: Fake) -> None:
    """By its place; in both forms."""
    original.write("s", *human(1))
    original.by_session["s"].append("{torn")
    history.add_messages(human(1, 1))
    with pytest.raises(UnreadableOriginal, match="row 1"):
        _ = history.messages
    with pytest.raises(UnreadableMessage, match="row 1"):
        await history.aget_messages()
    for found in (history.read(), await history.aread()):
        assert [found[0], found[2]] == human(2)
        assert isinstance(found[1], UnreadableOriginal)


def test_a_damaged_record_of_ours_is_told_likewise(history: DropIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its seq."""
    damaged = backscroll.Unreadable(7, "torn", b"{")
    monkeypatch.setattr(history.store, "iterate", lambda session_id: iter([damaged]))
    with pytest.raises(UnreadableMessage, match="seq 7"):
        _ = history.messages


def test_a_session_id_that_is_none_is_refused_at_once() -> None:
    """Before anything is opened."""
    connection = Shared(lambda: pytest.fail("opened"), lambda: pytest.fail("opened"))
    for session_id in ("", "x" * 513, "\ud800"):
        with pytest.raises(InvalidArgument, match="session_id"):
            DropIn(session_id, connection)


def test_making_one_does_no_io_and_a_failure_is_told_at_the_first_use() -> None:
    """And is not remembered: a server that came up is used."""
    found: list[Store] = []

    def open_store() -> Store:
        if not found:
            raise Unavailable("not there")
        return found[0]

    history = DropIn("s", Shared(open_store, Fake))
    with pytest.raises(Unavailable, match="not there"):
        history.add_user_message("a")
    with backscroll.open("sqlite://") as store:
        found.append(store)
        history.add_user_message("a")
        assert history.messages == [HumanMessage("a")]


async def test_a_ttl_counts_for_each_message(connection: Shared) -> None:
    """In both forms; none, or 0, is for ever."""
    history = DropIn("s", connection, ttl=60)
    history.add_user_message("a")
    await history.aadd_messages([HumanMessage("b")])
    DropIn("s", connection, ttl=0).add_user_message("c")
    records = [record for record in connection.store.read("s") if isinstance(record, backscroll.Record)]
    kept = [record.expires_at and (record.expires_at - record.stored_at).total_seconds() for record in records]
    assert kept == [pytest.approx(60, abs=1), pytest.approx(60, abs=1), None]


def test_it_is_told_by_its_class_and_session(history: DropIn) -> None:
    """And by nothing of its connection."""
    assert repr(history) == "<DropIn of 's'>"


def test_the_same_connection_is_shared(tmp_path: Path) -> None:
    """By its key; another key is another one."""
    one, same, other = (
        shared((tmp_path, name), lambda: backscroll.open("sqlite://"), Fake) for name in ("one", "one", "other")
    )
    assert one is same
    assert one is not other
    assert one.store is same.store
    close_all()


def test_a_client_brought_along_takes_what_is_shared_with_it() -> None:
    """It lives as long as the client, and no longer."""

    class Client:
        pass

    client = Client()
    connection = shared_by(client, "key", lambda: backscroll.open("sqlite://"), Fake)
    assert shared_by(client, "key", lambda: pytest.fail("opened"), Fake) is connection
    assert shared_by(Client(), "key", lambda: pytest.fail("opened"), Fake) is not connection
    gone = weakref.ref(connection)
    del client, connection
    gc.collect()
    assert gone() is None


def test_closing_all_closes_both_and_the_next_use_opens_them_again(tmp_path: Path) -> None:
    """What was remembered is forgotten."""
    original = Fake()
    connection = shared((tmp_path,), lambda: backscroll.open(f"sqlite:///{tmp_path}/chat.db"), lambda: original)
    history = DropIn("s", connection)
    assert history.messages == []
    store = history.store
    history.add_user_message("a")
    close_all()
    assert original.is_closed
    with pytest.raises(backscroll.BackscrollError):
        store.version("s")
    original.write("s", HumanMessage("before"))
    assert history.messages == [HumanMessage("before"), HumanMessage("a")]
    close_all()


async def test_closing_all_in_a_loop_releases_what_belongs_to_it(tmp_path: Path) -> None:
    """And the next use opens them again."""
    original = Fake()
    connection = shared((tmp_path,), lambda: backscroll.open(f"sqlite:///{tmp_path}/chat.db"), lambda: original)
    history = DropIn("s", connection)
    await history.aadd_messages([HumanMessage("a")])
    assert await history.aget_messages() == [HumanMessage("a")]
    store = history.store
    await aclose_all()
    assert original.is_closed
    with pytest.raises(backscroll.BackscrollError):
        await store.aversion("s")
    assert await history.aget_messages() == [HumanMessage("a")]
    await aclose_all()


def test_of_several_that_open_at_once_one_prevails() -> None:
    """And the others are closed."""
    made: list[Fake] = []
    barrier = threading.Barrier(8)

    def make() -> Fake:
        barrier.wait(10)
        made.append(Fake())
        return made[-1]

    lazy = Lazy(make)
    found: list[Fake] = []
    threads = [threading.Thread(target=lambda: found.append(lazy.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(set(map(id, found))) == 1
    assert [one.is_closed for one in made].count(False) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_goes_on_with_an_original_of_its_own(tmp_path: Path) -> None:
    """What the parent opened is neither used nor closed there."""
    made: list[Fake] = []

    def make() -> Fake:
        made.append(Fake())
        return made[-1]

    connection = shared((tmp_path,), lambda: backscroll.open(f"sqlite:///{tmp_path}/chat.db"), make)
    history = DropIn("s", connection)
    history.add_user_message("a")
    assert history.messages == [HumanMessage("a")]
    child = os.fork()
    if not child:
        is_well = DropIn("t", connection).messages == [] and len(made) == 2 and not made[0].is_closed
        os._exit(0 if is_well else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(made) == 1
    close_all()
