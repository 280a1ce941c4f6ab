"""Faults in when messages expire and are purged."""

import sqlite3
import time
from collections.abc import Sequence
from typing import Final

import attrs

from backscroll.backend import Appended, Turn
from backscroll_faulty.fault import fault
from backscroll_faulty.reference import GIVEN_BACK, ONE, Reference
from backscroll_faulty.session import Session

SECOND: Final = 1_000_000
"""In the unit of an expiry."""


@fault("expiry_in_whole_seconds", caught_by="TTL-001 TTL-005", also="STA-001 STA-002")
class WholeSeconds(Reference):
    """Keeps the expiry in whole seconds, and so ends it early."""

    def expiry(self, turn: Turn) -> int | None:
        return None if turn.expires_at is None else turn.expires_at // SECOND * SECOND


@fault("expiry_in_milliseconds", caught_by="TTL-005", also="TTL-001 STA-001 STA-002")
class Milliseconds(Reference):
    """Keeps the expiry in milliseconds, rounded up."""

    def expiry(self, turn: Turn) -> int | None:
        return None if turn.expires_at is None else -(-turn.expires_at // 1_000) * 1_000


@fault("expiry_by_own_clock", caught_by="TTL-001 TTL-007")
class OwnClock(Reference):
    """Leaves out what has expired by its own clock, whatever time the reader has."""

    def live(self, expires_at: int | None, now: int) -> bool:
        return super().live(expires_at, now) and super().live(expires_at, time.time_ns() // 1_000)


@fault("expiry_of_the_session", caught_by="TTL-002 TTL-003 TTL-004 TTL-007 PRG-002 REM-003", also="STA-001 STA-002")
class OfTheSession(Reference):
    """Sets the expiry of the whole session with each turn that has one."""

    def insert(self, db: sqlite3.Connection, key: bytes, turn: Turn, seqs: Sequence[int]) -> None:
        super().insert(db, key, turn, seqs)
        if turn.expires_at is not None:
            db.execute("UPDATE message SET expires_at = ? WHERE session = ?", (turn.expires_at, key))


@fault("expired_is_counted", caught_by="TTL-003", also="STA-001 STA-002")
class Counted(Reference):
    """Counts what has expired as long as it is stored."""

    def counted(self, db: sqlite3.Connection, key: bytes, now: int) -> int:
        return super().counted(db, key, 0)


@fault("expiry_of_32_bits", caught_by="TTL-006")
class Expiry32(Reference):
    """Keeps the seconds of an expiry in 32 bits, which end in 2038."""

    def expiry(self, turn: Turn) -> int | None:
        at = turn.expires_at
        return at if at is None or at < (1 << 31) * SECOND else at - (1 << 32) * SECOND


@fault("purge_of_32_bits", caught_by="TTL-006")
class Purge32(Reference):
    """Keeps the milliseconds until a message may go in 32 bits, which hold 24 days."""

    def insert(self, db: sqlite3.Connection, key: bytes, turn: Turn, seqs: Sequence[int]) -> None:
        if turn.purge_in is not None:
            wrapped = (round(turn.purge_in * 1_000) + (1 << 31)) % (1 << 32) - (1 << 31)
            turn = attrs.evolve(turn, purge_in=wrapped / 1_000)
        super().insert(db, key, turn, seqs)


@fault("repeat_moves_the_expiry", caught_by="TTL-008", also="STA-001 STA-002")
class RepeatMovesTheExpiry(Reference):
    """Sets the expiry of a turn again when it is repeated with one."""

    def land(self, db: sqlite3.Connection, key: bytes, turn: Turn) -> Appended:
        answer = super().land(db, key, turn)
        if answer.duplicate and turn.expires_at is not None:
            update = "UPDATE message SET expires_at = ? WHERE session = ? AND seq = ?"
            db.executemany(update, ((turn.expires_at, key, seq) for seq in answer.seqs))
        return answer


@fault("purge_by_client_clock", caught_by="TTL-007", also="STA-001 STA-002")
class ByClientClock(Reference):
    """Purges what has expired by the clock of the client that asks."""

    def purged(self, db: sqlite3.Connection) -> int:
        now = self.options.clock() // 1_000
        gone = db.execute("DELETE FROM message WHERE expires_at <= ?", (now,)).rowcount
        return gone + super().purged(db)


@fault("counter_expires", caught_by="SEQ-004 TTL-007", also="STA-001 STA-002")
class CounterExpires(Reference):
    """Begins at 0 again when all messages of a session have expired."""

    def seqs(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> tuple[int, ...]:
        query = "SELECT COUNT(*) FROM message WHERE session = ? AND (expires_at IS NULL) = ? LIMIT 1"
        now = self.options.clock() // 1_000
        live = "SELECT 1 FROM message WHERE session = ? AND (expires_at IS NULL OR expires_at > ?) LIMIT 1"
        if db.execute(live, (key, now)).fetchone() is None and db.execute(query, (key, 0)).fetchone()[0]:
            db.execute("DELETE FROM message WHERE session = ?", (key,))
            session.version = 0
        return super().seqs(db, key, session, turn)


@fault("purge_answers_unknown", caught_by="PRG-001")
class AnswersUnknown(Reference):
    """Answers -1, as drivers do that do not know how many rows a statement dropped."""

    def purged(self, db: sqlite3.Connection) -> int:
        return -1 if super().purged(db) else 0


@fault("purge_takes_all_that_expire", caught_by="PRG-002 TTL-007 TTL-006", also="STA-001 STA-002")
class TakesAll(Reference):
    """Purges every message that has an expiry, also one to come."""

    def purged(self, db: sqlite3.Connection) -> int:
        return db.execute("DELETE FROM message WHERE expires_at IS NOT NULL").rowcount


@fault("purge_forgets_turns", caught_by="PRG-002", also="STA-001 STA-002")
class PurgeForgets(Reference):
    """Forgets the known turns of the sessions in which it purges."""

    def purged(self, db: sqlite3.Connection) -> int:
        gone = db.execute(GIVEN_BACK, (time.time(),)).fetchall()
        db.executemany(ONE, gone)
        for key in {key for key, _ in gone}:
            if (session := self.find(db, key)) is not None:
                session.turns = []
                self.save(db, key, session)
        return len(gone)


@fault("purge_forgets_purged_turns", caught_by="PRG-002")
class PurgeForgetsPurged(Reference):
    """Forgets a turn when its messages are purged."""

    def purged(self, db: sqlite3.Connection) -> int:
        gone = db.execute(GIVEN_BACK, (time.time(),)).fetchall()
        db.executemany(ONE, gone)
        for key in {key for key, _ in gone}:
            if (session := self.find(db, key)) is not None:
                session.turns = [entry for entry in session.turns if (key, entry.first) not in gone]
                self.save(db, key, session)
        return len(gone)


@fault("purge_ends_empty_sessions", caught_by="PRG-002")
class PurgeEndsEmpty(Reference):
    """Drops a session when its last message is purged."""

    def purged(self, db: sqlite3.Connection) -> int:
        gone = db.execute(GIVEN_BACK, (time.time(),)).fetchall()
        db.executemany(ONE, gone)
        for key in {key for key, _ in gone}:
            if db.execute("SELECT 1 FROM message WHERE session = ?", (key,)).fetchone() is None:
                self.deleted(db, key)
        return len(gone)


@fault("purge_counts_nothing", caught_by="PRG-001")
class PurgeCountsNothing(Reference):
    """Answers that it dropped nothing, whatever it dropped."""

    def purged(self, db: sqlite3.Connection) -> int:
        super().purged(db)
        return 0
