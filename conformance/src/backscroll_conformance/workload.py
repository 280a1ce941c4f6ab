"""``python -m backscroll_conformance.workload``: one of several clients that work on the same sessions at once.

Reads its job as JSON from stdin, says ``ready``, begins at the next line, works for its time, and leaves the history of
its calls in a file. Its clock is wrong on purpose, and its line loses answers, so that its store has to repeat turns.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any, Final

from backscroll import Record, Store
from backscroll.errors import BackscrollError, OutcomeUnknown, Unavailable, VersionConflict
from backscroll.retry import drive
from backscroll_conformance.clauses import Form
from backscroll_conformance.history import Op, save
from backscroll_conformance.lossy import LossyBackend
from backscroll_conformance.subject import Twin, messages
from backscroll_conformance.target import Target

WORKERS: Final = 3
"""How many threads, or tasks of one loop, a client has."""

SLOT: Final = 0.03
"""For how many seconds all clients take the same turn for their shared one, so that it is sent by several at once."""

LOSSES: Final = 0.04
"""The probability with which a call meets a loss."""


class Client:
    """One process with one store and several workers.

    Args:
        job: ``backend``, ``url``, ``options``, ``sessions``, ``seconds``, ``seed``, ``name``, ``form``, ``skew`` (by
            how many seconds its clock is wrong), ``clears`` (whether it clears sessions).
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.form = Form(job["form"])
        self.history: list[Op] = []
        self.errors: list[str] = []
        target = Target(backend=job["backend"], url=job["url"], options=job["options"])
        skew = round(job["skew"] * 1e9)
        self.store: Store = target.open(
            lambda inner: LossyBackend(inner, probability=LOSSES, seed=job["seed"]), clock=lambda: time.time_ns() + skew
        )
        self.began = 0.0

    def work(self) -> None:
        """Let all workers work for their time."""
        self.began = time.monotonic()
        workers = [_Worker(self, number) for number in range(WORKERS)]
        if self.form is Form.ASYNC:
            asyncio.run(self._on_a_loop(workers))
        else:
            threads = [threading.Thread(target=lambda one=one: drive(one.work())) for one in workers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.store.close()

    @property
    def is_over(self) -> bool:
        """Whether its time is up."""
        return time.monotonic() > self.began + float(self.job["seconds"])

    async def _on_a_loop(self, workers: "list[_Worker]") -> None:
        await asyncio.gather(*(one.work() for one in workers))
        await self.store.aclose()


class _Worker:
    """One thread or task."""

    def __init__(self, client: Client, number: int) -> None:
        self.client = client
        self.name = f"{client.job['name']}.{number}"
        self.random = Random(f"{client.job['seed']}/{self.name}")  # noqa: S311  # no randomness here keeps a secret
        self.store = Twin(client.store, client.form)
        self.sent = 0
        self.versions: dict[str, int] = {}
        self.last: dict[str, tuple[str, tuple[str, ...]]] = {}

    async def work(self) -> None:
        """Call one operation after another."""
        actions: list[tuple[int, Callable[[str], Awaitable[None]]]] = [
            (30, self.append),
            (10, self.append_without_id),
            (15, self.append_if_unchanged),
            (10, self.repeat),
            (15, self.append_shared),
            (15, self.read_last),
            (10, self.read_after),
            (2 if self.client.job["clears"] else 0, self.clear),
        ]
        weights = [weight for weight, _ in actions]
        while not self.client.is_over:
            (_, action) = self.random.choices(actions, weights)[0]
            await action(self.random.choice(self.client.job["sessions"]))

    async def append(self, session: str) -> None:
        """A turn with an id of its own."""
        texts = self.texts()
        self.last[session] = texts[0], texts
        await self.send(session, texts, turn_id=texts[0])

    async def append_without_id(self, session: str) -> None:
        """A turn whose id the store makes."""
        await self.send(session, self.texts())

    async def append_if_unchanged(self, session: str) -> None:
        """A turn on the version that was seen last."""
        texts = self.texts()
        self.last[session] = texts[0], texts
        await self.send(session, texts, turn_id=texts[0], expected=self.versions.get(session, 0))

    async def repeat(self, session: str) -> None:
        """The turn that was sent last, again."""
        if session in self.last:
            turn_id, texts = self.last[session]
            await self.send(session, texts, turn_id=turn_id)

    async def append_shared(self, session: str) -> None:
        """A turn that other workers send at the same time."""
        slot = int(time.monotonic() / SLOT)
        await self.send(session, (f"shared {slot} in {session}",), turn_id=f"shared {slot}")

    async def read_last(self, session: str) -> None:
        """The newest messages, and the version for a conditional turn."""
        limit = self.random.choice((1, 3, 20, 50))
        await self.read(session, self.store.last(session, limit), limit=limit, newest=True)

    async def read_after(self, session: str) -> None:
        """What came after the version that was seen last."""
        after = self.versions.get(session, 0) - 1
        await self.read(session, self.store.read(session, after=after, limit=30), after=after, limit=30)

    async def clear(self, session: str) -> None:
        """Everything that is there."""
        await self.told(Op(self.name, "clear", session, time.monotonic_ns(), None), self.store.clear(session))

    def texts(self) -> tuple[str, ...]:
        """One to three messages that nobody else sends."""
        self.sent += 1
        return tuple(f"{self.name}/{self.sent}/{place}" for place in range(self.random.choice((1, 1, 2, 3))))

    async def send(
        self, session: str, texts: tuple[str, ...], turn_id: str | None = None, expected: int | None = None
    ) -> None:
        """Append, and note what happened."""
        op = Op(
            self.name, "append", session, time.monotonic_ns(), None, turn_id=turn_id, texts=texts, expected=expected
        )
        given = {"turn_id": turn_id, "expected_version": expected}
        answer = await self.told(op, self.store.append(session, messages(*texts), **given))
        if answer is not None:
            self.versions[session] = max(self.versions.get(session, 0), answer.version)

    async def read(self, session: str, call: Coroutine[Any, Any, Any], **window: Any) -> None:
        """Read, and note what was found."""
        op = Op(self.name, "read", session, time.monotonic_ns(), None, **window)
        records = await self.told(op, call)
        if records:
            self.versions[session] = max(self.versions.get(session, 0), records[-1].seq + 1)

    async def told(self, op: Op, call: Coroutine[Any, Any, Any]) -> Any:
        """Await a call, and add it to the history; gives its answer, or None."""
        outcome: dict[str, Any]
        answer = None
        try:
            answer = await call
            outcome = {"outcome": "done"} | _answered(op, answer)
        except VersionConflict as error:
            outcome = {"outcome": "conflict", "current": error.current}
            self.versions[op.session] = max(self.versions.get(op.session, 0), error.current)
        except OutcomeUnknown:
            outcome = {"outcome": "unknown"}
        except Unavailable:
            outcome = {"outcome": "refused"}
        except BackscrollError as error:
            outcome = {"outcome": "refused"}
            self.client.errors.append(f"{op.kind} by {op.worker}: {type(error).__name__}: {error}")
        self.client.history.append(op._replace(end=time.monotonic_ns(), **outcome))
        return answer


def found_in(records: list[Any]) -> tuple[tuple[int, str], ...]:
    """Records as the history keeps them."""
    return tuple(
        (one.seq, str(one.message.content) if isinstance(one, Record) else f"unreadable: {one.reason}")
        for one in records
    )


def _answered(op: Op, answer: Any) -> dict[str, Any]:
    if op.kind == "append":
        return {"seqs": answer.seqs, "version": answer.version, "duplicate": answer.duplicate}
    return {"found": found_in(answer)} if op.kind == "read" else {}


def main() -> None:
    """Do the job."""
    job = json.loads(sys.stdin.readline())
    client = Client(job)
    print("ready", flush=True)  # noqa: T201  # the protocol
    sys.stdin.readline()
    client.work()
    save(job["history"], client.history)
    print(json.dumps(client.errors[:5]), flush=True)  # noqa: T201  # the protocol


if __name__ == "__main__":
    main()
