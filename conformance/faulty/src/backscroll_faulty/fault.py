"""What a fault is, and how a class becomes one."""

import inspect
from collections.abc import Callable
from typing import Final, TypeVar

import attrs

from backscroll_faulty.reference import Reference

B = TypeVar("B", bound=type[Reference])


@attrs.frozen
class Fault:
    """A backend that is correct but for one thing.

    Args:
        name: Its name in a URL.
        what: What it does, in one sentence.
        make: Its class.
        caught_by: The ids of the clauses that must fail.
        also: At most four more that may fail with them.
        scheme: The scheme of its URL.
        harness: It hangs or crashes, and is for the tests of the runner.
    """

    name: str
    what: str
    make: type[Reference]
    caught_by: frozenset[str]
    also: frozenset[str] = frozenset()
    scheme: str = "faulty"
    harness: bool = False

    @property
    def url(self) -> str:
        """Its URL; ``{folder}`` stands for a folder."""
        return f"{self.scheme}:///{{folder}}/db" + (f"?fault={self.name}" if self.scheme == "faulty" else "")


MADE: Final[dict[str, Fault]] = {}
"""The faults of the modules that were imported, by name."""


def fault(name: str, caught_by: str, also: str = "", *, harness: bool = False) -> Callable[[B], B]:
    """Make a fault of a class; its docstring says what it does.

    Args:
        name: Its name in a URL.
        caught_by: The ids of the clauses that must fail, with spaces between.
        also: Those that may fail with them.
        harness: It is for the tests of the runner.
    """

    def made(cls: B) -> B:
        what = " ".join((inspect.getdoc(cls) or "").split())
        if name in MADE:
            raise ValueError(f"two faults have the name {name}")
        MADE[name] = Fault(name, what, cls, frozenset(caught_by.split()), frozenset(also.split()), harness=harness)
        return cls

    return made
