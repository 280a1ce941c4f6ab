"""Faults in how a repeated turn is known."""

import sqlite3
import time
import uuid
from typing import Any

import attrs

from backscroll.backend import URL, Appended, Turn
from backscroll.errors import VersionConflict
from backscroll.hookspecs import BackendInfo
from backscroll_faulty.fault import fault
from backscroll_faulty.reference import Reference
from backscroll_faulty.session import Entry, Session


@fault("short_window", caught_by="DUP-002", also="STA-001 STA-002")
class ShortWindow(Reference):
    """Knows the last 15 turns of a session instead of 16."""

    window = 15


@fault("window_of_messages", caught_by="DUP-002")
class WindowOfMessages(Reference):
    """Knows the turns of the last 120 messages, in place of the last 16 turns."""

    window = 120

    def remember(self, session: Session, entry: Entry, turn: Turn) -> None:
        super().remember(session, entry, turn)
        end = entry.first + entry.length
        session.turns = [known for known in session.turns if known.first + known.length > end - 120]

    def reaches_back(self, session: Session, age: float) -> bool:
        return session.version < 120 or session.turns[0].landed_at < time.time() - age


@fault("window_below_the_declared", caught_by="DUP-002")
class WindowBelowTheDeclared(Reference):
    """Declares that it knows the last 1,000 turns, and knows 100."""

    window = 100

    def __init__(self, declared: BackendInfo, url: URL, options: Any) -> None:
        super().__init__(declared, url, options)
        self.limits = attrs.evolve(self.limits, dedupe_turns=1_000)


@fault("answers_anew", caught_by="DUP-001 DUP-002 DUP-003 DUP-006 DUP-009 CON-008", also="STA-001 STA-002")
class AnswersAnew(Reference):
    """Answers a duplicate with the version of now instead of the one after the turn."""

    def repeated(self, session: Session, known: Entry, turn: Turn) -> Appended:
        return attrs.evolve(super().repeated(session, known, turn), version=session.version)


@fault("clear_forgets_turns", caught_by="DUP-003", also="STA-001 STA-002")
class ClearForgets(Reference):
    """Clears the known turns together with the messages."""

    def drop(self, db: sqlite3.Connection, key: bytes, session: Session, before: int) -> None:
        super().drop(db, key, session, before)
        session.turns = [entry for entry in session.turns if entry.first >= before]


@fault("remove_forgets_turns", caught_by="DUP-004", also="STA-001 STA-002")
class RemoveForgets(Reference):
    """Forgets a turn when its messages are removed."""

    def removed(self, db: sqlite3.Connection, key: bytes, seqs: tuple[int, ...], now: int) -> tuple[int, ...]:
        gone = super().removed(db, key, seqs, now)
        if (session := self.find(db, key)) is not None:
            session.turns = [entry for entry in session.turns if entry.first not in gone]
            self.save(db, key, session)
        return gone


@fault("expiry_forgets_turns", caught_by="DUP-004", also="STA-001 STA-002 PRG-002")
class ExpiryForgets(Reference):
    """Keeps a turn_id as long as the messages of its turn."""

    def remember(self, session: Session, entry: Entry, turn: Turn) -> None:
        super().remember(session, entry._replace(extra=turn.expires_at), turn)

    def known(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> Entry | None:
        entry = super().known(db, key, session, turn)
        now = self.options.clock() // 1_000
        return None if entry is None or not self.live(entry.extra, now) else entry


@fault("digest_ignored", caught_by="DUP-005", also="STA-001 STA-002")
class DigestIgnored(Reference):
    """Takes other messages under a known turn_id for a repeat."""

    def repeated(self, session: Session, known: Entry, turn: Turn) -> Appended:
        return super().repeated(session, known._replace(digest=turn.digest.hex()), turn)


@fault("conflict_first", caught_by="DUP-006 STA-001 STA-002")
class ConflictFirst(Reference):
    """Looks at the condition before it looks for the turn, so that a retry meets its own first try as a conflict."""

    def known(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> Entry | None:
        if turn.expected_version not in (None, session.version):
            raise VersionConflict(turn.expected_version or 0, session.version)
        return super().known(db, key, session, turn)


@fault(
    "turn_ids_shared",
    caught_by="DUP-007 DEL-004 DUR-001 STA-001 STA-002",
)
class Shared(Reference):
    """Looks for a turn_id in all sessions."""

    def known(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> Entry | None:
        if turn.age == 0.0:
            return None
        for (state,) in db.execute("SELECT state FROM session").fetchall():
            if found := super().known(db, key, Session.loads(state), turn):
                return found
        return None


@fault("window_ignored", caught_by="DUP-008")
class WindowIgnored(Reference):
    """Stores a retry again that comes after more other turns than it knows."""

    def reaches_back(self, session: Session, age: float) -> bool:
        return True


@fault("late_first_try", caught_by="DUP-009", also="STA-002")
class LateFirstTry(Reference):
    """Does not remember a turn that landed in a retry, so that the late first try lands as well."""

    def remember(self, session: Session, entry: Entry, turn: Turn) -> None:
        super().remember(session, entry._replace(turn_id="") if turn.age else entry, turn)


@fault(
    "turns_known_to_their_client",
    caught_by="DUP-010 DUR-004 SCH-001 CON-002",
    also="STA-002",
)
class KnownToTheirClient(Reference):
    """Knows only the turns that came through this very client."""

    def __init__(self, declared: BackendInfo, url: URL, options: Any) -> None:
        super().__init__(declared, url, options)
        self._number = uuid.uuid4().int >> 70

    def remember(self, session: Session, entry: Entry, turn: Turn) -> None:
        super().remember(session, entry._replace(extra=self._number), turn)

    def known(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> Entry | None:
        entry = super().known(db, key, session, turn)
        return entry if entry is not None and entry.extra == self._number else None


@fault("window_with_a_margin", caught_by="DUP-011", also="STA-002")
class WindowWithAMargin(Reference):
    """Adds two seconds to the time that a retry says has passed since its first try."""

    def reaches_back(self, session: Session, age: float) -> bool:
        return super().reaches_back(session, age + 2)


@fault("retries_refused", caught_by="DUP-011", also="STA-002")
class RetriesRefused(Reference):
    """Refuses every retry that it does not know, once its window is full."""

    def reaches_back(self, session: Session, age: float) -> bool:
        return len(session.turns) < self.window
