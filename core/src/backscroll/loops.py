"""What belongs to one event loop: made at its first use there, and released when the loop ends."""

import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

R = TypeVar("R")


class LoopLocal:
    """The objects of several event loops, one for each."""

    def __init__(self) -> None:
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Any, Any]]
        self._by_loop = weakref.WeakKeyDictionary()

    def get(self, factory: Callable[[], R], release: Callable[[R], Awaitable[Any]] | None = None) -> R:
        """The object of the running loop.

        Args:
            factory: Makes it at its first use there.
            release: Is awaited when the loop ends in the way of `asyncio.run`.
        """
        import asyncio

        loop = asyncio.get_running_loop()
        if loop not in self._by_loop:
            # An object may refer to its loop, so that neither of them would ever go by itself.
            for ended in [other for other in self._by_loop if other.is_closed()]:
                del self._by_loop[ended]
            made = factory()
            self._by_loop[loop] = made, _at_the_end(release, made) if release else None
        found: R = self._by_loop[loop][0]
        return found

    def __len__(self) -> int:
        return len(self._by_loop)


def _at_the_end(release: Callable[[R], Awaitable[Any]], made: R) -> AsyncGenerator[None, None]:
    """What awaits the release when the running loop ends: loops close generators that have begun, and nothing else."""

    async def guard() -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await release(made)

    generator = guard()
    with suppress(StopIteration):
        generator.__anext__().send(None)
    return generator
