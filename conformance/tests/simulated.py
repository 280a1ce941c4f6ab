"""A store in memory, and clients that use it at once in simulated time: correct, or with one fault."""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from backscroll_conformance.history import Op

Process = Iterator[int]

NEVER = 10**9


class Memory:
    """One session of a correct store, or of one with a fault; every method is one atomic step."""

    def __init__(self, random: Random, window: int, fault: str = "") -> None:
        self.random, self.window, self.fault = random, window, fault
        self.live: list[tuple[int, str]] = []
        self.old: list[tuple[int, str]] = []
        self.version = 0
        self.turns: deque[tuple[str, tuple[int, ...]]] = deque(
            maxlen=window // 2 if fault == "short window" else window
        )

    def append(self, turn_id: str, texts: tuple[str, ...], expected: int | None) -> tuple[str, Any]:
        for known, seqs in self.turns:
            if known == turn_id and self.fault != "doubled retry":
                if self.fault == "conflict before duplicate" and expected not in {None, self.version}:
                    return "conflict", self.version
                return "duplicate", seqs
        if expected not in {None, self.version} and self.fault != "lost update":
            return "conflict", self.version
        if self.fault == "cached version" and expected is not None and self.random.random() < 0.8:
            return "conflict", max(0, self.version - 1)
        return "stored", self._store(turn_id, texts)

    def _store(self, turn_id: str, texts: tuple[str, ...]) -> tuple[int, ...]:
        first = self.version + self.random.choice([0, 0, 0, 1, 5])
        seqs = tuple(range(first, first + len(texts)))
        self.turns.append((turn_id, seqs))
        self.version = seqs[-1] + 1
        if not self._is_hit("lost append"):
            self.old = list(self.live)
            self.live += zip(seqs, texts, strict=True)
        if self._is_hit("clock skew") and len(self.live) > len(texts):
            places, shown = zip(*self.live[-2 * len(texts) :], strict=True)
            self.live[-len(places) :] = zip(places, shown[len(texts) :] + shown[: len(texts)], strict=False)
        if self._is_hit("torn append") and len(texts) > 1:
            self.live.pop()
        return tuple(seq + 1 for seq in seqs) if self._is_hit("wrong answer") else seqs

    def _is_hit(self, fault: str) -> bool:
        return self.fault == fault and self.random.random() < 0.2

    def discard(self, before: int) -> None:
        if self.fault != "ignored clear":
            self.live = [row for row in self.live if row[0] >= before]
        if self.fault == "greedy clear":
            self.live = []

    def page(self, after: int | None, before: int | None, limit: int, newest: bool) -> list[tuple[int, str]]:
        source = self.old if self._is_hit("stale read") else self.live
        rows = [row for row in source if (after is None or row[0] > after) and (before is None or row[0] < before)]
        if self.fault == "phantom" and rows and self.random.random() < 0.1:
            rows[-1] = (rows[-1][0], f"nobody's {self.random.random()}")
        return rows[-limit:] if newest else rows[:limit]


class World:
    """Clients, their calls, and the time; what they did is in `ops`."""

    def __init__(
        self,
        seed: int,
        *,
        window: int = 4,
        calls: int = 30,
        workers: int = 4,
        fault: str = "",
        clears: bool | None = None,
    ) -> None:
        self.random = Random(seed)
        self.now = 0
        self.ops: list[Op] = []
        self._queue: list[tuple[int, int, Process]] = []
        self._made = 0
        self._begun = 0
        self._turns: list[tuple[str, tuple[str, ...], int | None]] = []
        self._with_clears = self.random.random() < 0.5 if clears is None else clears
        self._patience = self.random.choice([2, 20, 60])
        self._sloth = self.random.choice([1, 3, 10])
        self.memory = Memory(self.random, window, fault)
        for number in range(workers):
            self.spawn(self._work(f"w{number}", calls))

    def spawn(self, process: Process) -> None:
        self._begun += 1
        heapq.heappush(self._queue, (self.now + self._delay(), self._begun, process))

    def run(self) -> list[Op]:
        """Let everybody work, then read everything; what is still under way may go on meanwhile."""
        late: list[tuple[int, int, Process]] = []
        while self._queue:
            self.now, number, process = heapq.heappop(self._queue)
            if self.now >= NEVER:
                late.append((self.now, number, process))
                continue
            self._step(number, process)
        ended = max((op.begin if op.end is None else op.end for op in self.ops), default=0)
        self.now = max(self.now % NEVER, ended) + 1
        for _, _, process in late:
            self.spawn(process)
        self.spawn(self._read("final", None, None, newest=False))
        while self._queue:
            self.now, number, process = heapq.heappop(self._queue)
            self._step(number, process)
        return self.ops

    def _step(self, number: int, process: Process) -> None:
        delay = next(process, None)
        if delay is not None:
            heapq.heappush(self._queue, (self.now + delay, number, process))

    def _delay(self) -> int:
        return self.random.randrange(self._sloth * 3)

    def _late(self) -> int:
        """A while that may outlast everybody."""
        return self.random.choice([self._delay(), 5 * self._patience, 50 * self._patience, NEVER])

    def _work(self, worker: str, calls: int) -> Process:
        """One client, call by call; it may be killed, and does not come back."""
        for _ in range(calls):
            yield self.random.randrange(self._patience)
            killed = self.random.random() < 0.01
            yield from self._call(worker, killed)
            if killed:
                return

    def _call(self, worker: str, killed: bool) -> Process:
        choice = self.random.random()
        if choice < 0.5:
            return self._append(worker, killed)
        if choice < 0.55 and self._with_clears:
            return self._clear(worker, killed)
        if choice < 0.6:
            return self._read(worker, None, self._some_seq(), newest=False)
        limit = self.random.randrange(1, 8)
        if choice < 0.8:
            return self._read(worker, limit, None, newest=True)
        if choice < 0.95:
            return self._read(worker, limit, self._some_seq(), newest=self.random.random() < 0.5)
        return self._read(worker, None, None, newest=False)

    def _some_seq(self) -> int | None:
        return self.random.choice([None, self.random.randrange(self.memory.version + 3)])

    def _turn(self) -> tuple[str | None, str, tuple[str, ...], int | None]:
        """A new turn, or one that was sent already; its id as the caller gave it, and as the store knows it."""
        if self._turns and self.random.random() < 0.35:
            turn_id, texts, expected = self.random.choice(self._turns[-12:])
            return turn_id, turn_id, texts, expected
        self._made += 1
        texts = tuple(f"m{self._made}.{index}" for index in range(self.random.choice([1, 1, 2, 3])))
        expected = None
        if self.random.random() < 0.4:
            expected = max(0, self.memory.version + self.random.choice([-1, 0, 0, 0, 0, 1]))
        if self.random.random() < 0.5:
            return None, f"made {self._made}", texts, expected
        self._turns.append((f"own {self._made}", texts, expected))
        return f"own {self._made}", f"own {self._made}", texts, expected

    def _append(self, worker: str, killed: bool) -> Process:
        begin = self.now
        given, turn_id, texts, expected = self._turn()
        if given is not None and self.random.random() < 0.1:
            expected = None
        call = {"turn_id": given, "texts": texts, "expected": expected}
        landed: list[tuple[int, ...]] = []
        answer: tuple[str, Any] = ("unknown", None)
        tries = self.random.choice([1, 1, 1, 2, 3])
        for number in range(tries):
            yield self._delay()
            is_lost = number < tries - 1 or self.random.random() < 0.1
            if is_lost and self.random.random() < 0.4:
                self.spawn(self._late_try(turn_id, texts, expected, landed))
            elif is_lost and self.random.random() < 0.5:
                self._try(turn_id, texts, expected, landed)
            elif not is_lost:
                answer = self._try(turn_id, texts, expected, landed)
        yield self._delay()
        outcome, value = answer
        if killed:
            self._record(worker, "append", begin, None, outcome="unknown", **call)
        elif outcome == "conflict" and tries > 1 and value <= expected:
            self._record(worker, "append", begin, self.now, outcome="unknown", **call)
        elif outcome == "conflict":
            landed.append(())
            self._record(worker, "append", begin, self.now, outcome="conflict", current=value, **call)
        elif outcome == "unknown":
            self._record(worker, "append", begin, self.now, outcome="unknown", **call)
        else:
            is_duplicate = outcome == "duplicate" and given is not None
            done = {"seqs": value, "version": value[-1] + 1, "duplicate": is_duplicate}
            self._record(worker, "append", begin, self.now, **done, **call)

    def _try(self, turn_id: str, texts: tuple[str, ...], expected: int | None, landed: list[Any]) -> tuple[str, Any]:
        """One try of a call, of which no two are stored, however late."""
        known = any(turn_id == other for other, _ in self.memory.turns)
        if landed and not known:
            return "unknown", None
        outcome, value = self.memory.append(turn_id, texts, expected)
        if outcome in {"stored", "duplicate"}:
            landed.append(value)
        return outcome, value

    def _late_try(self, turn_id: str, texts: tuple[str, ...], expected: int | None, landed: list[Any]) -> Process:
        yield self._late()
        self._try(turn_id, texts, expected, landed)

    def _clear(self, worker: str, killed: bool) -> Process:
        begin = self.now
        yield self._delay()
        bound = self.memory.version
        yield self._delay()
        is_unknown = self.random.random() < 0.2
        if is_unknown or killed:
            self.spawn(self._after(self._late(), lambda: self.memory.discard(bound)))
        else:
            if self.random.random() < 0.3:
                self.spawn(self._after(self._late(), lambda: self.memory.discard(bound)))
            self.memory.discard(bound)
        yield self._delay()
        outcome = "unknown" if is_unknown or killed else "done"
        self._record(worker, "clear", begin, None if killed else self.now, outcome=outcome)

    def _after(self, delay: int, step: Callable[[], None]) -> Process:
        yield delay
        step()

    def _read(self, worker: str, limit: int | None, after: int | None, *, newest: bool) -> Process:
        begin = self.now
        found: list[tuple[int, str]] = []
        low, high = after, None
        page_size = self.random.choice([2, 10, 1_000])
        while True:
            yield self._delay()
            ask = page_size if limit is None else min(page_size, limit - len(found))
            page = self.memory.page(low, high, ask, newest)
            found = page + found if newest else found + page
            if len(page) < ask or len(found) == limit:
                break
            low, high = (low, page[0][0]) if newest else (page[-1][0], high)
        yield self._delay()
        self._record(worker, "read", begin, self.now, found=tuple(found), after=after, limit=limit, newest=newest)

    def _record(self, worker: str, kind: str, begin: int, end: int | None, **rest: Any) -> None:
        self.ops.append(Op(worker, kind, "s", begin, end, **rest))


def history(seed: int, **options: Any) -> list[Op]:
    """What clients of a store did, and were answered."""
    return World(seed, **options).run()
