"""A kind of job: one of several clients that work on the same sessions at once.

Its clock is wrong on purpose, and its line loses answers, so that its store has to repeat turns.
"""

import asyncio
import json
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from backscroll import Record, Store
from backscroll.backend import Capability, Limits
from backscroll.errors import BackscrollError, OutcomeUnknown, Unavailable, VersionConflict
from backscroll.retry import drive
from backscroll_conformance.clauses import Form
from backscroll_conformance.history import Op, save
from backscroll_conformance.lossy import LossyBackend
from backscroll_conformance.subject import ENCODED, Twin, messages

if TYPE_CHECKING:
    from backscroll_conformance.client import Job, Say

WORKERS: Final = 3
"""How many threads, or tasks of one loop, a client has."""

SLOT: Final = 0.03
"""For how many seconds all clients take the same turn for their shared one, so that it is sent by several at once."""

LOSSES: Final = 0.04
"""The probability with which a call meets a loss."""

PATIENCE: Final = 30.0
"""How many seconds a client waits for the others to be ready."""

LONG_TURN: Final = 200
"""How many messages a turn has now and then, where the backend allows it."""

RARELY: Final = 40
"""Of how many turns, and of how many reads, one is long; such a one takes the time of many others."""

WIDE: Final = 300
"""The limit of a read that can show all of a long turn."""

TTL: Final = 7 * 86_400.0
"""The TTL of some turns, in seconds: longer than any clock is wrong, so that none of them expires."""

MOST_ERRORS: Final = 5
"""How many of the errors that calls raised are told."""


class Client:
    """One process with one store and several workers.

    Args:
        job: Its arguments are ``sessions``, ``seconds``, ``seed``, ``name``, ``skew`` (by how many seconds its clock is
            wrong) and ``clears`` (whether it clears sessions).
    """

    def __init__(self, job: "Job") -> None:
        self.arguments = job.arguments
        self.form = job.form
        self.history: list[Op] = []
        self.errors: list[str] = []
        seed, skew = job.arguments["seed"], round(job.arguments["skew"] * 1e9)
        self.store: Store = job.target.open(
            lambda inner: LossyBackend(inner, probability=LOSSES, seed=seed), clock=lambda: time.time_ns() + skew
        )
        self.began = 0.0
        self.longest = fitting(self.store.limits, LONG_TURN)
        longest_ttl = self.store.limits.max_ttl
        has_ttl = self.store.capabilities[Capability.TTL] and (longest_ttl is None or longest_ttl >= TTL)
        self.ttls = (None, TTL, TTL) if has_ttl else (None,)

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
        return time.monotonic() > self.began + float(self.arguments["seconds"])

    async def _on_a_loop(self, workers: "list[_Worker]") -> None:
        await asyncio.gather(*(one.work() for one in workers))
        await self.store.aclose()


class _Worker:
    """One thread or task."""

    def __init__(self, client: Client, number: int) -> None:
        self.client = client
        self.name = f"{client.arguments['name']}.{number}"
        self.random = Random(f"{client.arguments['seed']}/{self.name}")  # noqa: S311  # no randomness here keeps a secret
        self.store = Twin(client.store, client.form)
        self.number = number
        self.sent = 0
        self.versions: dict[str, int] = {}
        self.last: dict[str, tuple[str, tuple[str, ...]]] = {}

    async def work(self) -> None:
        """Call one operation after another."""
        sessions = self.client.arguments["sessions"]
        is_conditional = self.client.store.capabilities[Capability.CONDITIONAL_APPEND]
        actions: list[tuple[int, Callable[[str], Awaitable[None]]]] = [
            (30, self.append),
            (10, self.append_without_id),
            (15 if is_conditional else 0, self.append_if_unchanged),
            (10, self.repeat),
            (15, self.append_shared),
            (15, self.read_last),
            (10, self.read_after),
            (2 if self.client.arguments["clears"] else 0, self.clear),
        ]
        weights = [weight for weight, _ in actions]
        # However slow the database is, each has appended and read something.
        for first in (self.append, self.read_last):
            await first(self.random.choice(sessions))
        while not self.client.is_over:
            (_, action) = self.random.choices(actions, weights)[0]
            await action(self.random.choice(sessions))

    async def append(self, session: str) -> None:
        """A turn with an id of its own."""
        texts = self.texts()
        self.last[session] = texts[0], texts
        await self.send(session, texts, turn_id=texts[0])

    async def append_without_id(self, session: str) -> None:
        """A turn whose id the store makes."""
        await self.send(session, self.texts())

    async def append_if_unchanged(self, session: str) -> None:
        """A turn on the version that was seen last, with a TTL or without one."""
        texts = self.texts()
        self.last[session] = texts[0], texts
        ttl = self.random.choice(self.client.ttls)
        await self.send(session, texts, turn_id=texts[0], expected=self.versions.get(session, 0), ttl=ttl)

    async def repeat(self, session: str) -> None:
        """The turn that was sent last, again."""
        if session in self.last:
            turn_id, texts = self.last[session]
            await self.send(session, texts, turn_id=turn_id)

    async def append_shared(self, _: str) -> None:
        """A turn that other workers send at the same time."""
        slot = int(time.monotonic() / SLOT)
        sessions = self.client.arguments["sessions"]
        session = sessions[slot % len(sessions)]
        await self.send(session, (f"shared {slot} in {session}",), turn_id=f"shared {slot}")

    async def read_last(self, session: str) -> None:
        """The newest messages, and the version for a conditional turn."""
        limit = WIDE if self.is_rare() else self.random.choice((1, 3, 20, 50))
        await self.read(session, self.store.last(session, limit), limit=limit, newest=True)

    async def read_after(self, session: str) -> None:
        """What came after the version that was seen last."""
        after = self.versions.get(session, 0) - 1
        limit = WIDE if self.is_rare() else 30
        await self.read(session, self.store.read(session, after=after, limit=limit), after=after, limit=limit)

    async def clear(self, session: str) -> None:
        """Everything that is there."""
        await self.told(Op(self.name, "clear", session, time.monotonic_ns(), None), self.store.clear(session))

    def texts(self) -> tuple[str, ...]:
        """One to three messages that nobody else sends; now and then many."""
        self.sent += 1
        count = min(self.client.longest, LONG_TURN if self.is_rare() else self.random.choice((1, 1, 2, 3)))
        return tuple(f"{self.name}/{self.sent}/{place}" for place in range(count))

    def is_rare(self) -> bool:
        """Whether something long is to be done; the first thing that a client does is long."""
        return (self.number == 0 and self.sent == 1) or not self.random.randrange(RARELY)

    async def send(
        self,
        session: str,
        texts: tuple[str, ...],
        turn_id: str | None = None,
        expected: int | None = None,
        ttl: float | None = None,
    ) -> None:
        """Append, and note what happened."""
        op = Op(
            self.name, "append", session, time.monotonic_ns(), None, turn_id=turn_id, texts=texts, expected=expected
        )
        given = {"turn_id": turn_id, "expected_version": expected, "ttl": ttl}
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


def fitting(limits: Limits, count: int) -> int:
    """How many short messages a turn can have: as many as asked for, or as many as the backend takes."""
    return max(1, min(count, limits.max_turn_messages, limits.max_turn_bytes // ENCODED))


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


def work(job: "Job", say: "Say") -> None:
    """Say that it is ready, begin as soon as the others are, work for its time, and leave a history in a file.

    Its arguments are those of `Client`, and three paths: of the file that says when to ``begin``, and of those to
    write, the ``history`` and the ``errors``.
    """
    client = Client(job)
    say({"ready": True})
    end = time.monotonic() + PATIENCE
    while not os.path.exists(job.arguments["begin"]):  # noqa: PTH110  # polled, and so as quick as can be
        if time.monotonic() > end:
            raise TimeoutError(f"the others were not ready within {PATIENCE:g} s")
        time.sleep(0.0005)
    client.work()
    save(job.arguments["history"], client.history)
    Path(job.arguments["errors"]).write_text(json.dumps(client.errors[:MOST_ERRORS]), encoding="utf-8")
    say({"done": True})
