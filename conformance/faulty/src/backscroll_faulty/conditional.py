"""Faults in how an expected version is judged."""

import sqlite3

from backscroll.backend import Appended, Deadline, Turn
from backscroll.errors import VersionConflict
from backscroll_faulty.fault import fault
from backscroll_faulty.reference import Reference
from backscroll_faulty.session import Entry, Session


@fault("condition_per_message", caught_by="CAS-001 DUP-006", also="STA-001 STA-002")
class PerMessage(Reference):
    """Judges the condition for each message, so that a turn of several conflicts with itself."""

    def check(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> None:
        super().check(db, key, session, turn)
        if turn.expected_version is not None and len(turn.bodies) > 1:
            raise VersionConflict(turn.expected_version, session.version + 1)


@fault("at_most_the_version", caught_by="CAS-002 CAS-003", also="CAS-005 STA-001 STA-002")
class AtMost(Reference):
    """Takes the expected version for a lower bound."""

    def conflicts(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> bool:
        return session.version > (turn.expected_version or 0)


@fault("empty_session_forgotten", caught_by="CAS-003", also="STA-001 STA-002")
class EmptyForgotten(Reference):
    """Has no condition to compare where the session has no row yet."""

    def conflicts(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> bool:
        return session.version > 0 and super().conflicts(db, key, session, turn)


@fault("cleared_is_new", caught_by="CAS-004", also="STA-001 STA-002")
class ClearedIsNew(Reference):
    """Takes a session without messages for a new one when it judges a condition."""

    def conflicts(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> bool:
        if not session.version or db.execute("SELECT 1 FROM message WHERE session = ?", (key,)).fetchone():
            return super().conflicts(db, key, session, turn)
        return turn.expected_version not in (0, session.version)


@fault("refused_turn_remembered", caught_by="CAS-005 CON-001 CON-008 CON-009", also="STA-001 STA-002")
class RefusedRemembered(Reference):
    """Remembers a turn before it judges the condition, and keeps that."""

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        try:
            return super().append(session_id, turn, deadline)
        except VersionConflict:
            key = self.key(session_id)
            with self.writing(deadline) as db:
                if db is not None and (session := self.find(db, key)) is not None:
                    entry = Entry(turn.turn_id.hex, turn.digest.hex(), session.version, len(turn.bodies), 0.0)
                    self.remember(session, entry, turn)
                    self.save(db, key, session)
            raise
