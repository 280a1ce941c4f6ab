"""The SQLite backend: one transaction per operation on a file in WAL mode."""

import sqlite3
import time
from itertools import starmap
from operator import itemgetter
from pathlib import Path
from typing import Final

import attrs

from backscroll.backend import (
    PAGE_BYTES,
    URL,
    Appended,
    Backend,
    Deadline,
    Durability,
    Examination,
    Health,
    Page,
    Row,
    SessionInfo,
    SessionPage,
    Turn,
    Window,
    session_page,
)
from backscroll.errors import (
    DeadlineExceeded,
    InvalidURL,
    PluginError,
    SchemaError,
    StorageError,
    Unavailable,
)
from backscroll.hookspecs import BackendInfo
from backscroll.recent import known_turn, landed, push_turn, session_info
from backscroll.sqlite import layout
from backscroll.sqlite.connections import MEMORY, Connection
from backscroll.sqlite.file import File, bounded
from backscroll.sqlite.options import SQLiteOptions
from backscroll.sqlite.settings import findings

OLDEST_SQLITE: Final = (3, 37, 0)
"""The first SQLite with STRICT tables."""

PURGED_PER_APPEND: Final = 16
"""How many expired messages an append drops at the most, so that they never pile up."""

PURGED_AT_ONCE: Final = 1_000
"""How many expired messages a call of `purge` drops."""

ROWS_AT_ONCE: Final = 64
"""How many messages at the most are fetched before their bytes are counted."""

SESSIONS_AT_ONCE: Final = 1_000
"""How many sessions a page lists at the most."""

_body_of: Final = itemgetter(2)


class SQLiteBackend(Backend):
    """Chat histories in one SQLite file, for any number of threads and processes of one machine."""

    def __init__(self, declared: BackendInfo, url: URL, options: SQLiteOptions) -> None:
        super().__init__(declared, url, options)
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise PluginError(f"sqlite: this Python has SQLite {sqlite3.sqlite_version}; 3.37 or later is needed")
        lasting = options.durability == "server"
        path = path_of(url)
        if path == MEMORY or not lasting:
            self.limits = attrs.evolve(self.limits, durability=Durability.PROCESS)
        self._file = File(path, "FULL" if lasting else "NORMAL", self.limits.max_message_bytes)

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        """One transaction: look the session up, decide, advance its counter, insert."""
        with self._file.transaction(deadline) as db:
            now = _milliseconds()  # while nobody else writes, so that turns land in the order of their times
            if db is None:
                raise SchemaError(
                    f"{self._file.path}: there is no schema yet: call setup(), or run: backscroll setup URL"
                )
            sid, version, recent = db.execute(layout.FIND, (session_id,)).fetchone() or (0, 0, b"")
            if (known := known_turn(recent, version, now, turn)) is not None:
                return known
            count = len(turn.bodies)
            if version + count >= layout.SEQS:
                raise StorageError(
                    f"{self._file.path}: the session has used up its {layout.SEQS:,} seqs: begin another one"
                )
            ring = push_turn(recent, turn, version, now)
            if version:
                db.execute(layout.ADVANCE, (version + count, ring, sid))
            else:
                sid = db.execute(layout.BEGIN_SESSION, (session_id, count, ring)).lastrowid
            purge_at = None if turn.purge_in is None else now + round(turn.purge_in * 1_000)
            first = sid << 32 | version
            rows = [(first + index, turn.expires_at, purge_at, body) for index, body in enumerate(turn.bodies)]
            db.executemany(layout.INSERT, rows)
            if purge_at is not None:
                db.execute(layout.PURGE, (now, PURGED_PER_APPEND))
        return landed(turn, version)

    def read(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        """One SELECT over the session's range of ids."""
        statement = layout.READ_NEWEST if window.newest else layout.READ_OLDEST
        values = _range(session_id, window.after, window.before, window.now) | {"limit": window.limit}
        with self._file.snapshot(deadline) as db:
            if db is None:
                return Page([], None)
            with bounded(db, deadline):
                return _page(db.execute(statement, values), window.limit)

    def info(self, session_id: str, deadline: Deadline) -> SessionInfo:
        """The session's row."""
        with self._file.snapshot(deadline) as db:
            known = None if db is None else db.execute(layout.INFO, (session_id,)).fetchone()
        return session_info(session_id, known)

    def setup(self, deadline: Deadline) -> Health:
        """Make the file and its tables, or bring an older schema up to date, in one transaction."""
        self._file.make(deadline)
        with self._file.transaction(deadline, any_schema=True) as db:
            if db is None:
                raise Unavailable(f"{self._file.path}: was removed while it was set up: try again")
            if not self._file.is_ours(db, older=True):
                db.execute(f"PRAGMA application_id = {layout.APPLICATION_ID}")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            for statements in layout.MIGRATIONS[version:]:
                for statement in statements:
                    db.execute(statement)
            if version < layout.SCHEMA_VERSION:
                db.execute(f"PRAGMA user_version = {layout.SCHEMA_VERSION}")
        return self.ping(deadline)

    def ping(self, deadline: Deadline) -> Health:
        """Ask the file for its journal mode."""
        return self.examine(deadline).health

    def examine(self, deadline: Deadline) -> Examination:
        """Ask the file how it is written; its clock is the machine's."""
        mode, in_memory = None, self._file.connections.in_memory
        with self._file.snapshot(deadline) as db:
            if db is not None:
                db.execute(layout.OWNER).fetchone()  # only in reading does it learn of another mode
                (mode,) = db.execute("PRAGMA journal_mode").fetchone()
        is_there = mode is not None
        server = f"SQLite {sqlite3.sqlite_version}"
        return Examination(
            server=server if is_there or in_memory else f"{server} (nothing is stored there yet)",
            schema=f"version {layout.SCHEMA_VERSION}" if is_there else "not there yet",
            clock_ahead=0.0,
            findings=tuple(findings(mode, self.options, in_memory=in_memory)),
        )

    def count(self, session_id: str, now: int, deadline: Deadline) -> int:
        """Count the session's range of ids."""
        with self._file.snapshot(deadline) as db:
            if db is None:
                return 0
            with bounded(db, deadline):
                found: int = db.execute(layout.COUNT, _range(session_id, None, None, now)).fetchone()[0]
                return found

    def sessions(self, prefix: str, cursor: str | None, limit: int, deadline: Deadline) -> SessionPage:
        """Walk the index of session ids, whose order is that of their UTF-8 bytes."""
        limit = min(limit, SESSIONS_AT_ONCE)
        with self._file.snapshot(deadline) as db:
            if db is None:
                return SessionPage((), None)
            # One lower bound: of two, SQLite might search by the lesser one and walk to the other.
            start = (max(prefix, cursor or ""), cursor or "", limit + 1)
            found = [row[0] for row in db.execute(layout.SESSIONS, start)]
        return session_page(found, prefix, limit)

    def discard(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Delete the front of the session's range of ids."""
        with self._file.transaction(deadline) as db:
            if db is not None and (known := db.execute(layout.FIND, (session_id,)).fetchone()):
                sid, version, _ = known
                bound = min(before, version)
                with bounded(db, deadline):
                    db.execute(layout.DISCARD, (sid << 32, (sid << 32) + bound))
                db.execute(layout.RAISE_FIRST, (bound, sid))

    def remove(self, session_id: str, seqs: tuple[int, ...], now: int, deadline: Deadline) -> tuple[int, ...]:
        """Delete single rows."""
        with self._file.transaction(deadline) as db:
            if db is None or not (known := db.execute(layout.FIND, (session_id,)).fetchone()):
                return ()
            base = known[0] << 32
            present = (seq for seq in seqs if seq < layout.SEQS)
            return tuple(seq for seq in present if _removed(db, base + seq, now, deadline))

    def delete(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Delete the row of a drained session."""
        with self._file.transaction(deadline) as db:
            if db is not None:
                db.execute(layout.DELETE, (session_id, before))

    def purge(self, deadline: Deadline) -> int:
        """Delete a batch of the messages whose time has come."""
        with self._file.transaction(deadline) as db:
            if db is None:
                return 0
            return db.execute(layout.PURGE, (_milliseconds(), PURGED_AT_ONCE)).rowcount

    def close(self) -> None:
        """Close the connections; those in use when they come back."""
        self._file.close()
        self.release_threads()


def path_of(url: URL) -> str:
    """The absolute path of the file that a URL names, or `connections.MEMORY`.

    Raises:
        InvalidURL: It names none.
    """
    if url.hosts or url.username is not None:
        raise InvalidURL("sqlite: a file has no host: write sqlite:///chat.db, or sqlite:////absolute/chat.db")
    path = url.path.removeprefix("/")
    if "\0" in path:
        raise InvalidURL("sqlite: the path holds a NUL byte, which no file name can")
    if url.path == "/":
        raise InvalidURL("sqlite: the path names no file: write sqlite:///chat.db, or sqlite:////absolute/chat.db")
    return MEMORY if path in ("", MEMORY) else str(Path(path).absolute())


def _range(session_id: str, after: int | None, before: int | None, now: int) -> dict[str, str | int]:
    # The bounds stay within the session's own ids.
    return {
        "session_id": session_id,
        "after": -1 if after is None else min(after, layout.SEQS - 1),
        "before": layout.SEQS if before is None else max(0, min(before, layout.SEQS)),
        "now": now,
    }


def _removed(db: Connection, message: int, now: int, deadline: Deadline) -> int:
    if not deadline.remaining():
        raise DeadlineExceeded(f"not all was removed within {deadline.seconds:g} s, so nothing was: raise timeout")
    removed: int = db.execute(layout.REMOVE, (message, now)).rowcount
    return removed


def _page(cursor: sqlite3.Cursor, limit: int) -> Page:
    """The rows up to the limit, or to the one with which the page has its bytes."""
    rows: list[Row] = []
    size = 0
    at_once = 1
    while size < PAGE_BYTES and (some := cursor.fetchmany(at_once)):
        rows += starmap(Row, some)
        size += sum(map(len, map(_body_of, some)))
        # As many as would fill the page, were they as large as those so far.
        at_once = max(1, min(ROWS_AT_ONCE, (PAGE_BYTES - size) * len(rows) // max(1, size)))
    cursor.close()
    return Page(rows, rows[-1].seq if len(rows) == limit or size >= PAGE_BYTES else None)


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000
