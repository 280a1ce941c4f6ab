"""Faults in what clear, discard, remove and delete take."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from backscroll.backend import URL, Row, SessionInfo, Turn, Window
from backscroll.hookspecs import BackendInfo
from backscroll.values import from_microseconds
from backscroll_faulty.fault import fault
from backscroll_faulty.reference import Reference
from backscroll_faulty.session import Session


@fault(
    "counter_of_newest",
    caught_by="SEQ-002 SEQ-003 DUP-003 DEL-003 DSC-003 PRG-002",
    also="STA-001 STA-002 CAS-004",
)
class CounterOfNewest(Reference):
    """Takes the seq behind the newest message that is stored, and so gives those of dropped ones again."""

    def seqs(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> tuple[int, ...]:
        newest = db.execute("SELECT MAX(seq) FROM message WHERE session = ?", (key,)).fetchone()[0]
        session.version = 0 if newest is None else newest + 1
        return super().seqs(db, key, session, turn)


@fault("clear_resets_counter", caught_by="SEQ-002 CAS-004 DEL-001 DEL-002 DSC-003 DUP-003 STA-001", also="STA-002")
class ClearResets(Reference):
    """Begins at 0 again when a session is cleared."""

    def drop(self, db: sqlite3.Connection, key: bytes, session: Session, before: int) -> None:
        super().drop(db, key, session, before)
        if before == session.version:
            session.version = session.first_seq = 0


@fault("discard_with_its_bound", caught_by="DSC-001 DSC-003 DSC-004 DUP-003 DSC-005", also="STA-001 STA-002")
class WithItsBound(Reference):
    """Drops the message at the bound as well."""

    def drop(self, db: sqlite3.Connection, key: bytes, session: Session, before: int) -> None:
        super().drop(db, key, session, min(before + 1, session.version))


@fault("cleared_once", caught_by="DSC-002 DSC-003", also="STA-001 STA-002")
class ClearedOnce(Reference):
    """Remembers which sessions it cleared, and does not clear them again."""

    def __init__(self, declared: BackendInfo, url: URL, options: Any) -> None:
        super().__init__(declared, url, options)
        self._cleared: set[bytes] = set()

    def drop(self, db: sqlite3.Connection, key: bytes, session: Session, before: int) -> None:
        if before < session.version or key not in self._cleared:
            super().drop(db, key, session, before)
            self._cleared |= {key} if before == session.version else set()


@fault("clear_repeated", caught_by="DSC-003 DUP-003", also="STA-001 STA-002")
class ClearRepeated(Reference):
    """Takes everything that is there by then when a clear is repeated."""

    def drop(self, db: sqlite3.Connection, key: bytes, session: Session, before: int) -> None:
        repeated = before == session.extra
        session.extra = before if before == session.version else None
        super().drop(db, key, session, session.version if repeated else before)


@fault("discard_undone", caught_by="DSC-004", also="STA-001 STA-002")
class DiscardUndone(Reference):
    """Keeps what was discarded behind a mark, which an older bound moves back."""

    def drop(self, db: sqlite3.Connection, key: bytes, session: Session, before: int) -> None:
        columns = "session BLOB, seq INTEGER, expires_at INTEGER, purge_at REAL, body BLOB"
        db.execute(f"CREATE TABLE IF NOT EXISTS trash ({columns}, PRIMARY KEY (session, seq))")
        db.execute("INSERT INTO message SELECT * FROM trash WHERE session = ? AND seq >= ?", (key, before))
        db.execute("DELETE FROM trash WHERE session = ? AND seq >= ?", (key, before))
        db.execute("INSERT INTO trash SELECT * FROM message WHERE session = ? AND seq < ?", (key, before))
        super().drop(db, key, session, before)

    def deleted(self, db: sqlite3.Connection, key: bytes) -> None:
        super().deleted(db, key)
        db.execute("DELETE FROM trash WHERE session = ?", (key,))


@fault("remove_as_a_range", caught_by="REM-001 RDG-001 REM-004", also="STA-001 STA-002")
class AsARange(Reference):
    """Drops all between the first and the last that are named."""

    def removed(self, db: sqlite3.Connection, key: bytes, seqs: tuple[int, ...], now: int) -> tuple[int, ...]:
        gone = super().removed(db, key, seqs, now)
        if gone:
            db.execute("DELETE FROM message WHERE session = ? AND seq BETWEEN ? AND ?", (key, gone[0], gone[-1]))
        return gone


@fault("remove_echoes", caught_by="REM-002 SEQ-005 REM-003 CON-010", also="STA-001 STA-002")
class Echoes(Reference):
    """Answers what it was asked to remove."""

    def removed(self, db: sqlite3.Connection, key: bytes, seqs: tuple[int, ...], now: int) -> tuple[int, ...]:
        super().removed(db, key, seqs, now)
        return tuple(sorted(seqs))


@fault("remove_answers_expired", caught_by="REM-003", also="STA-001 STA-002")
class AnswersExpired(Reference):
    """Removes what has expired, and answers it as though it was still there."""

    def is_live(self, db: sqlite3.Connection, key: bytes, seq: int, now: int) -> bool:
        return super().is_live(db, key, seq, 0)


@fault("delete_only_clears", caught_by="DEL-001 DEL-002 DEL-005", also="STA-001 STA-002")
class OnlyClears(Reference):
    """Leaves the counter and the known turns where a session is deleted."""

    def deleted(self, db: sqlite3.Connection, key: bytes) -> None:
        pass


@fault("delete_keeps_turns", caught_by="DEL-002", also="STA-001 STA-002")
class KeepsTurns(Reference):
    """Keeps the known turns of a deleted session in a table of their own."""

    def deleted(self, db: sqlite3.Connection, key: bytes) -> None:
        db.execute("CREATE TABLE IF NOT EXISTS ghost (id BLOB PRIMARY KEY, state TEXT)")
        db.execute("INSERT OR REPLACE INTO ghost SELECT * FROM session WHERE id = ?", (key,))
        super().deleted(db, key)

    def known(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> Any:
        if not session.version and db.execute("SELECT 1 FROM sqlite_master WHERE name = 'ghost'").fetchone():
            found = db.execute("SELECT state FROM ghost WHERE id = ?", (key,)).fetchone()
            session.turns = Session.loads(found[0]).turns if found else []
        return super().known(db, key, session, turn)


@fault("delete_whatever_came", caught_by="DEL-003", also="STA-002")
class WhateverCame(Reference):
    """Deletes a session whatever came since, with all its messages."""

    def is_drained(self, session: Session, before: int) -> bool:
        return True

    def deleted(self, db: sqlite3.Connection, key: bytes) -> None:
        db.execute("DELETE FROM message WHERE session = ?", (key,))
        super().deleted(db, key)


@fault("delete_by_prefix", caught_by="DEL-004", also="STA-001 STA-002")
class ByPrefix(Reference):
    """Deletes the sessions whose id goes on with a colon, as stores with keys of several parts do."""

    def deleted(self, db: sqlite3.Connection, key: bytes) -> None:
        super().deleted(db, key)
        below = (key + b":", key + b";")
        db.execute("DELETE FROM session WHERE id >= ? AND id < ?", below)
        db.execute("DELETE FROM message WHERE session >= ? AND session < ?", below)


@fault("counts_a_few", caught_by="INF-002 INF-003", also="STA-001 STA-002")
class CountsAFew(Reference):
    """Counts the first few messages that it fetches, and no more."""

    def counted(self, db: sqlite3.Connection, key: bytes, now: int) -> int:
        return min(super().counted(db, key, now), 5)


@fault("clear_by_the_clock", caught_by="CON-009")
class ClearByTheClock(Reference):
    """Clears all that is older than the clear by the clocks of the clients, also what comes later."""

    def drop(self, db: sqlite3.Connection, key: bytes, session: Session, before: int) -> None:
        super().drop(db, key, session, before)
        if before == session.version:
            session.extra = self.options.clock()

    def insert(self, db: sqlite3.Connection, key: bytes, turn: Turn, seqs: Sequence[int]) -> None:
        session = self.find(db, key)
        if session is None or session.extra is None or session.extra <= self.options.clock():
            super().insert(db, key, turn, seqs)


@fault("drops_a_batch", caught_by="DSC-005 DEL-005")
class DropsABatch(Reference):
    """Drops no more than 500 messages at once, and leaves the others."""

    def drop(self, db: sqlite3.Connection, key: bytes, session: Session, before: int) -> None:
        batch = "SELECT seq FROM message WHERE session = ? AND seq < ? ORDER BY seq LIMIT 500"
        db.execute(f"DELETE FROM message WHERE session = ? AND seq IN ({batch})", (key, key, before))  # noqa: S608
        session.first_seq = max(session.first_seq, before)


@fault("drops_behind_a_mark", caught_by="DEL-005")
class DropsBehindAMark(Reference):
    """Hides what was discarded behind a mark, drops 2,000 of it, and forgets the mark with the session."""

    insert_sql = "INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?, ?)"

    def drop(self, db: sqlite3.Connection, key: bytes, session: Session, before: int) -> None:
        batch = "SELECT seq FROM message WHERE session = ? AND seq < ? ORDER BY seq LIMIT 2000"
        db.execute(f"DELETE FROM message WHERE session = ? AND seq IN ({batch})", (key, key, before))  # noqa: S608
        session.first_seq = max(session.first_seq, before)

    def rows(self, db: sqlite3.Connection, session_id: str, window: Window) -> Iterable[Row]:
        session = self.find(db, self.key(session_id))
        if session is None:
            return ()
        after = session.first_seq - 1 if window.after is None else max(window.after, session.first_seq - 1)
        return super().rows(db, session_id, attrs.evolve(window, after=after))


@fault("removes_999", caught_by="REM-004")
class Removes999(Reference):
    """Removes as many messages as a statement has room for, and passes over the others."""

    def removed(self, db: sqlite3.Connection, key: bytes, seqs: tuple[int, ...], now: int) -> tuple[int, ...]:
        return super().removed(db, key, tuple(sorted(seqs))[:999], now)


@fault("counts_a_thousand", caught_by="INF-003")
class CountsAThousand(Reference):
    """Counts up to a thousand."""

    def counted(self, db: sqlite3.Connection, key: bytes, now: int) -> int:
        return min(super().counted(db, key, now), 1_000)


@fault("updated_at_the_first_turn", caught_by="INF-004")
class UpdatedAtTheFirstTurn(Reference):
    """Says when the oldest turn that it knows was appended, in place of the newest."""

    def described(self, session_id: str, session: Session) -> SessionInfo:
        info = super().described(session_id, session)
        if not session.turns:
            return info
        return attrs.evolve(info, updated_at=from_microseconds(int(session.turns[0].landed_at * 1e6)))


@fault("updated_at_no_zone", caught_by="INF-004")
class UpdatedAtNoZone(Reference):
    """Says when a session was appended to without a time zone."""

    def described(self, session_id: str, session: Session) -> SessionInfo:
        info = super().described(session_id, session)
        return attrs.evolve(info, updated_at=info.updated_at and info.updated_at.replace(tzinfo=None))
