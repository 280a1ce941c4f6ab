"""What a call sees of a session is what the log says, whatever is at hand and whatever goes on meanwhile."""

from typing import Any

import pytest
from faked import Log, run

from backscroll.backend import Window
from backscroll_kafka.fold import DELETE, DISCARD, SHIFT
from backscroll_kafka.sessions import Sight


@pytest.fixture
def log(monkeypatch: Any) -> Log:
    """A log, and views with all the memory they want."""
    return Log(monkeypatch)


def walked(sight: Sight, limit: int = 1_000, *, newest: bool = False) -> list[int]:
    """The seqs of a session, page after page."""
    found: list[int] = []
    at: int | None = None
    while True:
        window = Window(None, at, limit, newest, 0) if newest else Window(at, None, limit, newest, 0)
        page = run(sight.read(window))
        found += [row.seq for row in page.rows]
        if page.resume is None:
            return found
        at = page.resume


@pytest.mark.parametrize("newest", [False, True])
def test_turns_in_runs_with_much_between_them_are_all_read(log: Log, newest: bool) -> None:
    """A client that reads past the end of one run comes upon those of the next one, which count once."""
    log.view()
    seqs = []
    for _ in range(15):
        seqs += [log.turn(b"s", b"x" * 2_000) for _ in range(100)]
        log.others(130)
    passed_over = seqs[:700] if not newest else seqs[-700:]  # so that pages ask for more at once
    log.remove(b"s", *passed_over)
    assert sorted(walked(log.sight(b"s"), newest=newest)) == sorted(set(seqs) - set(passed_over))


def test_a_record_that_compaction_took_is_passed_over(log: Log) -> None:
    """It is missing where its run was read to the end, and nowhere else."""
    log.view()
    seqs = [log.turn(b"s") for _ in range(60)]
    log.heard()
    for seq in seqs[10:20]:
        del log.records[seq >> SHIFT]
    assert walked(log.sight(b"s")) == seqs[:10] + seqs[20:]


def test_what_was_dropped_before_a_store_was_opened_is_not_there(log: Log) -> None:
    """Also where the look back that tells of it comes only with the question."""
    seqs = [log.turn(b"s") for _ in range(5)]
    log.remove(b"s", seqs[3])
    log.drop(b"s", DISCARD, seqs[1] + 1)
    assert run(log.sight(b"s").live(seqs, 0)) == [seqs[2], seqs[4]]


def test_turns_of_a_deleted_session_are_not_there(log: Log) -> None:
    """Likewise."""
    seq = log.turn(b"s")
    log.drop(b"s", DELETE, seq + 1)
    assert run(log.sight(b"s").live([seq], 0)) == []


def test_counting_a_long_session_keeps_few_verdicts(log: Log) -> None:
    """However many messages it has."""
    sight = log.sight(b"s")
    for _ in range(6_000):
        log.turn(b"s")
    log.heard()
    sight = log.sight(b"s")
    assert run(sight.count(0)) == 6_000
    assert len(sight._session.known) < 5_000
