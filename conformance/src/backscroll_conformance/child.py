"""``python -m backscroll_conformance.child``: judges clauses in a process of its own, which a backend may crash.

Reads one job as JSON from stdin and tells on stdout, line by line, what it begins and what came out; or, where the job
names no clauses, what the backend and its server say of themselves. It ends when stdin does, so that it never outlives
the process that started it.
"""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

import attrs

from backscroll.hookspecs import ServerSpec
from backscroll_conformance.catalogue import BY_ID
from backscroll_conformance.clauses import Form
from backscroll_conformance.environment import Answer, Declared, asked
from backscroll_conformance.folders import remove
from backscroll_conformance.outcomes import Outcome, Verdict
from backscroll_conformance.running import judge
from backscroll_conformance.target import EFFORTS, Target
from backscroll_conformance.timeline import Call, Timeline


def main() -> None:
    """Do the job."""
    # What a backend prints goes to stderr, where it cannot be taken for an event.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
    os.dup2(2, 1)
    job = json.loads(sys.stdin.readline())
    target = Target(
        backend=job["backend"],
        url=job["url"],
        options=job["options"],
        folders=Path(job["folder"]),
        server=ServerSpec(**job["server"]) if job["server"] else None,
    )
    if job["forms"] is None:
        _say(events, attrs.asdict(asked(target)))
    else:
        threading.Thread(target=_end_with_stdin, args=(job["folder"],), daemon=True).start()
    for name, form in job["forms"] or ():
        _say(events, {"began": [name, form]})
        outcome = judge(BY_ID[name], Form(form), target, job["seed"], EFFORTS[job["effort"]])
        _say(events, {"outcome": attrs.asdict(outcome) | {"verdict": outcome.verdict.value}})
    events.close()
    sys.stderr.flush()
    # Threads that were given up must not hold up the end.
    os._exit(0)


def as_outcome(told: dict[str, Any]) -> Outcome:
    """An outcome as a child told it."""
    timelines = tuple(
        Timeline(**one | {"calls": tuple(Call(**call) for call in one["calls"])}) for one in told["timelines"]
    )
    return Outcome(**told | {"verdict": Verdict(told["verdict"]), "timelines": timelines})


def as_answer(told: dict[str, Any]) -> Answer:
    """An answer as a child told it."""
    capabilities = tuple(Declared(**one) for one in told["capabilities"])
    return Answer(**told | {"problems": tuple(told["problems"]), "capabilities": capabilities})


def _end_with_stdin(folder: str) -> None:
    """End this process as soon as that which started it has ended, and remove what it cannot remove any more."""
    # Not through sys.stdin, whose lock a thread must not hold when the interpreter ends.
    while os.read(0, 4096):
        pass
    remove(folder)
    os._exit(1)


def _say(events: TextIO, event: dict[str, Any]) -> None:
    events.write(json.dumps(event) + "\n")
    events.flush()


if __name__ == "__main__":
    main()
