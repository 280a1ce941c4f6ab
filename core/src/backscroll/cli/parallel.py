"""Doing the same to many things in several threads, of which few are at hand at once."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Final, TypeVar

T = TypeVar("T")

AHEAD: Final = 4
"""How many things a thread has at the most, the one that it does included."""


def in_parallel(jobs: int, act: Callable[[T], object], things: Iterable[T], stopping: Event) -> None:
    """Do something to each of many things.

    Args:
        jobs: In how many threads.
        act: What is done; it should end soon once `stopping` is set.
        things: Taken as they are needed.
        stopping: Is set when one of them failed, or this thread was interrupted; then no other is begun.

    Raises:
        Exception: What the first one that failed raised, when all that were under way have ended.
    """
    under_way: set[Future[object]] = set()
    with ThreadPoolExecutor(jobs, "backscroll-job") as pool:
        try:
            for thing in things:
                under_way.add(pool.submit(act, thing))
                if len(under_way) >= AHEAD * jobs:
                    under_way = _some_done(under_way)
            while under_way:
                under_way = _some_done(under_way)
        except BaseException:
            stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _some_done(under_way: "set[Future[object]]") -> "set[Future[object]]":
    done, rest = wait(under_way, return_when=FIRST_COMPLETED)
    for one in done:
        one.result()
    return rest
