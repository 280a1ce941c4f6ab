"""How a clause says what it expects; kept under ``python -O`` and told without pytest."""

from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

from backscroll_conformance.redaction import beginning

E = TypeVar("E", bound=BaseException)

LONGEST = 1_000
"""How many characters of a value are shown."""


class Broken(AssertionError):
    """A clause does not hold; the text says what was expected and what was seen."""


def fail(what: str) -> NoReturn:
    """The clause does not hold."""
    raise Broken(what)


def true(condition: object, what: str) -> None:
    """What has to be so."""
    if not condition:
        raise Broken(what)


def equal(actual: object, expected: object, what: str) -> None:
    """Compare what was seen with what has to be seen.

    Args:
        actual: What was seen.
        expected: What the contract says.
        what: What is compared, for example ``the seqs of the answer``.
    """
    if actual != expected:
        raise Broken(f"{what}:\n  expected {shown(expected)}\n  saw      {shown(actual)}")


async def raises(kind: type[E] | tuple[type[E], ...], call: Coroutine[Any, Any, Any], what: str) -> E:
    """What has to be refused; gives the exception.

    Args:
        kind: The exception that the contract names.
        call: The call.
        what: What is tried, for example ``appending with an older version``.
    """
    try:
        answer = await call
    except kind as error:
        return error
    kinds = kind if isinstance(kind, tuple) else (kind,)
    raise Broken(f"{what}: expected {' or '.join(one.__name__ for one in kinds)}, but it answered {shown(answer)}")


def shown(value: object) -> str:
    """A value as it is told, cut where it is long."""
    return beginning(repr(value), LONGEST)
