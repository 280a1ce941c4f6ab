"""The version of the file's schema, and the files of other programs."""

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import backscroll
from backscroll import SchemaError
from backscroll.sqlite import layout

HI = {"role": "user", "content": "hi!"}

SETUP = """
import backscroll, sys
sys.stdin.readline()
with backscroll.open(sys.argv[1], timeout=60) as store:
    store.setup()
    store.append("chat", {"role": "user", "content": "hi!"})
"""


@pytest.fixture
def second_version(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Turns this release into one with a further schema version."""

    def upgrade() -> None:
        migrations = (*layout.MIGRATIONS, ("CREATE TABLE extra (x INTEGER) STRICT", "INSERT INTO extra VALUES (7)"))
        monkeypatch.setattr(layout, "MIGRATIONS", migrations)
        monkeypatch.setattr(layout, "SCHEMA_VERSION", len(migrations))

    return upgrade


def test_version_of_a_new_file(open_store: Any, sql: Any) -> None:
    """A new file carries our mark and the version of its schema."""
    open_store().setup()
    assert sql("PRAGMA application_id") == [(layout.APPLICATION_ID,)]
    assert sql("PRAGMA user_version") == [(layout.SCHEMA_VERSION,)]


def test_newer_version(open_store: Any, sql: Any) -> None:
    """A newer schema is refused by every operation, with what to do, and not touched."""
    with open_store() as store:
        store.append("chat", HI)
    sql("PRAGMA user_version = 7")
    store = open_store()
    for call in (store.setup, store.ping, lambda: store.append("chat", HI), lambda: store.last("chat")):
        with pytest.raises(SchemaError, match=r"schema version 7, and .* up to 1: upgrade it with: pip install -U"):
            call()
    assert sql("PRAGMA user_version") == [(7,)]
    assert sql("SELECT count(*) FROM message") == [(1,)]


@pytest.mark.parametrize("by", ["setup", "append"])
def test_migration(open_store: Any, sql: Any, second_version: Any, by: str) -> None:
    """An older schema is migrated by setup and by the first append; no message is lost."""
    with open_store() as store:
        store.append("chat", HI)
    second_version()
    store = open_store()
    if by == "setup":
        store.setup()
    store.append("chat", HI)
    assert sql("PRAGMA user_version") == [(2,)]
    assert sql("SELECT x FROM extra") == [(7,)]
    assert [record.seq for record in store.read("chat")] == [0, 1]


def test_read_before_migration(open_store: Any, sql: Any, second_version: Any) -> None:
    """A read of an older schema says to call setup, and migrates nothing."""
    with open_store() as store:
        store.append("chat", HI)
    second_version()
    with pytest.raises(SchemaError, match=r"older schema version 1: call setup\(\)"):
        open_store().last("chat")
    with pytest.raises(SchemaError, match=r"older schema version 1: call setup\(\)"):
        open_store(setup="never").append("chat", HI)
    assert sql("PRAGMA user_version") == [(1,)]


def test_migration_that_fails(open_store: Any, sql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that fails leaves the old schema whole."""
    with open_store() as store:
        store.append("chat", HI)
    with monkeypatch.context() as patch:
        patch.setattr(layout, "MIGRATIONS", (*layout.MIGRATIONS, ("CREATE TABLE extra (x INTEGER)", "nonsense")))
        patch.setattr(layout, "SCHEMA_VERSION", 2)
        with pytest.raises(backscroll.StorageError):
            open_store().setup()
    assert sql("PRAGMA user_version") == [(1,)]
    assert sql("SELECT * FROM sqlite_schema WHERE name = 'extra'") == []
    assert [record.seq for record in open_store().read("chat")] == [0]


def test_setup_by_processes_at_once(path: Path, open_store: Any, python: Any) -> None:
    """Several processes may make the schema at the same moment."""
    processes = [python(SETUP, f"sqlite:///{path}") for _ in range(4)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait(60) for process in processes] == [0] * 4
    assert list(range(4)) == [record.seq for record in open_store().read("chat")]


def test_setup_by_stores_at_once(tmp_path: Path, open_store: Any) -> None:
    """Several stores may make the schema at the same moment, while others look."""
    for number in range(15):
        stores = [open_store(f"sqlite:///{tmp_path}/{number}.db", durability="process") for _ in range(4)]
        barrier = threading.Barrier(4)

        def work(index: int, stores: Any = stores, barrier: Any = barrier) -> None:
            barrier.wait(20)
            while index % 2 and not stores[index].last("chat"):
                pass
            stores[index].append("chat", HI)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert [record.seq for record in stores[0].read("chat")] == [0, 1, 2, 3]
        for store in stores:
            store.close()


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)",
        "CREATE VIEW theirs AS SELECT 1",
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 7",
        "PRAGMA journal_mode = WAL; CREATE TABLE session (x)",
    ],
)
def test_file_of_another_program(open_store: Any, path: Path, script: str) -> None:
    """The file of another program is refused by every operation and stays as it is to the byte."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)
    before = path.read_bytes()
    store = open_store()
    calls = (store.setup, store.ping, lambda: store.append("chat", HI), lambda: store.last("chat"), store.purge)
    for call in calls:
        with pytest.raises(SchemaError, match="belongs to another program"):
            call()
    store.close()
    assert before == path.read_bytes()
    assert [path] == list(path.parent.iterdir())


def test_empty_file(open_store: Any, path: Path) -> None:
    """A file of 0 bytes reads as a store without sessions, and the first append makes it ours."""
    path.touch()
    store = open_store()
    assert store.last("chat") == []
    assert path.stat().st_size == 0
    store.append("chat", HI)
    assert [record.seq for record in store.last("chat")] == [0]


@pytest.mark.parametrize("made", [True, False])
def test_setup_never(open_store: Any, path: Path, made: bool) -> None:
    """With setup=never an append to a file without schema is refused and makes nothing."""
    if made:
        path.touch()
    store = open_store(setup="never")
    with pytest.raises(SchemaError, match=r"no schema yet: call setup\(\)"):
        store.append("chat", HI)
    assert store.last("chat") == []
    assert made == path.exists()
    store.setup()
    store.append("chat", HI)
    assert [record.seq for record in store.last("chat")] == [0]
