"""Faults in what operations cost as a session grows."""

import sqlite3
from collections.abc import Iterable

import attrs

from backscroll.backend import Row, Turn, Window
from backscroll.errors import StorageError
from backscroll_faulty.fault import fault
from backscroll_faulty.reference import LAST_SEQ, Reference
from backscroll_faulty.session import Entry, Session


@fault("newest_reads_everything", caught_by="MEA-001")
class NewestReadsEverything(Reference):
    """Reads the whole session for its last messages."""

    def rows(self, db: sqlite3.Connection, session_id: str, window: Window) -> Iterable[Row]:
        if not window.newest:
            return super().rows(db, session_id, window)
        everything = attrs.evolve(window, limit=LAST_SEQ, newest=False)
        return list(super().rows(db, session_id, everything))[::-1][: window.limit]


@fault("iterate_loads_everything", caught_by="MEA-002")
class IterateLoadsEverything(Reference):
    """Loads the rest of the session for each page."""

    def rows(self, db: sqlite3.Connection, session_id: str, window: Window) -> Iterable[Row]:
        if window.newest or window.limit < 100:
            return super().rows(db, session_id, window)
        return list(super().rows(db, session_id, attrs.evolve(window, limit=LAST_SEQ)))


@fault("append_scans", caught_by="MEA-003")
class AppendScans(Reference):
    """Looks through the whole session before it appends."""

    def known(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> Entry | None:
        rows = db.execute("SELECT seq, expires_at, body FROM message WHERE session = ?", (key,))
        if any(turn.turn_id.bytes in row.body for row in map(Row._make, rows)):
            raise StorageError("the id of the turn is written in a message")
        return super().known(db, key, session, turn)
