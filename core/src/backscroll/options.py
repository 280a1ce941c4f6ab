"""Options: one attrs class per backend, filled from a URL's query and from keyword arguments."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import attrs

from backscroll.errors import InvalidOption

T = TypeVar("T")

MAX_SECONDS: Final = 1_000_000
"""The longest time that can be waited for: as long as every lock and driver takes, eleven days."""


def option(default: T, parse: Callable[[Any], T], doc: str, *, secret: bool = False, name: str | None = None) -> T:
    """A field of an options class.

    Args:
        default: Its value when it is not given.
        parse: Makes the value out of a string of the URL or a keyword argument; raises ValueError
            with what is expected, never with what was given.
        doc: What it does, with its unit; the one place where the option is documented.
        secret: Keep it out of the `repr`.
        name: What users know it by where that is no name in Python, such as ``sasl.username``; a keyword argument may
            have either name.
    """
    return attrs.field(default=default, repr=not secret, metadata={"parse": parse, "doc": doc, "name": name})


def option_names(cls: type[Any]) -> dict[str, str]:
    """The names by which users know the options of a class, and those of its fields."""
    return {field.metadata.get("name") or field.name: field.name for field in attrs.fields(cls)}


def seconds(value: Any) -> float:
    """A positive number of seconds, at most `MAX_SECONDS`."""
    number = _number(value, float)
    if not 0 < number <= MAX_SECONDS:
        raise ValueError(f"expected a positive number of seconds, at most {MAX_SECONDS:,}")
    return number


def positive(value: Any) -> int:
    """A whole number of at least 1."""
    number = _number(value, int)
    if number < 1:
        raise ValueError("expected a whole number of at least 1")
    return number


def choice(*values: str) -> Callable[[Any], Any]:
    """One of these strings."""

    def parse(value: Any) -> Any:
        if value not in values:
            raise ValueError(f"expected one of {', '.join(values)}")
        return value

    return parse


def code_only(value: Any) -> Any:
    """A callable, which only a keyword argument can give."""
    if not callable(value):
        raise ValueError("expected a function, as a keyword argument")
    return value


def an_object(value: Any) -> Any:
    """An object, which only a keyword argument can give."""
    if isinstance(value, str):
        raise ValueError("expected an object, as a keyword argument")
    return value


def a_text(value: Any) -> str:
    """A text."""
    if not isinstance(value, str) or not value:
        raise ValueError("expected a text that is not empty")
    return value


def a_file(value: Any) -> str:
    """The path of a file."""
    if not isinstance(value, str) or not Path(value).is_file():
        raise ValueError("expected the path of a file that is there")
    return value


def truth(value: Any) -> bool:
    """True or false."""
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in known:
        raise ValueError("expected true or false")
    return known[value.lower()]


def _number(value: Any, kind: Callable[[Any], T]) -> T:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or (kind is int and type(value) is float):
        raise ValueError("expected a number")
    try:
        return kind(value)
    except (ValueError, OverflowError):
        raise ValueError("expected a number") from None


@attrs.frozen(kw_only=True)
class BackendOptions:
    """The options that every backend has; a backend's own class adds to them."""

    timeout: float = option(10.0, seconds, "seconds that an operation may take in all, its retries included")
    setup: Literal["auto", "never"] = option(
        "auto", choice("auto", "never"), "auto makes the schema at the first append; never leaves it to setup()"
    )
    max_message_bytes: int = option(1 << 20, positive, "the most bytes that one encoded message may have")
    max_turn_bytes: int = option(4 << 20, positive, "the most bytes that the messages of one turn may have together")
    max_turn_messages: int = option(1_000, positive, "the most messages that one turn may have")
    threads: int = option(8, positive, "threads for async calls, where the backend has no async driver")
    poll: float = option(0.5, seconds, "seconds that follow() waits at the most before it looks again")
    clock: Callable[[], int] = option(
        time.time_ns, code_only, "the clock that decides what has expired, in nanoseconds since 1970"
    )


Options = TypeVar("Options", bound=BackendOptions)


def fill(cls: type[Options], scheme: str, query: Mapping[str, str], keywords: Mapping[str, Any]) -> Options:
    """The options of a store.

    Args:
        cls: The backend's options class.
        scheme: The URL's scheme, for the errors.
        query: The options that stand in the URL.
        keywords: Those given as keyword arguments; they win.

    Raises:
        InvalidOption: One that does not exist (the nearest that does is named) or whose value is wrong.
    """
    fields, names = attrs.fields_dict(cls), option_names(cls)
    known_as = {field: name for name, field in names.items()}
    values = {}
    for name, value in {**query, **{known_as.get(name, name): value for name, value in keywords.items()}}.items():
        if name not in names:
            # A piece of a password that was not percent-encoded can stand in the URL: only the code's own is repeated.
            given = f"there is no option {name}" if name in keywords else "an option in the URL is unknown"
            usable = [one for one, field in names.items() if name in keywords or not _by_keyword_only(fields[field])]
            raise InvalidOption(f"{scheme}: {given}: {_hint(name, usable)}")
        problem = None
        try:
            values[names[name]] = fields[names[name]].metadata["parse"](value)
        except ValueError as error:
            problem = str(error)
        # Raised behind the handler, because what led to the error may repeat the value.
        if problem is not None:
            raise InvalidOption(f"{scheme}: option {name}: {problem}")
    return cls(**values)


def _by_keyword_only(field: "attrs.Attribute[Any]") -> bool:
    return field.metadata["parse"] in (code_only, an_object)


def _hint(name: str, known: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
