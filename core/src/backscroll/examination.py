"""What a backend finds when it looks at its server: the answer to `Backend.examine`, for ``backscroll doctor``."""

from enum import Enum

import attrs

from backscroll.values import Health


class Severity(Enum):
    """How much a finding matters."""

    ERROR = "error"
    """a setting falls short of what the backend claims, so that `ping` tells it, too"""
    WARNING = "warning"
    """it is as claimed, but would be wrong in production"""
    NOTE = "note"
    """something could not be seen, such as a setting that the account may not look at"""


@attrs.frozen
class Finding:
    """One thing that is wrong, or could not be seen. Its text is that of a problem in a `Health`.

    Args:
        severity: How much it matters.
        seen: What was seen, with the value; never a secret.
        advice: What to do about it.
        page: Where that is explained, for example ``docs/redis.md#setting-it-up`` or an address; empty for nowhere.
    """

    severity: Severity
    seen: str
    advice: str = ""
    page: str = ""

    def __str__(self) -> str:
        return f"{self.seen}: {self.advice}" if self.advice else self.seen


@attrs.frozen(kw_only=True)
class Examination:
    """What was seen of a server.

    Args:
        server: Its name and version.
        schema: What there is of the schema, in a few words; empty where that cannot be told.
        clock_ahead: How many seconds the server's clock is ahead of the store's, at the least; negative where it is
            behind, None where the server does not tell its time.
        findings: What is wrong, and what could not be seen.
    """

    server: str
    schema: str = ""
    clock_ahead: float | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def health(self) -> Health:
        """What `ping` answers: its problems are the findings that are errors."""
        errors = (finding for finding in self.findings if finding.severity is Severity.ERROR)
        return Health(self.server, tuple(map(str, errors)))


def of_health(health: Health) -> Examination:
    """An examination by `ping` alone: each problem is an error."""
    return Examination(
        server=health.server, findings=tuple(Finding(Severity.ERROR, problem) for problem in health.problems)
    )


def clock_ahead(told: int, asked: int, answered: int) -> float:
    """How many seconds a clock is ahead of another one, at the least; negative where it is behind.

    Args:
        told: What it told, in nanoseconds since 1970.
        asked: When it was asked, by the other one, such as the option ``clock`` of a store.
        answered: When the answer was there, by the other one.

    Example:
        >>> second = 1_000_000_000
        >>> clock_ahead(told=105 * second, asked=100 * second, answered=102 * second)
        3.0
        >>> clock_ahead(told=101 * second, asked=100 * second, answered=102 * second)
        0.0
    """
    return (max(0, told - answered) + min(0, told - asked)) / 1_000_000_000
