"""Two sequences of stored messages side by side."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backscroll.backend import Row
from backscroll.cli import comparing
from backscroll.cli.comparing import paired


def rows(text: str, first: int = 0) -> list[Row]:
    """A message for each letter."""
    return [Row(first + n, None, letter.encode()) for n, letter in enumerate(text)]


def sorted_out(source: str, target: str) -> tuple[str, str, str]:
    """The letters that both have, those that only the source has, and those that only the target has."""
    found = list(paired(iter(rows(source)), iter(rows(target, 100))))
    both = "".join(ours.body.decode() for ours, theirs in found if ours and theirs)
    ours_only = "".join(ours.body.decode() for ours, theirs in found if ours and not theirs)
    theirs_only = "".join(theirs.body.decode() for ours, theirs in found if theirs and not ours)
    return both, ours_only, theirs_only


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
def test_what_is_alike_comes_in_pairs(source: str, target: str, expected: tuple[str, str, str]) -> None:
    """What one side lacks stands alone, and what follows is in pairs again."""
    assert sorted_out(source, target) == expected


@settings(deadline=None)
@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_nothing_is_passed_over(source: str, target: str) -> None:
    """Every message of either side comes once, in its order."""
    found = list(paired(iter(rows(source)), iter(rows(target, 100))))
    assert [ours for ours, _ in found if ours] == rows(source)
    assert [theirs for _, theirs in found if theirs] == rows(target, 100)
    assert all(ours.body == theirs.body for ours, theirs in found if ours and theirs)


def test_another_expiry_is_another_message() -> None:
    """The same bytes that expire at another time are not alike."""
    ours, theirs = Row(0, 1, b"a"), Row(0, 2, b"a")
    assert set(paired(iter([ours]), iter([theirs]))) == {(ours, None), (None, theirs)}


def test_a_source_that_dropped_more_than_is_looked_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many messages the source dropped at once, the rest is in pairs again."""
    monkeypatch.setattr(comparing, "AHEAD", 3)
    assert sorted_out("wxyz", "abcdefghijwxyz") == ("wxyz", "", "abcdefghij")


def test_little_is_held_at_once() -> None:
    """Of large messages only some are looked at ahead."""
    taken = []

    def large(name: bytes) -> object:
        for n in range(50):
            taken.append(name)
            yield Row(n, None, b"%b%d" % (name, n) + bytes(200_000))

    next(paired(large(b"a"), large(b"b")))
    assert taken.count(b"a") == taken.count(b"b") == 6
