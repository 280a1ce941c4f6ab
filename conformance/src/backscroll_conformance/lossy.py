"""A backend that loses answers: it stands between a store and a backend, and is what the store's retries are for."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, ParamSpec, TypeVar

from backscroll.backend import Appended, Backend, Deadline, Health, Page, SessionInfo, SessionPage, Turn, Window
from backscroll.errors import OutcomeUnknown, Unavailable

P = ParamSpec("P")
R = TypeVar("R")

REPEATABLE: Final = frozenset({"append", "discard", "delete", "setup"})
"""What a store repeats after an unknown outcome; of everything else no answer is lost."""


def _unheard(_: str) -> None:
    """Tell nobody."""


class LossyBackend(Backend):
    """Another backend over a bad line.

    A call that meets a loss raises `Unavailable` and is not made; or, where a store may repeat it, `OutcomeUnknown`,
    made or not made.

    Args:
        inner: The backend that does the work.
        probability: Of a loss in each call, 0 to 1.
        seed: Which calls they are.
        tell: Is told of each loss, in words.

    Attributes:
        random: Decides; seed it anew to meet the same losses again.
    """

    def __init__(
        self, inner: Backend, *, probability: float = 0.15, seed: int = 0, tell: Callable[[str], None] = _unheard
    ) -> None:
        super().__init__(inner.declared, inner.url, inner.options)
        self.capabilities = inner.capabilities
        self.limits = inner.limits
        self.random: Final = Random(seed)  # noqa: S311 - it keeps no secret
        self._inner: Final = inner
        self._probability = probability
        self._tell = tell

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        """Perhaps append."""
        return self._perhaps(self._inner.append, session_id, turn, deadline)

    def read(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        """Perhaps read."""
        return self._perhaps(self._inner.read, session_id, window, deadline)

    def info(self, session_id: str, deadline: Deadline) -> SessionInfo:
        """Perhaps look the session up."""
        return self._perhaps(self._inner.info, session_id, deadline)

    def setup(self, deadline: Deadline) -> Health:
        """Perhaps make the schema."""
        return self._perhaps(self._inner.setup, deadline)

    def ping(self, deadline: Deadline) -> Health:
        """Perhaps ask the server."""
        return self._perhaps(self._inner.ping, deadline)

    def close(self) -> None:
        """Close the other one."""
        self._inner.close()
        self.release_threads()

    def count(self, session_id: str, now: int, deadline: Deadline) -> int:
        """Perhaps count."""
        return self._perhaps(self._inner.count, session_id, now, deadline)

    def sessions(self, prefix: str, cursor: str | None, limit: int, deadline: Deadline) -> SessionPage:
        """Perhaps list the sessions."""
        return self._perhaps(self._inner.sessions, prefix, cursor, limit, deadline)

    def discard(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Perhaps drop the oldest messages."""
        self._perhaps(self._inner.discard, session_id, before, deadline)

    def remove(self, session_id: str, seqs: tuple[int, ...], now: int, deadline: Deadline) -> tuple[int, ...]:
        """Perhaps drop single messages."""
        return self._perhaps(self._inner.remove, session_id, seqs, now, deadline)

    def delete(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Perhaps drop the session."""
        self._perhaps(self._inner.delete, session_id, before, deadline)

    def purge(self, deadline: Deadline) -> int:
        """Perhaps drop what has expired."""
        return self._perhaps(self._inner.purge, deadline)

    def watch(self, session_id: str, version: int, deadline: Deadline) -> None:
        """Perhaps wait for news."""
        self._perhaps(self._inner.watch, session_id, version, deadline)

    async def aappend(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        """Async twin of `append`."""
        return await self._aperhaps(self._inner.aappend, session_id, turn, deadline)

    async def aread(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        """Async twin of `read`."""
        return await self._aperhaps(self._inner.aread, session_id, window, deadline)

    async def ainfo(self, session_id: str, deadline: Deadline) -> SessionInfo:
        """Async twin of `info`."""
        return await self._aperhaps(self._inner.ainfo, session_id, deadline)

    async def asetup(self, deadline: Deadline) -> Health:
        """Async twin of `setup`."""
        return await self._aperhaps(self._inner.asetup, deadline)

    async def aping(self, deadline: Deadline) -> Health:
        """Async twin of `ping`."""
        return await self._aperhaps(self._inner.aping, deadline)

    async def acount(self, session_id: str, now: int, deadline: Deadline) -> int:
        """Async twin of `count`."""
        return await self._aperhaps(self._inner.acount, session_id, now, deadline)

    async def asessions(self, prefix: str, cursor: str | None, limit: int, deadline: Deadline) -> SessionPage:
        """Async twin of `sessions`."""
        return await self._aperhaps(self._inner.asessions, prefix, cursor, limit, deadline)

    async def adiscard(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Async twin of `discard`."""
        await self._aperhaps(self._inner.adiscard, session_id, before, deadline)

    async def aremove(self, session_id: str, seqs: tuple[int, ...], now: int, deadline: Deadline) -> tuple[int, ...]:
        """Async twin of `remove`."""
        return await self._aperhaps(self._inner.aremove, session_id, seqs, now, deadline)

    async def adelete(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Async twin of `delete`."""
        await self._aperhaps(self._inner.adelete, session_id, before, deadline)

    async def apurge(self, deadline: Deadline) -> int:
        """Async twin of `purge`."""
        return await self._aperhaps(self._inner.apurge, deadline)

    async def awatch(self, session_id: str, version: int, deadline: Deadline) -> None:
        """Async twin of `watch`."""
        await self._aperhaps(self._inner.awatch, session_id, version, deadline)

    async def aclose(self) -> None:
        """Async twin of `close`."""
        await self._inner.aclose()
        self.release_threads()

    def _perhaps(self, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        name = method.__name__
        loses_answer = self._meet_loss(name)
        answer = method(*args, **kwargs)
        if loses_answer:
            self._lose_answer(name)
        return answer

    async def _aperhaps(self, method: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        name = method.__name__.removeprefix("a")
        loses_answer = self._meet_loss(name)
        answer = await method(*args, **kwargs)
        if loses_answer:
            self._lose_answer(name)
        return answer

    def _meet_loss(self, name: str) -> bool:
        """Raise where the call is not to be made; else say whether its answer is to be lost."""
        if self.random.random() >= self._probability:
            return False
        kind = self.random.choice(("unavailable", "unsent", "unanswered") if name in REPEATABLE else ("unavailable",))
        if kind == "unavailable":
            self._tell(f"{name}: not done, and the backend said so")
            raise Unavailable(f"{name}: the line is bad")
        if kind == "unsent":
            self._tell(f"{name}: not done, and the backend did not say so")
            raise OutcomeUnknown(f"{name}: the question was lost")
        return True

    def _lose_answer(self, name: str) -> None:
        self._tell(f"{name}: done, and its answer was lost")
        raise OutcomeUnknown(f"{name}: the answer was lost")
