"""What is copied of a session, and that copying again copies nothing twice."""

import threading
import tracemalloc
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted import Scripted, admin_over, landed, user
from toy import Toy

from backscroll import errors
from backscroll.admin import Admin
from backscroll.backend import Capability, Deadline, Row, unsupported
from backscroll.cli.copying import Copied, Stopped, Way, compare_session, copy_session
from backscroll.cli.landing import TRIES
from backscroll.cli.parallel import in_parallel
from backscroll.opening import open_admin
from backscroll.sqlite.backend import SQLiteBackend

Stored = list[tuple[bytes, int | None]]


class Copy:
    """Copies and compares sessions of two stores that share a clock, and keeps what is told."""

    def __init__(self, source: Admin, target: Admin) -> None:
        self.told: list[str] = []
        self.way = Way(source, target, self.told.append, lambda: None)

    def __call__(self, session_id: str = "s") -> Copied:
        """Copy a session, compare it, and tell what was done since the last time."""
        self.told.clear()
        before = attrs.asdict(self.way.done)
        if (seen := copy_session(self.way, session_id)) is not None:
            compare_session(self.way, session_id, seen)
        return Copied(**{name: value - before[name] for name, value in attrs.asdict(self.way.done).items()})


class Clock:
    """A clock of microseconds that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of both sides."""
    return Clock()


@pytest.fixture
def source(clock: Clock) -> Iterator[Admin]:
    """Where the sessions are."""
    with open_admin("sqlite://", clock=clock) as source:
        yield source


@pytest.fixture
def target(clock: Clock) -> Iterator[Admin]:
    """Where they go to; turns are small there, so that a session takes many."""
    with open_admin("sqlite://?max_turn_messages=3", clock=clock) as target:
        yield target


@pytest.fixture
def copy(source: Admin, target: Admin) -> Copy:
    """Copies from the one to the other."""
    return Copy(source, target)


def stored(side: Admin, session_id: str = "s") -> Stored:
    """The bytes of a session, and when they expire."""
    return [(row.body, row.expires_at) for row in side.rows(session_id)]


def done(added: int, already: int = 0, *, later: int = 0, problems: int = 0) -> Copied:
    """What is done with one session of which everything could be compared."""
    return Copied(1, 1, added + already, added, later, problems)


TURN = [user("a"), {"role": "assistant", "content": "b"}]

OPERATIONS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 7), st.none() | st.integers(1, 100)),
    st.tuples(st.just("remove"), st.lists(st.integers(0, 40), max_size=5)),
    st.tuples(st.just("discard"), st.integers(0, 40)),
    st.tuples(st.just("clear")),
    st.tuples(st.just("wait"), st.integers(1, 60)),
)


def apply(side: Admin, clock: Clock, operation: Any) -> None:
    """Do what an application does."""
    match operation:
        case ("append", count, ttl):
            side.append("s", [user(f"{n} ü \ud7ff") for n in range(count)], ttl=ttl)
        case ("remove", seqs):
            side.remove("s", seqs)
        case ("discard", before):
            side.discard("s", before=before)
        case ("clear",):
            side.clear("s")
        case ("wait", seconds):
            clock.now += seconds * 1_000_000_000


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100)
@given(st.lists(OPERATIONS, max_size=30), st.integers(1, 8))
def test_a_copy_keeps_every_byte_and_every_expiry(operations: list[Any], most: int) -> None:
    """Whatever became of a session, what is live of it is in the target, and copying again adds nothing."""
    clock = Clock()
    limited = f"sqlite://?max_turn_messages={most}"
    with open_admin("sqlite://", clock=clock) as source, open_admin(limited, clock=clock) as target:
        copy = Copy(source, target)
        for operation in operations:
            apply(source, clock, operation)
        live = stored(source)
        assert copy() == done(len(live))
        assert stored(target) == live
        assert copy() == done(0, len(live))
        clock.now += 30_000_000_000
        assert stored(target) == stored(source)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50)
@given(st.lists(st.lists(st.integers(1, 40), max_size=3), max_size=5), st.integers(1, 8))
def test_a_copy_catches_up(rounds: list[list[int]], most: int) -> None:
    """However far a session was copied, only what came since is added."""
    with open_admin("sqlite://") as source, open_admin(f"sqlite://?max_turn_messages={most}") as target:
        copy = Copy(source, target)
        for turns in rounds:
            before = len(stored(source))
            for count in turns:
                source.append("s", [user("x")] * count)
            assert copy() == done(sum(turns), before)
            assert stored(target) == stored(source)


def test_records_say_the_same(source: Admin, target: Admin, copy: Copy) -> None:
    """Turn_id, time, expiry and message of each record are kept; seqs are given anew."""
    source.append("s", user("gone"))
    source.append("s", TURN, turn_id="own", ttl=60)
    source.append("s", [{"role": "tool", "content": [{"type": "text", "text": "ä\u2028"}], "tool_call_id": "c"}])
    source.discard("s", before=1)
    copy()
    there, here = list(source.iterate("s")), list(target.iterate("s"))
    assert [attrs.evolve(record, seq=0) for record in here] == [attrs.evolve(record, seq=0) for record in there]
    assert [record.seq for record in here] == [0, 1, 2]


@pytest.mark.parametrize("count", [3, 16, 40])
def test_the_last_turns_are_known_in_the_target(source: Admin, target: Admin, copy: Copy, count: int) -> None:
    """A turn that an application repeats after the move is a duplicate, or refused for other content."""
    for n in range(count):
        source.append("s", [user(f"{n}"), {"role": "assistant", "content": "ok", "name": "x"}], turn_id=f"turn {n}")
    copy()
    for n in range(max(0, count - 16), count):
        turn = [user(f"{n}"), {"role": "assistant", "content": "ok", "name": "x"}]
        assert target.append("s", turn, turn_id=f"turn {n}").duplicate
        with pytest.raises(errors.TurnIdReused):
            target.append("s", user("other"), turn_id=f"turn {n}")
    assert stored(target) == stored(source)


def test_old_turns_land_together(source: Admin, clock: Clock) -> None:
    """Of a long session only the last turns cost an append each."""
    backend = Scripted()
    for n in range(500):
        source.append("s", [user(str(n))] * 2)
    assert Copy(source, Admin(backend))() == done(1_000)
    assert backend.called().count("append") == 16 + 1


@pytest.mark.parametrize(("text", "turns", "messages", "most"), [("x", 1_500, 2, 1_000), ("x" * 100_000, 40, 4, 12)])
def test_a_batch_holds_little(source: Admin, text: str, turns: int, messages: int, most: int) -> None:
    """However many old turns there are, no more than about a thousand messages, or a MiB, land at once."""
    backend = Scripted(max_turn_messages=10_000)
    for _ in range(turns):
        source.append("s", [user(text)] * messages)
    Copy(source, Admin(backend))()
    assert max(len(args[1].bodies) for name, args in backend.calls if name == "append") == most


def test_old_turns_keep_their_own_expiry(source: Admin, target: Admin, copy: Copy) -> None:
    """Only what expires at the same time lands together."""
    for n in range(60):
        source.append("s", user(str(n)), ttl=[None, 50, 60, 60][n % 4])
    assert copy() == done(60)
    assert stored(target) == stored(source)


def test_a_part_of_a_turn_is_copied(source: Admin, target: Admin, copy: Copy) -> None:
    """A turn of which messages were removed, and one that is larger than the target takes, are copied as they are."""
    source.append("s", [user(f"{n}") for n in range(10)], turn_id="long")
    source.remove("s", [0, 4])
    assert copy() == done(8)
    source.append("s", [user("b"), user("c")], turn_id="short")
    source.remove("s", [11])
    assert copy() == done(1, 8)
    assert stored(target) == stored(source)


def test_an_older_turn_with_the_same_id_is_another_turn(
    source: Admin, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id that was used again, long after, stands for another turn, also where the target still knows the first."""
    monkeypatch.setattr("toy.WINDOW", 1_000)
    target = Admin(Toy())
    for text in ("same", "same", "other"):
        clock.now += 1_000
        source.append("s", user(text), turn_id="again")
        Copy(source, target)()
        for n in range(20):
            source.append("s", user(f"between {n}"))
    Copy(source, target)()
    assert stored(target) == stored(source)


def test_what_expired_before_is_left_behind(source: Admin, target: Admin, copy: Copy, clock: Clock) -> None:
    """An expired message is not copied, and one that expires afterwards is no problem."""
    source.append("s", user("a"), ttl=1)
    source.append("s", user("b"), ttl=10)
    clock.now += 2_000_000_000
    assert copy() == done(1)
    clock.now += 20_000_000_000
    assert copy() == done(0)
    source.append("s", user("c"))
    assert copy() == done(1)
    assert stored(target) == stored(source)


def test_expiry_while_it_is_copied(
    source: Admin, target: Admin, copy: Copy, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest message of the target may expire before it is found in the source."""
    source.append("s", user("a"))
    source.append("s", user("b"), ttl=10)
    copy()
    source.append("s", user("c"))
    pages = Admin.pages

    def slow(side: Admin, *args: Any, **options: Any) -> Iterator[list[Row]]:
        if side is source:
            clock.now += 11_000_000_000
        return pages(side, *args, **options)

    monkeypatch.setattr(Admin, "pages", slow)
    assert copy() == done(1, 1)
    assert [record.message.content for record in target.iterate("s")] == ["a", "c"]


def test_expiry_while_it_is_compared(source: Admin, copy: Copy, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What expires after one side was read and before the other one is, is no difference."""
    source.append("s", user("a"))
    source.append("s", user("b"), ttl=10)
    seen = copy_session(copy.way, "s")
    assert seen == 1
    pages = Admin.pages

    def slow(side: Admin, *args: Any, **options: Any) -> Iterator[list[Row]]:
        found = list(pages(side, *args, **options))
        clock.now += 11_000_000_000
        return iter(found)

    monkeypatch.setattr(Admin, "pages", slow)
    compare_session(copy.way, "s", seen)
    assert copy.told == []
    assert copy.way.done.messages == 1


def test_a_copy_that_is_stopped_compares_nothing(source: Admin, copy: Copy) -> None:
    """Nor does it append."""
    source.append("s", user("a"))
    seen = copy_session(copy.way, "s")
    assert seen == 0
    source.append("s", user("b"))
    copy.way.stopping.set()
    with pytest.raises(Stopped):
        compare_session(copy.way, "s", seen)
    with pytest.raises(Stopped):
        copy_session(copy.way, "s")
    assert copy.way.done == Copied(sessions=1, added=1)


@pytest.mark.parametrize("after", [True, False], ids=["landed", "lost"])
def test_a_copy_that_ends_anywhere_goes_on(
    source: Admin, target: Admin, copy: Copy, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Whichever append was the last one, and whether it landed or not, nothing lacks and nothing is doubled."""
    for n in range(40):
        source.append("s", [user(f"{n}")] * (n % 5 + 1))
    whole = stored(source)
    append, left = SQLiteBackend.append, 0

    def ending(*args: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and not after:
            raise KeyboardInterrupt
        answer = append(*args)
        if left == 0:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(SQLiteBackend, "append", ending)
    ends = 0
    while True:
        left = 3  # a part of a turn that is too large for the target takes two
        try:
            copy_session(copy.way, "s")
            break
        except KeyboardInterrupt:
            ends += 1
            assert stored(target) == whole[: len(stored(target))]
    assert ends > 10
    assert stored(target) == whole
    assert copy() == done(0, len(whole))


@pytest.mark.parametrize("lands", [True, False], ids=["landed", "lost"])
def test_an_unknown_outcome_is_repeated(source: Admin, lands: bool) -> None:
    """Where the target gives up on an unknown outcome, the same append is sent again, and lands once."""
    for n in range(20):
        source.append("s", user(f"{n}"))
    lost = errors.OutcomeUnknown("lost")
    script = [landed(lost) if lands else lost] * 3
    backend = Scripted({"append": [step for one in script for step in (one, None)]}, timeout=0.001)
    target = admin_over(backend)
    assert Copy(source, target)() == done(20)
    assert stored(target) == stored(source)


def test_an_outcome_that_stays_unknown_ends_the_copy(source: Admin) -> None:
    """After some calls it is told, and copying again goes on."""
    source.append("s", user("a"))
    backend = Scripted({"append": [errors.OutcomeUnknown("lost")] * 1_000}, timeout=0.01)
    target = admin_over(backend)
    with pytest.raises(errors.OutcomeUnknown):
        Copy(source, target)()
    assert TRIES == 3
    backend.script.clear()
    assert Copy(source, target)() == done(1)


def test_random_faults_lose_and_double_nothing(source: Admin) -> None:
    """Over a line that fails, before or after an append landed, or long after, the copy comes to be whole."""
    for n in range(60):
        source.append("s", [user(f"{n}")] * (n % 3 + 1))
    for seed in range(20):
        target = Admin(Toy(faults=0.3, seed=seed, timeout=0.05))
        copy = Copy(source, target)
        for _ in range(1_000):
            try:
                copy_session(copy.way, "s")
                break
            except errors.BackscrollError:
                continue
        assert [body for body, _ in stored(target)] == [body for body, _ in stored(source)]


def test_another_copy_at_the_same_time(
    source: Admin, target: Admin, copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever another copy lands between look and append is not added again."""
    for n in range(60):
        source.append("s", user(f"{n}"))
    append, busy, met = SQLiteBackend.append, [], []

    def meanwhile(*args: Any) -> Any:
        if not busy and len(met) < 10:
            busy.append(True)
            with pytest.raises(Stopped):
                copy_session(attrs.evolve(copy.way, stopping=StopsAfter(len(met) % 3)), "s")
            met.append(busy.pop())
        return append(*args)

    monkeypatch.setattr(SQLiteBackend, "append", meanwhile)
    copy_session(copy.way, "s")
    assert stored(target) == stored(source)
    assert len(met) == 10


class StopsAfter(threading.Event):
    """Is set when it was asked for some times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.left = times

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_another_copy_between_two_appends(
    source: Admin, target: Admin, copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another copy landed since this one looked is seen at the next append."""
    for n in range(200):
        source.append("s", user(f"{n}"))
    read, others = Way.read, iter(range(5))

    def meeting(way: Way, *args: Any, **options: Any) -> Iterator[list[Row]]:
        for row in chain.from_iterable(read(way, *args, **options)):
            if row.seq % 50 == 40 and next(others, 5) < 5:
                with pytest.raises(Stopped):
                    copy_session(attrs.evolve(copy.way, stopping=StopsAfter(3)), "s")
            yield [row]

    monkeypatch.setattr(Way, "read", meeting)
    copy_session(copy.way, "s")
    assert next(others, None) is None
    monkeypatch.undo()
    assert stored(target) == stored(source)


def test_a_session_with_other_messages_is_left_alone(source: Admin, target: Admin, copy: Copy) -> None:
    """Neither what the target had already nor what it got of its own is touched, and it is told."""
    source.append("s", user("theirs"))
    target.append("s", user("own"))
    before = stored(target)
    assert copy() == Copied(sessions=1, problems=1)
    (told,) = copy.told
    assert told == (
        "left alone: seq 0 of the target, its newest, is not in the source, or not any more: delete the session in the "
        "target to have it copied (session s)"
    )
    assert stored(target) == before
    target.delete("s")
    assert copy() == done(1)


def test_a_target_that_went_on_by_itself(source: Admin, target: Admin, copy: Copy) -> None:
    """Once an application writes to the target, what comes into the source stays there."""
    source.append("s", user("a"))
    copy()
    target.append("s", user("own"))
    source.append("s", user("late"))
    assert copy() == Copied(sessions=1, problems=1)
    assert [record.message.content for record in target.iterate("s")] == ["a", "own"]


def dropped(source: Admin, how: str) -> None:
    """Drop something of a session that holds the seqs 0 to 9."""
    match how:
        case "clear":
            source.clear("s")
        case "delete":
            source.delete("s")
        case "discard":
            source.discard("s", before=3)
        case "remove":
            source.remove("s", [2, 7])


@pytest.mark.parametrize(
    ("how", "told", "same"),
    [
        ("clear", "seq 0 of the target is not in the source, or not any more, and 9 more", 0),
        ("delete", "seq 0 of the target is not in the source, or not any more, and 9 more", 0),
        ("discard", "seq 0 of the target is not in the source, or not any more, and 2 more", 7),
        ("remove", "seq 2 of the target is not in the source, or not any more, and 1 more", 8),
    ],
)
def test_what_the_source_drops_meanwhile_is_told(source: Admin, copy: Copy, how: str, told: str, same: int) -> None:
    """What was dropped between copying and comparing is still in the target, and the rest counts as the same."""
    source.append("s", [user(f"{n}") for n in range(10)])
    seen = copy_session(copy.way, "s")
    assert seen == 9
    dropped(source, how)
    compare_session(copy.way, "s", seen)
    assert copy.told == [f"{told} (session s)"]
    assert copy.way.done == Copied(1, 1, same, 10, 0, 1)


@pytest.mark.parametrize(("how", "added"), [("discard", 1), ("remove", 1)])
def test_a_copy_goes_on_where_the_source_dropped_something(
    source: Admin, target: Admin, copy: Copy, how: str, added: int
) -> None:
    """As long as the newest message of the target is there; what lies before it is told each time."""
    source.append("s", [user(f"{n}") for n in range(10)])
    copy()
    dropped(source, how)
    source.append("s", user("new"))
    found = copy()
    assert (found.added, found.problems) == (added, 1)
    assert [record.message.content for record in target.last("s", 2)] == ["9", "new"]


def test_what_the_target_lost_is_told(source: Admin, target: Admin, copy: Copy) -> None:
    """It is not put back, since it would come behind what is newer."""
    source.append("s", [user(f"{n}") for n in range(10)])
    copy()
    target.remove("s", [0, 5])
    assert copy() == done(0, 8, problems=1)
    assert copy.told == ["seq 0 of the source is not in the target, and 1 more (session s)"]


def test_a_source_that_grows_faster_than_it_is_read(source: Admin, copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy ends where the source ended when it was begun, and so does the comparison."""
    source.append("s", [user(f"{n}") for n in range(3)])
    pages = Admin.pages

    def growing(side: Admin, *args: Any, **options: Any) -> Iterator[list[Row]]:
        for page in pages(side, *args, **options | {"limit": 1}):
            if side is source:
                assert all(row.seq < 500 for row in page)
                source.append("s", [user("more")] * 20)
            yield page

    monkeypatch.setattr(Admin, "pages", growing)
    found = copy()
    assert (found.added, found.messages, found.problems) == (3, 3, 0)
    assert found.later >= 3


def test_a_source_in_sqlite_is_read_by_one_thread_at_a_time(
    source: Admin, copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is copied and when it is compared."""
    source.append("s", user("a"))
    pages, alone = Admin.pages, []

    def reading(side: Admin, *args: Any, **options: Any) -> Iterator[list[Row]]:
        for page in pages(side, *args, **options):
            if side is source and not options.get("newest"):
                alone.append(copy.way._reading.locked())
            yield page

    monkeypatch.setattr(Admin, "pages", reading)
    assert copy() == done(1)
    assert alone == [True, True]


def test_other_sources_are_read_by_many_threads(target: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server has time for several of them at once."""
    way = Copy(Admin(Toy()), target).way
    together = threading.Barrier(2, timeout=20)

    def reading(*_: Any, **__: Any) -> Iterator[list[Row]]:
        together.wait()
        yield [Row(0, None, b"a")]

    monkeypatch.setattr(Admin, "pages", reading)
    read: list[list[list[Row]]] = []
    in_parallel(2, lambda name: read.append(list(way.read(name, before=9))), ["s", "t"], way.stopping)
    assert read == [[[Row(0, None, b"a")]]] * 2


def test_what_comes_meanwhile_is_no_problem(source: Admin, copy: Copy) -> None:
    """Up to where the source was read, the target is the same; what came later is counted."""
    source.append("s", TURN)
    seen = copy_session(copy.way, "s")
    assert seen == 1
    source.append("s", [user(f"{n}") for n in range(3)])
    compare_session(copy.way, "s", seen)
    assert copy.told == []
    assert copy.way.done == Copied(1, 1, 2, 2, later=3)
    assert copy() == done(3, 2)


def damage(side: Admin, seq: int, body: bytes) -> None:
    """Overwrite a message in the database of this test."""
    with side._backend._file.transaction(Deadline(5)) as db:
        db.execute("UPDATE message SET body = ? WHERE id = ?", (body, 1 << 32 | seq))


@pytest.mark.parametrize("body", [b"?", b'{"v":2}', b"\xff"])
def test_an_unreadable_record_is_told_each_time(source: Admin, target: Admin, copy: Copy, body: bytes) -> None:
    """With its place and its reason; everything else is copied."""
    source.append("s", [user(f"{n}") for n in range(5)])
    damage(source, 2, body)
    damage(source, 4, body)
    for added in (3, 0):
        assert copy() == done(added, 3 - added, problems=2)
        assert [told.partition(" is unreadable and left out: ")[0] for told in copy.told] == ["seq 2", "seq 4"]
    assert [record.message.content for record in target.iterate("s")] == ["0", "1", "3"]


def test_what_is_too_large_for_the_target_is_told(source: Admin) -> None:
    """With the option that holds the limit; everything else is copied."""
    source.append("s", [user("a"), user("x" * 1_000), user("b")])
    with open_admin("sqlite://?max_message_bytes=500") as target:
        copy = Copy(source, target)
        for added in (2, 0):
            assert copy() == done(added, 2 - added, problems=1)
            (told,) = copy.told
            assert told.startswith("seq 1 is left out: 1,1")
            assert "over max_message_bytes=500" in told
        assert [record.message.content for record in target.iterate("s")] == ["a", "b"]


def test_a_limit_that_only_the_server_knows(source: Admin) -> None:
    """What it refuses is cut until it takes it; a message that it never takes is left out and told."""

    class Small(Toy):
        def append(self, session_id: str, turn: Any, deadline: Any) -> Any:
            if sum(map(len, turn.bodies)) > 1_000:
                raise errors.MessageTooLarge("max_turn_bytes", 1_000)
            return super().append(session_id, turn, deadline)

    source.append("s", [user("x" * 10) for _ in range(50)])
    source.append("s", [user("y"), user("x" * 2_000), user("z")])
    target = Admin(Small())
    copy = Copy(source, target)
    assert copy() == Copied(1, 1, 52, 52, problems=2)
    assert copy.told[0].startswith("seq 51 is left out: too large, over max_turn_bytes=1,000: ")
    assert copy.told[1] == "seq 51 of the source is not in the target (session s)"


def test_a_target_without_expiry(source: Admin, clock: Clock) -> None:
    """What expires is left out and told, since it would stay there for ever."""
    backend = Toy(clock=clock)
    backend.capabilities[Capability.TTL] = unsupported("a toy")
    source.append("s", user("a"))
    source.append("s", user("b"), ttl=60)
    copy = Copy(source, Admin(backend))
    assert copy() == done(1, problems=1)
    assert copy.told == ["seq 1 is left out: toy does not support ttl: a toy (session s)"]


def test_an_expiry_that_the_target_cannot_keep(source: Admin, clock: Clock) -> None:
    """What expires too late is left out and told."""
    backend = Toy(clock=clock)
    backend.limits = attrs.evolve(backend.limits, max_ttl=3_600)
    source.append("s", user("a"), ttl=7_200)
    source.append("s", user("b"), ttl=60)
    copy = Copy(source, Admin(backend))
    assert copy() == done(1, problems=1)
    assert copy.told[0].startswith("seq 0 is left out: ttl: ")


def test_the_server_may_drop_a_copy_after_its_expiry_only(source: Admin, clock: Clock) -> None:
    """What is left of its time, with the slack on top, is what the server is told."""
    backend = Scripted(clock=clock)
    source.append("s", user("a"), ttl=100)
    clock.now += 30_000_000_000
    Copy(source, Admin(backend))()
    (turn,) = [args[1] for name, args in backend.calls if name == "append"]
    assert turn.expires_at == (clock.now + 70_000_000_000) // 1_000
    assert turn.purge_in == 70 + 60


def test_a_long_session_takes_little_memory(tmp_path: Path) -> None:
    """Copying and comparing 20 MB in one session takes a few MB, and so does catching up."""
    urls = [f"sqlite:///{tmp_path}/{name}.db?durability=process" for name in ("source", "target")]
    with open_admin(urls[0]) as source, open_admin(urls[1]) as target:
        for _ in range(200):
            source.append("s", [user("x" * 1_000)] * 100)
        tracemalloc.start()
        try:
            assert Copy(source, target)() == done(20_000)
            assert Copy(source, target)() == done(0, 20_000)
            assert tracemalloc.get_traced_memory()[1] < 12_000_000
        finally:
            tracemalloc.stop()
