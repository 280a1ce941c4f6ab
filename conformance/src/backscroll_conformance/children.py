"""Runs clauses in child processes: one for each tier, and another one wherever a backend ends one."""

import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, Final

import attrs

from backscroll_conformance.catalogue import BY_ID
from backscroll_conformance.child import as_answer, as_outcome
from backscroll_conformance.clauses import Clause, Tier
from backscroll_conformance.environment import PING_SECONDS, Answer
from backscroll_conformance.folders import remove
from backscroll_conformance.outcomes import Outcome, Verdict
from backscroll_conformance.target import Target

GRACE: Final = 15.0
"""How many seconds after the deadline of a clause its process is ended, where it does not give up by itself."""

TAIL: Final = 2_000
"""How many characters of what a child printed are shown."""

COMMAND: Final = (sys.executable, "-m", "backscroll_conformance.child")
"""The child process."""

Pair = tuple[str, str]


def run(
    target: Target, clauses: Iterable[Clause], seed: int, effort: str, tell: Callable[[Outcome], None]
) -> list[Outcome]:
    """Judge clauses, each tier in a process of its own.

    Args:
        target: The database.
        clauses: What to judge.
        seed: Where random choices come from.
        effort: The name of how far they go.
        tell: Is told of each outcome as it comes.
    """
    outcomes: list[Outcome] = []

    def keep(outcome: Outcome) -> None:
        outcomes.append(outcome)
        tell(outcome)

    chosen = list(clauses)
    for tier in Tier:
        pairs = [(clause.id, form.value) for clause in chosen if clause.tier is tier for form in clause.forms]
        while pairs:
            pairs = _Child(target, pairs, seed, effort).run(keep)
    return outcomes


def ask(target: Target) -> Answer:
    """Ask the server what it is, in a process of its own.

    Args:
        target: The database.
    """
    with _folder() as folder:
        job = json.dumps(_job(target, folder)) + "\n"
        try:
            child = subprocess.run(
                COMMAND, input=job, capture_output=True, text=True, timeout=2 * PING_SECONDS + GRACE, check=False
            )
        except subprocess.TimeoutExpired:
            return Answer(unanswered="its process did not end in time")
    line = child.stdout.strip()
    return as_answer(json.loads(line)) if line else Answer(unanswered=f"its process {_ended(child.returncode)}")


@contextmanager
def _folder() -> Iterator[str]:
    """Where a child makes its folders: it may be ended at any time, and then cannot remove them."""
    with tempfile.TemporaryDirectory(prefix="backscroll-", ignore_cleanup_errors=True) as folder:
        try:
            yield folder
        finally:
            # Clients of the child may live a moment longer than it.
            remove(folder)


def _job(target: Target, folder: str, forms: list[Pair] | None = None, **rest: Any) -> dict[str, Any]:
    server = attrs.asdict(target.server) if target.server else None
    given = {"backend": target.backend, "url": target.url, "server": server}
    return {**given, "options": dict(target.options), "folder": folder, "forms": forms, **rest}


class _Child:
    """One child process."""

    def __init__(self, target: Target, pairs: list[Pair], seed: int, effort: str) -> None:
        self.target = target
        self.pairs = pairs
        self.rest = {"seed": seed, "effort": effort}

    def run(self, keep: Callable[[Outcome], None]) -> list[Pair]:
        """Judge until the child ends; gives what is left to be judged."""
        with _folder() as folder, tempfile.TemporaryFile() as printed:
            child = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=printed, text=True)
            try:
                self._send(child, folder)
                return self._follow(child, printed, keep)
            finally:
                child.kill()
                child.wait()
                for stream in (child.stdin, child.stdout):
                    if stream:
                        with suppress(BrokenPipeError):
                            stream.close()

    def _follow(
        self, child: "subprocess.Popen[str]", printed: IO[bytes], keep: Callable[[Outcome], None]
    ) -> list[Pair]:
        lines = _lines(child)
        left = list(self.pairs)
        began: Pair | None = None
        while left:
            try:
                line = lines.get(timeout=BY_ID[left[0][0]].deadline + GRACE)
            except queue.Empty:
                keep(self._failed(left[0], "did not end in time, and neither did its thread give way", printed))
                return left[1:]
            if line is None:
                how = _ended(child.wait())
                if began is None:
                    for pair in left:
                        keep(
                            Outcome(*pair, Verdict.ERROR, 0.0, self._with_output(f"the suite's process {how}", printed))
                        )
                    return []
                keep(self._failed(began, f"the interpreter {how}", printed))
                return left[1:]
            event = json.loads(line)
            if "began" in event:
                began = left[0]
            else:
                keep(as_outcome(event["outcome"]))
                began = None
                left.pop(0)
        return left

    def _send(self, child: "subprocess.Popen[str]", folder: str) -> None:
        if child.stdin:
            # It stays open: the child ends with it.
            with suppress(BrokenPipeError):  # it ended already, which the missing events tell
                child.stdin.write(json.dumps(_job(self.target, folder, self.pairs, **self.rest)) + "\n")
                child.stdin.flush()

    def _failed(self, pair: Pair, what: str, printed: IO[bytes]) -> Outcome:
        return Outcome(*pair, Verdict.FAILED, 0.0, self._with_output(what, printed))

    def _with_output(self, what: str, printed: IO[bytes]) -> str:
        printed.seek(0)
        tail = self.target.redacted(printed.read().decode(errors="replace")).strip()[-TAIL:]
        return f"{what}\n{tail}".strip()


def _lines(child: "subprocess.Popen[str]") -> "queue.Queue[str | None]":
    """The lines that a child prints, as they come; None at their end."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read(stream: Any) -> None:
        try:
            for line in stream:
                lines.put(line)
        except ValueError:
            pass  # closed, because the child was ended
        lines.put(None)

    threading.Thread(target=read, args=(child.stdout,), daemon=True).start()
    return lines


def _ended(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with {code}"
