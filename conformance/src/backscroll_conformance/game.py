"""How random scripts are played: the clients that they share, and what was found."""

import asyncio
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, Self

import attrs
from hypothesis import HealthCheck, Phase, settings

from backscroll.backend import Backend
from backscroll.retry import drive
from backscroll_conformance.clauses import DEADLINES, Form, Tier
from backscroll_conformance.expect import Broken
from backscroll_conformance.lossy import LossyBackend
from backscroll_conformance.subject import Subject

PLAYING: Final = 0.7
"""The part of the tier's deadline after which no further script is begun."""

SHRINKING: Final = 30.0
"""How many seconds a script that fails is made shorter."""


@attrs.define
class Found:
    """A script that failed.

    Args:
        script: Its steps.
        error: What the last one raised.
    """

    script: tuple[str, ...]
    error: Exception

    @property
    def size(self) -> tuple[int, int]:
        """By which the shortest is found."""
        return len(self.script), sum(map(len, self.script))

    def told(self, is_flaky: bool) -> str:
        """What went wrong, and after which steps.

        Args:
            is_flaky: Whether the same steps went well another time.
        """
        error = self.error
        what = str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {error}"
        again = "; it failed once, and went well when it was repeated" if is_flaky else ""
        return "\n".join([f"{what}\n\nafter these steps{again}:", *(f"  {line}" for line in self.script)])


class Enough(BaseException):
    """Ends the search; no failure of anything, so that hypothesis lets it pass."""


class Game:
    """What the scripts of one run share: the clients, the loop they run on, and what was found.

    Args:
        subject: The database under test.
        loses_answers: Whether a `LossyBackend` stands between the store and its backend.

    Attributes:
        scripts: How many were begun.
        found: Those that failed.
    """

    def __init__(self, subject: Subject, *, loses_answers: bool) -> None:
        self.subject: Final = subject
        self.loses_answers: Final = loses_answers
        self.scripts = 0
        self.found: list[Found] = []
        self.script: list[str] = []
        self.lossy: LossyBackend | None = None
        self.start: Final = subject.clock.now
        self._end = time.monotonic() + PLAYING * DEADLINES[Tier.STATEFUL]
        self._runner = asyncio.Runner() if subject.form is Form.ASYNC else None
        self.store, self.backend = subject.open(self._wrapped if loses_answers else None)
        self.observer, _ = subject.open()

    def _wrapped(self, backend: Backend) -> LossyBackend:
        self.lossy = LossyBackend(backend, tell=lambda loss: self.script.append(f"    # {loss}"))
        return self.lossy

    @property
    def settings(self) -> settings:
        """How hypothesis goes about it."""
        effort = self.subject.effort
        return settings(
            max_examples=effort.examples,
            stateful_step_count=effort.steps,
            phases=[Phase.generate, *([Phase.shrink] if effort.shrink else [])],
            database=None,
            deadline=None,
            derandomize=False,
            print_blob=False,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )

    def run(self, work: Coroutine[Any, Any, object]) -> None:
        """Run a step in the form under test."""
        if self._runner:
            self._runner.run(work)
        else:
            drive(work)

    def begin(self) -> int:
        """Begin a script; gives its number.

        Raises:
            Enough: The time is up.
        """
        if time.monotonic() > self._end:
            raise Enough
        self.scripts += 1
        self.script = []
        self.subject.clock.now = self.start
        return self.scripts

    def fail(self, error: Exception) -> None:
        """Keep the script that is being played, and limit the time in which it is made shorter."""
        if not self.found:
            self._end = min(self._end, time.monotonic() + SHRINKING)
        self.found.append(Found(tuple(self.script), error))

    def __enter__(self) -> Self:
        self.run(self.store.setup())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Here, because async clients are to be closed on the loop that they ran on.
        try:
            self.run(self.store.close())
            self.run(self.observer.close())
        finally:
            if self._runner:
                self._runner.close()
