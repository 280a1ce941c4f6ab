"""Faults in what a read gives."""

import sqlite3
import time
from collections.abc import Iterable
from typing import Any

import attrs

from backscroll.backend import URL, Deadline, Page, Row, Window
from backscroll.hookspecs import BackendInfo
from backscroll_faulty.fault import fault
from backscroll_faulty.reference import Reference


@fault("stale_reads", caught_by="APP-003 CON-006", also="STA-001 STA-002")
class Stale(Reference):
    """Answers reads from a cache for half a second, which only its own writes refresh."""

    def __init__(self, declared: BackendInfo, url: URL, options: Any) -> None:
        super().__init__(declared, url, options)
        self._pages: dict[bytes, dict[Any, tuple[float, Page]]] = {}

    def read(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        fetched = attrs.evolve(window, limit=max(50, window.limit)) if window.newest else window
        if fetched.limit > 100:
            return super().read(session_id, window, deadline)
        pages = self._pages.setdefault(self.key(session_id), {})
        asked = attrs.evolve(fetched, now=0)
        at, page = pages.get(asked, (0.0, Page([], None)))
        if time.monotonic() - at > 0.5:
            page = super().read(session_id, fetched, deadline)
            pages[asked] = time.monotonic(), page
        if len(page.rows) > window.limit:
            return Page(page.rows[: window.limit], page.rows[window.limit - 1].seq)
        return Page(list(page.rows), page.resume)

    def save(self, db: sqlite3.Connection, key: bytes, session: Any) -> None:
        super().save(db, key, session)
        self._pages.pop(key, None)

    def deleted(self, db: sqlite3.Connection, key: bytes) -> None:
        super().deleted(db, key)
        self._pages.pop(key, None)

    def removed(self, db: sqlite3.Connection, key: bytes, seqs: tuple[int, ...], now: int) -> tuple[int, ...]:
        self._pages.pop(key, None)
        return super().removed(db, key, seqs, now)

    def purged(self, db: sqlite3.Connection) -> int:
        self._pages.clear()
        return super().purged(db)


def _no_bound_at(db: sqlite3.Connection, key: bytes, after: int) -> int | None:
    """The seq of the message before a bound at which none stands."""
    query = "SELECT MAX(seq) FROM message WHERE session = ? AND seq <= ?"
    found: int | None = db.execute(query, (key, after)).fetchone()[0]
    return None if found in (None, after) else found


@fault("bound_at_a_gap", caught_by="RDG-001", also="STA-001 STA-002")
class BoundAtAGap(Reference):
    """Begins with the message before the bound where the one at the bound was removed."""

    def rows(self, db: sqlite3.Connection, session_id: str, window: Window) -> Iterable[Row]:
        key = self.key(session_id)
        session = self.find(db, key)
        if session and window.after is not None and window.after < session.version - 1:
            before = _no_bound_at(db, key, window.after)
            window = window if before is None else attrs.evolve(window, after=before - 1)
        return super().rows(db, session_id, window)


@fault("newest_before_cut", caught_by="RDG-002 RDG-003 TTL-004", also="STA-001 STA-002")
class NewestBeforeCut(Reference):
    """Takes the newest of the session first, and cuts off at the upper bound then."""

    def rows(self, db: sqlite3.Connection, session_id: str, window: Window) -> Iterable[Row]:
        if not window.newest or window.before is None:
            return super().rows(db, session_id, window)
        everything = super().rows(db, session_id, attrs.evolve(window, before=None))
        return [row for row in everything if row.seq < window.before]


@fault("nine_hundred_at_most", caught_by="RDG-003 RDG-005", also="TTL-004 APP-004 REM-004")
class NineHundredAtMost(Reference):
    """Gives nine hundred rows at the most, and says that there are no more."""

    def page(self, rows: Iterable[Row], window: Window) -> Page:
        page = super().page(rows, window)
        return Page(page.rows[:900], None) if len(page.rows) > 900 else page


@fault("skips_at_page_end", caught_by="RDG-003 RDG-005", also="TTL-004")
class SkipsAtPageEnd(Reference):
    """Goes on one message too far behind a page of a thousand."""

    def page(self, rows: Iterable[Row], window: Window) -> Page:
        page = super().page(rows, window)
        step = -1 if window.newest else 1
        return page if page.resume is None or len(page.rows) < 1_000 else Page(page.rows, page.resume + step)


@fault("repeats_at_page_end", caught_by="RDG-003 RDG-005", also="TTL-004 REM-004")
class RepeatsAtPageEnd(Reference):
    """Begins with the last message of the page before, where that had a thousand."""

    def page(self, rows: Iterable[Row], window: Window) -> Page:
        page = super().page(rows, window)
        step = 1 if window.newest else -1
        return page if page.resume is None or len(page.rows) < 1_000 else Page(page.rows, page.resume + step)


@fault("nineteen_of_twenty", caught_by="RDG-003 RDG-004 CON-006", also="STA-001 STA-002")
class NineteenOfTwenty(Reference):
    """Keeps the newest messages at hand, one less than the twenty that are asked for most."""

    def page(self, rows: Iterable[Row], window: Window) -> Page:
        page = super().page(rows, window)
        is_usual = window.newest and window.limit == 20 and len(page.rows) == 20
        return Page(page.rows[:19], None) if is_usual else page


@fault("empty_page_is_the_end", caught_by="TTL-003 TTL-004", also="STA-001 STA-002")
class EmptyIsTheEnd(Reference):
    """Takes a page on which everything has expired for the end."""

    def page(self, rows: Iterable[Row], window: Window) -> Page:
        page = super().page(rows, window)
        return page if page.rows else Page([], None)


@fault("endless_pages", caught_by="RDG-006")
class EndlessPages(Reference):
    """Fills a page up to its limit, however large the messages are."""

    page_bytes = 1 << 40


@fault("bounds_of_32_bits", caught_by="RDG-007", also="STA-001 STA-002")
class Bounds32(Reference):
    """Keeps the lower 32 bits of a bound."""

    def rows(self, db: sqlite3.Connection, session_id: str, window: Window) -> Iterable[Row]:
        if window.before is not None:
            window = attrs.evolve(window, before=window.before & 0xFFFFFFFF)
        return super().rows(db, session_id, window)


@fault("aliased_rows", caught_by="RDG-008")
class Aliased(Reference):
    """Gives the very list that it gave before, as long as nothing was written."""

    _given: tuple[list[Row], list[Row]] = ([], [])

    def read(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        page = super().read(session_id, window, deadline)
        seen, given = self._given
        if page.rows and page.rows == seen:
            return Page(given, page.resume)
        self._given = (list(page.rows), page.rows)
        return page


def _is_damaged(row: Row) -> bool:
    return not row.body.startswith(b'{"v":1,')


@fault("unreadable_ends_the_page", caught_by="UNR-001 UNR-002 APP-007", also="STA-001 STA-002")
class EndsThePage(Reference):
    """Ends a read at a damaged record."""

    def page(self, rows: Iterable[Row], window: Window) -> Page:
        page = super().page(rows, window)
        place = next((place for place, row in enumerate(page.rows) if _is_damaged(row)), None)
        return page if place is None else Page(page.rows[:place], None)


@fault("unreadable_left_out", caught_by="UNR-001 UNR-002 APP-007", also="STA-001 STA-002")
class LeftOut(Reference):
    """Leaves damaged records out."""

    def page(self, rows: Iterable[Row], window: Window) -> Page:
        page = super().page(rows, window)
        return Page([row for row in page.rows if not _is_damaged(row)], page.resume)


@fault("unreadable_shrinks_limit", caught_by="UNR-002")
class ShrinksLimit(Reference):
    """Gives one message less for each damaged record on a full page."""

    def page(self, rows: Iterable[Row], window: Window) -> Page:
        page = super().page(rows, window)
        damaged = sum(map(_is_damaged, page.rows))
        is_full = damaged and len(page.rows) == window.limit
        return Page(page.rows[: window.limit - damaged], None) if is_full else page
