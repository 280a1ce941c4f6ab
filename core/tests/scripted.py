"""A toy backend whose outcomes a test writes down, a clock that only waits move, and both forms of an operation."""

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from toy import Toy

from backscroll import Store, calls, retry, writing
from backscroll.admin import Admin
from backscroll.capabilities import FULL, Capability


def landed(error: Exception) -> Callable[[Callable[[], Any]], Any]:
    """Done, but the answer is lost: what `error` says."""

    def outcome(act: Callable[[], Any]) -> Any:
        act()
        raise error

    return outcome


class Scripted(Toy):
    """Takes one outcome of the script at each call of a method, then does what a toy does.

    An outcome is an exception, which is raised, or a function that is given what the toy would do.
    """

    def __init__(self, script: dict[str, list[Any]] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.script = script or {}
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def called(self) -> list[str]:
        return [name for name, _ in self.calls]

    async def in_thread(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs)


def _scripted(name: str) -> Callable[..., Any]:
    plain = getattr(Toy, name) if name != "watch" else lambda *args: None

    def method(self: Scripted, *args: Any) -> Any:
        self.calls.append((name, args))
        outcomes = self.script.get(name)
        outcome = outcomes.pop(0) if outcomes else None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome(lambda: plain(self, *args)) if outcome else plain(self, *args)

    method.__name__ = name
    return method


METHODS = (
    "append",
    "read",
    "info",
    "count",
    "sessions",
    "discard",
    "remove",
    "delete",
    "purge",
    "watch",
    "setup",
    "ping",
)
for _name in METHODS:
    setattr(Scripted, _name, _scripted(_name))


class Watching(Scripted):
    """Says when something is new: at once, unless the script has it otherwise."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.capabilities[Capability.WATCH] = FULL


class Clock:
    """Stands still but for the waits of the retry rule, which take no time, and the `lag` with which each ends.

    A coarse one does not see them at all.
    """

    def __init__(self) -> None:
        self.now = 1_000.0
        self.lag = 0.0
        self.coarse = False
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        if not self.coarse:
            self.now += seconds + self.lag


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of all deadlines and waits."""
    clock = Clock()
    fake = SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep, time_ns=time.time_ns)
    for module in (calls, retry, writing):
        monkeypatch.setattr(module, "time", fake)

    async def sleep(self: Any, seconds: float) -> None:
        clock.sleep(seconds)

    monkeypatch.setattr(retry.AsyncIO, "sleep", sleep)
    return clock


@attrs.frozen
class Form:
    """Calls the operations of a store in one of their two forms."""

    prefix: str

    def __call__(self, store: Any, operation: str, *args: Any, **kwargs: Any) -> Any:
        method = getattr(store, self.prefix + operation)
        return asyncio.run(method(*args, **kwargs)) if self.prefix else method(*args, **kwargs)


@pytest.fixture(params=["", "a"], ids=["sync", "async"])
def form(request: pytest.FixtureRequest) -> Form:
    """Each form in turn."""
    return Form(request.param)


def user(text: str = "hi!") -> dict[str, str]:
    """A user's message."""
    return {"role": "user", "content": text}


def texts(records: Any) -> list[Any]:
    """The texts of some records."""
    return [record.message.content for record in records]


def store_over(backend: Toy, **kwargs: Any) -> Store:
    """A store that needs no schema."""
    return _set_up(Store(backend, **kwargs))


def admin_over(backend: Toy) -> Admin:
    """The same for those who run it."""
    return _set_up(Admin(backend))


def _set_up(store: Any) -> Any:
    store._is_set_up = True
    return store
