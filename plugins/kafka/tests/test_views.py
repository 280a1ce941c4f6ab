"""What a process keeps of a log is all there is of it, or known to end, whatever is given up for room meanwhile."""

import threading
from typing import Any

import pytest
from faked import PLACE, SECONDS, Log, run
from test_sessions import walked

from backscroll.backend import Deadline
from backscroll.errors import DeadlineExceeded, Unavailable
from backscroll.futures import start
from backscroll_kafka.fold import DELETE, SHIFT, Entry
from backscroll_kafka.index import Chunk


@pytest.fixture
def log(monkeypatch: Any) -> Log:
    """A log, and views with room for one session in use."""
    return Log(monkeypatch, cache_bytes=1)


@pytest.fixture
def full(monkeypatch: Any) -> Log:
    """Likewise, and without room for the index of all sessions."""
    return Log(monkeypatch, cache_bytes=1, index_bytes=-1)


def test_a_session_in_the_hands_of_a_call_is_not_given_up(log: Log) -> None:
    """What the call looks back for tells it what was dropped, though others use other sessions meanwhile."""
    seqs = [log.turn(b"s") for _ in range(3)]
    log.remove(b"s", seqs[1])
    sight = log.sight(b"s")
    log.sight(b"t")
    assert walked(sight) == [seqs[0], seqs[2]]


def test_a_deleted_session_stays_deleted_while_others_use_the_room(log: Log) -> None:
    """Its version is 0."""
    version = log.turn(b"s") + 1
    log.drop(b"s", DELETE, version)
    sight = log.sight(b"s")
    log.sight(b"t")
    assert run(sight.version()) == 0


def test_a_session_that_nobody_has_in_hand_makes_room(log: Log) -> None:
    """Calls that are over hold nothing."""
    for number in range(50):
        log.sight(b"%d" % number)
    assert len(log.views._used) == 1


def test_what_is_put_into_a_session_that_made_room_is_not_counted(log: Log) -> None:
    """Nor kept."""
    view = log.view()
    gone = log.views.use(view, b"s", lambda: None)
    other = log.views.use(view, b"t", log)
    log.views.put(view, b"s", gone, [(Entry(0, 1), b"x" * 1_000)])
    assert log.views._cached == other.size


def test_a_record_that_comes_during_a_look_back_is_found_without_an_index(full: Log) -> None:
    """Also where the session would have made room then."""
    seqs = [full.turn(b"s") for _ in range(3)]
    sight = full.sight(b"s")

    def meanwhile() -> None:
        full.sight(b"t")
        seqs.append(full.turn(b"s"))
        full.heard()

    full.scanning = meanwhile
    run(sight.reach(0))
    full.scanning = bool
    assert walked(full.sight(b"s")) == seqs


def test_an_index_that_is_given_up_during_a_look_back_leaves_no_gap(log: Log) -> None:
    """In none of the sessions that the look back came upon."""
    seqs: dict[bytes, list[int]] = {name: [log.turn(name) for _ in range(3)] for name in (b"s", b"u")}
    sight = log.sight(b"s")

    def meanwhile() -> None:
        log.views._index_bytes = -1
        log.sight(b"t")
        for name, known in seqs.items():
            known.append(log.turn(name))
        log.heard()

    log.scanning = meanwhile
    run(sight.reach(0))
    log.scanning = bool
    for name, known in seqs.items():
        for _ in range(2):
            log.turn(b"t")
            assert run(log.sight(name).version()) == known[-1] + 1
            assert walked(log.sight(name)) == known
    assert log.views.is_full
    known.append(log.turn(name))
    assert walked(log.sight(name)) == known


def test_what_does_not_join_on_to_what_is_known_is_thrown_away(full: Log) -> None:
    """A session that was given up and used again since is known from a later offset on."""
    for _ in range(8):
        full.turn(b"s")
    view, sight = full.view(), full.sight(b"s")
    chunk = Chunk(view.kinds, b"s").below(5)
    chunk.take([full.records[offset] for offset in range(5)])
    full.views.merge(view, chunk, 0, 5, b"s")
    assert (sight.begin, sight.offsets(0, 8)) == (8, [])
    assert len(walked(sight)) == 8


def test_many_calls_at_once_may_have_more_in_hand_than_there_is_room_for(log: Log) -> None:
    """None of them loses its session, and what they held makes room as soon as they are over."""
    sights = [log.sight(b"%d" % number) for number in range(100)]
    assert len(log.views._used) == 100
    sights.clear()
    for _ in range(3):
        log.sight(b"s")
    assert len(log.views._used) == 1


def test_looking_back_for_all_sessions_ends_where_their_index_is_given_up(log: Log) -> None:
    """Whoever lists them scans the log instead."""
    log.turn(b"s")
    view = log.view()

    def meanwhile() -> None:
        log.views._index_bytes = -1
        log.sight(b"t")

    log.scanning = meanwhile
    run(log.logs.reach(view, b"", 0, Deadline(SECONDS)))
    assert log.views.is_full
    assert set(view.offsets) <= {b"t"}


def test_a_view_that_was_dropped_is_of_no_use(log: Log) -> None:
    """What it knows goes into no later one."""
    view = log.view()
    log.views.drop(view.place)
    with pytest.raises(Unavailable):
        log.views.use(view, b"s", log)


def test_whoever_waits_to_look_back_waits_no_longer_than_its_own_deadline(log: Log) -> None:
    """The one before it goes on, and those behind it get their turn."""
    log.turn(b"s")
    view, go_on = log.view(), threading.Event()
    log.scanning = lambda: go_on.wait(SECONDS)
    first, late, last = (start(log.sight(b"%d" % number, seconds).reach(0))
                         for number, seconds in enumerate((SECONDS, 0.0, SECONDS)))  # fmt: skip
    log.views.tick()
    with pytest.raises(DeadlineExceeded):
        late.result(SECONDS)
    assert not first.done()
    go_on.set()
    assert (first.result(SECONDS), last.result(SECONDS)) == (None, None)
    assert not view.turn


def test_whoever_watches_a_view_that_was_dropped_begins_anew(log: Log) -> None:
    """It is told at once, since nobody else would end it."""
    view = log.view()
    log.views.drop(PLACE)
    with pytest.raises(Unavailable):
        log.views.watch(view, b"s", 0, Deadline(SECONDS)).result(0.1)


def test_what_is_kept_of_removals_counts(log: Log) -> None:
    """In the index, and where a session is in use, in the cache; a dropped view takes all of it along."""
    log.turn(b"s")
    log.view()
    log.remove(b"s", *range(1_000))
    log.heard()
    assert log.views._size > 40_000
    sight = log.sight(b"s")
    assert log.views._cached > 40_000
    size, cached = log.views._size, log.views._cached
    log.remove(b"s", *range(1_000, 2_000))
    log.heard()
    assert log.views._size > size + 40_000
    assert log.views._cached > cached + 40_000
    log.views.drop(PLACE)
    assert (log.views._size, log.views._cached) == (0, 0)
    del sight


def test_a_look_back_counts_the_removals_that_it_finds(log: Log) -> None:
    """Once, wherever they are kept."""
    seq = log.turn(b"s")
    log.remove(b"s", *range(1, 1_001))
    sight = log.sight(b"s")
    assert run(sight.live([seq], 0)) == [seq]
    assert log.views._size > 40_000
    assert log.views._cached == sum(session.size for session in log.views._used.values()) > 40_000
    log.views.drop(PLACE)
    assert log.views._size == 0


@pytest.mark.parametrize("is_full", [False, True])
def test_what_retention_took_is_kept_no_longer(log: Log, is_full: bool) -> None:
    """Neither offsets nor removals; what is left is found."""
    log.view()
    seqs = [log.turn(b"s") for _ in range(100)]
    log.remove(b"s", *seqs[:50])
    for number in range(100):
        log.turn(b"%d" % number)
    left = [log.turn(b"s") for _ in range(3)]
    log.remove(b"s", left[1])
    sight = log.sight(b"s")
    before = log.views._size
    if is_full:
        log.views._index_bytes = -1
        log.sight(b"t")
    view = log.view()
    log.start = left[0] >> SHIFT
    log.views.cut(view, log.start)
    assert len(view.offsets[b"s"]) == 4
    assert b"7" not in view.offsets
    assert len(view.controls[b"s"]) == 1
    assert sight.dropped.removed == {left[1]}
    assert log.views._cached == sum(session.size for session in log.views._used.values())
    assert is_full or log.views._size < before / 10
    assert walked(sight) == walked(log.sight(b"s")) == [left[0], left[2]]
    assert run(log.sight(b"7").version()) == 0


@pytest.mark.parametrize("is_warm", [False, True])
def test_a_deletion_that_was_meant_for_another_topic_is_not_kept(log: Log, is_warm: bool) -> None:
    """Whoever lists the sessions goes by the deletions that are."""
    if is_warm:
        log.view()
    seq = log.turn(b"s")
    log.drop(b"s", DELETE, 1 << 40, ahead=5)
    sight = log.sight(b"s")
    assert walked(sight) == [seq]
    assert log.view().controls == {}
