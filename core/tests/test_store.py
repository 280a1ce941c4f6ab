"""`Store` itself: its making, its text, and its end."""

import inspect
from typing import Any

import pytest
from scripted import Form, Scripted, form

from backscroll import Closed, Health, History, Store

__all__ = ["form"]


class Counting(Scripted):
    closed = aclosed = 0

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.aclosed += 1


def test_making_asks_nobody() -> None:
    """Making a store or a history does no I/O."""
    backend = Scripted()

    store = Store(backend)

    assert isinstance(store.history("s"), History)
    assert (store.history("s").session_id, store.history("s").store) == ("s", store)
    assert repr(store) == "<Store toy>"
    assert backend.calls == []


def test_ping(form: Form) -> None:
    """A ping gives what the backend says of its server."""
    health = Health("toy 1.0", ("a problem",))

    assert form(Store(Scripted({"ping": [lambda act: health]})), "ping") == health


def test_close() -> None:
    """Closing closes the backend, and may be repeated."""
    backend = Counting()
    with Store(backend) as store:
        assert store.ping() == Health("toy")
    store.close()

    assert (backend.closed, backend.aclosed, repr(store)) == (2, 0, "<Store toy (closed)>")
    with pytest.raises(Closed):
        store.ping()


async def test_aclose() -> None:
    """So does its async twin."""
    backend = Counting()
    async with Store(backend) as store:
        assert await store.aping() == Health("toy")

    assert (backend.closed, backend.aclosed, repr(store)) == (0, 1, "<Store toy (closed)>")
    with pytest.raises(Closed):
        await store.aping()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_context_manager_hides_nothing(error: type[BaseException]) -> None:
    """An exception passes through a `with`, and the store is closed."""
    backend = Counting()

    with pytest.raises(error), Store(backend):
        raise error

    assert backend.closed == 1


def test_final() -> None:
    """The class says that it is final, and every public member has a docstring."""
    assert Store.__final__ is True
    members: list[tuple[str, Any]] = inspect.getmembers(Store)
    assert all(value.__doc__ for name, value in members if not name.startswith("_"))
