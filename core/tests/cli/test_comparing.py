"""Two sequences of stored messages side by side."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backscroll.backend import Row
from backscroll.cli import comparing
from backscroll.cli.comparing import Step, steps


def rows(text: str, first: int = 0) -> list[Row]:
    """A message for each letter."""
    return [Row(first + n, None, letter.encode()) for n, letter in enumerate(text)]


def pages(found: list[Row], size: int) -> Iterator[list[Row]]:
    """Messages in pages of a size, with an empty one between any two."""
    for start in range(0, len(found), size):
        yield found[start : start + size]
        yield []


def sorted_out(source: str, target: str, ours: int = 100, theirs: int = 100) -> tuple[str, str, str]:
    """The letters that both have, those that only the source has, and those that only the target has."""
    both = lacking = odd = ""
    left = source
    for step in steps(pages(rows(source), ours), pages(rows(target, 100), theirs)):
        both += left[: step.alike]
        left = left[step.alike + len(step.lacking) :]
        lacking += "".join(row.body.decode() for row in step.lacking)
        odd += "".join(row.body.decode() for row in step.odd)
    return both, lacking, odd


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("", "", ("", "", "")),
        ("abc", "abc", ("abc", "", "")),
        ("abc", "", ("", "abc", "")),
        ("", "abc", ("", "", "abc")),
        ("abcdef", "abef", ("abef", "cd", "")),
        ("abef", "abcdef", ("abef", "", "cd")),
        ("abxef", "abcdef", ("abef", "x", "cd")),
        ("cdef", "abcdef", ("cdef", "", "ab")),
        ("abc", "xyz", ("", "abc", "xyz")),
        ("abcd", "acbd", ("abd", "c", "c")),
    ],
)
@pytest.mark.parametrize("page", [1, 2, 100])
def test_what_is_alike_is_found(page: int, source: str, target: str, expected: tuple[str, str, str]) -> None:
    """What one side lacks stands alone, and what follows is alike again, however the sides come in pages."""
    assert sorted_out(source, target, page, 3) == expected


@settings(deadline=None)
@given(st.text("abc", max_size=12), st.text("abc", max_size=12), st.integers(1, 5), st.integers(1, 5))
def test_nothing_is_passed_over(source: str, target: str, ours: int, theirs: int) -> None:
    """Every message of either side comes once, in its order."""
    left, right = rows(source), rows(target, 100)
    for step in steps(pages(rows(source), ours), pages(rows(target, 100), theirs)):
        alike = [left.pop(0).body for _ in range(step.alike)]
        assert [right.pop(0).body for _ in range(step.alike)] == alike
        assert [left.pop(0) for _ in step.lacking] == step.lacking
        assert [right.pop(0) for _ in step.odd] == step.odd
    assert (left, right) == ([], [])


def test_another_expiry_is_another_message() -> None:
    """The same bytes that expire at another time are not alike."""
    ours, theirs = Row(0, 1, b"a"), Row(0, 2, b"a")
    found = list(steps(iter([[ours]]), iter([[theirs]])))
    assert [step.alike for step in found] == [0, 0]
    assert [row for step in found for row in step.lacking] == [ours]
    assert [row for step in found for row in step.odd] == [theirs]


def test_a_page_is_compared_at_once() -> None:
    """Where both sides are the same, a step is as long as the shorter of two pages."""
    same = rows("x" * 10)
    assert list(steps(pages(same, 5), pages(same, 4))) == [Step(count, [], []) for count in (4, 1, 3, 2)]


def test_a_source_that_dropped_more_than_is_looked_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many messages the source dropped at once, the rest is alike again."""
    monkeypatch.setattr(comparing, "AHEAD", 3)
    assert sorted_out("wxyz", "abcdefghijwxyz", 2, 2) == ("wxyz", "", "abcdefghij")


def test_little_is_held_at_once() -> None:
    """Of large messages only some are looked at ahead."""
    taken = []

    def large(name: bytes) -> Iterator[list[Row]]:
        for n in range(50):
            taken.append(name)
            yield [Row(n, None, b"%b%d" % (name, n) + bytes(200_000))]

    next(steps(large(b"a"), large(b"b")))
    assert taken.count(b"a") == taken.count(b"b") == 6
