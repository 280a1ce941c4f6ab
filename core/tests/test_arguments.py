"""Each argument is checked before anything is sent, and each error names the argument."""

import enum
import math
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from toy import Toy

from backscroll import InvalidArgument, Store
from backscroll.arguments import (
    MAX_SEQ,
    MAX_TTL,
    checked_bound,
    checked_cursor,
    checked_limit,
    checked_prefix,
    checked_seq,
    checked_seqs,
    checked_session_id,
    checked_timeout,
    checked_ttl,
)
from backscroll.options import MAX_SECONDS

USER = {"role": "user", "content": "hi!"}


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "not the value"


class Number(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    "session_id",
    [
        "x",
        " ",
        "\0",
        "\n",
        "..",
        "%s",
        "'; DROP TABLE session;--",
        "s" * 512,
        "ä" * 256,
        "\u20ac" * 170,
        "\U0001f600" * 128,
        "a\u0308",
    ],
)
def test_session_ids(session_id: str) -> None:
    """Any non-empty text of up to 512 bytes is a session id, and nothing in it is changed."""
    assert checked_session_id(session_id) == session_id


@pytest.mark.parametrize(
    ("session_id", "text"),
    [
        ("", "session_id: must not be empty"),
        (None, "session_id: must be a string, not NoneType"),
        (b"x", "session_id: must be a string, not bytes"),
        (1, "session_id: must be a string, not int"),
        ("s" * 513, "session_id: 513 bytes of UTF-8, over the 512 it may have"),
        ("s" + "ä" * 256, "session_id: 513 bytes of UTF-8, over the 512 it may have"),
        ("\u20ac" * 171, "session_id: 513 bytes of UTF-8, over the 512 it may have"),
        ("\U0001f600" * 128 + "x", "session_id: 513 bytes of UTF-8, over the 512 it may have"),
        ("ab\ud800", "session_id: a lone surrogate at character 2 is not text"),
        ("\udfff" * 600, "session_id: a lone surrogate at character 0 is not text"),
    ],
)
def test_bad_session_ids(session_id: Any, text: str) -> None:
    """What is no session id is refused."""
    with pytest.raises(InvalidArgument) as caught:
        checked_session_id(session_id)

    assert str(caught.value) == text


@pytest.mark.parametrize("check", [checked_session_id, checked_prefix, checked_cursor])
def test_str_subclasses(check: Callable[[Any], Any]) -> None:
    """A string of a subclass is taken by its string value."""
    assert (check(Text("text")), type(check(Text("text")))) == ("text", str)


@pytest.mark.parametrize(
    ("check", "name", "least"),
    [
        (checked_limit, "limit", 1),
        (lambda value: checked_bound("after", value), "after", -1),
        (lambda value: checked_seq("before", value), "before", 0),
        (lambda value: checked_seqs([value])[0], "seqs", 0),
    ],
)
def test_whole_numbers(check: Callable[[Any], Any], name: str, least: int) -> None:
    """A limit, a bound, a seq is an int within its range, and no other number."""
    assert [check(least), check(MAX_SEQ)] == [least, MAX_SEQ]
    for wrong in (True, False, 1.0, "5", b"5", Decimal(1), Number.ONE, math.nan, [1]):
        with pytest.raises(InvalidArgument) as caught:
            check(wrong)
        assert str(caught.value) == f"{name}: must be a whole number, not {type(wrong).__name__}"
    for wrong, shown in ((least - 1, least - 1), (MAX_SEQ + 1, MAX_SEQ + 1), (10**5_000, "one that large")):
        with pytest.raises(InvalidArgument) as caught:
            check(wrong)
        assert str(caught.value) == f"{name}: must be {least} to {MAX_SEQ}, not {shown}"


def test_no_bound() -> None:
    """A bound may be None; a limit and a seq may not."""
    assert checked_bound("after", None) is None
    for check in (checked_limit, lambda value: checked_seq("before", value)):
        with pytest.raises(InvalidArgument):
            check(None)


def test_seqs() -> None:
    """Seqs come from any iterable, ascending and each once."""
    assert checked_seqs(iter([1_000, 3, 1_000, 0])) == (0, 3, 1_000)
    assert checked_seqs(()) == ()
    for wrong in ("12", b"12", 3, None):
        with pytest.raises(InvalidArgument, match=r"^seqs: must be a list of seqs, not "):
            checked_seqs(wrong)


@pytest.mark.parametrize(
    ("check", "name", "most"),
    [
        (checked_timeout, "timeout", MAX_SECONDS),
        (lambda value: checked_ttl(value, None), "ttl", MAX_TTL),
        (lambda value: checked_ttl(value, 60), "ttl", 60),
        (lambda value: checked_ttl(value, 1e300), "ttl", MAX_TTL),
    ],
)
def test_seconds(check: Callable[[Any], Any], name: str, most: float) -> None:
    """A time is a positive number of seconds up to its bound."""
    for right in (1, 0.5, 1e-6, most):
        assert (check(right), type(check(right))) == (right, float)
    for wrong in (True, False, "5", None, b"5", Decimal(1), 1j):
        with pytest.raises(InvalidArgument) as caught:
            check(wrong)
        assert str(caught.value) == f"{name}: must be a number of seconds, not {type(wrong).__name__}"
    for wrong in (0, 0.0, -0.0, -1, -0.5, math.nan, math.inf, -math.inf, most + 1):
        with pytest.raises(InvalidArgument) as caught:
            check(wrong)
        assert str(caught.value) == f"{name}: must be a positive number of seconds, at most {most:,.0f}, not {wrong}"
    with pytest.raises(InvalidArgument, match=r"not one that large$"):
        check(10**5_000)


def test_timedelta() -> None:
    """A TTL may be a timedelta, with the same bounds."""
    assert checked_ttl(timedelta(minutes=1, microseconds=1), None) == 60.000001
    for wrong in (timedelta(0), timedelta(seconds=-1), timedelta.max):
        with pytest.raises(InvalidArgument, match=r"^ttl: must be a positive number of seconds"):
            checked_ttl(wrong, None)
    with pytest.raises(InvalidArgument, match=r"^timeout: must be a number of seconds, not timedelta"):
        checked_timeout(timedelta(1))


# Which argument of which operation takes what; each is refused before the backend is called.
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("session_id", lambda store, bad: store.append(bad, USER)),
        ("session_id", lambda store, bad: store.read(bad)),
        ("session_id", lambda store, bad: store.last(bad)),
        ("session_id", lambda store, bad: store.version(bad)),
        ("session_id", lambda store, bad: store.info(bad)),
        ("session_id", lambda store, bad: store.count(bad)),
        ("session_id", lambda store, bad: store.iterate(bad)),
        ("session_id", lambda store, bad: store.aiterate(bad)),
        ("session_id", lambda store, bad: store.follow(bad)),
        ("session_id", lambda store, bad: store.afollow(bad)),
        ("session_id", lambda store, bad: store.clear(bad)),
        ("session_id", lambda store, bad: store.discard(bad, before=1)),
        ("session_id", lambda store, bad: store.remove(bad, [1])),
        ("session_id", lambda store, bad: store.delete(bad)),
        ("session_id", lambda store, bad: store.history(bad)),
        ("turn_id", lambda store, bad: store.append("s", USER, turn_id=bad)),
        ("expected_version", lambda store, bad: store.append("s", USER, expected_version=bad)),
        ("ttl", lambda store, bad: store.append("s", USER, ttl=bad)),
        ("after", lambda store, bad: store.read("s", after=bad)),
        ("before", lambda store, bad: store.read("s", before=bad)),
        ("limit", lambda store, bad: store.read("s", limit=bad)),
        ("k", lambda store, bad: store.last("s", bad)),
        ("after", lambda store, bad: store.iterate("s", after=bad)),
        ("after", lambda store, bad: store.aiterate("s", after=bad)),
        ("after", lambda store, bad: store.follow("s", after=bad)),
        ("after", lambda store, bad: store.afollow("s", after=bad)),
        ("prefix", lambda store, bad: store.sessions(prefix=bad)),
        ("cursor", lambda store, bad: store.sessions(cursor=bad)),
        ("limit", lambda store, bad: store.sessions(limit=bad)),
        ("before", lambda store, bad: store.discard("s", before=bad)),
        ("seqs", lambda store, bad: store.remove("s", [bad])),
        ("timeout", lambda store, bad: store.append("s", USER, timeout=bad)),
        ("timeout", lambda store, bad: store.last("s", timeout=bad)),
        ("timeout", lambda store, bad: store.ping(timeout=bad)),
        ("timeout", lambda store, bad: store.purge(timeout=bad)),
        ("timeout", lambda store, bad: next(store.iterate("s", timeout=bad))),
    ],
)
@pytest.mark.parametrize("bad", [b"wrong", object()], ids=["bytes", "object"])
def test_operations(name: str, call: Callable[[Store, Any], Any], bad: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operation refuses a wrong argument by its name, before the backend is called."""
    for method in ("append", "setup", "read", "info", "count", "sessions", "discard", "remove", "delete", "purge"):
        monkeypatch.setattr(Toy, method, lambda *args: pytest.fail("the backend was called"))
    with pytest.raises(InvalidArgument) as caught:
        call(Store(Toy()), bad)

    assert str(caught.value).startswith(f"{name}: ")


@pytest.mark.parametrize("name", ["prefix", "cursor"])
def test_surrogates(name: str) -> None:
    """A prefix or a cursor with a lone surrogate is refused."""
    with pytest.raises(InvalidArgument, match=f"^{name}: a lone surrogate at character 1 is not text$"):
        Store(Toy()).sessions(**{name: "a\ud800"})
