"""A client in a process of its own: ``python -m backscroll_conformance.client``.

It is given jobs as lines of JSON on stdin, and says what it did in lines of JSON on stdout. It ends when stdin does, so
that it never outlives the process that started it.
"""

import asyncio
import itertools
import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from backscroll.retry import drive
from backscroll_conformance.clauses import Form
from backscroll_conformance.subject import Twin, messages
from backscroll_conformance.target import Target
from backscroll_conformance.workload import fitting, work

Say = Callable[[Mapping[str, Any]], None]
"""Says a thing: writes it as a line, at once."""


LONG_TURN: Final = 60
"""How many messages every fourth turn of a worker has, where the backend allows it."""

LONGEST: Final = 300
"""How many characters of a failure are told; with them a line is short enough to be written in one piece."""


@attrs.frozen(kw_only=True)
class Job:
    """What a client is to do.

    Args:
        kind: A key of `JOBS`.
        target: The database; its options have to be such as JSON has.
        form: The form in which it calls the store.
        arguments: What the kind takes.
    """

    kind: str
    target: Target
    form: Form
    arguments: Mapping[str, Any]

    def to_json(self) -> str:
        """As one line."""
        target = {"backend": self.target.backend, "url": self.target.url, "options": dict(self.target.options)}
        return json.dumps({"kind": self.kind, "target": target, "form": self.form.value, "arguments": self.arguments})

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """From one line."""
        given = json.loads(text)
        target, form = Target(**given["target"]), Form(given["form"])
        return cls(kind=given["kind"], target=target, form=form, arguments=given["arguments"])


@attrs.frozen
class Planned:
    """A turn of a worker that appends one after the other; whoever knows its numbers knows all of it.

    Args:
        worker: Whose it is, from 0.
        number: The how manieth of this worker, from 0.
        most: How many messages a turn can have.
    """

    worker: int
    number: int
    most: int = LONG_TURN

    @property
    def turn_id(self) -> str:
        """Its own id."""
        return f"{self.worker}.{self.number}"

    @property
    def texts(self) -> list[str]:
        """The texts of its messages: 1 to 3 of them, or many."""
        place = self.worker + self.number
        count = LONG_TURN if place % 4 == 3 else 1 + place % 3
        return [f"{self.turn_id}.{index}" for index in range(min(count, self.most))]

    @classmethod
    def of(cls, text: str, most: int = LONG_TURN) -> "Planned":
        """The turn to which one of its texts belongs."""
        worker, number, _ = text.split(".")
        return cls(int(worker), int(number), most)


def append(job: Job, say: Say) -> None:
    """Append until killed, and say each turn that was acknowledged with its seqs.

    Its arguments are the sessions and the number of workers, which share them: worker n has session n modulo their
    number.
    """
    opened = job.target.open()
    store, most = Twin(opened, job.form), fitting(opened.limits, LONG_TURN)
    sessions, workers = job.arguments["sessions"], range(job.arguments["workers"])

    async def keep_appending(worker: int) -> None:
        for number in itertools.count():
            turn = Planned(worker, number, most)
            session_id = sessions[worker % len(sessions)]
            answer = await store.append(session_id, messages(*turn.texts), turn_id=turn.turn_id)
            say({"worker": worker, "number": number, "seqs": answer.seqs})

    at_once([keep_appending(worker) for worker in workers], job.form)


def at_once(works: list[Coroutine[Any, Any, None]], form: Form) -> None:
    """Run coroutines at once, as threads or as tasks of one loop; ends with the last one or the first failure."""
    if form is Form.ASYNC:

        async def gathered() -> None:
            await asyncio.gather(*works)

        asyncio.run(gathered())
        return
    ends: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def run(one: Coroutine[Any, Any, None]) -> None:
        try:
            drive(one)
            ends.put(None)
        except Exception as error:  # noqa: BLE001 - it is raised where the others are waited for
            ends.put(error)

    for one in works:
        threading.Thread(target=run, args=(one,), daemon=True).start()
    for _ in works:
        if error := ends.get():
            raise error


JOBS: Final[Mapping[str, Callable[[Job, Say], None]]] = MappingProxyType({"append": append, "work": work})
"""What a client can do, by the kind of its job."""


def run(line: str, out: int) -> int:
    """Do one job and say what comes of it; gives the exit code.

    Args:
        line: The number of the client, and its job, as JSON.
        out: The descriptor to say it on.
    """
    given = json.loads(line)

    # One call and no buffer, so that the lines of several threads stay apart and none is lost at a kill.
    def say(what: Mapping[str, Any]) -> None:
        os.write(out, json.dumps({"client": given["client"], **what}).encode() + b"\n")

    job = Job.from_json(given["job"])
    try:
        JOBS[job.kind](job, say)
    except BaseException as error:  # noqa: BLE001 - told in place of the lines that were expected
        say({"failed": job.target.redacted(f"{type(error).__name__}: {error}")[:LONGEST]})
        return 1
    return 0


def main() -> None:
    """Do the jobs that stdin names, each in a process of its own where the system can fork."""
    out = os.dup(1)
    os.dup2(2, 1)  # what a driver prints is no line of ours
    if hasattr(os, "fork"):
        from backscroll_conformance.nursery import Nursery

        Nursery(out, run).serve()
    else:
        line = sys.stdin.readline()
        threading.Thread(target=end_with, args=(0,), daemon=True).start()
        os._exit(run(line, out))


def end_with(descriptor: int) -> None:
    """End this process as soon as nobody can write to a descriptor any more."""
    # Not through sys.stdin, whose lock a thread must not hold when the interpreter ends.
    while os.read(descriptor, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
