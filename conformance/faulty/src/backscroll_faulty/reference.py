"""The correct backend: plain decisions in Python over a file of SQLite that only stores.

It is cut into many small methods, so that each fault can override one of them.
"""

import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from backscroll.backend import (
    PAGE_BYTES,
    URL,
    Appended,
    Backend,
    Deadline,
    Health,
    Page,
    Row,
    SessionInfo,
    SessionPage,
    Turn,
    Window,
)
from backscroll.errors import (
    DeadlineExceeded,
    SchemaError,
    StorageError,
    TurnIdReused,
    VersionConflict,
    WindowExceeded,
)
from backscroll.hookspecs import BackendInfo
from backscroll.values import from_microseconds
from backscroll_faulty.connections import Connections
from backscroll_faulty.session import Entry, Session

R = TypeVar("R")

SCHEMA: Final = """
CREATE TABLE session (id BLOB PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE message (
    session BLOB, seq INTEGER, expires_at INTEGER, purge_at REAL, body BLOB, PRIMARY KEY (session, seq)
) WITHOUT ROWID;
CREATE INDEX purge ON message (purge_at) WHERE purge_at IS NOT NULL;
PRAGMA user_version = 1
"""

FIND: Final = "SELECT state FROM session WHERE id = ?"
SAVE: Final = "INSERT INTO session VALUES (?, ?) ON CONFLICT DO UPDATE SET state = excluded.state"
INSERT: Final = "INSERT INTO message VALUES (?, ?, ?, ?, ?)"
READ: Final = "SELECT seq, expires_at, body FROM message WHERE session = ? AND seq > ? AND seq < ? ORDER BY seq"
LIST: Final = "SELECT id FROM session WHERE id >= ? AND id > ? ORDER BY id LIMIT ?"
DROP: Final = "DELETE FROM message WHERE session = ? AND seq < ?"
GIVEN_BACK: Final = "SELECT session, seq FROM message WHERE purge_at <= ? LIMIT 1000"
ONE: Final = "DELETE FROM message WHERE session = ? AND seq = ?"

LAST_SEQ: Final = (1 << 63) - 1
POLL: Final = 0.005


class Reference(Backend):
    """Chat histories in a file, for any number of threads and processes of one machine."""

    window = 16
    """How many turns of a session are known."""

    page_bytes = PAGE_BYTES
    """After how many bytes of bodies a page ends."""

    insert_sql = INSERT
    """How a message is stored."""

    def __init__(self, declared: BackendInfo, url: URL, options: Any) -> None:
        super().__init__(declared, url, options)
        self.path: Final = Path(url.path)
        self.connections: Final = Connections(self.path)

    # Appending.

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        """Decide and store in one transaction."""
        with self.writing(deadline) as db:
            if db is None:
                raise SchemaError(f"{self.path}: there is no schema yet: call setup()")
            return self.land(db, self.key(session_id), turn)

    def land(self, db: sqlite3.Connection, key: bytes, turn: Turn) -> Appended:
        """A duplicate, a refusal, or a new turn."""
        session = self.find(db, key) or Session()
        if (known := self.known(db, key, session, turn)) is not None:
            return self.repeated(session, known, turn)
        self.check(db, key, session, turn)
        return self.store(db, key, session, turn)

    def check(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> None:
        """Refuse what must not land."""
        if (age := turn.age_by_now()) and not self.reaches_back(session, age):
            raise WindowExceeded(f"{self.window} other turns were appended since this one was first tried")
        if turn.expected_version is not None and self.conflicts(db, key, session, turn):
            raise VersionConflict(turn.expected_version, session.version)

    def store(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> Appended:
        """Add a turn that is new."""
        seqs = self.seqs(db, key, session, turn)
        self.insert(db, key, turn, seqs)
        entry = Entry(turn.turn_id.hex, turn.digest.hex(), seqs[0], len(seqs), time.time())
        session.version = seqs[-1] + 1
        self.remember(session, entry, turn)
        self.save(db, key, session)
        return Appended(session.version, seqs, turn.turn_id)

    def known(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> Entry | None:
        """The turn of the session that has the same id."""
        return next((entry for entry in session.turns if entry.turn_id == turn.turn_id.hex), None)

    def repeated(self, session: Session, known: Entry, turn: Turn) -> Appended:
        """The first answer again."""
        if known.digest != turn.digest.hex():
            raise TurnIdReused(turn.turn_id)
        seqs = tuple(range(known.first, known.first + known.length))
        return Appended(seqs[-1] + 1, seqs, turn.turn_id, duplicate=True)

    def reaches_back(self, session: Session, age: float) -> bool:
        """Whether every turn since then is known."""
        return len(session.turns) < self.window or session.turns[0].landed_at < time.time() - age

    def conflicts(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> bool:
        """Whether the version is another one than the expected."""
        return turn.expected_version != session.version

    def seqs(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> tuple[int, ...]:
        """The places of a new turn."""
        return tuple(range(session.version, session.version + len(turn.bodies)))

    def insert(self, db: sqlite3.Connection, key: bytes, turn: Turn, seqs: Sequence[int]) -> None:
        """Store the messages."""
        purge_at = None if turn.purge_in is None else time.time() + turn.purge_in
        rows = zip(seqs, turn.bodies, strict=True)
        db.executemany(
            self.insert_sql, ((key, seq, self.expiry(turn), purge_at, self.body(body)) for seq, body in rows)
        )

    def expiry(self, turn: Turn) -> int | None:
        """When the messages expire."""
        return turn.expires_at

    def body(self, body: bytes) -> bytes:
        """What is stored of a message."""
        return body

    def remember(self, session: Session, entry: Entry, turn: Turn) -> None:
        """Know the turn."""
        session.turns = [*session.turns, entry][-self.window :]

    # Reading.

    def read(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        """The rows within the bounds, until the limit or the bytes of a page are reached."""
        with self.reading(deadline) as db:
            return Page([], None) if db is None else self.page(self.rows(db, session_id, window), window)

    def rows(self, db: sqlite3.Connection, session_id: str, window: Window) -> Iterable[Row]:
        """What stands within the bounds, as many as are asked for, in the order asked for."""
        after = -1 if window.after is None else window.after
        before = LAST_SEQ if window.before is None else window.before
        order = f"{READ} DESC LIMIT ?" if window.newest else f"{READ} LIMIT ?"
        return map(Row._make, db.execute(order, (self.key(session_id), after, before, window.limit)))

    def page(self, rows: Iterable[Row], window: Window) -> Page:
        """Take the rows up to the end of a page."""
        live: list[Row] = []
        size = 0
        for scanned, row in enumerate(rows, start=1):
            size += len(row.body)
            if self.live(row.expires_at, window.now):
                live.append(row)
            if scanned == window.limit or size >= self.page_bytes:
                return Page(live, row.seq)
        return Page(live, None)

    def live(self, expires_at: int | None, now: int) -> bool:
        """Whether a message is still read."""
        return expires_at is None or expires_at > now

    def info(self, session_id: str, deadline: Deadline) -> SessionInfo:
        """What the session's row says."""
        with self.reading(deadline) as db:
            session = self.find(db, self.key(session_id)) if db is not None else None
        return self.described(session_id, session or Session())

    def described(self, session_id: str, session: Session) -> SessionInfo:
        """The info of a session."""
        updated_at = from_microseconds(int(session.turns[-1].landed_at * 1e6)) if session.turns else None
        return SessionInfo(session_id, session.version, session.first_seq, updated_at=updated_at)

    def count(self, session_id: str, now: int, deadline: Deadline) -> int:
        """Look at every expiry."""
        with self.reading(deadline) as db:
            return 0 if db is None else self.counted(db, self.key(session_id), now)

    def counted(self, db: sqlite3.Connection, key: bytes, now: int) -> int:
        """How many are live."""
        rows = db.execute("SELECT expires_at FROM message WHERE session = ?", (key,))
        return sum(self.live(expires_at, now) for (expires_at,) in rows)

    def sessions(self, prefix: str, cursor: str | None, limit: int, deadline: Deadline) -> SessionPage:
        """Walk along the ids; one more than the limit tells whether there is more."""
        with self.reading(deadline) as db:
            return SessionPage((), None) if db is None else self.listed(db, prefix, cursor, limit)

    def listed(self, db: sqlite3.Connection, prefix: str, cursor: str | None, limit: int) -> SessionPage:
        """A page of ids."""
        start = (self.key(prefix), self.key(cursor or ""), limit + 1)
        found = [bytes(key).decode() for (key,) in db.execute(LIST, start)]
        ids = tuple(one for one in found if one.startswith(prefix))
        return SessionPage(ids[:limit], ids[limit - 1] if len(ids) > limit else None)

    # Dropping.

    def discard(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Drop the front."""
        key = self.key(session_id)
        with self.writing(deadline) as db:
            if db is not None and (session := self.find(db, key)) is not None:
                self.drop(db, key, session, min(before, session.version))
                self.save(db, key, session)

    def drop(self, db: sqlite3.Connection, key: bytes, session: Session, before: int) -> None:
        """Drop what stands below a bound."""
        db.execute(DROP, (key, before))
        session.first_seq = max(session.first_seq, before)

    def remove(self, session_id: str, seqs: tuple[int, ...], now: int, deadline: Deadline) -> tuple[int, ...]:
        """Drop single messages."""
        with self.writing(deadline) as db:
            return () if db is None else self.removed(db, self.key(session_id), seqs, now)

    def removed(self, db: sqlite3.Connection, key: bytes, seqs: tuple[int, ...], now: int) -> tuple[int, ...]:
        """Drop those that are live, and say which."""
        there = tuple(seq for seq in sorted(seqs) if self.is_live(db, key, seq, now))
        db.executemany(ONE, ((key, seq) for seq in there))
        return there

    def is_live(self, db: sqlite3.Connection, key: bytes, seq: int, now: int) -> bool:
        """Whether a message is there and has not expired."""
        row = db.execute("SELECT expires_at FROM message WHERE session = ? AND seq = ?", (key, seq)).fetchone()
        return row is not None and self.live(row[0], now)

    def delete(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Drop the row of a drained session."""
        key = self.key(session_id)
        with self.writing(deadline) as db:
            if db is not None and (session := self.find(db, key)) is not None and self.is_drained(session, before):
                self.deleted(db, key)

    def is_drained(self, session: Session, before: int) -> bool:
        """Whether nothing came since, and nothing is left."""
        return session.version == before == session.first_seq

    def deleted(self, db: sqlite3.Connection, key: bytes) -> None:
        """Drop the session."""
        db.execute("DELETE FROM session WHERE id = ?", (key,))

    def purge(self, deadline: Deadline) -> int:
        """Drop a batch of what this machine's clock lets go."""
        with self.writing(deadline) as db:
            return 0 if db is None else self.purged(db)

    def purged(self, db: sqlite3.Connection) -> int:
        """Drop a batch, and count it."""
        gone = db.execute(GIVEN_BACK, (time.time(),)).fetchall()
        db.executemany(ONE, gone)
        return len(gone)

    # Upkeep.

    def watch(self, session_id: str, version: int, deadline: Deadline) -> None:
        """Look again and again."""
        while self.info(session_id, deadline).version <= version and deadline.remaining() > POLL:
            time.sleep(POLL)

    def setup(self, deadline: Deadline) -> Health:
        """Make the file and its tables."""
        with self.lent(deadline, "rwc") as db:
            if db is None:
                raise StorageError(f"{self.path}: cannot be made: check that its folder exists")
            self.patiently(lambda: db.execute("PRAGMA journal_mode = WAL"), deadline)
            self.patiently(lambda: db.execute("BEGIN IMMEDIATE"), deadline)
            if not self.has_schema(db):
                for statement in SCHEMA.split(";"):
                    db.execute(statement)
            db.execute("COMMIT")
        return self.ping(deadline)

    def ping(self, deadline: Deadline) -> Health:
        """Read the file's header."""
        with self.reading(deadline):
            return Health(f"SQLite {sqlite3.sqlite_version}")

    def close(self) -> None:
        """Close the connections, and let the threads end."""
        self.connections.close()
        self.release_threads()

    # The file.

    def key(self, session_id: str) -> bytes:
        """Under what a session is stored."""
        return session_id.encode()

    def find(self, db: sqlite3.Connection, key: bytes) -> Session | None:
        """What is stored of a session."""
        found = db.execute(FIND, (key,)).fetchone()
        return Session.loads(found[0]) if found else None

    def save(self, db: sqlite3.Connection, key: bytes, session: Session) -> None:
        """Store what is known of a session."""
        db.execute(SAVE, (key, session.dumps()))

    def has_schema(self, db: sqlite3.Connection) -> bool:
        """Whether the tables are there."""
        return bool(db.execute("PRAGMA user_version").fetchone()[0])

    @contextmanager
    def writing(self, deadline: Deadline) -> Iterator[sqlite3.Connection | None]:
        """A transaction that no other writer comes between; None where there is no schema."""
        with self.transaction("BEGIN IMMEDIATE", deadline) as db:
            yield db

    @contextmanager
    def reading(self, deadline: Deadline) -> Iterator[sqlite3.Connection | None]:
        """A snapshot; None where there is no schema."""
        with self.transaction("BEGIN", deadline) as db:
            yield db

    @contextmanager
    def transaction(self, begin: str, deadline: Deadline) -> Iterator[sqlite3.Connection | None]:
        """A transaction, committed where nothing was raised."""
        with self.lent(deadline, "rw") as db:
            if db is None:
                yield None
                return
            self.patiently(lambda: db.execute(begin), deadline)
            exists = self.patiently(lambda: self.has_schema(db), deadline)
            yield db if exists else None
            db.execute("COMMIT")

    @contextmanager
    def lent(self, deadline: Deadline, mode: str) -> Iterator[sqlite3.Connection | None]:
        """A connection for one call, while there is time; None where there is no file."""
        if not deadline.remaining():
            raise DeadlineExceeded(f"not begun within {deadline.seconds:g} s: raise timeout")
        try:
            db = self.connections.lend(mode)
            try:
                yield db
            finally:
                if db is not None:
                    self.connections.take_back(db)
        except sqlite3.Error as error:
            raise StorageError(f"{self.path}: {error}") from error

    def patiently(self, act: Callable[[], R], deadline: Deadline) -> R:
        """Try again while another process writes, until the deadline."""
        while True:
            try:
                return act()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                if not deadline.remaining():
                    raise DeadlineExceeded(f"{self.path}: locked for {deadline.seconds:g} s: raise timeout") from None
                time.sleep(random.uniform(0, 0.002))  # noqa: S311  # jitter, not a secret
