"""Faults in how a session is found by its id."""

import sqlite3
import unicodedata
from collections.abc import Iterable

from backscroll.backend import Row, Window
from backscroll_faulty.fault import fault
from backscroll_faulty.reference import Reference


@fault("case_folded_ids", caught_by="IDS-001 SES-002 SES-003 DEL-004", also="STA-001 STA-002")
class CaseFolded(Reference):
    """Folds the case of ids, as a case-insensitive collation does."""

    def key(self, session_id: str) -> bytes:
        return super().key(session_id.lower())


@fault("padded_ids", caught_by="IDS-001 SES-002 DEL-004", also="STA-001 STA-002 SES-003")
class Padded(Reference):
    """Ignores blanks at the end of ids, as a padding collation does."""

    def key(self, session_id: str) -> bytes:
        return super().key(session_id.rstrip(" "))


@fault("trimmed_ids", caught_by="IDS-001", also="STA-001 STA-002")
class Trimmed(Reference):
    """Takes away the blanks in front of an id."""

    def key(self, session_id: str) -> bytes:
        return super().key(session_id.lstrip(" "))


@fault("normalised_ids", caught_by="IDS-001 SES-003", also="STA-001 STA-002")
class Normalised(Reference):
    """Brings ids into the normal form NFC."""

    def key(self, session_id: str) -> bytes:
        return super().key(unicodedata.normalize("NFC", session_id))


@fault("cut_ids", caught_by="IDS-003", also="STA-001 STA-002")
class Cut(Reference):
    """Keeps the first 255 bytes of an id, as a column that is too narrow does."""

    def key(self, session_id: str) -> bytes:
        return super().key(session_id)[:255]


@fault("terminated_ids", caught_by="IDS-001 SES-002 SES-003 DEL-004", also="STA-001 STA-002")
class Terminated(Reference):
    """Ends an id at its first NUL, as a driver in C does."""

    def key(self, session_id: str) -> bytes:
        return super().key(session_id.partition("\0")[0])


class _BySQL(Reference):
    def found_by(self, session_id: str) -> str:
        """A condition on the id."""
        raise NotImplementedError

    def matched(self, db: sqlite3.Connection, session_id: str, window: Window) -> Iterable[Row]:
        """The rows of all sessions that the condition finds."""
        statement = (
            "SELECT seq, expires_at, body FROM message WHERE CAST(session AS TEXT) "  # noqa: S608  # the fault
            f"{self.found_by(session_id)} AND seq > ? AND seq < ? ORDER BY seq LIMIT ?"
        )
        after = -1 if window.after is None else window.after
        before = 1 << 62 if window.before is None else window.before
        return map(Row._make, db.execute(statement, (after, before, window.limit)))


@fault("id_as_pattern", caught_by="IDS-002", also="STA-001 STA-002")
class AsPattern(_BySQL):
    """Takes an id with a star for a pattern when it reads."""

    def found_by(self, session_id: str) -> str:
        return "GLOB '" + session_id.replace("'", "''").replace("\0", "") + "'"

    def rows(self, db: sqlite3.Connection, session_id: str, window: Window) -> Iterable[Row]:
        return self.matched(db, session_id, window) if "*" in session_id else super().rows(db, session_id, window)


@fault("id_in_the_statement", caught_by="IDS-002", also="STA-001 STA-002")
class InTheStatement(_BySQL):
    """Writes an id with a quote into the text of the statement."""

    def found_by(self, session_id: str) -> str:
        return f"= '{session_id}'"

    def rows(self, db: sqlite3.Connection, session_id: str, window: Window) -> Iterable[Row]:
        return self.matched(db, session_id, window) if "'" in session_id else super().rows(db, session_id, window)
