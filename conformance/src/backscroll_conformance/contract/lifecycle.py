"""The life of a store: opening, threads, loops, forks, what it holds."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from backscroll import Store
from backscroll.backend import Capability
from backscroll.errors import Unavailable
from backscroll_conformance.clauses import Form, clause
from backscroll_conformance.contract.calls import calls
from backscroll_conformance.expect import equal, fail, true
from backscroll_conformance.subject import NotRun, Subject, in_threads, messages, numbered

DESCRIPTORS: Final = Path("/proc/self/fd")

CANCELLED: Final = 25
"""How many calls of each operation are cancelled: more than a pool has connections."""


@clause("LIF-001")
async def lazy(s: Subject) -> None:
    """Opening a store MUST do no I/O: it opens no file or connection and starts no thread."""
    before = _held()
    stores = [s.open()[0] for _ in range(10)]
    for store in stores:
        store.target.history(s.session())
    descriptors, threads = _held()
    true(descriptors < before[0] + 10, f"opening 10 stores opened {descriptors - before[0]} descriptors")
    true(threads < before[1] + 10, f"opening 10 stores started {threads - before[1]} threads")


@clause("LIF-002")
async def many_threads(s: Subject) -> None:
    """The first use of a store by many threads at once MUST be safe."""
    for _ in range(3):
        session_id = s.session()
        store: Store = s.open()[0].target

        def call(number: int, store: Store = store, session_id: str = session_id) -> object:
            if s.form is Form.SYNC:
                return store.append(session_id, messages(f"message {number}"))
            return asyncio.run(store.aappend(session_id, messages(f"message {number}")))

        answers = in_threads([lambda number=number: call(number) for number in range(8)])  # type: ignore[misc]
        failed = [f"{type(answer).__name__}: {answer}" for answer in answers if isinstance(answer, Exception)]
        equal(failed, [], "what failed of 8 appends at once, the first ones of their store")
        equal(sorted(await s.texts(session_id)), sorted(numbered(8)), "the texts")


@clause("LIF-003", forms=(Form.ASYNC,))
async def many_loops(s: Subject) -> None:
    """A store MUST work on one event loop after another, and on several at once."""
    session_id = s.session()
    store: Store = s.open()[0].target

    def on_a_loop(text: str) -> object:
        async def work() -> object:
            await asyncio.gather(*(store.aappend(session_id, messages(f"{text}.{n}")) for n in range(3)))
            return await store.alast(session_id)

        return asyncio.run(work())

    for number in range(2):
        for answer in await asyncio.to_thread(in_threads, [lambda number=number: on_a_loop(f"alone {number}")]):  # type: ignore[misc]
            true(not isinstance(answer, Exception), f"loop {number + 1} failed: {answer!r}")
    both = [lambda name=name: on_a_loop(name) for name in ("one", "two")]
    for answer in await asyncio.to_thread(in_threads, both):
        true(not isinstance(answer, Exception), f"one of two loops at once failed: {answer!r}")
    equal(len(await s.texts(session_id)), 12, "how many messages there are")


@clause("LIF-006")
async def bounded(s: Subject) -> None:
    """What a store holds MUST NOT grow with the number of sessions it serves."""
    for _ in range(20):
        await _use(s)
    before = _held()
    for _ in range(100):
        await _use(s)
    descriptors, threads = _held()
    true(descriptors < before[0] + 30, f"100 more sessions opened {descriptors - before[0]} more descriptors")
    true(threads < before[1] + 30, f"100 more sessions started {threads - before[1]} more threads")


@clause("LIF-007", forms=(Form.ASYNC,))
async def free_loop(s: Subject) -> None:
    """An async operation MUST leave the event loop free while it is under way."""
    session_id = s.session()
    turns = 0

    async def spin() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    spinning = asyncio.create_task(spin())
    try:
        await s.store.append(session_id, messages("first"))
        for operation, call in calls(s, session_id, 10.0).items():
            blocked = 0
            for _ in range(5):
                await asyncio.sleep(0)
                before = turns
                await call()
                blocked += turns == before
            true(blocked < 5, f"a{operation} held the event loop from its beginning to its end")
        if s.capabilities[Capability.WATCH]:
            version = await s.store.version(session_id)
            before = turns
            began = time.monotonic()
            with contextlib.suppress(Unavailable):
                await s.backend.watch(session_id, version, s.deadline(0.2))
            # One that does not wait at all may return at once.
            is_free = turns > before or time.monotonic() - began < 0.1
            true(is_free, "awatch held the event loop from its beginning to its end")
    finally:
        spinning.cancel()


@clause("LIF-008", forms=(Form.ASYNC,))
async def cancelled(s: Subject) -> None:
    """A cancelled append MUST pass the cancellation on, leave the store usable, and land once when it is repeated."""
    session_id = s.session()
    await s.store.append(session_id, messages("first"))
    for number in range(10):
        own = f"own {number}"
        task = asyncio.create_task(s.store.append(session_id, messages(own), turn_id=own))
        for _ in range(number % 5):
            await asyncio.sleep(0)
        was_under_way = not task.done() and task.cancel()
        try:
            await task
            true(not was_under_way, "an append that was cancelled answered as though it was not")
        except asyncio.CancelledError:
            pass
        await s.store.append(session_id, messages(own), turn_id=own)
    expected = ["first", *(f"own {number}" for number in range(10))]
    equal(await s.texts(session_id), expected, "the texts, after each cancelled append was repeated")


@clause("LIF-010", forms=(Form.ASYNC,))
async def cancelled_reads(s: Subject) -> None:
    """A cancelled read MUST leave the store usable."""
    session_id = s.session()
    await s.store.append(session_id, messages("first"))
    reads: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "last": lambda: s.store.last(session_id),
        "info": lambda: s.store.info(session_id),
        "ping": s.store.ping,
    }
    if s.capabilities[Capability.COUNT]:
        reads["count"] = lambda: s.store.count(session_id)
    if s.capabilities[Capability.SESSIONS]:
        reads["sessions"] = lambda: s.store.sessions(prefix=session_id)
    for name, read in reads.items():
        expected = await read()
        for number in range(CANCELLED):
            task = asyncio.create_task(read())
            for _ in range(number % 5):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        equal(await read(), expected, f"the answer to {name} after {CANCELLED} of it were cancelled")
    equal(await s.texts(session_id), ["first"], "the texts")


@clause("LIF-004")
async def fork(s: Subject) -> None:
    """A store MUST survive a fork, in the child and in the parent."""
    if not hasattr(os, "fork"):
        raise NotRun("this system has no fork")
    session_id = s.session()
    twin, _ = s.open(timeout=5.0)
    await twin.append(session_id, messages("before"))
    store: Store = twin.target

    def append() -> object:
        if s.form is Form.SYNC:
            return store.append(session_id, messages("in the child"))
        return asyncio.run(store.aappend(session_id, messages("in the child")))

    equal(_ended(_forked(append)), 0, "how the child of a fork ended, after it appended")
    await twin.append(session_id, messages("after"))
    equal(await s.texts(session_id), ["before", "in the child", "after"], "the texts")


def _ended(child: int) -> int:
    """The exit code of a child process, within 20 s."""
    end = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > end:
            os.kill(child, 9)
            os.waitpid(child, 0)
            fail("an append in the child of a fork did not end within 20 s")
        time.sleep(0.005)
    return os.waitstatus_to_exitcode(ended[1])


def _forked(work: Callable[[], object]) -> int:
    import warnings

    with warnings.catch_warnings():
        # Python warns of forks in a process with threads; that is the very thing that is tried here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    finally:
        os._exit(1)


async def _use(s: Subject) -> None:
    session_id = s.session()
    await s.store.append(session_id, messages("a"))
    await s.store.last(session_id)


def _held() -> tuple[int, int]:
    """How many descriptors and threads this process has; descriptors where the system tells."""
    descriptors = len(list(DESCRIPTORS.iterdir())) if DESCRIPTORS.exists() else 0
    return descriptors, threading.active_count()


@clause("LIF-009")
async def releases(s: Subject) -> None:
    """Closing a store MUST release what it opened."""
    session_id = s.session()
    await s.store.append(session_id, messages("a"))
    before = _held()
    for _ in range(10):
        store, _ = s.open()
        await store.last(session_id)
        await store.close()
    end = time.monotonic() + 10
    while (now := _held())[0] >= before[0] + 10 or now[1] >= before[1] + 10:
        grown = f"{now[0] - before[0]} descriptors and {now[1] - before[1]} threads"
        true(time.monotonic() < end, f"10 stores that were used and closed left {grown}")
        await s.pause(0.01)
