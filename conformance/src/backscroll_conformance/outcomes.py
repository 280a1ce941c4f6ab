"""What became of a clause, and what follows for the whole."""

from collections.abc import Iterable
from enum import Enum, IntEnum
from typing import Any, Final

import attrs

from backscroll_conformance.timeline import Timeline

ADDED: Final = "added"
"""In the metadata of a field: reports from before it was added lack it, and its default stands in."""


class Verdict(Enum):
    """What became of one clause, the worst last."""

    PASSED = "passed"
    NOT_APPLICABLE = "not applicable"
    """the backend declares that it lacks what the clause is about, or has it"""
    KNOWN_GAP = "known gap"
    """failed, as was said beforehand with a reason and a link"""
    NOT_RUN = "not run"
    """nobody knows; the reason is in the evidence"""
    ERROR = "error"
    """the suite itself failed"""
    GAP_CLOSED = "gap closed"
    """passed, though a known gap says that it fails: take it off the list"""
    FAILED = "failed"


class Conclusion(Enum):
    """What the clauses say together."""

    CONFORMANT = "conformant"
    NOT_CONFORMANT = "not conformant"
    INCONCLUSIVE = "inconclusive"
    HARNESS_FAILED = "harness failed"


class ExitCode(IntEnum):
    """How ``backscroll conformance`` ends; the one place for the numbers."""

    CONFORMANT = 0
    NOT_CONFORMANT = 1
    INCONCLUSIVE = 2
    HARNESS_FAILED = 3
    INTERRUPTED = 130


@attrs.frozen
class Outcome:
    """What became of one clause in one form.

    Args:
        clause: Its id.
        form: ``sync`` or ``async``.
        verdict: What became of it.
        seconds: How long it took.
        evidence: What was seen, in words for the author of the backend; free of secrets. May be empty where it passed.
        figures: What was measured, by name with its unit, for example ``last(20) at 100 messages (ms)``.
        timelines: Of anomalies that the evidence tells, the calls around them; free of secrets.
    """

    clause: str
    form: str
    verdict: Verdict
    seconds: float = 0.0
    evidence: str = ""
    figures: dict[str, Any] = attrs.field(factory=dict)
    timelines: tuple[Timeline, ...] = attrs.field(default=(), metadata={ADDED: True})


@attrs.frozen
class Gap:
    """A clause that is known to fail.

    Args:
        reason: Why, in a sentence for users.
        link: Where it is followed up: an http(s) URL.

    Raises:
        ValueError: One of them is missing.
    """

    reason: str
    link: str

    def __attrs_post_init__(self) -> None:
        if not self.reason.strip() or not self.link.startswith(("https://", "http://")):
            raise ValueError("a known gap needs a reason and a link that starts with https://")


def conclude(verdicts: Iterable[tuple[Verdict, bool]]) -> Conclusion:
    """What the clauses say together; where none that binds holds, they do not say that the backend conforms.

    Args:
        verdicts: Of each clause, in each form, the verdict and whether the clause is a MUST.
    """
    seen = set(verdicts)
    if {(Verdict.FAILED, True), (Verdict.GAP_CLOSED, True), (Verdict.GAP_CLOSED, False)} & seen:
        return Conclusion.NOT_CONFORMANT
    kinds = {verdict for verdict, _ in seen}
    if Verdict.ERROR in kinds:
        return Conclusion.HARNESS_FAILED
    if Verdict.NOT_RUN in kinds or (Verdict.PASSED, True) not in seen:
        return Conclusion.INCONCLUSIVE
    return Conclusion.CONFORMANT


def exit_code(conclusion: Conclusion) -> ExitCode:
    """The exit code that says a conclusion."""
    return ExitCode[conclusion.name]
