"""Messages with a TTL, and the turns that a session remembers."""

from pathlib import Path
from typing import Any

import pytest

import backscroll
from backscroll import TurnIdReused, VersionConflict, WindowExceeded
from backscroll.backend import Deadline, Turn
from backscroll.recent import newest_turn
from backscroll.turn_id import as_turn_id
from backscroll.writing import PURGE_SLACK

SECOND = 10**9


class Clock:
    def __init__(self, now: int = 1_800_000_000 * SECOND) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def user(text: object) -> dict[str, str]:
    """A message."""
    return {"role": "user", "content": str(text)}


def seqs(store: backscroll.Store) -> list[int]:
    """The seqs of the session, in order."""
    return [record.seq for record in store.iterate("chat")]


def test_expiry_by_the_clock(open_store: Any) -> None:
    """A message is read until its time by the store's clock, and not from then on."""
    clock = Clock()
    store = open_store(clock=clock)
    store.append("chat", user("brief"), ttl=1.5)
    store.append("chat", user("stays"))
    clock.now += 1_499_999_000
    assert seqs(store) == [0, 1]
    clock.now += 1_000
    assert seqs(store) == [1]
    assert [record.seq for record in store.last("chat")] == [1]
    assert store.count("chat") == 1
    assert store.remove("chat", [0]) == ()
    assert store.version("chat") == 2


def test_limit_with_expired_between(open_store: Any) -> None:
    """The limit counts live messages, also where every second one has expired."""
    clock = Clock()
    store = open_store(clock=clock)
    for number in range(60):
        store.append("chat", user(number), ttl=5 if number % 2 else None)
    clock.now += 5 * SECOND
    assert [record.seq for record in store.last("chat", 10)] == list(range(40, 60, 2))
    assert [record.seq for record in store.read("chat", after=9, limit=10)] == list(range(10, 30, 2))


def test_many_expired_in_front(open_store: Any) -> None:
    """Ten thousand expired messages in front of a live one do not hide it."""
    clock = Clock()
    store = open_store(clock=clock, durability="process")
    for _ in range(10):
        store.append("chat", [user("x")] * 1_000, ttl=5)
    store.append("chat", user("live"))
    clock.now += 5 * SECOND
    assert seqs(store) == [10_000]
    assert [record.seq for record in store.read("chat", limit=1)] == [10_000]
    assert store.count("chat") == 1


def test_purge(open_store: Any, sql: Any) -> None:
    """Purge drops what is due by the file's own clock, and nothing else."""
    clock = Clock()
    store = open_store(clock=clock)
    store.append("chat", [user("due")] * 900, ttl=5)
    store.append("chat", [user("due")] * 900, ttl=5)
    store.append("chat", user("later"), ttl=5)
    store.append("chat", user("never"))
    clock.now += 10 * SECOND
    assert store.purge() == 0
    sql("UPDATE message SET purge_at = 1 WHERE id & 4294967295 < 1800")
    assert store.purge() == 1_800
    assert store.purge() == 0
    assert sql("SELECT id & 4294967295 FROM message") == [(1800,), (1801,)]
    assert store.version("chat") == 1_802


def test_appends_purge_a_few(open_store: Any, sql: Any) -> None:
    """Each append with a TTL drops some of what is due, so that it never piles up."""
    store = open_store()
    store.append("chat", [user("due")] * 40, ttl=5)
    sql("UPDATE message SET purge_at = 1")
    store.append("other", user("forever"))
    assert sql("SELECT count(*) FROM message WHERE purge_at = 1") == [(40,)]
    for left in (24, 8, 0):
        store.append("other", user("brief"), ttl=5)
        assert sql("SELECT count(*) FROM message WHERE purge_at = 1") == [(left,)]


def test_wrong_clock_destroys_nothing(open_store: Any) -> None:
    """A store whose clock is years ahead hides messages early from itself, and never takes them from another."""
    right, ahead = open_store(clock=Clock()), open_store(clock=Clock(Clock().now + 10**8 * SECOND))
    right.append("chat", [user("right")] * 3, ttl=3_600)
    assert seqs(ahead) == []
    ahead.append("chat", user("ahead"), ttl=1)
    assert ahead.purge() == 0
    assert seqs(right) == [0, 1, 2, 3]


def test_purge_time_has_slack(open_store: Any, sql: Any) -> None:
    """The file's own purge comes later than the expiry, by the machine's clock and not the store's."""
    store = open_store(clock=Clock(0))
    store.append("chat", user("brief"), ttl=100)
    store.append("other", user("stays"))
    ((purge_at, recent),) = sql(
        "SELECT purge_at, recent FROM message JOIN session ON sid = id >> 32 WHERE purge_at IS NOT NULL"
    )
    assert purge_at == newest_turn(recent).landed_at + (100 + PURGE_SLACK) * 1_000


def test_counter_outlives_expiry(open_store: Any, sql: Any) -> None:
    """The version never goes back, when all messages have expired, were purged or cleared."""
    clock = Clock()
    store = open_store(clock=clock)
    store.append("chat", [user("x")] * 3, ttl=5)
    clock.now += 5 * SECOND
    sql("UPDATE message SET purge_at = 1")
    store.purge()
    assert store.append("chat", user("y")).seqs == (3,)
    store.clear("chat")
    assert store.append("chat", user("z")).seqs == (4,)


@pytest.mark.parametrize("gone", ["kept", "clear", "remove", "discard", "expiry", "purge"])
def test_duplicates(open_store: Any, sql: Any, gone: str) -> None:
    """A turn repeated after 15 others is a duplicate with its first answer, also when its messages are gone."""
    clock = Clock()
    store = open_store(clock=clock, durability="process")
    store.append("chat", user("before"))
    first = store.append("chat", [user("x"), user("y")], turn_id="mine", ttl=5, expected_version=1)
    for number in range(15):
        store.append("chat", user(number))
    if gone == "clear":
        store.clear("chat")
    elif gone == "remove":
        store.remove("chat", first.seqs)
    elif gone == "discard":
        store.discard("chat", before=first.version)
    elif gone in ("expiry", "purge"):
        clock.now += 5 * SECOND
        if gone == "purge":
            sql("UPDATE message SET purge_at = 1 WHERE purge_at IS NOT NULL")
            assert store.purge() == 2
    left = seqs(store)
    again = store.append("chat", [user("x"), user("y")], turn_id="mine", ttl=5, expected_version=1)
    assert (again.duplicate, again.seqs, again.version, again.turn_id) == (True, (1, 2), 3, first.turn_id)
    assert seqs(store) == left
    assert store.version("chat") == 18
    with pytest.raises(TurnIdReused):
        store.append("chat", user("other"), turn_id="mine")
    store.append("chat", user("one more"))
    with pytest.raises(VersionConflict):
        store.append("chat", [user("x"), user("y")], turn_id="mine", expected_version=1)


def test_repeat_beyond_the_window(open_store: Any) -> None:
    """A repeated turn is refused where the window does not reach back to its first try, and stored where it does."""
    store = open_store(durability="process")
    backend = store._backend

    def turn(age: float | None) -> Turn:
        return Turn(as_turn_id("late"), b"8 bytes!", (b"{}",), age=age)

    for number in range(15):
        store.append("chat", user(number))
    backend.append("few", turn(3_600.0), Deadline(10))
    store.append("chat", user("the sixteenth"))
    with pytest.raises(WindowExceeded, match="16 other turns"):
        backend.append("chat", turn(3_600.0), Deadline(10))
    assert store.version("chat") == 16
    assert backend.append("chat", turn(None), Deadline(10)).seqs == (16,)
    assert backend.append("chat", turn(3_600.0), Deadline(10)).duplicate


def test_repeat_within_the_window(open_store: Any, sql: Any) -> None:
    """A repeated turn lands where the oldest remembered turn is older than its first try."""
    store = open_store(durability="process")
    for number in range(16):
        store.append("chat", user(number))
    ((recent,),) = sql("SELECT recent FROM session")
    oldest = recent[-44:]
    long_ago = oldest[:-8] + (newest_turn(oldest).landed_at - 60_000).to_bytes(8)
    sql("UPDATE session SET recent = ?", recent[:-44] + long_ago)
    turn = Turn(as_turn_id("late"), b"8 bytes!", (b"{}",), age=30.0)
    assert store._backend.append("chat", turn, Deadline(10)).seqs == (16,)


def test_delete_only_what_is_drained(open_store: Any) -> None:
    """The backend deletes a session only at the version given, and only when nothing is left below it."""
    store = open_store()
    backend = store._backend
    store.append("chat", user(0))
    backend.delete("chat", 1, Deadline(10))
    assert (store.version("chat"), seqs(store)) == (1, [0])
    backend.discard("chat", 1, Deadline(10))
    store.append("chat", user(1))
    backend.delete("chat", 1, Deadline(10))
    backend.delete("chat", 2, Deadline(10))
    assert (store.version("chat"), seqs(store)) == (2, [1])
    backend.discard("chat", 2, Deadline(10))
    backend.delete("chat", 1, Deadline(10))
    assert store.version("chat") == 2
    backend.delete("chat", 2, Deadline(10))
    assert store.version("chat") == 0


def test_deleted_session_begins_anew(open_store: Any) -> None:
    """A deleted session starts again at 0 and shows nothing of what it was."""
    store = open_store()
    store.append("chat", [user("old")] * 3, turn_id="one")
    store.append("neighbour", user("stays"))
    store.delete("chat")
    assert not store.append("chat", user("new"), turn_id="one").duplicate
    assert [record.message.content for record in store.read("chat")] == ["new"]
    assert [record.message.content for record in store.read("neighbour")] == ["stays"]


def test_discard_never_reaches_ahead(open_store: Any, path: Path) -> None:
    """A bound above the version drops what is there and nothing that comes."""
    store = open_store()
    store.append("chat", [user("x")] * 2)
    store.discard("chat", before=1_000)
    assert store.info("chat").first_seq == 2
    store.append("chat", user("y"))
    assert seqs(store) == [2]
