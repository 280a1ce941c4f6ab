"""Doing the same to many things in several threads, and lists on disk."""

import threading
from collections.abc import Iterator

import pytest

from backscroll.cli.parallel import AHEAD, in_parallel
from backscroll.cli.spool import Spool


@pytest.mark.parametrize("jobs", [1, 4])
def test_everything_is_done_once(jobs: int) -> None:
    """Each thing is given to one thread."""
    seen: list[int] = []
    in_parallel(jobs, seen.append, range(1_000), threading.Event())
    assert sorted(seen) == list(range(1_000))


def test_as_many_at_once_as_there_are_threads() -> None:
    """They are under way at the same time."""
    together = threading.Barrier(4, timeout=20)
    in_parallel(4, lambda _: together.wait(), range(8), threading.Event())


def test_few_are_at_hand() -> None:
    """No more things are taken than are soon to be done, even if one of them takes long."""
    taken, done, finish = [], [], threading.Event()

    def things() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    def act(number: int) -> None:
        if number == 0:
            assert finish.wait(20)
        elif number == 50:
            finish.set()
        assert len(taken) - len(done) <= 2 * AHEAD + 1
        done.append(number)

    in_parallel(2, act, things(), threading.Event())
    assert taken == list(range(100))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_first_failure_ends_it(error: type[BaseException]) -> None:
    """Those under way are told to stop and waited for, no other is begun, and the failure is raised."""
    stopping, ended, begun = threading.Event(), [], []
    other_runs = threading.Event()

    def act(number: int) -> None:
        begun.append(number)
        if number == 0:
            other_runs.set()
            assert stopping.wait(20)
            ended.append(number)
        elif number == 1:
            assert other_runs.wait(20)
            raise error("on purpose")
        else:
            assert stopping.wait(20)

    with pytest.raises(error, match="on purpose"):
        in_parallel(2, act, range(1_000), stopping)
    assert ended == [0]
    assert len(begun) <= 3


def test_a_spool_gives_back_what_it_took() -> None:
    """Whatever JSON keeps, from any thread, in its order, and more than once."""
    with Spool() as spool:
        assert not spool
        values = [["a\n\u2028ü", 1], None, {"b": [2]}]
        for value in values:
            spool.add(value)
        assert (len(spool), list(spool), list(spool)) == (3, values, values)
        in_parallel(4, spool.add, range(200), threading.Event())
        assert sorted(list(spool)[3:]) == list(range(200))
