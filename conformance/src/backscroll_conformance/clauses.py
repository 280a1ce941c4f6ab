"""What a clause is: one sentence that every backend has to keep, and the code that judges it."""

import inspect
import re
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import attrs

from backscroll.backend import Capability

if TYPE_CHECKING:
    from backscroll_conformance.subject import Subject

Check = Callable[["Subject"], Coroutine[Any, Any, None]]

_ID: Final = re.compile(r"[A-Z]{3}-[0-9]{3}")


class Tier(Enum):
    """The parts of the suite, in the order in which they run."""

    CONTRACT = "contract"
    """a single client"""
    STATEFUL = "stateful"
    """random operations against a plain list"""
    CONCURRENT = "concurrent"
    """threads, processes and event loops at once"""
    DURABLE = "durable"
    """clients that are killed"""
    MEASURED = "measured"
    """what operations cost as a session grows"""


class Level(Enum):
    """How binding a clause is, as in RFC 2119."""

    MUST = "MUST"
    SHOULD = "SHOULD"


class Form(Enum):
    """The two forms in which a store and a backend have each operation."""

    SYNC = "sync"
    ASYNC = "async"


BOTH: Final = (Form.SYNC, Form.ASYNC)

DEADLINES: Final = {
    Tier.CONTRACT: 60.0,
    Tier.STATEFUL: 300.0,
    Tier.CONCURRENT: 180.0,
    Tier.DURABLE: 180.0,
    Tier.MEASURED: 180.0,
}
"""After how many seconds a clause of a tier is given up and has failed."""


@attrs.frozen
class Clause:
    """One rule of the contract.

    Args:
        id: Stable, for example ``APP-001``; never given to another rule.
        sentence: The rule, with the word MUST or SHOULD as in RFC 2119.
        tier: The tier in which it is judged.
        needs: Judged only where all of these are declared.
        lacks: Judged only where this one is declared as unsupported.
        forms: The forms in which it is judged.
        check: Judges it: returns where the rule holds, and raises where it does not.
    """

    id: str
    sentence: str
    tier: Tier
    needs: frozenset[Capability]
    lacks: Capability | None
    forms: tuple[Form, ...]
    check: Check = attrs.field(repr=False)

    @property
    def level(self) -> Level:
        """How binding it is: the word in its sentence."""
        return Level.MUST if "MUST" in self.sentence else Level.SHOULD

    @property
    def deadline(self) -> float:
        """After how many seconds it is given up."""
        return DEADLINES[self.tier]


def clause(
    id: str,
    *needs: Capability,
    tier: Tier = Tier.CONTRACT,
    lacks: Capability | None = None,
    forms: tuple[Form, ...] = BOTH,
) -> Callable[[Check], Clause]:
    """Make a clause of a coroutine function, whose docstring is the rule in one sentence.

    Args:
        id: Three capitals for the area, three digits.
        *needs: The capabilities without which it says nothing.
        tier: The tier in which it is judged.
        lacks: The capability that must be declared as unsupported.
        forms: The forms in which it is judged.
    """

    def made(check: Check) -> Clause:
        sentence = " ".join((inspect.getdoc(check) or "").split())
        words = re.findall(r"\b(?:MUST|SHOULD)\b", sentence)
        if not _ID.fullmatch(id) or len(set(words)) != 1 or not sentence.endswith("."):
            raise ValueError(f"{id}: a clause has an id such as APP-001 and one sentence with either MUST or SHOULD")
        return Clause(id, sentence, tier, frozenset(needs), lacks, forms, check)

    return made
