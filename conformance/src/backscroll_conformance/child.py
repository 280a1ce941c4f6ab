"""``python -m backscroll_conformance.child``: judges clauses in a process of its own, which a backend may crash.

Reads one job as JSON from stdin and tells on stdout, line by line, what it begins and what came out.
"""

import json
import os
import sys
from typing import Any, TextIO

import attrs

from backscroll_conformance.catalogue import BY_ID
from backscroll_conformance.clauses import Form
from backscroll_conformance.outcomes import Outcome, Verdict
from backscroll_conformance.running import judge
from backscroll_conformance.target import EFFORTS, Target


def main() -> None:
    """Do the job."""
    # What a backend prints goes to stderr, where it cannot be taken for an event.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
    os.dup2(2, 1)
    job = json.load(sys.stdin)
    target = Target(backend=job["backend"], url=job["url"], options=job["options"])
    for name, form in job["forms"]:
        _say(events, {"began": [name, form]})
        outcome = judge(BY_ID[name], Form(form), target, job["seed"], EFFORTS[job["effort"]])
        _say(events, {"outcome": attrs.asdict(outcome) | {"verdict": outcome.verdict.value}})
    events.close()
    sys.stderr.flush()
    # Threads that were given up must not hold up the end.
    os._exit(0)


def as_outcome(told: dict[str, Any]) -> Outcome:
    """An outcome as a child told it."""
    return Outcome(**told | {"verdict": Verdict(told["verdict"])})


def _say(events: TextIO, event: dict[str, Any]) -> None:
    events.write(json.dumps(event) + "\n")
    events.flush()


if __name__ == "__main__":
    main()
