"""A coroutine over a driver's futures has two forms, and each step runs where the answer came."""

import asyncio
import gc
import threading
import weakref
from concurrent.futures import Future
from typing import Any

import pytest

from backscroll.calls import Deadline
from backscroll.errors import OutcomeUnknown
from backscroll.futures import both, done, pending, start, wait


class Driver:
    """Answers in a thread of its own, when it is told to."""

    def __init__(self) -> None:
        self.begun = 0

    def begin(self, deadline: Deadline) -> None:
        """Connect."""
        self.begun += 1

    async def abegin(self, deadline: Deadline) -> None:
        """Async twin of `begin`."""
        self.begun += 1

    def ask(self, question: int) -> "Future[int]":
        """Double it."""
        future: Future[int] = pending()
        threading.Timer(0.001, future.set_result, (2 * question,)).start()
        return future

    async def _fourfold(self, number: int, deadline: Deadline) -> tuple[int, str]:
        """Ask twice."""
        answer = await done(self.ask(await done(self.ask(number))))
        return answer, threading.current_thread().name

    fourfold, afourfold = both(_fourfold)

    async def _failing(self, deadline: Deadline) -> None:
        await done(self.ask(1))
        raise KeyError("x")

    failing, afailing = both(_failing)


async def test_both_forms_do_the_same() -> None:
    """With their names, and a connection before."""
    driver = Driver()
    assert driver.fourfold(3, Deadline(5))[0] == 12
    assert (await driver.afourfold(3, Deadline(5)))[0] == 12
    assert driver.begun == 2
    assert (Driver.fourfold.__name__, Driver.afourfold.__name__) == ("fourfold", "afourfold")
    with pytest.raises(KeyError):
        driver.failing(Deadline(5))
    with pytest.raises(KeyError):
        await driver.afailing(Deadline(5))


def test_a_step_runs_in_the_thread_that_brought_the_answer() -> None:
    """Nobody waits for it elsewhere."""
    assert Driver().fourfold(3, Deadline(5))[1] != threading.current_thread().name


def test_answers_that_are_there_already_are_taken_at_once() -> None:
    """However many, without a stack that grows with them."""

    async def many() -> int:
        total = 0
        for number in range(10_000):
            future: Future[int] = pending()
            future.set_result(number)
            total += await done(future)
        return total

    assert start(many()).result(0) == sum(range(10_000))


async def test_a_caller_that_is_cancelled_leaves_the_others_alone() -> None:
    """The result is set all the same, and whoever else waits gets it."""
    future: Future[int] = pending()

    async def use() -> int:
        return await done(future)

    shared = start(use())
    one = asyncio.ensure_future(asyncio.wrap_future(shared))
    other = asyncio.ensure_future(asyncio.wrap_future(shared))
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    future.set_result(7)
    assert await other == 7


def test_a_driver_that_never_answers_is_given_up() -> None:
    """With an outcome that nobody knows; an error of its own that looks alike is passed on."""
    with pytest.raises(OutcomeUnknown, match=r"no answer came within 0\.01 s"):
        wait(pending(), 0.01)
    failed: Future[Any] = pending()
    failed.set_exception(TimeoutError("mine"))
    with pytest.raises(TimeoutError, match="mine"):
        wait(failed, 1)


def test_a_result_goes_as_soon_as_nobody_wants_it() -> None:
    """It does not wait until Python looks for cycles: it may be a whole page."""

    class Page:
        """Something that can be watched."""

    async def steps(first: Future[None]) -> Page:
        await done(first)
        return Page()

    gc.disable()
    try:
        first = pending()
        future = start(steps(first))
        first.set_result(None)
        page = weakref.ref(future.result())
        del future, first
        assert page() is None
    finally:
        gc.enable()
