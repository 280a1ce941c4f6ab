"""Operations written once, as coroutines over the futures of a driver that calls back, and run in both forms.

Each step of such a coroutine runs in the thread that completed the one before: the first in the caller's, the others in
the driver's, which must not be kept waiting.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from functools import wraps
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar

from backscroll.calls import Deadline
from backscroll.errors import OutcomeUnknown

B = TypeVar("B")
P = ParamSpec("P")
R = TypeVar("R")

GRACE: Final = 5.0
"""How many seconds after its deadline a call still waits for its driver, which ends it by then, before it gives up."""

Steps = Coroutine[Future[Any], None, R]
"""What a coroutine is that awaits nothing but `done`."""


class _Awaited(Generic[R]):
    def __init__(self, future: Future[R]) -> None:
        self._future = future

    def __await__(self) -> Generator[Future[Any], None, R]:
        if not self._future.done():
            yield self._future
        return self._future.result()


class _Run(Generic[R]):
    """A coroutine on its way; a function that names itself would keep its result until Python looks for cycles."""

    def __init__(self, coroutine: Steps[R], result: Future[R]) -> None:
        self._coroutine = coroutine
        self._result = result

    def advance(self, _: object = None) -> None:
        """Go on until the next future that is not done."""
        try:
            while (awaited := self._coroutine.send(None)).done():
                pass
        except StopIteration as end:
            self._result.set_result(end.value)
        except BaseException as error:  # noqa: BLE001 - whoever waits is to know of it
            self._result.set_exception(error)
        else:
            awaited.add_done_callback(self.advance)


async def done(future: Future[R]) -> R:
    """The result of a future, waited for within a coroutine that `start` runs."""
    return await _Awaited(future)


def pending() -> Future[Any]:
    """A future that nobody can cancel: whoever waits for it may go away, and its result is set all the same."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future


def start(coroutine: Steps[R]) -> Future[R]:
    """Run a coroutine that awaits nothing but `done`."""
    result: Future[R] = pending()
    _Run(coroutine, result).advance()
    return result


def wait(future: Future[R], seconds: float) -> R:
    """The result of a future, waited for in a thread.

    Raises:
        OutcomeUnknown: There is none after so many seconds.
    """
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():
            raise
    raise OutcomeUnknown(f"no answer came within {seconds:g} s")


Operation = Callable[Concatenate[B, P], Coroutine[Any, Any, R]]


def both(operation: Operation[B, P, R]) -> tuple[Callable[Concatenate[B, P], R], Operation[B, P, R]]:
    """The sync and the async form of an operation that is a coroutine over `done`, and ends with a deadline.

    The backend has ``begin(deadline)`` and ``abegin(deadline)``, which make sure that there is a connection.
    """

    @wraps(operation)
    def sync(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        deadline: Deadline = args[-1]  # type: ignore[assignment]
        self.begin(deadline)
        return wait(start(operation(self, *args, **kwargs)), deadline.remaining() + GRACE)

    @wraps(operation)
    async def twin(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        await self.abegin(args[-1])
        return await asyncio.wrap_future(start(operation(self, *args, **kwargs)))

    sync.__name__ = operation.__name__.removeprefix("_")
    twin.__name__ = f"a{sync.__name__}"
    return sync, twin
