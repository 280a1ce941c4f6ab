"""One operation under way: its deadline, and the rule by which it is tried again."""

import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

from backscroll.arguments import checked_timeout
from backscroll.backend import Deadline
from backscroll.errors import (
    BackscrollError,
    DeadlineExceeded,
    OutcomeUnknown,
    StorageError,
    TurnIdReused,
    Unavailable,
    VersionConflict,
    WindowExceeded,
)

R = TypeVar("R")

FIRST_PAUSE: Final = 0.01
"""The longest pause before the second try, in seconds; it doubles with every further one."""

LONGEST_PAUSE: Final = 1.0
"""The longest pause between two tries, in seconds."""

GRACE: Final = 0.2
"""How many seconds after its deadline an async call is cancelled, so that a backend can say what happened itself."""

WRITES: Final = frozenset({"append", "discard", "remove", "delete", "setup", "purge"})
"""The methods of a backend of which it matters whether an unanswered call was done."""


class IO(Protocol):
    """How a call reaches the backend: the only thing in which the sync and the async form differ."""

    def call(self, method: Callable[..., R], *arguments: Any) -> Coroutine[Any, Any, R]:
        """Call a method of a backend, or its async twin; the last argument is the deadline."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SyncIO:
    """Calls in place; its coroutines never suspend, so that `drive` can run them without a loop."""

    async def call(self, method: Callable[..., R], *arguments: Any) -> R:
        """Call the method."""
        return method(*arguments)

    async def sleep(self, seconds: float) -> None:
        """Wait in this thread."""
        time.sleep(seconds)  # noqa: ASYNC251  # no loop runs this


class AsyncIO:
    """Awaits the async twins, each until its deadline."""

    async def call(self, method: Callable[..., R], *arguments: Any) -> R:
        """Await the method's async twin; what does not answer by the deadline is cancelled."""
        import asyncio

        name = method.__name__
        twin = getattr(method.__self__, f"a{name}")  # type: ignore[attr-defined]  # always a bound method
        deadline: Deadline = arguments[-1]
        limit = asyncio.timeout(deadline.remaining() + GRACE)
        try:
            async with limit:
                answer: R = await twin(*arguments)
                return answer
        except TimeoutError:
            if not limit.expired():
                raise  # the backend's own, and not mapped
            reason = f"{name}: no answer within {deadline.seconds:g} s"
            raise (OutcomeUnknown if name in WRITES else DeadlineExceeded)(reason) from None

    async def sleep(self, seconds: float) -> None:
        """Wait without holding up the loop."""
        import asyncio

        await asyncio.sleep(seconds)


def drive(operation: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine over `SyncIO` to its end."""
    try:
        operation.send(None)
    except StopIteration as stop:
        result: R = stop.value
        return result
    operation.close()
    raise RuntimeError("a synchronous operation suspended")


class Call:
    """One operation of a store under way.

    Attributes:
        deadline: When it has to be over.
        tries: How many calls of the backend it has made.
    """

    __slots__ = ("_default", "_io", "_longest_pause", "_reason", "deadline", "tries")

    def __init__(self, io: IO, default_timeout: float) -> None:
        self._io = io
        self._default = default_timeout
        self._longest_pause = FIRST_PAUSE
        self._reason: BackscrollError | None = None
        self.tries = 0

    def within(self, timeout: float | None) -> None:
        """Start the time: the seconds given, or the store's default for None."""
        self.deadline = Deadline(self._default if timeout is None else checked_timeout(timeout))

    def once(self, method: Callable[..., R], *arguments: Any) -> Coroutine[Any, Any, R]:
        """Call a method of the backend, with the deadline as its last argument.

        Raises:
            DeadlineExceeded: The time is up already, and nothing was sent.
        """
        if self.tries and not self.deadline.remaining():
            raise DeadlineExceeded(f"{method.__name__}: not begun within {self.deadline.seconds:g} s: raise timeout")
        self.tries += 1
        return self._io.call(method, *arguments, self.deadline)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._io.sleep(seconds)

    async def ask(self, method: Callable[..., R], *arguments: Any) -> R:
        """Call what must not be repeated after an unknown outcome: try again only what was surely not done."""
        while True:
            try:
                return await self.once(method, *arguments)
            except Unavailable as error:
                await self._pause(error)
            except BackscrollError:
                raise
            except Exception as error:  # noqa: BLE001 - it is told what is known of it
                raise (OutcomeUnknown if method.__name__ in WRITES else StorageError)(_unmapped(error)) from None

    async def insist(self, attempt: Callable[[float | None], Awaitable[R]]) -> R:
        """Do what is harmless to repeat: try again after an unknown outcome, too.

        Args:
            attempt: Makes one try. It is given the moment, on the monotonic clock, at which the first try with an
                unknown outcome began; None while there was none.

        Raises:
            OutcomeUnknown: One try's outcome was unknown and none was answered since; sure failures after
                it do not make it sure.
        """
        unknown: OutcomeUnknown | None = None
        doubtful_since: float | None = None
        while True:
            began = time.monotonic()
            try:
                return await attempt(doubtful_since)
            except (WindowExceeded, TurnIdReused):
                raise
            except VersionConflict as conflict:
                # An earlier try that lands late meets the same conflict, unless the version can still grow into it.
                if unknown is None or conflict.current > conflict.expected:
                    raise
                raise unknown from conflict
            except OutcomeUnknown as error:
                unknown = error
                doubtful_since = began if doubtful_since is None else doubtful_since
                await self._pause(error)
            except Unavailable as error:
                await self._pause(unknown or error)
            except BackscrollError as error:
                if unknown is None:
                    raise
                raise unknown from error
            except Exception as error:  # noqa: BLE001 - it is told what is known of it
                raise OutcomeUnknown(_unmapped(error)) from None

    async def _pause(self, failure: BackscrollError) -> None:
        """Wait before the next try, with full jitter below a bound that doubles; raise where the time is up."""
        import random

        if not isinstance(failure, DeadlineExceeded):
            self._reason = failure
        seconds = random.uniform(0, self._longest_pause)  # noqa: S311  # jitter, not a secret
        self._longest_pause = min(2 * self._longest_pause, LONGEST_PAUSE)
        if seconds < self.deadline.remaining():
            await self.sleep(seconds)
            if self.deadline.remaining():
                return
        # That the last try came too late says less than why those before it failed.
        failure = self._reason if self._reason and isinstance(failure, DeadlineExceeded) else failure
        if isinstance(failure, Unavailable) and self.tries > 1:
            raise type(failure)(
                f"{failure} (gave up after {self.tries} tries within {self.deadline.seconds:g} s)"
            ) from failure
        raise failure


def _unmapped(error: Exception) -> str:
    """What is said of an error that the backend did not map: where it was, and not its text, which may hold secrets."""
    import errno
    import traceback
    from pathlib import Path

    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    library = Path(traceback.__file__).parent
    # The place where the standard library was called says more than the one in it.
    own = [one for one in frames if library not in one[0].parents or "site-packages" in one[0].parts]
    path, line = (own or frames)[-1]
    kind = type(error)
    # Without its module, a struct.error would be an error and no more.
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    if isinstance(error, OSError) and (code := errno.errorcode.get(error.errno or 0)):
        name += f" ({code})"
    return f"the backend failed with {name} at {path.name}:{line}"
