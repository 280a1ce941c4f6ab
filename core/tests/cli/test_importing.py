"""Importing adds what is not there yet, and nothing else."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import backscroll
from backscroll import errors
from backscroll.cli import importing
from backscroll.cli.importing import Brought, Importer, key_of, turn_id_of
from backscroll.cli.jsonl import Conversation
from backscroll.message import Message
from backscroll.sqlite.backend import SQLiteBackend
from backscroll.store import Store

SMALL = "sqlite://?max_turn_messages=3"
"""A turn holds so little that a conversation takes more turns than a store's window."""

TALK = [Message("user", f"message {n}") for n in range(100)]


@pytest.fixture
def memory() -> Iterator[Store]:
    """A store of small turns."""
    with backscroll.open(SMALL) as store:
        yield store


def bring(store: Store, *lines: list[Message], session: str = "session") -> list[Brought]:
    """Import lines of one session in one run."""
    importer = Importer(store)
    return [importer.bring(Conversation(session, list(line), ())) for line in lines]


def held(store: Store, session: str = "session") -> list[Message]:
    """What is in a session."""
    return store.history(session).messages


@given(st.binary(min_size=10, max_size=10))
def test_turn_id_carries_the_key(key: bytes) -> None:
    """A chunk's turn_id is a UUID of version 8 that gives its key back, and a different one each time."""
    one, two = turn_id_of(key), turn_id_of(key)
    assert (one.version, one.variant) == (8, uuid.RFC_4122)
    assert key_of(one) == key_of(two) == key
    assert one != two


def test_other_turn_ids_have_no_key() -> None:
    """A turn_id that an import cannot have made is not mistaken for one."""
    assert key_of(uuid.uuid4()) is None


def test_again_adds_nothing(memory: Store) -> None:
    """A conversation of more turns than the store's window is there once, however often it is imported."""
    assert bring(memory, TALK) == [Brought(100, 0)]
    assert bring(memory, TALK) == [Brought(0, 100)]
    assert held(memory) == TALK


def test_grown_conversation_adds_its_end(memory: Store) -> None:
    """Of a conversation that has grown only what is new is added, wherever the turns had ended."""
    for end, added in ((1, 1), (50, 49), (50, 0), (99, 49), (100, 1)):
        assert bring(memory, TALK[:end]) == [Brought(added, end - added)]
    assert held(memory) == TALK


def test_export_put_back_adds_nothing(memory: Store) -> None:
    """A conversation that an application has appended is not doubled when it is imported from an export."""
    memory.append("session", TALK[:2])
    bring(memory, TALK[:2], session="other")
    for session in ("session", "other"):
        memory.append(session, TALK[2:4], turn_id="app")
        assert bring(memory, TALK[:4], session=session) == [Brought(0, 4)]
        assert bring(memory, TALK[:6], session=session) == [Brought(2, 4)]
        assert held(memory, session) == TALK[:6]


def test_export_in_pieces_put_back_adds_nothing(memory: Store) -> None:
    """A session that an export has cut into several lines is not doubled either."""
    memory.append("session", TALK[:3])
    memory.append("session", TALK[3:6])
    assert bring(memory, TALK[:2], TALK[2:5], TALK[5:8]) == [Brought(0, 2), Brought(0, 3), Brought(2, 1)]
    assert held(memory) == TALK[:8]


def test_older_copy_adds_nothing(memory: Store) -> None:
    """A copy of the conversation from when it was shorter adds nothing."""
    bring(memory, TALK[:50])
    assert bring(memory, TALK[:17]) == [Brought(0, 17)]
    assert held(memory) == TALK[:50]


def test_mended_line_doubles_no_other(memory: Store) -> None:
    """Lines that begin alike are told apart, also when one is added before another, or mended."""
    one, other = [TALK[0], TALK[1]], [TALK[0], TALK[2]]
    bring(memory, other)
    assert bring(memory, one, other) == [Brought(2, 0), Brought(0, 2)]
    assert bring(memory, [*one, TALK[3]], other) == [Brought(1, 2), Brought(0, 2)]
    assert held(memory) == [*other, *one, TALK[3]]


def test_equal_lines_stay_two_when_interrupted(memory: Store) -> None:
    """Of two equal lines the second one still comes when the import was interrupted between them."""
    bring(memory, TALK[:2])
    assert bring(memory, TALK[:2], TALK[:2]) == [Brought(0, 2), Brought(2, 0)]
    assert bring(memory, TALK[:2], TALK[:2]) == [Brought(0, 2), Brought(0, 2)]
    assert held(memory) == TALK[:2] * 2


def test_other_limits_find_the_same(memory: Store, url: str) -> None:
    """What was imported in turns of one size is known when they are of another size."""
    with (
        backscroll.open(f"{url}?max_turn_messages=7") as first,
        backscroll.open(f"{url}?max_turn_messages=5") as second,
    ):
        bring(first, TALK[:60])
        assert bring(second, TALK) == [Brought(40, 60)]
        assert held(first) == TALK


def test_clear_brings_everything_back(memory: Store) -> None:
    """After clear, and after delete, an import brings everything back."""
    for drop in (memory.clear, memory.delete):
        bring(memory, TALK)
        drop("session")
        assert bring(memory, TALK) == [Brought(100, 0)]
        assert held(memory) == TALK


def test_removed_on_purpose_stays_removed(memory: Store) -> None:
    """What was removed or discarded before the end stays so."""
    bring(memory, TALK)
    memory.discard("session", before=30)
    memory.remove("session", [40, 41, 42, 43])
    assert bring(memory, TALK) == [Brought(0, 100)]
    assert held(memory) == TALK[30:40] + TALK[44:]


def test_what_others_wrote_does_not_matter(memory: Store) -> None:
    """Messages of an application before, between and after do not hide what is there."""
    own = [Message("assistant", "mine")] * 40
    memory.append("session", own[:1])
    bring(memory, TALK[:50])
    for message in own:
        memory.append("session", message)
    assert bring(memory, TALK) == [Brought(50, 50)]
    for message in own:
        memory.append("session", message)
    assert bring(memory, TALK) == [Brought(0, 100)]
    assert [message for message in held(memory) if message != own[0]] == TALK


def test_equal_lines_stay_two(memory: Store) -> None:
    """Two equal lines of a session are both there, once each."""
    lines = TALK[:4], TALK[:4], TALK[:6], TALK[:2]
    assert bring(memory, *lines) == [Brought(4, 0), Brought(4, 0), Brought(6, 0), Brought(2, 0)]
    assert bring(memory, *lines) == [Brought(0, 4), Brought(0, 4), Brought(0, 6), Brought(0, 2)]
    assert held(memory) == [message for line in lines for message in line]


def test_mended_line_changes_no_other(memory: Store) -> None:
    """A line that was broken and comes later, or is new in the middle, does not double the others of its session."""
    bring(memory, TALK[:3], TALK[6:9])
    assert bring(memory, TALK[:3], TALK[3:6], TALK[6:9]) == [Brought(0, 3), Brought(3, 0), Brought(0, 3)]


def test_equal_messages_in_other_sessions(memory: Store) -> None:
    """The same messages in another session are other messages."""
    bring(memory, TALK[:5])
    assert bring(memory, TALK[:5], session="other") == [Brought(5, 0)]


def test_order_of_keys_does_not_matter(memory: Store) -> None:
    """The same message with its keys in another order is the same message."""
    bring(memory, [Message("user", [{"a": 1, "b": 2}])])
    assert bring(memory, [Message("user", [{"b": 2, "a": 1}])]) == [Brought(0, 1)]


def test_nothing_of_a_line_is_sent_if_one_message_is_wrong(memory: Store) -> None:
    """A message that cannot be stored at the end of a long line keeps the whole line out."""
    for wrong in (Message("robot", "hi"), Message("user", [float("nan")]), Message("user", "x" * (1 << 20))):
        with pytest.raises(errors.InvalidArgument):
            bring(memory, [*TALK, wrong])
    assert memory.version("session") == 0


def test_refused_line_counts_for_nothing(memory: Store) -> None:
    """A line that was refused does not change what later lines are known by."""
    importer = Importer(memory)
    with pytest.raises(errors.InvalidMessage):
        importer.bring(Conversation("session", [TALK[0], Message("robot", "hi")], ()))
    importer.bring(Conversation("session", TALK[:2], ()))
    assert bring(memory, TALK[:2]) == [Brought(0, 2)]


def test_empty_conversation(memory: Store) -> None:
    """A line without messages adds nothing."""
    assert bring(memory, []) == [Brought(0, 0)]
    assert list(memory.sessions()) == []


@pytest.mark.parametrize("limit", ["max_turn_bytes=1000", "max_message_bytes=300&max_turn_bytes=100000"])
def test_turns_are_as_large_as_the_limits_allow(limit: str) -> None:
    """Every message that may be stored alone is imported, in as few turns as the limits allow."""
    with backscroll.open(f"sqlite://?{limit}") as store:
        overhead = 300
        for size in range(300):
            try:
                store.append("probe", Message("user", "x" * size))
                overhead = size
            except errors.MessageTooLarge:
                break
        talk = [Message("user", "x" * (overhead if n % 3 == 0 else 10)) for n in range(50)]
        assert bring(store, talk) == [Brought(50, 0)]
        assert held(store) == talk
        turns = {record.turn_id for record in store.iterate("session") if isinstance(record, backscroll.Record)}
        assert len(turns) < 30


def test_another_import_at_the_same_time(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever another import lands between look and append is not added again."""
    land, pending, busy = SQLiteBackend.append, [9, 39, 42, 99, 100], []

    def meanwhile(*args: Any) -> Any:
        if pending and not busy:
            busy.append(True)
            bring(memory, TALK[: pending.pop(0)])
            busy.pop()
        return land(*args)

    monkeypatch.setattr(SQLiteBackend, "append", meanwhile)
    bring(memory, TALK)
    assert held(memory) == TALK
    assert pending == []


def test_another_writer_at_the_same_time(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that appends between look and append does not stop the import, nor is it overrun."""
    land, others = SQLiteBackend.append, iter(range(20))

    def meanwhile(backend: SQLiteBackend, session_id: str, turn: Any, deadline: Any) -> Any:
        if turn.expected_version is not None and next(others, 20) < 20:
            memory.append(session_id, Message("assistant", "mine"))
        return land(backend, session_id, turn, deadline)

    monkeypatch.setattr(SQLiteBackend, "append", meanwhile)
    assert bring(memory, TALK) == [Brought(100, 0)]
    assert [message for message in held(memory) if message.role == "user"] == TALK
    assert len(held(memory)) == 120


def test_session_deleted_at_the_same_time(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a session that is deleted and begun anew during an import, what is there then is looked at anew."""
    land, once = SQLiteBackend.append, iter([True])

    def meanwhile(*args: Any) -> Any:
        if memory.version("session") == 30 and next(once, False):
            memory.delete("session")
            bring(memory, TALK[:12])
        return land(*args)

    monkeypatch.setattr(SQLiteBackend, "append", meanwhile)
    bring(memory, TALK)
    assert held(memory) == TALK


@pytest.mark.parametrize("lands", [True, False], ids=["landed", "lost"])
def test_unknown_outcome_is_repeated(memory: Store, monkeypatch: pytest.MonkeyPatch, lands: bool) -> None:
    """Where the store gives up on an unknown outcome, the same turn is sent again, and lands once."""
    append, calls = Store.append, iter(range(100))
    ids = []

    def flaky(store: Store, *args: Any, **kwargs: Any) -> Any:
        ids.append(kwargs["turn_id"])
        if next(calls) % 3:
            return append(store, *args, **kwargs)
        if lands:
            append(store, *args, **kwargs)
        raise errors.OutcomeUnknown("lost", kwargs["turn_id"])

    monkeypatch.setattr(Store, "append", flaky)
    assert bring(memory, TALK) == [Brought(100, 0)]
    assert held(memory) == TALK
    assert ids[0] == ids[1]


def test_unknown_outcome_for_good(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outcome that stays unknown ends the import; the next one knows what landed."""
    append = Store.append

    def lost(store: Store, *args: Any, **kwargs: Any) -> Any:
        append(store, *args, **kwargs)
        raise errors.OutcomeUnknown("lost", kwargs["turn_id"])

    with monkeypatch.context() as patched:
        patched.setattr(Store, "append", lost)
        with pytest.raises(errors.OutcomeUnknown):
            bring(memory, TALK)
    assert bring(memory, TALK) == [Brought(97, 3)]
    assert held(memory) == TALK


def test_look_beyond_the_window(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store cannot tell whether a turn landed, the session is read, and nothing lands twice."""
    append, once = Store.append, iter([True])

    def late(store: Store, *args: Any, **kwargs: Any) -> Any:
        appended = append(store, *args, **kwargs)
        if next(once, False):
            raise errors.WindowExceeded("too many other turns", kwargs["turn_id"])
        return appended

    monkeypatch.setattr(Store, "append", late)
    bring(memory, TALK)
    assert held(memory) == TALK


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each read gives."""
    read, seen = SQLiteBackend.read, []

    def counted(*args: Any) -> Any:
        page = read(*args)
        seen.append(len(page.rows))
        return page

    monkeypatch.setattr(SQLiteBackend, "read", counted)
    return seen


def test_unchanged_session_costs_one_small_read(memory: Store, rows: list[int]) -> None:
    """Where all is there, one record is read, however long the session is."""
    bring(memory, TALK * 20)
    assert rows == []
    bring(memory, TALK * 20)
    assert rows == [1]


def test_many_lines_of_one_session_cost_one_pass(memory: Store, rows: list[int]) -> None:
    """Where each line holds one turn of a session, its records are read once, not once for each line."""
    lines = [[message] for message in TALK * 5]
    bring(memory, *lines)
    assert rows == []
    assert bring(memory, *lines) == [Brought(0, 1)] * 500
    assert sum(rows) == 500


def test_memory_of_looks_is_bounded(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only some sessions are remembered, and one that comes back is looked at anew."""
    monkeypatch.setattr(importing, "MOST_LOOKS", 64)
    importer = Importer(memory)
    for half in (TALK[:2], TALK[2:4]):
        for n in range(200):
            importer.bring(Conversation(f"session {n}", half, ()))
    assert len(importer._looks) <= 64
    assert all(held(memory, f"session {n}") == TALK[:4] for n in range(200))
    assert all(bring(memory, TALK[:2], TALK[2:4], session=f"session {n}")[0].added == 0 for n in range(200))
