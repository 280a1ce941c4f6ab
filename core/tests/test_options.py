"""The options of a store, from its URL and from keyword arguments."""

import enum
import math
import time
from typing import Any

import attrs
import pytest

from backscroll import InvalidOption
from backscroll.options import MAX_SECONDS, BackendOptions, an_object, fill, option


@attrs.frozen(kw_only=True)
class Options(BackendOptions):
    """As a plugin has them."""

    password: str | None = option(None, str, "the password", secret=True)
    # RUF009 takes it for a call in a default; it makes a field.
    consistency_level: str = option("one", str, "how many replicas answer")


def filled(query: dict[str, str] | None = None, **keywords: Any) -> Options:
    """The options for a URL's query and keyword arguments."""
    return fill(Options, "toy", query or {}, keywords)


def test_defaults() -> None:
    """What is not given has its default."""
    options = filled()

    expected = (10.0, "auto", 1 << 20, 4 << 20, 1_000, 8, 0.5, time.time_ns, None, "one")
    assert attrs.astuple(options) == expected


def test_from_the_url() -> None:
    """Strings of a URL become what the option is."""
    options = filled({"timeout": "2.5", "setup": "never", "threads": "3", "max_turn_bytes": "100", "password": "x"})

    assert (options.timeout, options.setup, options.threads) == (2.5, "never", 3)
    assert (options.max_turn_bytes, options.password) == (100, "x")


def test_keywords_win() -> None:
    """A keyword argument wins over the URL."""
    assert filled({"timeout": "2", "poll": "1"}, timeout=3) == filled(timeout=3.0, poll="1")


def test_an_option_may_have_a_name_with_dots() -> None:
    """In a URL by that name only; as a keyword argument by its name in Python, too, which wins."""

    @attrs.frozen(kw_only=True)
    class Dotted(BackendOptions):
        sasl_username: str | None = option(None, str, "the user", name="sasl.username")

    assert fill(Dotted, "toy", {"sasl.username": "alice"}, {}).sasl_username == "alice"
    assert fill(Dotted, "toy", {"sasl.username": "alice"}, {"sasl_username": "bob"}).sasl_username == "bob"
    assert fill(Dotted, "toy", {}, {"sasl.username": "carol"}).sasl_username == "carol"
    with pytest.raises(InvalidOption, match=r"did you mean sasl\.username"):
        fill(Dotted, "toy", {"sasl_username": "alice"}, {})


def test_secrets_stay_out_of_the_repr() -> None:
    """A secret option is not in the text form; others are."""
    text = repr(filled(password="hunter2", timeout=7))

    assert "hunter2" not in text
    assert "timeout=7.0" in text


def test_every_option_is_documented() -> None:
    """Each option says what it does."""
    assert all(field.metadata["doc"] for field in attrs.fields(Options))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("timeuot", "did you mean timeout?"),
        ("Timeout", "did you mean timeout?"),
        ("time_out", "did you mean timeout?"),
        ("max_mesage_bytes", "did you mean max_message_bytes?"),
        ("consistency", "did you mean consistency_level?"),
        ("pasword", "did you mean password?"),
    ],
)
def test_mistyped(name: str, hint: str) -> None:
    """A mistyped option is refused with the nearest name; what stands in a URL is not repeated."""
    with pytest.raises(InvalidOption) as by_keyword:
        filled(**{name: 1})
    with pytest.raises(InvalidOption) as in_url:
        filled({name: "1"})

    assert str(by_keyword.value) == f"toy: there is no option {name}: {hint}"
    assert str(in_url.value) == f"toy: an option in the URL is unknown: {hint}"


def test_unknown() -> None:
    """What resembles no option is refused with those that there are; a URL has none that take an object."""

    @attrs.frozen(kw_only=True)
    class WithClient(Options):
        client: Any = option(None, an_object, "a client of your own")

    names = set(attrs.fields_dict(WithClient))
    with pytest.raises(InvalidOption) as by_keyword:
        fill(WithClient, "toy", {}, {"xyz": 1})
    with pytest.raises(InvalidOption) as in_url:
        fill(WithClient, "toy", {"xyz": "1"}, {})

    assert str(by_keyword.value).endswith(f"no option xyz: there are {', '.join(sorted(names))}")
    assert str(in_url.value).endswith(
        f"in the URL is unknown: there are {', '.join(sorted(names - {'client', 'clock'}))}"
    )


class Number(enum.IntEnum):
    THREE = 3


@pytest.mark.parametrize(("value", "expected"), [("3", 3), (3, 3), (Number.THREE, 3), (" 3 ", 3)])
def test_whole_numbers(value: Any, expected: int) -> None:
    """A number option takes a whole number or its text."""
    options = filled(threads=value)

    assert (options.threads, type(options.threads)) == (expected, int)


@pytest.mark.parametrize("name", ["max_message_bytes", "max_turn_bytes", "max_turn_messages", "threads"])
@pytest.mark.parametrize("value", ["", "x", "1.5", 1.5, True, None, [], math.nan, "9" * 5_000])
def test_no_whole_numbers(name: str, value: Any) -> None:
    """Anything but a whole number is refused, and the option named."""
    with pytest.raises(InvalidOption) as caught:
        filled(**{name: value})

    assert str(caught.value) == f"toy: option {name}: expected a number"


@pytest.mark.parametrize("value", [0, -1, "0", "-5"])
def test_no_positive_numbers(value: Any) -> None:
    """A number below one is refused."""
    with pytest.raises(InvalidOption, match=r"^toy: option threads: expected a whole number of at least 1$"):
        filled(threads=value)


@pytest.mark.parametrize("name", ["timeout", "poll"])
def test_seconds(name: str) -> None:
    """A time is a positive number of seconds, at most as long as one can wait."""
    assert getattr(filled(**{name: MAX_SECONDS}), name) == MAX_SECONDS
    for value in (0, -1, "0", math.nan, "nan", math.inf, "inf", "1e9", MAX_SECONDS + 1):
        with pytest.raises(InvalidOption) as caught:
            filled(**{name: value})
        assert str(caught.value) == f"toy: option {name}: expected a positive number of seconds, at most 1,000,000"
    for value in ("", "x", True, None, [], 10**400):
        with pytest.raises(InvalidOption) as caught:
            filled(**{name: value})
        assert str(caught.value) == f"toy: option {name}: expected a number"


@pytest.mark.parametrize("value", ["", "Auto", "always", None, 1, []])
def test_choices(value: Any) -> None:
    """A choice takes what is on its list."""
    with pytest.raises(InvalidOption, match=r"^toy: option setup: expected one of auto, never$"):
        filled(setup=value)


def test_code_only() -> None:
    """A clock can only be given in code."""
    assert filled(clock=int).clock is int
    with pytest.raises(InvalidOption, match=r"^toy: option clock: expected a function, as a keyword argument$"):
        filled({"clock": "time.time_ns"})
