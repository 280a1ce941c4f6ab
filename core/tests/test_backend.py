"""What the base class lends to every backend."""

import asyncio
import gc
import inspect
import os
import threading
import weakref
from typing import Any

import pytest
from toy import TOY, Toy

from backscroll import Closed, Message, OutcomeUnknown, Store, Unsupported
from backscroll import backend as spi
from backscroll.backend import Backend, BackendOptions, Deadline
from backscroll.capabilities import Capability, declare, unsupported

PLAIN = {"append", "read", "info", "setup", "ping", "close"}
OPTIONAL = {"count", "sessions", "discard", "remove", "delete", "purge", "watch"}


class Bare(Backend):
    """Has what it must have and no more."""

    append = read = info = setup = ping = close = lambda self, *args: args  # type: ignore[assignment]


def bare() -> Bare:
    """One that declares to do nothing that is optional."""
    backend = Bare(TOY, spi.URL("toy"), BackendOptions())
    backend.capabilities = declare({capability: unsupported("too small") for capability in Capability})
    return backend


@pytest.mark.parametrize("missing", sorted(PLAIN))
def test_abstract(missing: str) -> None:
    """A backend without one of the methods that it must have cannot be made."""
    methods = {name: (lambda self, *args: args) for name in PLAIN - {missing}}

    with pytest.raises(TypeError, match=missing):
        type("Incomplete", (Backend,), methods)(TOY, spi.URL("toy"), BackendOptions())


def test_attributes() -> None:
    """A backend has what it was made with, and its own copy of what it can do."""
    options = BackendOptions(threads=3)
    backend = Bare(TOY, spi.URL("toy"), options)

    assert (backend.declared, backend.url, backend.options, backend.limits) == (
        TOY,
        spi.URL("toy"),
        options,
        TOY.limits,
    )
    backend.capabilities.clear()
    assert Bare(TOY, spi.URL("toy"), options).capabilities == TOY.capabilities != {}


@pytest.mark.parametrize("name", sorted(OPTIONAL))
async def test_optional(name: str) -> None:
    """What a backend leaves out raises `Unsupported` with the declared reason, in both forms."""
    count = len(inspect.signature(getattr(Backend, name)).parameters) - 1

    with pytest.raises(Unsupported) as caught:
        getattr(bare(), name)(*range(count))
    with pytest.raises(Unsupported):
        await getattr(bare(), f"a{name}")(*range(count))

    assert str(caught.value) == f"toy does not support {name}: too small"


@pytest.mark.parametrize("name", sorted(PLAIN | OPTIONAL))
def test_twins(name: str) -> None:
    """Every method has an async twin with the same arguments, and a docstring."""
    one, twin = getattr(Backend, name), getattr(Backend, f"a{name}")

    assert inspect.signature(one) == inspect.signature(twin)
    assert inspect.iscoroutinefunction(twin)
    assert one.__doc__
    assert twin.__doc__


@pytest.mark.parametrize("name", sorted(PLAIN - {"close"}))
async def test_twins_run_the_method(name: str) -> None:
    """By default the twin runs the method in a thread, with the same arguments."""
    backend = bare()
    count = len(inspect.signature(getattr(Backend, name)).parameters) - 1

    assert await getattr(backend, f"a{name}")(*range(count)) == tuple(range(count))
    backend.release_threads()


async def test_threads_are_bounded() -> None:
    """No more calls run at once than the option says; the others wait."""
    backend = Toy(threads=3)
    together = threading.Barrier(3, timeout=20)
    running: list[str] = []
    at_once: list[int] = []

    def call() -> None:
        running.append(threading.current_thread().name)
        together.wait()  # never passed by fewer than three, nor by a fourth
        at_once.append(len(running))
        together.wait()

    await asyncio.gather(*(backend.in_thread(call) for _ in range(9)))

    assert len(set(running)) == 3
    assert max(at_once[:3]) == 3
    assert all(name.startswith("backscroll-toy") for name in running)
    backend.release_threads()


async def test_in_thread() -> None:
    """It passes arguments, answers and exceptions on."""
    backend = Toy()

    assert await backend.in_thread(divmod, 7, 2) == (3, 1)
    assert await backend.in_thread(int, "ff", base=16) == 255
    with pytest.raises(ZeroDivisionError):
        await backend.in_thread(divmod, 1, 0)

    backend.close()
    with pytest.raises(Closed):
        await backend.in_thread(divmod, 7, 2)


async def test_release_threads_waits_for_nobody() -> None:
    """Releasing the threads does not wait, and what runs in them comes to its end."""
    backend = Toy(threads=1)
    gate = threading.Event()

    def call() -> str:
        assert gate.wait(20)
        return "done"

    task = asyncio.create_task(backend.in_thread(call))
    await asyncio.sleep(0)  # so that it is begun
    backend.release_threads()
    gate.set()

    assert await task == "done"


async def test_call_that_got_no_thread_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no further thread can be started, one that is there may do it all the same."""
    store = Store(Toy(threads=2))
    busy, free = threading.Event(), threading.Event()
    store.append("s", Message("user", "first"))  # here, so that no thread of the pool is idle

    def hold() -> None:
        busy.set()
        free.wait(10)

    holding = asyncio.ensure_future(store._backend.in_thread(hold))
    assert await asyncio.to_thread(busy.wait, 10)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(OutcomeUnknown) as caught:
        await store.aappend("s", Message("user", "second"))
    monkeypatch.undo()
    free.set()
    await holding
    assert (await store.aappend("s", Message("user", "second"), turn_id=caught.value.turn_id)).duplicate
    store.close()


def test_per_loop() -> None:
    """A loop has one object of its own, which goes with it."""
    backend = bare()
    made: list[weakref.ref[Any]] = []

    class Client:
        pass

    def factory() -> Client:
        client = Client()
        made.append(weakref.ref(client))
        return client

    async def use() -> int:
        first = backend.per_loop(factory)
        await asyncio.sleep(0)
        assert backend.per_loop(factory) is first
        return id(first)

    for count in (1, 2, 3):
        asyncio.run(use())
        assert len(made) == count
    gc.collect()

    assert [client() for client in made] == [None] * 3


def test_per_loop_lets_ended_loops_go() -> None:
    """An object that refers to its loop goes with it when the next loop gets its own."""
    backend = bare()

    async def use() -> "weakref.ref[Any]":
        return weakref.ref(backend.per_loop(lambda: Client(asyncio.get_running_loop())))

    class Client:
        def __init__(self, loop: Any) -> None:
            self.loop = loop

    first = asyncio.run(use())
    asyncio.run(use())
    gc.collect()
    assert first() is None


def test_per_loop_releases_at_the_end_of_the_loop() -> None:
    """What a loop had is released on that loop, once, when it ends; also where nobody closed the store."""
    backend = bare()
    released: list[tuple[str, bool]] = []

    async def use(name: str) -> None:
        loop = asyncio.get_running_loop()

        async def release(made: str) -> None:
            await asyncio.sleep(0)
            released.append((made, asyncio.get_running_loop() is loop))

        for _ in range(2):
            assert backend.per_loop(lambda: name, release) == name
        assert (name, True) not in released

    asyncio.run(use("first"))
    assert released == [("first", True)]
    asyncio.run(use("second"))
    assert released == [("first", True), ("second", True)]


def test_per_loop_needs_a_loop() -> None:
    """Without a loop there is none to belong to."""
    with pytest.raises(RuntimeError):
        bare().per_loop(object)


def test_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadline tells the seconds that are left, and none once it has passed."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    deadline = Deadline(5)
    assert (deadline.seconds, deadline.remaining()) == (5, 5.0)
    for now[0], left in ((103.0, 2.0), (105.0, 0.0), (200.0, 0.0)):
        assert deadline.remaining() == left


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_fork() -> None:
    """The child of a fork drops threads and loops of its parent, and works with new ones."""
    backend = Toy()
    store = Store(backend)
    store.append("s", {"role": "user", "content": "before"})

    async def parent() -> None:
        await store.alast("s")
        backend.per_loop(object)

    asyncio.run(parent())
    loop = asyncio.new_event_loop()
    backend._by_loop._by_loop[loop] = "the parent's", None
    assert backend._making_threads.acquire()  # as another thread would hold it
    child = os.fork()
    if child == 0:  # no assertion may leave the child
        try:
            dropped = backend._threads is None and not len(backend._by_loop)
            read = asyncio.run(store.alast("s", timeout=5))
            os._exit(0 if dropped and len(read) == 1 else 1)
        finally:
            os._exit(2)
    backend._making_threads.release()
    _, status = os.waitpid(child, 0)
    loop.close()

    assert os.waitstatus_to_exitcode(status) == 0
    assert backend._threads is not None
    assert len(asyncio.run(store.alast("s"))) == 1
    store.close()


def test_exports() -> None:
    """The module exports what it defines for plugins, and what they need beside it."""
    assert len(spi.__all__) == len(set(spi.__all__))
    own = {name for name, value in vars(spi).items() if inspect.isclass(value) and value.__module__ == spi.__name__}
    assert own <= set(spi.__all__)
    assert all(hasattr(spi, name) for name in spi.__all__)
