"""A page of a read, made of the rows that a backend walks along."""

from collections.abc import Iterable

from backscroll.backend import PAGE_BYTES, Page, Row, Window, row_page

NOW = 1_000


def window(limit: int) -> Window:
    """A window without bounds."""
    return Window(after=None, before=None, limit=limit, newest=False, now=NOW)


def rows(expiries: Iterable[int | None], body: bytes = b"{}") -> list[Row]:
    """A row for each expiry."""
    return [Row(seq, expires_at, body) for seq, expires_at in enumerate(expiries)]


def test_a_page_that_holds_all_rows_says_that_there_is_no_more() -> None:
    """As long as there are fewer than asked for."""
    found = rows([None, NOW + 1])
    assert row_page(found, window(3)) == Page(found, None)
    assert row_page([], window(3)) == Page([], None)


def test_a_page_ends_with_its_last_row_and_takes_no_further_one() -> None:
    """What stands behind it is left to the next page."""
    found = iter(rows([None, None, None]))
    assert row_page(found, window(2)) == Page(rows([None, None]), 1)
    assert [row.seq for row in found] == [2]


def test_an_expired_row_is_left_out_and_does_not_count() -> None:
    """From its very expiry on."""
    found = rows([NOW, None, NOW - 1, NOW + 1, None])
    assert row_page(found, window(2)) == Page([found[1], found[3]], 3)


def test_a_page_ends_by_its_bytes_those_of_expired_rows_included() -> None:
    """So that neither memory nor the time for one page grows; it may then be empty with more behind it."""
    half = b"{" * (PAGE_BYTES // 2)
    assert row_page(rows([None, None, None], half), window(9)) == Page(rows([None, None], half), 1)
    assert row_page(rows([1, 1, None], half), window(9)) == Page([], 1)
