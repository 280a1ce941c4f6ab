"""How the SQLite file is used: its settings, the plans of its statements, and the work that they do."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import backscroll
from backscroll.backend import Deadline
from backscroll.capabilities import Durability
from backscroll.sqlite import layout

HI = {"role": "user", "content": "hi!"}
VALUES = {"session_id": "chat", "after": -1, "before": 9, "now": 0, "limit": 9}


@contextmanager
def counted(store: backscroll.Store, step: int = 1) -> Iterator[list[int]]:
    """Counts the steps of SQLite's virtual machine on the connection that reads."""
    steps = [0]

    def count() -> int:
        steps[0] += step
        return 0

    with store._backend._file.snapshot(Deadline(10)) as db:
        assert db is not None
    (connection,) = store._backend._file.connections._idle
    connection.set_progress_handler(count, step)
    yield steps
    connection.set_progress_handler(None, 0)


def settings(store: backscroll.Store, pragma: str) -> set[Any]:
    """The values that a setting has on the connections that read and write."""
    with store._backend._file.snapshot(Deadline(10)) as reader, store._backend._file.transaction(Deadline(10)) as db:
        return {connection.execute(f"PRAGMA {pragma}").fetchone()[0] for connection in (reader, db)}


def test_write_ahead_log(open_store: Any, sql: Any) -> None:
    """A file is in WAL mode, for every program that opens it."""
    store = open_store()
    store.append("chat", HI)
    assert sql("PRAGMA journal_mode") == [("wal",)]
    assert store.ping().problems == ()


@pytest.mark.parametrize(
    ("options", "synchronous", "durability"),
    [({}, 2, Durability.SERVER), ({"durability": "process"}, 1, Durability.PROCESS)],
)
def test_durability(open_store: Any, options: dict[str, Any], synchronous: int, durability: Durability) -> None:
    """Every connection has the synchronous setting of the declared durability."""
    store = open_store(**options)
    store.append("chat", HI)
    assert {synchronous} == settings(store, "synchronous")
    assert durability == store.limits.durability


def test_durability_in_the_url(open_store: Any, path: Path) -> None:
    """The durability may stand in the URL."""
    store = open_store(f"sqlite:///{path}?durability=process")
    assert store.limits.durability is Durability.PROCESS


def test_journal_mode_is_mended(open_store: Any, sql: Any) -> None:
    """Another journal mode is a problem that ping names and setup mends."""
    with open_store() as store:
        store.append("chat", HI)
    assert sql("PRAGMA journal_mode = DELETE") == [("delete",)]
    store = open_store()
    (problem,) = store.ping().problems
    assert "journal_mode is delete" in problem
    assert store.setup().problems == ()
    assert sql("PRAGMA journal_mode") == [("wal",)]
    assert [record.seq for record in store.read("chat")] == [0]


@pytest.mark.parametrize("name", ["READ_OLDEST", "READ_NEWEST", "COUNT"])
def test_plan_of_reads(open_store: Any, path: Path, name: str) -> None:
    """Reads search a range of the primary key and sort nothing."""
    open_store().setup()
    with closing(sqlite3.connect(path)) as db:
        plan = db.execute(f"EXPLAIN QUERY PLAN {getattr(layout, name)}", VALUES).fetchall()
    details = [row[3] for row in plan]
    assert details[0] == "SEARCH message USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
    assert [detail for detail in details if "SCAN" in detail or "TEMP B-TREE" in detail] == []


def test_plan_of_sessions(open_store: Any, sql: Any) -> None:
    """Listing sessions searches the index of their ids and sorts nothing."""
    open_store().setup()
    plan = [row[3] for row in sql(f"EXPLAIN QUERY PLAN {layout.SESSIONS}", "a", "", 3)]
    assert plan == ["SEARCH session USING COVERING INDEX sqlite_autoindex_session_1 (session_id>?)"]


def test_plan_of_purge(open_store: Any, sql: Any) -> None:
    """Purging searches the index of what has an expiry, and sorts nothing."""
    open_store().setup()
    plan = [row[3] for row in sql(f"EXPLAIN QUERY PLAN {layout.PURGE}", 0, 3)]
    assert plan[-1] == "SEARCH message USING COVERING INDEX message_purge (purge_at<?)"
    assert [detail for detail in plan if "SCAN" in detail or "TEMP B-TREE" in detail] == []


def test_last_costs_the_same(open_store: Any, path: Path) -> None:
    """The last 20 of 100,000 messages cost as many steps as those of 100."""
    store = open_store()
    for session_id in ("short", "long"):
        store.append(session_id, HI)
    with closing(sqlite3.connect(path)) as db:
        for session_id, count in (("short", 100), ("long", 100_000)):
            ((sid, body),) = db.execute(
                "SELECT sid, body FROM session JOIN message ON id >> 32 = sid WHERE session_id = ?", (session_id,)
            )
            db.executemany(layout.INSERT, ((sid << 32 | seq, None, None, body) for seq in range(1, count)))
            db.execute("UPDATE session SET next_seq = ? WHERE sid = ?", (count, sid))
        db.commit()
    with counted(store) as steps:
        assert list(range(80, 100)) == [record.seq for record in store.last("short", 20)]
        short, steps[0] = steps[0], 0
        assert list(range(99_980, 100_000)) == [record.seq for record in store.last("long", 20)]
        assert steps[0] <= short
        steps[0] = 0
        assert list(range(50_001, 50_011)) == [r.seq for r in store.read("long", after=50_000, limit=10)]
        assert steps[0] <= short


def test_pages_of_sessions_cost_the_same(open_store: Any, path: Path) -> None:
    """A page deep in a long list of sessions costs as many steps as the first one."""
    store = open_store()
    store.append("0", HI)
    with closing(sqlite3.connect(path)) as db:
        db.executemany(layout.BEGIN_SESSION, ((f"s{n:05}", 1, b"") for n in range(20_000)))
        db.commit()
    with counted(store) as steps:
        first = store.sessions(limit=10)
        cost, steps[0] = steps[0], 0
        assert ("0", *(f"s{n:05}" for n in range(9))) == first.session_ids
        page = store.sessions(cursor="s15000", limit=10)
        assert tuple(f"s{n:05}" for n in range(15_001, 15_011)) == page.session_ids
        assert steps[0] < 2 * cost


def test_sessions_pages(open_store: Any) -> None:
    """Pages of sessions go through hostile ids once each, by their UTF-8 bytes."""
    store = open_store()
    ids = ["a", "a\0", "a\0b", "A", "a%", "a_", "ab", "\uffff", "\U0001f600", "é", "e\u0301", " ", "a" * 512, "b"]
    for session_id in ids:
        store.append(session_id, HI)
    for prefix in ("", "a", "a\0", "\U0001f600", "none"):
        found: list[str] = []
        cursor = None
        while True:
            page = store.sessions(prefix=prefix, cursor=cursor, limit=2)
            found += page
            cursor = page.cursor
            if cursor is None:
                break
        assert sorted((i for i in ids if i.startswith(prefix)), key=str.encode) == found


def test_no_connection_is_left_open(open_store: Any, path: Path) -> None:
    """A closed store leaves no file but its own."""
    with open_store() as store:
        store.append("chat", HI)
        store.last("chat")
        assert path.with_name("chat.db-wal").exists()
    assert [path] == list(path.parent.iterdir())


def test_opening_again_writes_nothing(open_store: Any, path: Path) -> None:
    """Setting up what is up to date leaves the file as it is."""
    with open_store() as store:
        store.append("chat", HI)
    before = path.read_bytes()
    with open_store() as store:
        store.setup()
    assert before == path.read_bytes()
