"""Faults in listing, following and watching."""

import sqlite3
from typing import Any

from backscroll.backend import URL, Deadline, SessionPage, Window
from backscroll.errors import DeadlineExceeded, StorageError
from backscroll.hookspecs import BackendInfo
from backscroll_faulty.fault import fault
from backscroll_faulty.reference import Reference


@fault("listed_twice", caught_by="SES-001 SES-002 SES-003 SES-005 SES-006", also="STA-001 STA-002")
class ListedTwice(Reference):
    """Begins a page with the last session of the one before."""

    def listed(self, db: sqlite3.Connection, prefix: str, cursor: str | None, limit: int) -> SessionPage:
        page = super().listed(db, prefix, cursor, limit)
        again = (cursor,) if cursor is not None and limit > 1 else ()
        return SessionPage((again + page.session_ids)[:limit], self._last(again, page, limit))

    def _last(self, again: tuple[str, ...], page: SessionPage, limit: int) -> str | None:
        return page.session_ids[-2] if again and len(page.session_ids) == limit else page.cursor


@fault("listing_skips", caught_by="SES-001 SES-002 SES-003 SES-005 SES-006", also="STA-001 STA-002")
class ListingSkips(Reference):
    """Goes on behind the first session of the next page."""

    def listed(self, db: sqlite3.Connection, prefix: str, cursor: str | None, limit: int) -> SessionPage:
        page = super().listed(db, prefix, cursor, limit)
        if page.cursor is None:
            return page
        return SessionPage(page.session_ids, super().listed(db, prefix, page.cursor, 1).session_ids[0])


@fault("listing_over_its_limit", caught_by="SES-001 SES-002 SES-003", also="STA-001 STA-002")
class OverItsLimit(Reference):
    """Gives the one session more that tells it whether there are more, where it is the last."""

    def listed(self, db: sqlite3.Connection, prefix: str, cursor: str | None, limit: int) -> SessionPage:
        more = super().listed(db, prefix, cursor, limit + 1)
        return more if more.cursor is None else super().listed(db, prefix, cursor, limit)


@fault("listed_by_utf16", caught_by="SES-002", also="STA-001 STA-002")
class ByUTF16(Reference):
    """Orders the sessions by UTF-16, as some languages compare strings."""

    def listed(self, db: sqlite3.Connection, prefix: str, cursor: str | None, limit: int) -> SessionPage:
        found = [bytes(key).decode() for (key,) in db.execute("SELECT id FROM session")]
        ids = sorted((one for one in found if one.startswith(prefix)), key=_utf16)
        ids = [one for one in ids if cursor is None or _utf16(one) > _utf16(cursor)]
        return SessionPage(tuple(ids[:limit]), ids[limit - 1] if len(ids) > limit else None)


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be")


@fault("prefix_as_pattern", caught_by="SES-003", also="STA-001 STA-002")
class AsPattern(Reference):
    """Looks for a prefix with LIKE, which knows wildcards and no case."""

    def listed(self, db: sqlite3.Connection, prefix: str, cursor: str | None, limit: int) -> SessionPage:
        query = "SELECT id FROM session WHERE CAST(id AS TEXT) LIKE ? AND id > ? ORDER BY id LIMIT ?"
        rows = db.execute(query, (f"{prefix}%", self.key(cursor or ""), limit + 1))
        ids = tuple(bytes(key).decode() for (key,) in rows)
        return SessionPage(ids[:limit], ids[limit - 1] if len(ids) > limit else None)


@fault("unlisted_when_empty", caught_by="SES-004 PRG-002", also="STA-001 STA-002")
class UnlistedWhenEmpty(Reference):
    """Lists only sessions that have messages."""

    def listed(self, db: sqlite3.Connection, prefix: str, cursor: str | None, limit: int) -> SessionPage:
        page = super().listed(db, prefix, cursor, limit)
        query = "SELECT 1 FROM message WHERE session = ? LIMIT 1"
        ids = tuple(one for one in page.session_ids if db.execute(query, (self.key(one),)).fetchone())
        return SessionPage(ids, page.cursor)


@fault("lists_a_hundred", caught_by="SES-005")
class ListsAHundred(Reference):
    """Gives a hundred sessions where more are asked for, and says that there are no more."""

    def listed(self, db: sqlite3.Connection, prefix: str, cursor: str | None, limit: int) -> SessionPage:
        page = super().listed(db, prefix, cursor, min(limit, 100))
        return SessionPage(page.session_ids, None) if limit > 100 else page


@fault("cursor_of_a_deleted_session", caught_by="SES-006")
class CursorOfADeleted(Reference):
    """Refuses a cursor whose session is not there any more."""

    def listed(self, db: sqlite3.Connection, prefix: str, cursor: str | None, limit: int) -> SessionPage:
        if cursor is not None and self.find(db, self.key(cursor)) is None:
            raise StorageError("the cursor is unknown")
        return super().listed(db, prefix, cursor, limit)


@fault("redelivered_after_waiting", caught_by="FOL-001")
class Redelivered(Reference):
    """Gives the last message once more to one who waited for news, as queues do that deliver at least once."""

    def __init__(self, declared: BackendInfo, url: URL, options: Any) -> None:
        super().__init__(declared, url, options)
        self._waited: set[str] = set()

    def watch(self, session_id: str, version: int, deadline: Deadline) -> None:
        super().watch(session_id, version, deadline)
        self._waited.add(session_id)

    def rows(self, db: sqlite3.Connection, session_id: str, window: Window) -> Any:
        if session_id in self._waited and window.after is not None and window.after >= 0:
            self._waited.discard(session_id)
            window = Window(window.after - 1, window.before, window.limit, window.newest, window.now)
        return super().rows(db, session_id, window)


@fault("watch_gives_up", caught_by="WAT-001")
class GivesUp(Reference):
    """Ends a watch with an error after a time of its own."""

    def watch(self, session_id: str, version: int, deadline: Deadline) -> None:
        super().watch(session_id, version, Deadline(min(0.05, deadline.remaining())))
        if self.info(session_id, deadline).version <= version and deadline.remaining() > 1:
            raise DeadlineExceeded("nothing came within 50 ms")


@fault("watch_outlasts_its_deadline", caught_by="WAT-002")
class WatchOutlasts(Reference):
    """Waits for news by a time of its own."""

    def watch(self, session_id: str, version: int, deadline: Deadline) -> None:
        super().watch(session_id, version, Deadline(deadline.remaining() + 3))
