"""No call on SQLite outlives its deadline, and the async forms never hold up their loop."""

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import backscroll
from backscroll import DeadlineExceeded, OutcomeUnknown, Unavailable
from backscroll.backend import Deadline
from backscroll.sqlite import connections, file, layout

FAST = {"durability": "process", "timeout": 60}


def user(text: object) -> dict[str, str]:
    """A message."""
    return {"role": "user", "content": str(text)}


def texts(store: backscroll.Store) -> list[str]:
    """The texts of the session, in order."""
    return [record.message.content for record in store.iterate("chat")]


async def under_way(store: backscroll.Store) -> None:
    """Wait until a call has reached the file."""
    async with asyncio.timeout(20):
        while not store._backend._file.connections._under_way:  # noqa: ASYNC110  # it has no event to wait for
            await asyncio.sleep(0.001)


def fill(path: Path, rows: int) -> None:
    """Give the one session of the file many messages."""
    with closing(sqlite3.connect(path)) as db:
        db.executemany(layout.INSERT, ((1 << 32 | seq, None, None, b"{}") for seq in range(1, rows)))
        db.execute("UPDATE session SET next_seq = ?", (rows,))
        db.commit()


def test_other_thread_writes(open_store: Any) -> None:
    """A write that waits for another thread's ends at its deadline, and was not done; reads do not wait."""
    store = open_store()
    store.append("chat", user("before"))
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with store._backend._file.transaction(Deadline(60)):
            held.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    for call in (
        lambda: store.append("chat", user("late"), timeout=0.05),
        lambda: store.clear("chat", timeout=0.05),
        lambda: store.remove("chat", [0], timeout=0.05),
        lambda: store.setup(timeout=0.05),
    ):
        with pytest.raises(DeadlineExceeded, match="other threads wrote"):
            call()
    assert texts(store) == ["before"]
    done.set()
    thread.join()
    store.append("chat", user("after"))
    assert texts(store) == ["before", "after"]


def test_long_scan(open_store: Any, path: Path) -> None:
    """A count, a read or a discard that runs past its deadline is interrupted, and the store works on."""
    store = open_store(setup="never")
    store.setup()
    store.append("chat", user("x"))
    fill(path, 200_000)
    calls = (
        lambda: store.count("chat", timeout=1e-6),
        lambda: store.discard("chat", before=200_000, timeout=0.001),
    )
    for call in calls:
        with pytest.raises(DeadlineExceeded, match="raise timeout"):
            call()
    assert store.count("chat") == 200_000
    assert store.append("chat", user("y")).seqs == (200_000,)


async def test_long_scan_of_expired_rows(open_store: Any, path: Path) -> None:
    """A read through very many expired rows is interrupted, also in its async form."""
    store = open_store(setup="never")
    store.setup()
    store.append("chat", user("x"))
    fill(path, 200_000)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE message SET expires_at = 1")
        db.commit()
    with pytest.raises(DeadlineExceeded):
        store.read("chat", timeout=1e-6)
    with pytest.raises(DeadlineExceeded):
        await store.aread("chat", timeout=1e-6)
    assert await store.aread("chat") == []


async def test_async_appends_at_once(open_store: Any) -> None:
    """Of 200 async appends at once none is lost, and the loop goes on turning meanwhile."""
    store = open_store(timeout=60)
    ticks = 0
    done = asyncio.Event()

    async def tick() -> None:
        nonlocal ticks
        while not done.is_set():
            await asyncio.sleep(0.001)
            ticks += 1

    ticker = asyncio.create_task(tick())
    answers = await asyncio.gather(*(store.aappend("chat", [user(n), user(n)]) for n in range(200)))
    done.set()
    await ticker
    assert ticks > 20
    assert sorted(seq for answer in answers for seq in answer.seqs) == list(range(400))
    found = texts(store)
    assert found[::2] == found[1::2]
    assert sorted(found, key=int) == [str(n) for n in range(200) for _ in range(2)]


async def test_loop_turns_while_a_call_waits(open_store: Any, path: Path) -> None:
    """While an async append waits for a lock, its loop releases the lock."""
    store = open_store()
    await store.aappend("chat", user("before"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        waiting = asyncio.create_task(store.aappend("chat", user("after")))
        await under_way(store)
        assert not waiting.done()
        other.execute("ROLLBACK")
        await waiting
    assert texts(store) == ["before", "after"]


async def test_cancelled_append(open_store: Any, path: Path) -> None:
    """A cancelled append lands once or not at all, and repeating it with its turn_id is safe."""
    store = open_store(timeout=60)
    await store.aappend("chat", user("before"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        tasks = [asyncio.create_task(store.aappend("chat", user(n), turn_id=f"turn {n}")) for n in range(20)]
        await under_way(store)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 20
        other.execute("ROLLBACK")
    for number in range(20):
        await store.aappend("chat", user(number), turn_id=f"turn {number}")
    found = texts(store)
    assert found[0] == "before"
    assert sorted(found[1:], key=int) == [str(n) for n in range(20)]


async def test_async_deadline(open_store: Any, path: Path) -> None:
    """An async append that meets a lock ends at its deadline; repeating it with its turn_id stores it once."""
    store = open_store()
    await store.aappend("chat", user("before"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises((Unavailable, OutcomeUnknown)):
            await store.aappend("chat", user("late"), turn_id="late", timeout=0.05)
        other.execute("ROLLBACK")
    await store.aappend("chat", user("late"), turn_id="late")
    assert texts(store) == ["before", "late"]


def test_two_loops_at_once(open_store: Any) -> None:
    """Two event loops in two threads share one store."""
    store = open_store(**FAST)

    async def write(name: int) -> None:
        for number in range(20):
            await store.aappend("chat", [user(f"{name} {number}")] * 2)
            assert f"{name} {number}" in {record.message.content for record in await store.alast("chat", 200)}

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: asyncio.run(write(name)), range(2)))
    assert sorted(texts(store)) == sorted(f"{name} {n}" for name in range(2) for n in range(20) for _ in range(2))


def test_one_loop_after_another(open_store: Any) -> None:
    """A store serves one event loop after the other, and sync calls between them."""
    store = open_store(**FAST)
    asyncio.run(store.aappend("chat", user("one")))
    store.append("chat", user("two"))
    asyncio.run(store.aappend("chat", user("three")))
    assert texts(store) == ["one", "two", "three"]


async def test_async_close(path: Path) -> None:
    """An async store that is left has closed its connections, and its calls are refused."""
    async with backscroll.open(f"sqlite:///{path}") as store:
        await asyncio.gather(*(store.aappend("chat", user(n)) for n in range(10)))
        assert len(await store.alast("chat")) == 10
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(backscroll.Closed):
        await store.alast("chat")


@pytest.mark.parametrize("url", ["sqlite:///{path}", "sqlite://"])
def test_close_beside_calls(open_store: Any, path: Path, eventually: Any, url: str) -> None:
    """Calls beside a close end as usual or are refused; every acknowledged message is there, nothing stays open."""
    acknowledged: list[int] = []
    store = open_store(url.format(path=path), **FAST)
    store.append("chat", user("before"))

    def write(_: int) -> None:
        try:
            while True:
                answer = store.append("chat", user("x"))
                acknowledged.extend(answer.seqs)
                store.last("chat", 1)
        except backscroll.Closed:
            pass

    with ThreadPoolExecutor(4) as pool:
        writing = pool.map(write, range(4))
        eventually(lambda: len(acknowledged) >= 20)
        store.close()
        list(writing)
    store.close()
    lent = store._backend._file.connections
    assert (lent._writer, lent._idle) == (None, [])
    if "path" in url:
        assert list(path.parent.iterdir()) == [path]
        assert set(acknowledged) <= {record.seq for record in open_store().iterate("chat")}


@pytest.mark.parametrize("after", ["BEGIN IMMEDIATE", "PRAGMA synchronous = FULL"])
def test_interrupt(open_store: Any, sql: Any, monkeypatch: pytest.MonkeyPatch, after: str) -> None:
    """An append that is interrupted, by Ctrl-C or a handler's exception, holds no lock and leaves nothing open."""
    open_store().append("chat", user("before"))
    store = open_store(setup="never")

    def interrupted(db: sqlite3.Connection, statement: str, deadline: Deadline) -> None:
        db.execute(statement)
        if statement == after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(connections, "patiently", interrupted)
        patch.setattr(file, "patiently", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.append("chat", user("interrupted"))
    sql("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(store.append, "chat", user("after"), timeout=5).result()
    assert texts(store) == ["before", "after"]


def test_call_within_a_call(open_store: Any) -> None:
    """A signal's handler that appends amid an append is refused, and the append goes on."""
    store = open_store(setup="never")
    store.setup()
    backend = store._backend
    with backend._file.transaction(Deadline(10)) as db:
        db.execute(layout.BEGIN_SESSION, ("chat", 1, b""))
        with pytest.raises(Unavailable, match="in the middle of another call"):
            store.append("chat", user("nested"), timeout=0.05)
        assert db.in_transaction
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(store.version, "chat").result() == 1
        assert pool.submit(store.append, "chat", user("after"), timeout=5).result().seqs == (1,)


def test_removal_that_takes_too_long_removes_nothing(open_store: Any) -> None:
    """A remove that does not end by its deadline is undone as a whole."""
    store = open_store()
    store.append("s", {"role": "user", "content": "hi"})

    class Ending(Deadline):
        calls = 0

        def remaining(self) -> float:
            type(self).calls += 1
            return 5.0 if self.calls < 5 else 0.0

    with pytest.raises(DeadlineExceeded, match="so nothing was"):
        store._backend.remove("s", tuple(range(1_000)), 0, Ending(5))
    assert len(store.read("s")) == 1


def test_interrupted_read_leaves_no_old_snapshot(open_store: Any) -> None:
    """A read that was broken off in the middle of a statement makes no later read see what was then."""
    store, other = open_store(), open_store()
    store.append("s", [{"role": "user", "content": "x" * 500}] * 100)
    cursors = []

    def interrupted() -> None:
        with store._backend._file.snapshot(Deadline(5)) as db:
            cursors.append(db.execute("SELECT body FROM message"))
            cursors[0].fetchone()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    other.append("s", {"role": "user", "content": "new"})
    assert store.last("s", 1)[0].message.content == "new"
