"""`LossyBackend`: a bad line between a store and its backend."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

import backscroll
from backscroll import Message, Store
from backscroll.backend import Backend, Deadline, Turn, Window
from backscroll.errors import OutcomeUnknown, Unavailable
from backscroll_conformance.lossy import LossyBackend
from backscroll_conformance.target import Target

TURN = Turn(backscroll.turn_id.as_turn_id("a"), b"12345678", (b"{}",))
CALLS: dict[str, tuple[Any, ...]] = {
    "append": ("s", TURN),
    "read": ("s", Window(None, None, 5, newest=False, now=0)),
    "info": ("s",),
    "setup": (),
    "ping": (),
    "count": ("s", 0),
    "sessions": ("", None, 5),
    "discard": ("s", 1),
    "remove": ("s", (0,), 0),
    "delete": ("s", 1),
    "purge": (),
}
"""The arguments of each operation, but for the deadline."""

REPEATED = ("append", "discard", "delete", "setup")


@pytest.fixture
def lossy(tmp_path: Any) -> Iterator[Callable[..., LossyBackend]]:
    """Makes backends that lose answers, over SQLite."""
    with ExitStack() as stack:

        def lossy(inner: Backend | None = None, **options: Any) -> LossyBackend:
            made = LossyBackend(
                inner or Target(backend="sqlite", url=f"sqlite:///{tmp_path}/chat.db").connect(), **options
            )
            made._inner.setup(Deadline(5))
            stack.callback(made.close)
            return made

        yield lossy


async def outcome(backend: Backend, name: str, *, is_async: bool) -> Any:
    """What a call gives, or the class of what it raises."""
    method = getattr(backend, f"a{name}" if is_async else name)
    try:
        answer = method(*CALLS[name], Deadline(5))
        return await answer if is_async else answer
    except Exception as error:  # noqa: BLE001 - it is what the call gave
        return type(error)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("name", CALLS)
async def test_only_what_a_store_repeats_loses_its_answer(
    lossy: Callable[..., LossyBackend], name: str, is_async: bool
) -> None:
    """Every call can fail surely; an unknown outcome meets only those that a store may repeat."""
    backend = lossy(probability=1.0)
    seen = {await outcome(backend, name, is_async=is_async) for _ in range(30)}
    assert seen == ({Unavailable, OutcomeUnknown} if name in REPEATED else {Unavailable})


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("name", CALLS)
async def test_without_losses_it_answers_as_the_other(
    lossy: Callable[..., LossyBackend], name: str, is_async: bool
) -> None:
    """A call that meets no loss goes through to the same method of the other backend, in its own form."""
    called = []

    class Inner(LossyBackend):
        def __getattribute__(self, attribute: str) -> Any:
            if attribute in (name, f"a{name}"):
                called.append(attribute)
            return super().__getattribute__(attribute)

    plain = lossy(probability=0.0)._inner
    backend = lossy(Inner(plain, probability=0.0), probability=0.0)
    called.clear()
    answer = await outcome(backend, name, is_async=is_async)
    assert called == [f"a{name}" if is_async else name]
    assert type(answer) is type(await outcome(plain, name, is_async=False))


def test_it_is_described_as_the_other(lossy: Callable[..., LossyBackend]) -> None:
    """It declares, is opened by and goes as far as the backend behind it."""
    backend = lossy()
    inner = backend._inner
    for name in ("declared", "url", "options", "capabilities", "limits"):
        assert getattr(backend, name) is getattr(inner, name)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_store_makes_up_for_the_losses(lossy: Callable[..., LossyBackend], is_async: bool) -> None:
    """What a store appends over a bad line is there once, whatever was lost, and every kind of loss is told."""
    told: list[str] = []
    store = Store(lossy(probability=0.4, seed=1, tell=told.append))
    texts = [f"message {number}" for number in range(30)]
    for text in texts:
        answer = store.aappend("s", Message("user", text)) if is_async else store.append("s", Message("user", text))
        assert not (await answer if is_async else answer).duplicate  # type: ignore[union-attr,misc]
    assert [record.message.content for record in store.read("s", limit=100)] == texts  # type: ignore[union-attr]
    kinds = {line.removeprefix("append: ") for line in told if line.startswith("append: ")}
    assert kinds == {
        "done, and its answer was lost",
        "not done, and the backend did not say so",
        "not done, and the backend said so",
    }


def test_the_seed_decides_which_calls_are_lost(lossy: Callable[..., LossyBackend]) -> None:
    """The same seed loses the same calls again."""
    told: list[list[str]] = [[], []]
    for lines in told:
        backend = lossy(probability=0.3, tell=lines.append)
        backend.random.seed(7)
        for _ in range(30):
            with suppress(Unavailable, OutcomeUnknown):
                backend.append("s", TURN, Deadline(5))
    assert told[0] == told[1]
    assert told[0]
