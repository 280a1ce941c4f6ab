"""A store that was used before a fork works on both sides of it."""

import multiprocessing
import os
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from forks import fork

import backscroll
from backscroll.sqlite import connections

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning"),
]

FAST = {"durability": "process", "timeout": 60}


def user(text: object) -> dict[str, str]:
    """A message."""
    return {"role": "user", "content": str(text)}


def texts(store: backscroll.Store) -> list[str]:
    """The texts of the session, in order."""
    return [record.message.content for record in store.iterate("chat")]


def statuses(pids: list[int]) -> list[int]:
    """The exit statuses of children, once they have ended."""
    return [os.waitpid(pid, 0)[1] for pid in pids]


def test_parent_and_child_at_once(open_store: Any) -> None:
    """Parent and children go on with one store at once, and no message is lost or doubled."""
    store = open_store(**FAST)
    store.append("chat", user("before"))
    store.last("chat")

    def work(name: str) -> None:
        for number in range(60):
            store.append("chat", user(f"{name} {number}"))
            assert f"{name} {number}" in {record.message.content for record in store.last("chat", 400)}

    pids = [fork(lambda name=f"child{n}": work(name)) for n in range(3)]  # type: ignore[misc]
    work("parent")
    assert statuses(pids) == [0, 0, 0]
    names = ["parent", "child0", "child1", "child2"]
    assert sorted(["before"] + [f"{name} {n}" for name in names for n in range(60)]) == sorted(texts(store))


def test_child_leaves_the_files_of_others(open_store: Any, path: Path) -> None:
    """A child that exits, or closes the store, leaves the write-ahead log that the parent writes to."""
    store = open_store(**FAST)
    for number in range(8):
        store.append("chat", user(f"{number} before"))
        pid = fork(store.close if number % 2 else lambda: store.last("chat"))
        store.append("chat", user(f"{number} after"))
        assert statuses([pid]) == [0]
        with closing(sqlite3.connect(path)) as other:
            assert 2 * (number + 1) == other.execute("SELECT count(*) FROM message").fetchone()[0]
    assert [f"{n} {when}" for n in range(8) for when in ("before", "after")] == texts(store)


def test_children_outlive_the_parents_store(open_store: Any) -> None:
    """Children go on after the parent has closed the store, and what the last of them leaves is whole."""
    store = open_store(**FAST)
    store.append("chat", user("before"))
    reading, writing = os.pipe()

    def child(name: str) -> None:
        os.close(writing)
        os.read(reading, 1)  # until the parent has closed its end
        for number in range(20):
            store.append("chat", user(f"{name} {number}"))

    pids = [fork(lambda name=f"child{n}": child(name)) for n in range(3)]  # type: ignore[misc]
    store.close()
    os.close(writing)
    assert statuses(pids) == [0, 0, 0]
    os.close(reading)
    expected = ["before"] + [f"child{n} {number}" for n in range(3) for number in range(20)]
    assert sorted(texts(open_store())) == sorted(expected)


def test_fork_in_the_middle_of_everything(open_store: Any) -> None:
    """Forks from several threads while others append and read lose nothing that either side acknowledged."""
    store = open_store(**FAST)
    acknowledged: list[str] = []
    failed: list[object] = []
    done = threading.Event()

    def write(name: str) -> None:
        number = 0
        while not done.is_set():
            store.append("chat", [user(f"{name} {number} {i}") for i in range(2)])
            acknowledged.extend(f"{name} {number} {i}" for i in range(2))
            number += 1
            store.last("chat", 3)

    def child(name: str) -> None:
        for number in range(3):
            store.append("chat", [user(f"{name} {number} {i}") for i in range(2)])
        store.last("chat", 3)

    def fork_often(name: str) -> None:
        for number in range(10):
            mine = f"{name}.{number}"
            failed.extend(status for status in statuses([fork(lambda: child(mine))]) if status)  # noqa: B023
            acknowledged.extend(f"{mine} {n} {i}" for n in range(3) for i in range(2))

    writers = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(3)]
    forkers = [threading.Thread(target=fork_often, args=(f"f{n}",)) for n in range(3)]
    for thread in writers + forkers:
        thread.start()
    for thread in forkers:
        thread.join()
    done.set()
    for thread in writers:
        thread.join()
    assert failed == []
    assert Counter(acknowledged) == Counter(texts(store))


def test_multiprocessing(open_store: Any) -> None:
    """The children of multiprocessing's fork use the store of their parent, also after they were forked again."""
    store = open_store(**FAST)
    store.append("chat", user("parent"))
    context = multiprocessing.get_context("fork")

    def child() -> None:
        store.append("chat", user("child"))
        grandchild = context.Process(target=lambda: store.append("chat", user("grandchild")))
        grandchild.start()
        grandchild.join()
        store.append("chat", user(f"grandchild ended with {grandchild.exitcode}"))

    process = context.Process(target=child)
    process.start()
    process.join()
    assert texts(store) == ["parent", "child", "grandchild", "grandchild ended with 0"]


def test_in_memory(open_store: Any) -> None:
    """A child refuses the parent's database in memory, clearly, and the parent goes on with it."""
    store = open_store("sqlite://")
    store.append("chat", user("before"))

    def child() -> None:
        for call in (lambda: store.append("chat", user("child")), lambda: store.last("chat")):
            with pytest.raises(backscroll.StorageError, match="belongs to the process that opened it"):
                call()
        with backscroll.open("sqlite://") as own:
            own.append("chat", user("own"))
            assert texts(own) == ["own"]

    assert statuses([fork(child)]) == [0]
    store.append("chat", user("after"))
    assert texts(store) == ["before", "after"]


def test_unused_store_in_memory(open_store: Any) -> None:
    """A store in memory that was not used before the fork is one of its own on each side."""
    store = open_store("sqlite://")

    def child() -> None:
        store.append("chat", user("child"))
        assert texts(store) == ["child"]

    assert statuses([fork(child)]) == [0]
    assert texts(store) == []


def test_busy_store_in_memory(open_store: Any) -> None:
    """A fork beside calls on a database in memory leaves the child an SQLite that works."""
    store = open_store("sqlite://", timeout=60)
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            store.append("chat", [user("x")] * 50)

    def child() -> None:
        with backscroll.open("sqlite://") as own:
            own.append("chat", user("own"))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    found = [status for _ in range(20) for status in statuses([fork(child)])]
    done.set()
    for thread in threads:
        thread.join()
    assert found == [0] * 20


def test_fork_that_does_not_wait_for_ever(open_store: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork amid a call that does not end makes the child refuse the file, whatever store it opens it with."""
    monkeypatch.setattr(connections, "FORK_PATIENCE", 0.05)
    store = open_store()
    store.append("chat", user("before"))
    link = path.with_name("link.db")
    link.symlink_to(path)

    def child() -> None:
        with pytest.raises(backscroll.StorageError, match="forked while a call was under way"):
            store.last("chat")
        with backscroll.open(f"sqlite:///{link}") as other, pytest.raises(backscroll.StorageError, match="spawn"):
            other.append("chat", user("child"))
        with backscroll.open(f"sqlite:///{path}.other") as other:
            other.append("chat", user("elsewhere"))

    with store._backend._file.snapshot(backscroll.backend.Deadline(10)) as db:
        pid = fork(child)
        assert db is not None
    assert statuses([pid]) == [0]
    store.append("chat", user("after"))
    assert texts(store) == ["before", "after"]


def test_calls_wait_for_a_fork(open_store: Any) -> None:
    """A call that comes during a fork waits for its end, but not past its deadline."""
    store = open_store()
    store.append("chat", user("before"))
    frozen = store._backend._file.connections
    frozen.freeze()
    with pytest.raises(backscroll.DeadlineExceeded, match="a fork took"):
        store.last("chat", timeout=0.05)
    with pytest.raises(backscroll.DeadlineExceeded, match="a fork took"):
        store.append("chat", user("refused"), timeout=0.05)
    thawing = threading.Timer(0.05, frozen.thaw)
    thawing.start()
    store.append("chat", user("after"))
    thawing.join()
    assert texts(store) == ["before", "after"]
