"""The concurrent tier: several processes, each with threads or tasks, on the same sessions at once.

One history is made for each form, and eight clauses judge it. What a clause finds is told with the file that holds the
whole history.
"""

import asyncio
import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import attrs

from backscroll.backend import Capability, Consistency
from backscroll.retry import drive
from backscroll_conformance.anomalies import Anomaly, Kind
from backscroll_conformance.checker import check
from backscroll_conformance.clauses import Clause, Form, Tier, clause
from backscroll_conformance.client import Job
from backscroll_conformance.expect import equal, fail, true
from backscroll_conformance.history import Op, load, save
from backscroll_conformance.processes import Client, why_not_elsewhere
from backscroll_conformance.subject import NotApplicable, NotRun, Subject, in_threads, messages, numbered, raise_first
from backscroll_conformance.timeline import Timeline, around
from backscroll_conformance.workload import found_in

PROCESSES: Final = 2
SESSIONS: Final = 3
SKEW: Final = 3_600.0
"""By how many seconds the clocks of two clients differ."""

START: Final = 30.0
"""How many seconds a client may take to start, and how long it may go on after its time."""

ROUNDS: Final = 32
"""How often in each second of a run two things are done at once."""

MOST_ROUNDS: Final = 64
"""How often at the most."""

LONGEST_PAUSE: Final = 0.004
"""The longest time, in seconds, by which one of several things is done later than the others."""

MOST_SHOWN: Final = 3
"""How many of the things that are wrong the evidence of a clause shows."""


@attrs.frozen
class _Judged:
    """What a history shows.

    Args:
        found: What is wrong.
        timelines: What went on around it: of each kind, as many as the evidence shows.
        errors: The errors that were raised.
        done: How many calls of a kind were done, by client and kind.
        path: Where the history is kept; empty where nothing is wrong.
    """

    found: list[Anomaly]
    timelines: dict[Anomaly, Timeline]
    errors: list[str]
    done: Counter[tuple[str, str]]
    path: str


_judged: Final[dict[str, _Judged]] = {}
_judging: Final = threading.Lock()


async def _shown(s: Subject, *, clears: bool = False) -> _Judged:
    """What a history shows, which is made once a run; fails where it shows nothing."""
    key = json.dumps([s.origin.url, str(s.origin.options), s.form.value, s.seed, s.effort.seconds, clears])
    with _judging:
        if key not in _judged:
            history, errors = await _history(s, clears=clears)
            found = check(history, window=s.limits.dedupe_turns)
            done = Counter((op.worker.partition(".")[0], op.kind) for op in history if op.outcome == "done")
            timelines = {one: around(one, history) for kind in Kind for one in _of_kind(found, kind)[:MOST_SHOWN]}
            _judged[key] = _Judged(found, timelines, errors, done, _kept(history) if found else "")
            for kind in ("append", "read"):
                s.figures[f"{kind}s done at once"] = sum(done[_name(number), kind] for number in range(PROCESSES))
        shown = _judged[key]
    for number in range(PROCESSES):
        for kind in ("append", "read"):
            if not shown.done[_name(number), kind]:
                fail("\n".join([f"no {kind} of {_name(number)} was done, so that nothing is shown:", *shown.errors]))
    return shown


def _of_kind(found: list[Anomaly], kind: Kind) -> list[Anomaly]:
    return [one for one in found if one.kind is kind]


def _name(number: int) -> str:
    return f"client {number + 1}"


async def _history(s: Subject, *, clears: bool) -> tuple[list[Op], list[str]]:
    sessions = [s.session() for _ in range(SESSIONS)]
    history, errors = _worked(s, sessions, clears=clears)
    for session_id in sessions:
        began = time.monotonic_ns()
        found = found_in(await s.everything(session_id))
        history.append(Op("the final read", "read", session_id, began, time.monotonic_ns(), found=found))
    return history, errors


def _worked(s: Subject, sessions: list[str], *, clears: bool) -> tuple[list[Op], list[str]]:
    """Let clients work at once; gives the history of their calls, and the errors that these raised."""
    if reason := why_not_elsewhere(s.target):
        raise NotRun(reason)
    with (
        tempfile.TemporaryDirectory(prefix="backscroll-", dir=s.target.folders) as folder,
        ExitStack() as stack,
    ):
        jobs = [_job(s, sessions, number, Path(folder), clears=clears) for number in range(PROCESSES)]
        clients = [stack.enter_context(Client(job)) for job in jobs]
        for client in clients:
            client.line(START)
        Path(folder, "begin").touch()
        for client in clients:
            client.line(s.effort.seconds + START)
        history = [op for job in jobs for op in load(job.arguments["history"])]
        errors = [one for job in jobs for one in json.loads(Path(job.arguments["errors"]).read_bytes())]
    return history, errors


def _job(s: Subject, sessions: list[str], number: int, folder: Path, *, clears: bool) -> Job:
    arguments = {
        "sessions": sessions,
        "seconds": s.effort.seconds,
        "seed": s.seed + number,
        "name": _name(number),
        "skew": number * SKEW,
        "clears": clears,
        "begin": str(folder / "begin"),
        "history": str(folder / f"{number}.history"),
        "errors": str(folder / f"{number}.errors"),
    }
    return Job(kind="work", target=s.target, form=s.form, arguments=arguments)


def _kept(history: list[Op]) -> str:
    with tempfile.NamedTemporaryFile(prefix="backscroll-history-", suffix=".jsonl", delete=False) as file:
        path = file.name
    save(path, history)
    return path


def _clause(id: str, kind: Kind, sentence: str, *needs: Capability) -> Clause:
    async def check_kind(s: Subject) -> None:
        if kind is Kind.STALE and _may_be_stale(s):
            raise NotApplicable("declared: reads see what was acknowledged after a while (Consistency.EVENTUAL)")
        shown = await _shown(s)
        found = _of_kind(shown.found, kind)
        if kind is Kind.WRONG_ANSWER:
            equal(shown.errors, [], "the errors that calls raised")
        if found:
            s.timelines.extend(shown.timelines[one] for one in found[:MOST_SHOWN])
            told = [one.text for one in found[:MOST_SHOWN]]
            fail("\n".join([*told, f"{len(found)} in all; the whole history: {shown.path}"]))

    check_kind.__doc__ = sentence
    return clause(id, *needs, tier=Tier.CONCURRENT)(check_kind)


def _may_be_stale(s: Subject) -> bool:
    return s.limits.consistency is Consistency.EVENTUAL


LOST = _clause("CON-001", Kind.LOST, "What was acknowledged while others append MUST NOT be lost.")
DUPLICATED = _clause("CON-002", Kind.DUPLICATED, "No message MUST ever be stored twice, whoever repeats its turn.")
PHANTOM = _clause("CON-003", Kind.PHANTOM, "What was never appended, or surely refused, MUST NOT be read.")
TORN = _clause("CON-004", Kind.TORN, "A turn MUST be seen whole or not at all, whoever reads at the same time.")
REORDERED = _clause(
    "CON-005", Kind.REORDERED, "All clients MUST see one order, in which a later turn never comes first."
)
STALE = _clause("CON-006", Kind.STALE, "A read MUST see all that was acknowledged or read before it began.")
CONFLICT = _clause(
    "CON-007",
    Kind.CONFLICT,
    "Of conditional appends on one version one MUST land, and the others conflict.",
    Capability.CONDITIONAL_APPEND,
)
WRONG_ANSWER = _clause("CON-008", Kind.WRONG_ANSWER, "Each answer MUST say where its messages stand, and no call fail.")


@clause("CON-009", Capability.DISCARD, tier=Tier.CONCURRENT)
async def cleared(s: Subject) -> None:
    """Clearing while others append MUST take nothing that is appended after it returned."""
    shown = await _shown(s, clears=True)
    equal(shown.errors, [], "the errors that calls raised")
    found = [one for one in shown.found if not (one.kind is Kind.STALE and _may_be_stale(s))][:MOST_SHOWN]
    if found:
        s.timelines.extend(shown.timelines[one] for one in found)
        fail("\n".join([*(f"{one.kind.value}: {one.text}" for one in found), f"the whole history: {shown.path}"]))


@clause("CON-010", Capability.REMOVE, tier=Tier.CONCURRENT)
async def removed_once(s: Subject) -> None:
    """Of several clients that remove the same messages, each message MUST be answered to exactly one."""
    for _ in range(3):
        session_id = s.session()
        seqs = await s.fill(session_id, numbered(40))
        stores = [s.open()[0].target for _ in range(4)]

        def remove(store: Any, session_id: str = session_id, seqs: list[int] = seqs) -> list[int]:
            async def work() -> list[int]:
                return [
                    one for start in range(0, 40, 4) for one in await store.aremove(session_id, seqs[start : start + 4])
                ]

            if s.form is Form.ASYNC:
                return asyncio.run(work())
            return [one for start in range(0, 40, 4) for one in store.remove(session_id, seqs[start : start + 4])]

        answers = in_threads([lambda store=store: remove(store) for store in stores])  # type: ignore[misc]
        failed = [repr(answer) for answer in answers if isinstance(answer, Exception)]
        true(not failed, f"removing failed: {failed}")
        equal(sorted(seq for answer in answers for seq in answer), seqs, "what all together were answered")
        equal(await s.texts(session_id), [], "the texts")


@clause("CON-011", Capability.REMOVE, tier=Tier.CONCURRENT)
async def removed_only(s: Subject) -> None:
    """Removing messages while another client appends MUST take nothing but these messages."""
    remover, appender = s.open()[0], s.open()[0]
    for number in range(_rounds(s, 8)):
        session_id = s.session()
        seqs = await s.fill(session_id, numbered(20))
        later = numbered(15, f"appended {number}")

        async def remove(session_id: str = session_id, seqs: list[int] = seqs) -> None:
            for start in range(0, len(seqs), 2):
                answer = await remover.remove(session_id, seqs[start : start + 2])
                equal(list(answer), seqs[start : start + 2], "what a removal was answered")

        async def append(session_id: str = session_id, later: list[str] = later) -> None:
            for text in later:
                await appender.append(session_id, messages(text))
                await s.pause(s.random.uniform(0, LONGEST_PAUSE))

        await _at_once(s, remove, append)
        equal(await s.texts(session_id), later, "the texts of what was appended while others were removed")


@clause("CON-012", Capability.DELETE, Capability.DISCARD, tier=Tier.CONCURRENT)
async def deleted_only(s: Subject) -> None:
    """Deleting a session MUST NOT take a turn that another client appends meanwhile."""
    deleter, appender = s.open()[1], s.open()[0]
    for number in range(_rounds(s)):
        session_id = s.session()
        version = (await s.store.append(session_id, messages("earlier"))).version
        await s.backend.discard(session_id, version, s.deadline())
        later = numbered(3, f"appended {number}")
        pause = s.random.uniform(0, LONGEST_PAUSE)

        async def delete(session_id: str = session_id, version: int = version) -> None:
            await deleter.delete(session_id, version, s.deadline())

        async def append(session_id: str = session_id, later: list[str] = later, pause: float = pause) -> None:
            for text in later:
                await s.pause(pause)
                await appender.append(session_id, messages(text))

        await _at_once(s, delete, append)
        equal(await s.texts(session_id), later, "the texts of what was appended while the empty session was deleted")


def _rounds(s: Subject, longer: int = 1) -> int:
    """How often something is done at once that takes some times longer than one call."""
    return max(1, min(MOST_ROUNDS, int(s.effort.seconds * ROUNDS)) // longer)


async def _at_once(s: Subject, *works: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do several things at once, as threads or as tasks of one loop."""
    if s.form is Form.ASYNC:
        await asyncio.gather(*(work() for work in works))
        return
    raise_first(in_threads([lambda work=work: drive(work()) for work in works]))  # type: ignore[misc]
