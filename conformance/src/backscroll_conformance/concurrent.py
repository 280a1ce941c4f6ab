"""The concurrent tier: several processes, each with threads or tasks, on the same sessions at once.

One history is made for each form, and eight clauses judge it. What a clause finds is told with the file that holds the
whole history.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from backscroll.backend import Capability
from backscroll_conformance.anomalies import Anomaly, Kind
from backscroll_conformance.checker import check
from backscroll_conformance.clauses import Clause, Tier, clause
from backscroll_conformance.expect import Broken, equal, fail, true
from backscroll_conformance.history import Op, load, save
from backscroll_conformance.subject import Subject, messages, numbered
from backscroll_conformance.workload import found_in

PROCESSES: Final = 2
SESSIONS: Final = 3
SKEW: Final = 3_600.0
"""By how many seconds the clocks of two clients differ."""

START: Final = 30.0
"""How many seconds a client may take to start, and how long it may go on after its time."""

_judged: Final[dict[str, tuple[list[Anomaly], list[str], str]]] = {}
_judging: Final = threading.Lock()


async def _anomalies(s: Subject, *, clears: bool = False) -> tuple[list[Anomaly], list[str], str]:
    """What is wrong with a history, the errors that were raised, and where the history is; made once a run."""
    key = json.dumps([s.origin.url, str(s.origin.options), s.form.value, s.seed, s.effort.seconds, clears])
    with _judging:
        if key not in _judged:
            history, errors = await _history(s, clears=clears)
            found = check(history, window=s.limits.dedupe_turns)
            _judged[key] = found, errors, _kept(history) if found else ""
        return _judged[key]


async def _history(s: Subject, *, clears: bool) -> tuple[list[Op], list[str]]:
    sessions = [s.session() for _ in range(SESSIONS)]
    with tempfile.TemporaryDirectory() as folder:
        jobs = [
            {
                "backend": s.target.backend,
                "url": s.target.url,
                "options": dict(s.target.options),
                "sessions": sessions,
                "seconds": s.effort.seconds,
                "seed": s.seed + number,
                "name": f"client {number + 1}",
                "form": s.form.value,
                "skew": number * SKEW,
                "clears": clears,
                "history": str(Path(folder, f"{number}.jsonl")),
            }
            for number in range(PROCESSES)
        ]
        errors = _run(jobs)
        history = [op for job in jobs for op in load(Path(str(job["history"])))]
    for session_id in sessions:
        begin = time.monotonic_ns()
        found = found_in(await s.everything(session_id))
        history.append(Op("the final read", "read", session_id, begin, time.monotonic_ns(), found=found))
    return history, errors


def _run(jobs: list[dict[str, Any]]) -> list[str]:
    """Run the clients at once; gives the errors that they tell."""
    command = [sys.executable, "-m", "backscroll_conformance.workload"]
    pipe = subprocess.PIPE
    clients = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in jobs]
    guards = [threading.Timer(2 * START + job["seconds"], one.kill) for one, job in zip(clients, jobs, strict=True)]
    try:
        for guard in guards:
            guard.start()
        for client, job in zip(clients, jobs, strict=True):
            _say(client, json.dumps(job))
        for client in clients:
            if client.stdout and client.stdout.readline() != "ready\n":
                fail(f"a client did not start: {client.communicate()[1][-1_000:]}")
        for client in clients:
            _say(client, "go")
        return [error for client in clients for error in _answer(client)]
    finally:
        for client, guard in zip(clients, guards, strict=True):
            guard.cancel()
            client.kill()
            client.communicate()


def _say(client: "subprocess.Popen[str]", line: str) -> None:
    if client.stdin:
        client.stdin.write(line + "\n")
        client.stdin.flush()


def _answer(client: "subprocess.Popen[str]") -> list[str]:
    line = client.stdout.readline() if client.stdout else ""
    if not line:
        tail = client.stderr.read()[-1_000:] if client.stderr else ""
        raise Broken(f"a client ended with {client.wait()} or did not end in time\n{tail}")
    errors: list[str] = json.loads(line)
    return errors


def _kept(history: list[Op]) -> str:
    with tempfile.NamedTemporaryFile(prefix="backscroll-history-", suffix=".jsonl", delete=False) as file:
        path = file.name
    save(path, history)
    return path


def _clause(id: str, kind: Kind, sentence: str) -> Clause:
    async def check_kind(s: Subject) -> None:
        found, errors, path = await _anomalies(s)
        told = [one.text for one in found if one.kind is kind]
        if kind is Kind.WRONG_ANSWER:
            equal(errors, [], "the errors that calls raised")
        if told:
            fail("\n".join([*told[:3], f"{len(told)} in all; the whole history: {path}"]))

    check_kind.__doc__ = sentence
    return clause(id, tier=Tier.CONCURRENT)(check_kind)


LOST = _clause("CON-001", Kind.LOST, "What was acknowledged while others append MUST NOT be lost.")
DUPLICATED = _clause("CON-002", Kind.DUPLICATED, "No message MUST ever be stored twice, whoever repeats its turn.")
PHANTOM = _clause("CON-003", Kind.PHANTOM, "What was never appended, or surely refused, MUST NOT be read.")
TORN = _clause("CON-004", Kind.TORN, "A turn MUST be seen whole or not at all, whoever reads at the same time.")
REORDERED = _clause(
    "CON-005", Kind.REORDERED, "All clients MUST see one order, in which a later turn never comes first."
)
STALE = _clause("CON-006", Kind.STALE, "A read MUST see all that was acknowledged or read before it began.")
CONFLICT = _clause(
    "CON-007", Kind.CONFLICT, "Of conditional appends on one version one MUST land, and the others conflict."
)
WRONG_ANSWER = _clause("CON-008", Kind.WRONG_ANSWER, "Each answer MUST say where its messages stand, and no call fail.")


@clause("CON-009", Capability.DISCARD, tier=Tier.CONCURRENT)
async def cleared(s: Subject) -> None:
    """Clearing while others append MUST take nothing that is appended after it returned."""
    found, errors, path = await _anomalies(s, clears=True)
    equal(errors, [], "the errors that calls raised")
    if found:
        fail("\n".join([*(f"{one.kind.value}: {one.text}" for one in found[:3]), f"the whole history: {path}"]))


@clause("CON-010", Capability.REMOVE, tier=Tier.CONCURRENT)
async def removed_once(s: Subject) -> None:
    """Of several clients that remove the same messages, each message MUST be answered to exactly one."""
    from backscroll_conformance.clauses import Form
    from backscroll_conformance.subject import in_threads

    for _ in range(3):
        session_id = s.session()
        seqs = (await s.store.append(session_id, messages(*numbered(40)))).seqs
        stores = [s.open()[0].target for _ in range(4)]

        def remove(store: Any, session_id: str = session_id, seqs: tuple[int, ...] = seqs) -> list[int]:
            async def work() -> list[int]:
                return [
                    one for start in range(0, 40, 4) for one in await store.aremove(session_id, seqs[start : start + 4])
                ]

            if s.form is Form.ASYNC:
                return _on_a_loop(work())
            return [one for start in range(0, 40, 4) for one in store.remove(session_id, seqs[start : start + 4])]

        answers = in_threads([lambda store=store: remove(store) for store in stores])  # type: ignore[misc]
        failed = [repr(answer) for answer in answers if isinstance(answer, Exception)]
        true(not failed, f"removing failed: {failed}")
        equal(sorted(seq for answer in answers for seq in answer), list(seqs), "what all together were answered")
        equal(await s.texts(session_id), [], "the texts")


def _on_a_loop(work: Coroutine[Any, Any, list[int]]) -> list[int]:
    import asyncio

    return asyncio.run(work)
