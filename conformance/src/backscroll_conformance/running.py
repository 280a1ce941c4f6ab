"""Judges one clause: under a deadline, whatever the backend does."""

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Coroutine
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final

from backscroll import BackscrollError
from backscroll.retry import drive
from backscroll_conformance.clauses import Clause, Form
from backscroll_conformance.expect import Broken
from backscroll_conformance.outcomes import Outcome, Verdict
from backscroll_conformance.redaction import hide
from backscroll_conformance.subject import NotApplicable, NotRun, Subject
from backscroll_conformance.target import Effort, Target
from backscroll_conformance.timeline import Timeline

STANDARD_LIBRARY: Final = Path(asyncio.__file__).parent
"""Where the steps of an event loop are, which say nothing."""

FRAMES: Final = 8
"""How many calls the evidence shows of where something happened."""


def judge(clause: Clause, form: Form, target: Target, seed: int, effort: Effort) -> Outcome:
    """Judge a clause in one form; never raises, and ends by the clause's deadline.

    A backend that does not come back is left behind in its thread.
    """
    began = time.monotonic()
    hide(target.secrets())
    try:
        reason = _why_not(clause, target.connect().capabilities)
    except Exception as error:  # noqa: BLE001 - whatever it is, the clause was not judged
        return Outcome(clause.id, form.value, Verdict.ERROR, 0.0, target.redacted(_told(error)))
    if reason:
        return Outcome(clause.id, form.value, Verdict.NOT_APPLICABLE, 0.0, reason)
    attempt = _Attempt(clause, form, target, seed, effort)
    verdict, evidence = attempt.run()
    seconds = round(time.monotonic() - began, 3)
    timelines = tuple(one.changed(target.redacted) for one in attempt.timelines)
    return Outcome(clause.id, form.value, verdict, seconds, target.redacted(evidence), attempt.figures, timelines)


def _why_not(clause: Clause, capabilities: Any) -> str:
    for capability in clause.needs:
        if not capabilities[capability]:
            return f"declared as unsupported: {capability.value}: {capabilities[capability].reason}"
    if clause.lacks and capabilities[clause.lacks]:
        return f"declared as supported: {clause.lacks.value}"
    return ""


class _Attempt:
    """One clause in one form, in a thread of its own."""

    def __init__(self, clause: Clause, form: Form, target: Target, seed: int, effort: Effort) -> None:
        self.clause, self.form, self.target, self.seed, self.effort = clause, form, target, seed, effort
        self.figures: dict[str, Any] = {}
        self.timelines: list[Timeline] = []
        self.verdict, self.evidence = Verdict.ERROR, "the clause ended without a word"

    def run(self) -> tuple[Verdict, str]:
        thread = threading.Thread(target=self._in_thread, name=f"clause-{self.clause.id}", daemon=True)
        thread.start()
        thread.join(self.clause.deadline)
        if thread.is_alive():
            place = _stack(sys._current_frames().get(thread.ident or 0))  # noqa: SLF001  # the one way to see it
            return Verdict.FAILED, f"did not end within {self.clause.deadline:g} s; it was here:\n{place}"
        return self.verdict, self.evidence

    def _in_thread(self) -> None:
        try:
            with self.target.fresh() as target:
                _run(self._judged(target), self.form)
            self.verdict, self.evidence = Verdict.PASSED, ""
        except NotRun as error:
            self.verdict, self.evidence = Verdict.NOT_RUN, str(error)
        except NotApplicable as error:
            self.verdict, self.evidence = Verdict.NOT_APPLICABLE, str(error)
        except BaseException as error:  # noqa: BLE001 - whatever a backend raises, the run goes on
            self.verdict, self.evidence = Verdict.FAILED, _told(error)

    async def _judged(self, target: Target) -> None:
        subject = Subject(target, self.form, self.seed, self.effort, self.target)
        failure: BaseException | None = None
        try:
            await subject.begin()
            await self.clause.check(subject)
        except BaseException as error:
            failure = error
            raise
        finally:
            self.figures, self.timelines = subject.figures, subject.timelines
            try:
                await subject.finish()
            except Exception as error:
                if failure is None:
                    error.add_note("while the sessions of the clause were deleted and its stores closed")
                    raise
                failure.add_note(f"cleaning up failed, too: {type(error).__name__}: {error}")


def _run(work: Coroutine[Any, Any, None], form: Form) -> None:
    if form is Form.ASYNC:
        asyncio.run(work)
    else:
        drive(work)


def _told(error: BaseException) -> str:
    """An exception in words: what was expected and seen, and where."""
    notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
    if isinstance(error, Broken):
        return f"{error}{notes}"
    return f"{type(error).__name__}: {error}{_unmapped(error)}{notes}\n{_trace(error.__traceback__)}"


def _unmapped(error: BaseException) -> str:
    """What the backend said where the store gives its type alone; secrets are taken out of the evidence later on."""
    behind: BaseException | None = error
    while isinstance(behind, BackscrollError):
        behind = behind.__context__
    is_named = "the backend failed with " in str(error)
    return f"\nit said: {behind}" if is_named and behind is not None and str(behind) else ""


def _trace(trace: TracebackType | None) -> str:
    return _lines(traceback.extract_tb(trace))


def _stack(frame: FrameType | None) -> str:
    return _lines(traceback.extract_stack(frame)) if frame else "nowhere"


def _lines(frames: traceback.StackSummary) -> str:
    # A path from the root on would tell where this machine keeps things.
    ours = [frame for frame in frames if STANDARD_LIBRARY not in Path(frame.filename).parents] or frames
    places = (("/".join(Path(frame.filename).parts[-2:]), frame) for frame in ours[-FRAMES:])
    return "\n".join(f"  {place}:{frame.lineno} in {frame.name}" for place, frame in places)
