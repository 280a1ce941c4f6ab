"""Moving brings everything over once, in order, whatever happens meanwhile, and tells what it could not."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, ToolMessage, message_to_dict

import backscroll
from backscroll import Message, Store
from backscroll.cli.landing import TRIES
from backscroll.errors import OutcomeUnknown, Unavailable
from backscroll_langchain import ChatMessageHistory, moving
from backscroll_langchain.dropin import DropIn
from backscroll_langchain.moving import Mover
from backscroll_langchain.originals import OriginalRow
from backscroll_langchain.originals import moved as moved_over
from backscroll_langchain.sharing import Shared


class Source:
    """An original in memory; `meanwhile` is called at each look, with the number of the look."""

    def __init__(self) -> None:
        self.texts: list[tuple[int, str]] = []
        self.looks = 0
        self.meanwhile: Callable[[int], None] = lambda look: None

    def write(self, *messages: BaseMessage | str) -> None:
        for message in messages:
            text = message if isinstance(message, str) else json.dumps(message_to_dict(message))
            self.texts.append((self.texts[-1][0] + 1 if self.texts else 0, text))

    def place_prefix(self, session_id: str) -> str:
        return "row "

    def rows(self, session_id: str, newest: int | None = None) -> list[OriginalRow]:
        self.looks += 1
        self.meanwhile(self.looks)
        rows = [OriginalRow(f"row {number}", text) for number, text in self.texts]
        return rows if newest is None else rows[-newest:]

    def clear(self, session_id: str) -> None:
        self.texts = []

    def session_ids(self) -> Iterator[str | None]:
        return iter(["s"])

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def source() -> Source:
    """What LangChain's class wrote."""
    return Source()


@pytest.fixture
def store() -> Iterator[Store]:
    """Where it goes to."""
    with backscroll.open("sqlite://") as store:
        yield store


@pytest.fixture
def told() -> list[str]:
    """What was told."""
    return []


@pytest.fixture
def mover(source: Source, store: Store, told: list[str]) -> Callable[[], Mover]:
    """Makes one for each run."""
    return lambda: Mover(source, store, told.append, lambda: None)


def human(count: int, start: int = 0) -> list[BaseMessage]:
    """Messages, the oldest first."""
    return [HumanMessage(str(number)) for number in range(start, start + count)]


def moved(mover: Callable[[], Mover], session_id: str | None = "s") -> tuple[int, int, int, int]:
    """How one run went."""
    run = mover()
    run.move(session_id)
    return run.done.sessions, run.done.messages, run.done.added, run.done.problems


def held(store: Store) -> list[BaseMessage]:
    """What the store has."""
    return ChatMessageHistory(store, "s").messages


def test_everything_is_moved_once(source: Source, store: Store, told: list[str], mover: Any) -> None:
    """Equal, in order, and by a second run not again; the source stays as it is."""
    rich = ToolMessage("3", tool_call_id="c", artifact={"a": [1, None]}, id="t", name="add")
    messages = [*human(3), AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1}, "id": "c"}]), rich]
    source.write(*messages)
    before = list(source.texts)
    assert moved(mover) == (1, 5, 5, 0)
    assert moved(mover) == (1, 5, 0, 0)
    assert (held(store), source.texts, told) == (messages, before, [])


def test_what_came_later_follows(source: Source, store: Store, mover: Any) -> None:
    """In another run."""
    source.write(*human(2))
    moved(mover)
    source.write(*human(2, 2))
    assert moved(mover) == (1, 4, 2, 0)
    assert held(store) == human(4)


def test_many_messages_take_several_turns(source: Source, store: Store, mover: Any) -> None:
    """By their number and by their size."""
    large: list[BaseMessage] = [HumanMessage(character * 600_000) for character in "abcdefgh"]
    source.write(*human(2 * moving.AT_ONCE + 1), *large)
    assert moved(mover)[2:] == (2 * moving.AT_ONCE + 9, 0)
    assert held(store) == [*human(2 * moving.AT_ONCE + 1), *large]
    turns = {record.turn_id for record in store.iterate("s")}
    assert 5 <= len(turns) <= 8


@pytest.mark.parametrize("lands", [True, False])
def test_an_interrupted_move_goes_on(
    source: Source, store: Store, mover: Any, monkeypatch: pytest.MonkeyPatch, lands: bool
) -> None:
    """Wherever it ended, also between landing and being told so."""
    monkeypatch.setattr(moving, "AT_ONCE", 10)
    source.write(*human(35))
    append, calls = store.append, []

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            if lands:
                append(*args, **kwargs)
            raise KeyboardInterrupt
        return append(*args, **kwargs)

    monkeypatch.setattr(store, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        moved(mover)
    assert moved(mover) == (1, 35, 5 if lands else 15, 0)
    assert held(store) == human(35)


def test_an_unknown_outcome_is_found_out(
    source: Source, store: Store, mover: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By trying again; nothing lands twice. If it stays unknown, that is an error."""
    source.write(*human(3))
    append, fails = store.append, 1

    def unknown(*args: Any, **kwargs: Any) -> Any:
        nonlocal fails
        appended = append(*args, **kwargs)
        if fails:
            fails -= 1
            raise OutcomeUnknown("lost", appended.turn_id)
        return appended

    monkeypatch.setattr(store, "append", unknown)
    assert moved(mover) == (1, 3, 3, 0)
    assert held(store) == human(3)
    source.write(*human(1, 3))
    fails = TRIES
    with pytest.raises(OutcomeUnknown):
        moved(mover)
    assert moved(mover) == (1, 4, 0, 0)
    assert held(store) == human(4)


def test_a_store_that_is_down_is_an_error(
    source: Source, store: Store, mover: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no problem of the session."""
    source.write(*human(1))

    def down(*args: Any, **kwargs: Any) -> Any:
        raise Unavailable("down")

    monkeypatch.setattr(store, "append", down)
    with pytest.raises(Unavailable):
        moved(mover)


def test_damaged_rows_are_told_and_the_others_moved(source: Source, store: Store, told: list[str], mover: Any) -> None:
    """By their places; by each run, once."""
    source.write(*human(1), "{torn", '{"type": "human", "data": {"content": {}}}', *human(1, 1), "[]")
    assert moved(mover) == (1, 2, 2, 3)
    assert held(store) == human(2)
    assert [line.partition(" left")[0] for line in told] == ["row 1", "row 2", "row 4"]
    assert told[0] == "row 1 left in the source: it is damaged: it is not JSON (session s)"
    assert moved(mover) == (1, 2, 0, 3)
    assert held(store) == human(2)


def test_a_type_that_nobody_knows_is_moved(source: Source, store: Store, told: list[str], mover: Any) -> None:
    """With all that was kept of it."""
    kept = {"type": "hologram", "data": {"content": "boo", "depth": 3}}
    source.write(json.dumps(kept), *human(1))
    assert moved(mover) == (1, 2, 2, 0)
    assert held(store) == [ChatMessage("boo", role="hologram", additional_kwargs=kept), *human(1)]


def test_what_cannot_be_stored_is_told_and_the_rest_moved(
    source: Source, store: Store, told: list[str], mover: Any
) -> None:
    """A value that JSON does not keep, and a message over the limit; the error names the setting."""
    too_large = HumanMessage("x" * (1 << 20))
    nan = AIMessage("b", response_metadata={"p": float("nan")})
    surrogate = json.dumps(message_to_dict(HumanMessage("\ud800")))
    source.write(*human(2), nan, *human(1, 2), too_large, *human(1, 3), surrogate, *human(1, 4))
    assert moved(mover) == (1, 5, 5, 3)
    assert held(store) == human(5)
    places = sorted(line.partition(" left")[0] for line in told)
    assert places == ["row 2", "row 4", "row 6"]
    assert any("max_message_bytes" in line for line in told)


def test_what_comes_while_it_is_moved_is_moved_too(source: Source, store: Store, mover: Any) -> None:
    """It is looked for behind what was there."""
    source.write(*human(2))
    source.meanwhile = lambda look: source.write(*human(1, look)) if look in (2, 3) else None
    assert moved(mover) == (1, 4, 4, 0)
    assert held(store) == human(4)


def test_a_source_that_goes_on_growing_is_told(source: Source, store: Store, told: list[str], mover: Any) -> None:
    """What there was is moved, and compared."""
    source.meanwhile = lambda look: source.write(HumanMessage(str(look)))
    _, messages, added, problems = moved(mover)
    assert (messages, added, problems) == (moving.ROUNDS, moving.ROUNDS, 1)
    assert "it grows in the source while it is moved" in told[0]


@pytest.mark.parametrize(
    ("change", "kept"), [("cleared", []), ("edited", ["0", "edited", "2"]), ("begun anew", ["7", "8", "9"])]
)
def test_what_changes_while_it_is_moved_is_taken_back(
    source: Source, store: Store, mover: Any, change: str, kept: list[str]
) -> None:
    """And told; the target is as the source then, in its order."""
    source.write(*human(3))

    def meanwhile(look: int) -> None:
        if look == 2:
            old, source.texts = source.texts, []
            if change == "edited":
                source.texts = [old[0], (1, '{"type": "human", "data": {"content": "edited"}}'), old[2]]
            elif change == "begun anew":
                source.write(*human(3, 7))

    source.meanwhile = meanwhile
    assert moved(mover) == (1, len(kept), len(kept), 1)
    assert [message.content for message in held(store)] == kept
    assert moved(mover)[1:] == (len(kept), 0, 0 if kept else 1)


@pytest.mark.parametrize("change", ["the oldest expired", "cleared", "begun anew"])
def test_what_the_source_has_no_more_is_told(
    source: Source, store: Store, told: list[str], mover: Any, change: str
) -> None:
    """By each run, until somebody drops it in the target; it is nobody's but the user's to do so."""
    source.write(*human(3))
    moved(mover)
    if change == "the oldest expired":
        del source.texts[0]
    else:
        source.texts = []
        source.write(*human(2, 7 if change == "begun anew" else 0)[: 2 if change == "begun anew" else 0])
    for _ in range(2):
        told.clear()
        moved(mover)
        [line] = [line for line in told if "in the source no more" in line]
        assert line.startswith(f"row 0{' and 2 more' if change != 'the oldest expired' else ''}: in the target, and ")
    store.clear("s")
    told.clear()
    moved(mover)
    assert not [line for line in told if "in the source no more" in line]
    assert len(held(store)) == len(source.texts)


def test_a_session_that_is_gone_as_a_whole_is_told(
    source: Source, store: Store, told: list[str], mover: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no other of the target."""
    source.write(*human(1))
    mover().move_all()
    store.append("own", Message("user", "a"))
    elsewhere = moved_over(Message("user", "b"), OriginalRow("list 'x', index 0", "{}"))
    store.append("elsewhere", elsewhere)
    monkeypatch.setattr(source, "session_ids", lambda: iter(["t"]))
    run = mover()
    run.move_all()
    assert (run.done.problems, len(told)) == (1, 1)
    assert told[0].startswith("row 0: in the target, and in the source no more")
    assert told[0].endswith("(session s)")


def test_a_source_without_a_session_is_told(
    source: Source, told: list[str], mover: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since most likely a name in its URL is wrong."""
    monkeypatch.setattr(source, "session_ids", lambda: iter(()))
    mover().move_all()
    assert [line.partition(":")[0] for line in told] == ["the source has no session"]


def test_rows_without_a_session_are_told(source: Source, told: list[str], mover: Any) -> None:
    """And passed over."""
    assert [moved(mover, session_id) for session_id in (None, "", "\udcff")] == [(1, 0, 0, 1)] * 3
    assert all(line.startswith("left in the source: session_id: ") for line in told)


def test_a_row_that_was_mended_comes_where_it_belongs(
    source: Source, store: Store, told: list[str], mover: Any
) -> None:
    """What was moved and belongs behind it, is moved anew for that; what is told counts it as there already."""
    source.write(*human(1), "{torn", *human(1, 2), "{too", *human(1, 4))
    assert moved(mover) == (1, 3, 3, 2)
    source.texts[1] = (1, json.dumps(message_to_dict(HumanMessage("1"))))
    assert moved(mover) == (1, 4, 1, 1)
    assert [message.content for message in held(store)] == ["0", "1", "2", "4"]
    source.texts[3] = (3, json.dumps(message_to_dict(HumanMessage("3"))))
    assert moved(mover) == (1, 5, 1, 0)
    assert held(store) == human(5)


def test_a_row_that_was_mended_too_late_stays(source: Source, store: Store, told: list[str], mover: Any) -> None:
    """Behind messages of the session's own nothing is moved, and nothing moved anew; the drop-in reads it in place."""
    history = DropIn("s", Shared(lambda: store, lambda: source))
    source.write(*human(1), "{torn", *human(1, 2))
    moved(mover)
    history.add_messages(human(1, 3))
    source.texts[1] = (1, json.dumps(message_to_dict(HumanMessage("1"))))
    told.clear()
    assert moved(mover) == (1, 2, 0, 1)
    assert told == ["row 1 left in the source: the target has newer messages of its own (session s)"]
    assert history.messages == human(4)


def test_a_session_in_use_is_left(source: Source, store: Store, told: list[str], mover: Any) -> None:
    """Since the old would stand behind the new; the drop-in reads them from the source, in order."""
    history = DropIn("s", Shared(lambda: store, lambda: source))
    source.write(*human(2))
    history.add_messages(human(1, 2))
    assert moved(mover) == (1, 0, 0, 1)
    assert told == ["row 0 and 1 more left in the source: the target has newer messages of its own (session s)"]
    assert history.messages == human(3)


def test_a_drop_in_reads_what_was_moved_once(source: Source, store: Store, told: list[str], mover: Any) -> None:
    """Before, between and after its own, whatever the source got meanwhile."""
    history = DropIn("s", Shared(lambda: store, lambda: source))
    source.write(*human(2))
    moved(mover)
    assert history.messages == human(2)
    fresh = DropIn("s", Shared(lambda: store, lambda: source))
    fresh.add_messages(human(1, 3))
    source.write(*human(1, 2))
    assert fresh.messages == human(4)
    assert moved(mover) == (1, 2, 0, 1)
    assert "row 2 left in the source" in told[0]
    assert fresh.messages == human(4)
    fresh.clear()
    assert (fresh.messages, source.texts) == ([], [])


def test_after_a_clear_it_is_moved_anew(source: Source, store: Store, mover: Any) -> None:
    """Though the store knows the turns of before."""
    source.write(*human(2))
    moved(mover)
    store.clear("s")
    assert moved(mover) == (1, 2, 2, 0)
    assert held(store) == human(2)


def test_a_difference_is_told(source: Source, store: Store, told: list[str], mover: Any) -> None:
    """What is missing, what is in another order, and what is another message."""
    source.write(*human(4))
    first, second, third, _ = source.rows("s")
    other = [moved_over(Message("user", text), row) for row, text in ((third, "2"), (first, "x"), (second, "1"))]
    store.append("s", [*other, Message("user", "own")])
    assert moved(mover) == (1, 3, 0, 3)
    assert told == [
        "row 3 left in the source: the target has newer messages of its own (session s)",
        "its messages are twice in the target, or in another order (session s)",
        "row 0: another message in the target (session s)",
    ]


def test_messages_twice_are_told(source: Source, store: Store, told: list[str], mover: Any) -> None:
    """Though no run of ours does that."""
    source.write(*human(1))
    moved(mover)
    [record] = store.read("s")
    assert isinstance(record, backscroll.Record)
    store.append("s", [record.message])
    assert moved(mover) == (1, 1, 0, 1)
    assert "twice in the target, or in another order" in told[0]


def test_a_session_that_is_not_there_is_told(source: Source, told: list[str], mover: Any) -> None:
    """And so is one whose id no store takes."""
    assert moved(mover) == (1, 0, 0, 1)
    source.write(*human(1))
    assert moved(mover, "x" * 513) == (1, 0, 0, 1)
    assert [line[:27] for line in told] == ["the source has no messages ", "left in the source: session"]


def test_a_damaged_record_in_the_store_counts_as_its_own(
    source: Source, store: Store, told: list[str], mover: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows what it was."""
    source.write(*human(1))
    moved(mover)
    source.write(*human(1, 1))
    records = [*store.iterate("s"), backscroll.Unreadable(7, "torn", b"{")]
    monkeypatch.setattr(store, "iterate", lambda session_id: iter(records))
    assert moved(mover) == (1, 1, 0, 1)


def test_what_is_moved_may_expire(source: Source, store: Store, told: list[str]) -> None:
    """After so many seconds."""
    source.write(*human(1))
    Mover(source, store, told.append, lambda: None, ttl=100).move("s")
    [record] = store.read("s")
    assert isinstance(record, backscroll.Record)
    assert record.expires_at
    assert (record.expires_at - record.stored_at).total_seconds() == 100


def test_two_moves_at_once_move_nothing_twice(source: Source, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each goes on from what the other did."""
    monkeypatch.setattr(moving, "AT_ONCE", 3)
    source.write(*human(100))
    url = f"sqlite:///{tmp_path}/chat.db"
    added, told = [], []
    start = threading.Barrier(3)

    def run() -> None:
        with backscroll.open(url) as store:
            start.wait(10)
            mover = Mover(source, store, told.append, lambda: None)
            mover.move("s")
            added.append(mover.done.added)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with backscroll.open(url) as store:
        assert held(store) == human(100)
    assert (sum(added), len(added), told) == (100, 3, [])


def test_other_programs_read_what_was_moved(source: Source, store: Store, mover: Any) -> None:
    """In OpenAI's format; where it was stands beside it."""
    source.write(HumanMessage("hi!"))
    moved(mover)
    [record] = store.read("s")
    assert isinstance(record, backscroll.Record)
    assert record.message == Message("user", "hi!", extra={"langchain_original": source.rows("s")[0].identity})
