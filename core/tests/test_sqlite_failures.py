"""Files that cannot be used, disks that are full, locks of others, and damaged records."""

import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import attrs
import pytest
from forks import fork

import backscroll
from backscroll import OutcomeUnknown, Record, StorageError, Unavailable, Unreadable, UnreadableMessage
from backscroll.backend import Deadline, Turn

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")

HI = {"role": "user", "content": "hi!"}
BIG = {"role": "user", "content": "x" * 200_000}


def seqs(store: backscroll.Store) -> list[int]:
    """The seqs of the session, in order."""
    return [record.seq for record in store.iterate("chat")]


def in_child(work: Callable[[], Any]) -> int:
    """Run `work` in a forked child; 0 when it raised nothing."""
    return os.waitpid(fork(work), 0)[1]


def as_nobody(work: Callable[[], Any]) -> int:
    """Run `work` in a child that permissions bind, which root is not."""

    def bound() -> None:
        if os.geteuid() == 0:
            os.setegid(65534)
            os.seteuid(65534)
        work()

    return in_child(bound)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that every user reaches; pytest keeps its own to the user who runs it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the file's write lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield
        db.execute("ROLLBACK")


def test_not_a_database(open_store: Any, path: Path) -> None:
    """A file that is no database is refused by every operation and stays as it is."""
    path.write_bytes(b"Dear diary, " * 1_000)
    store = open_store()
    for call in (store.setup, store.ping, lambda: store.append("chat", HI), lambda: store.last("chat")):
        with pytest.raises(StorageError, match="is not a SQLite database: give another path"):
            call()
    assert path.read_bytes() == b"Dear diary, " * 1_000


def test_directory(open_store: Any, tmp_path: Path) -> None:
    """A directory in the place of the file is refused."""
    store = open_store(f"sqlite:///{tmp_path}")
    for call in (lambda: store.append("chat", HI), lambda: store.last("chat")):
        with pytest.raises(StorageError, match="cannot be opened: check the path"):
            call()


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs users")
def test_read_only_file(open_store: Any, reachable: Path) -> None:
    """An append to a read-only file is refused with what to change, and a read works."""
    path = reachable / "chat.db"
    writer = open_store(f"sqlite:///{path}")
    writer.append("chat", HI)
    path.chmod(0o444)

    def child() -> None:
        with backscroll.open(f"sqlite:///{path}", timeout=1) as store:
            for _ in range(2):
                with pytest.raises(StorageError, match="the file is read-only: change its permissions"):
                    store.append("chat", HI)
            assert seqs(store) == [0]

    assert as_nobody(child) == 0
    assert seqs(writer) == [0]
    writer.append("chat", HI)
    assert seqs(writer) == [0, 1]


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs users")
def test_read_only_directory(reachable: Path) -> None:
    """In a read-only directory no file can be made; the error says so and reads find nothing."""
    reachable.chmod(0o555)

    def child() -> None:
        with backscroll.open(f"sqlite:///{reachable}/chat.db", timeout=1) as store:
            with pytest.raises(StorageError, match="check the path and its permissions"):
                store.append("chat", HI)
            assert seqs(store) == []

    assert as_nobody(child) == 0
    assert list(reachable.iterdir()) == []


def test_full_disk(open_store: Any) -> None:
    """A full disk is an error that says so; the turn is not stored, and the next one that fits is."""
    store = open_store()
    store.append("chat", HI)
    with store._backend._file.transaction(Deadline(10)) as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(StorageError, match="the disk is full: free some space"):
        store.append("chat", [HI, BIG], turn_id="big")
    assert seqs(store) == [0]
    store.append("chat", HI)
    db.execute("PRAGMA max_page_count = 1000000")
    assert not store.append("chat", [HI, BIG], turn_id="big").duplicate
    assert seqs(store) == [0, 1, 2, 3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_file_size_limit(open_store: Any) -> None:
    """Where the system refuses to let the file grow, the outcome is unknown or it failed, and no turn is half there."""
    store = open_store()
    store.append("chat", HI)

    def child() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        for _ in range(2):
            with pytest.raises((OutcomeUnknown, StorageError)):
                store.append("chat", [HI, BIG], turn_id="big", timeout=0.3)
        assert seqs(store) == [0]
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
        store.append("chat", [HI, BIG], turn_id="big")

    assert in_child(child) == 0
    assert seqs(store) == [0, 1, 2]


def test_locked_by_another_program(open_store: Any, path: Path) -> None:
    """A lock of another program makes an append fail within its timeout; then the store works again."""
    store = open_store()
    store.append("chat", HI)
    with locked(path):
        with pytest.raises(Unavailable, match="locked by another program"):
            store.append("chat", HI, timeout=0.05)
        with pytest.raises(Unavailable, match="locked by another program"):
            store.clear("chat", timeout=0.05)
        assert seqs(store) == [0]
    store.append("chat", HI)
    assert seqs(store) == [0, 1]


def test_locked_before_the_first_use(open_store: Any, path: Path) -> None:
    """A lock on a file without schema makes setup and append fail within their timeout, and nothing is made."""
    path.touch()
    store = open_store()
    with locked(path):
        for call in (lambda: store.setup(timeout=0.05), lambda: store.append("chat", HI, timeout=0.05)):
            with pytest.raises(Unavailable, match="locked by another program"):
                call()
    assert path.stat().st_size == 0
    store.append("chat", HI)
    assert seqs(store) == [0]


def test_lock_that_is_released(open_store: Any, path: Path) -> None:
    """An append that meets a lock goes on as soon as the lock is released."""
    store = open_store()
    store.append("chat", HI)
    # The other program lets go while the append looks again.
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        looks = 0

        def remaining() -> float:
            nonlocal looks
            looks += 1
            if looks == 20:
                db.execute("ROLLBACK")
            return 5.0

        deadline = Deadline(5)
        patient = type("Patient", (), {"seconds": deadline.seconds, "remaining": staticmethod(remaining)})()
        with store._backend._file.transaction(patient) as writer:
            assert writer.in_transaction
    assert looks >= 20
    store.append("chat", HI)
    assert seqs(store) == [0, 1]


@pytest.mark.parametrize(
    "damage",
    [
        b"not JSON",
        b"\x00\x01",
        b"",
        b"{",
        b"[]",
        b"{}",
        b"null",
        b"\xff\xfe",
        b'{"v":2}',
        b'{"v":1,"turn_id":5,"stored_at":0,"message":{"role":"user","content":"x"}}',
        b'{"v":1,"turn_id":"00","stored_at":"x","message":{"role":"user","content":"x"}}',
        b'{"v":1,"turn_id":"00","stored_at":0,"message":{"role":"user","content":5}}',
        b'{"v":1,"turn_id":"00","stored_at":0,"message":{"role":"nobody","content":"x"}}',
        b'{"v":1,"turn_id":"00","stored_at":0,"message":{"role":"user","text":"x"}}',
        b'{"v":1,"turn_id":"00","stored_at":0,"message":[]}',
        b"[" * 100_000,
    ],
)
def test_damaged_record(open_store: Any, sql: Any, damage: bytes) -> None:
    """A damaged record comes back as unreadable in its place, and its neighbours do not care."""
    store = open_store()
    store.append("chat", [HI] * 5)
    sql("UPDATE message SET body = ? WHERE id & 4294967295 = 2", damage)
    found = store.last("chat", 4)
    assert [type(record) for record in found] == [Record, Unreadable, Record, Record]
    assert [record.seq for record in found] == [1, 2, 3, 4]
    assert found[1].body == damage
    assert [type(record) for record in store.iterate("chat")] == [Record] * 2 + [Unreadable] + [Record] * 2
    with pytest.raises(UnreadableMessage) as caught:
        _ = store.history("chat").messages
    assert caught.value.seq == 2
    assert store.history("chat").last(2) == [record.message for record in found[2:]]


def test_truncated_record(open_store: Any, sql: Any) -> None:
    """A record that lost its end is unreadable, however much it lost."""
    store = open_store()
    store.append("chat", [HI] * 3)
    ((body,),) = sql("SELECT body FROM message WHERE id & 4294967295 = 1")
    for length in range(len(body)):
        sql("UPDATE message SET body = ? WHERE id & 4294967295 = 1", body[:length])
        assert [type(record) for record in store.last("chat")] == [Record, Unreadable, Record]


def test_append_after_damage(open_store: Any, sql: Any) -> None:
    """A damaged record can be removed, and appends go on behind it."""
    store = open_store()
    store.append("chat", [HI] * 2)
    sql("UPDATE message SET body = x'00'")
    store.append("chat", HI)
    assert store.remove("chat", [0, 1]) == (0, 1)
    assert [type(record) for record in store.read("chat")] == [Record]


@pytest.mark.parametrize("damage", [b"", b"x" * 20])
def test_damaged_memory_of_turns(open_store: Any, sql: Any, damage: bytes) -> None:
    """A session whose last turns are damaged is read and appended to."""
    store = open_store()
    store.append("chat", HI)
    sql("UPDATE session SET recent = ?", damage)
    assert store.version("chat") == 1
    assert store.append("chat", HI, turn_id="one").seqs == (1,)
    assert store.append("chat", HI, turn_id="one").duplicate
    assert seqs(store) == [0, 1]


def test_retry_that_waited(open_store: Callable[..., backscroll.Store]) -> None:
    """A retry that waited inside the backend while 16 other turns landed is not stored again."""
    store = open_store()
    store.append("chat", [{"role": "user", "content": "other"}])
    backend = store._backend
    first = Turn(uuid4(), b"digest..", (b"{}",))
    retry = attrs.evolve(first, age=1e-6)
    for turn in [first, *(Turn(uuid4(), b"digest..", (b"{}",)) for _ in range(16))]:
        backend.append("chat", turn, Deadline(10))
    with pytest.raises(backscroll.WindowExceeded):
        backend.append("chat", retry, Deadline(10))
    assert store.version("chat") == 18
