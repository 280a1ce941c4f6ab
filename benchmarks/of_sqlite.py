"""The measures of SQLite: each gives rows, hand-written code interleaved in the same run, medians."""

import json
import multiprocessing
import os
import random
import resource
import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from handwritten import Handwritten
from rows import SESSION, TURN, Row, interleaved, microseconds

import backscroll
from backscroll.backend import Appended, Health
from backscroll.sqlite.backend import SQLiteBackend
from backscroll.sqlite.options import SQLiteOptions
from backscroll.sqlite.plugin import backscroll_backends
from backscroll.store import Store
from backscroll.url import URL


def appends(folder: Path, rounds: int) -> Iterator[Row]:
    """A turn of two messages of 400 bytes."""
    for durability, synchronous in (("server", "FULL"), ("process", "NORMAL")):
        peer = Handwritten(str(folder / f"peer-{synchronous}.db"), synchronous)
        peer.setup()
        with backscroll.open(f"sqlite:///{folder}/ours-{synchronous}.db?durability={durability}") as store:
            a, b, ratio = interleaved(
                lambda: microseconds(lambda: store.append(SESSION, TURN), 100),
                lambda: microseconds(lambda: peer.append(SESSION, TURN), 100),  # noqa: B023
                rounds,
            )
        peer.close()
        yield Row(f"append at {synchronous}", a, "µs")
        yield Row(f"append at {synchronous}, by hand", b, "µs")
        target = ("<=", 1.3) if synchronous == "FULL" else ("", None)
        yield Row(f"append at {synchronous} / by hand", ratio, "times", *target)
    own = statistics.median(microseconds(lambda: IDLE.append(SESSION, TURN), 1_000) for _ in range(rounds))
    yield Row("append, our own Python time", own, "µs", "<=", 20)


ANSWER = Appended(2, (0, 1), uuid.uuid4())


class IdleBackend(SQLiteBackend):
    """Stores nothing, so that only the time of `Store` is left."""

    def append(self, session_id: str, turn: Any, deadline: Any) -> Appended:
        """Answer at once."""
        return ANSWER

    def setup(self, deadline: Any) -> Health:
        """Answer at once."""
        return Health("idle")


IDLE = Store(IdleBackend(next(iter(backscroll_backends())), URL("sqlite"), SQLiteOptions()))


def fill(store: Store, messages: int) -> None:
    """Append that many messages, in turns of two hundred."""
    for _ in range(messages // 200):
        store.append(SESSION, TURN * 100)


def reads(folder: Path, rounds: int) -> Iterator[Row]:
    """The last twenty messages of a long session and of a short one, and all of them."""
    long, short = (backscroll.open(f"sqlite:///{folder}/{name}.db?durability=process") for name in ("long", "short"))
    fill(long, 100_000)
    short.append(SESSION, TURN * 50)
    peer = Handwritten(str(folder / "long.db"))
    _, _, growth = interleaved(
        lambda: microseconds(lambda: long.last(SESSION, 20), 100),
        lambda: microseconds(lambda: short.last(SESSION, 20), 100),
        rounds,
    )
    a, b, ratio = interleaved(
        lambda: microseconds(lambda: long.last(SESSION, 20), 100),
        lambda: microseconds(lambda: peer.last(SESSION, 20), 100),
        rounds,
    )
    yield Row("last(20) of 100,000 messages / of 100", growth, "times", "<=", 1.2)
    yield Row("last(20)", a, "µs")
    yield Row("last(20), SELECT and json.loads", b, "µs")
    yield Row("last(20) / SELECT and json.loads", ratio, "times", "<=", 2.2)

    def speed(messages: Callable[[], Iterator[Any]]) -> float:
        started = time.perf_counter()
        return sum(1 for _ in messages()) / (time.perf_counter() - started)

    a, b, ratio = interleaved(
        lambda: speed(lambda: long.iterate(SESSION)), lambda: speed(lambda: peer.iterate(SESSION)), 7
    )
    yield Row("iterate over 100,000 messages", a, "messages/s")
    yield Row("iterate, SELECT and json.loads", b, "messages/s")
    yield Row("iterate / SELECT and json.loads", ratio, "times the speed", ">=", 0.6)
    for store in (long, short):
        store.close()
    peer.close()
    yield Row("iterate, peak memory over idle", _in_child(_iteration_memory, folder / "long.db"), "MB", "<=", 20)


def _iteration_memory(path: Path) -> float:
    with backscroll.open(f"sqlite:///{path}") as store:
        store.last(SESSION, 1)
        idle = peak = _resident()
        for number, _ in enumerate(store.iterate(SESSION)):
            if number % 100 == 0:
                peak = max(peak, _resident())
        return (peak - idle) / 1e6


def _resident() -> int:
    """The memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def _in_child(act: Callable[[Path], float], path: Path) -> float:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(act, (path,))


def imports(_: Path, rounds: int) -> Iterator[Row]:
    """How long `import backscroll` takes beyond `import attrs, pluggy`."""
    program = """
import time
import attrs, pluggy
started = time.perf_counter()
import backscroll
print((time.perf_counter() - started) * 1e3)
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    times = [
        float(subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout)
        for _ in range(rounds + 1)
    ]
    yield Row("import backscroll, beyond attrs and pluggy", statistics.median(times[1:]), "ms", "<=", 30)


PROCESSES, THREADS, TURNS = 4, 8, 20_000


def contention(folder: Path, _: int) -> Iterator[Row]:
    """Four processes of eight threads each append to one session."""
    ours, theirs = [], []
    for number in range(3):
        path = folder / f"contended-{number}.db"
        with backscroll.open(f"sqlite:///{path}") as store:
            store.setup()
            ours.append(_race(_our_writers, path))
            yield Row(f"turns lost, doubled, split or reordered, run {number + 1}", _faults(store), "turns", "<=", 0)
        peer = Handwritten(str(folder / f"contended-peer-{number}.db"))
        peer.setup()
        peer.close()
        theirs.append(_race(_their_writers, folder / f"contended-peer-{number}.db"))
    yield Row(f"{PROCESSES} processes of {THREADS} threads on one session", statistics.median(ours), "turns/s")
    yield Row("the same by hand", statistics.median(theirs), "turns/s")
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    yield Row("contended throughput / by hand", ratio, "times", ">=", 0.7)


def _race(writers: Callable[[Path, int, Any], None], path: Path) -> float:
    """Start the processes, wait until all are ready, and time their turns."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(PROCESSES + 1)
    processes = [context.Process(target=writers, args=(path, number, ready)) for number in range(PROCESSES)]
    for process in processes:
        process.start()
    ready.wait(60)
    started = time.perf_counter()
    for process in processes:
        process.join(600)
    return TURNS / (time.perf_counter() - started)


def _threads(append: Callable[[list[dict[str, Any]]], Any], process: int, ready: Any) -> None:
    def write(thread: int) -> None:
        for number in range(TURNS // PROCESSES // THREADS):
            name = f"{process}.{thread}.{number}."
            append([{"role": "user", "content": name + "0"}, {"role": "assistant", "content": name + "1"}])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(THREADS)]
    ready.wait(60)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _our_writers(path: Path, process: int, ready: Any) -> None:
    with backscroll.open(f"sqlite:///{path}?timeout=60") as store:
        store.last(SESSION, 1)
        _threads(lambda turn: store.append(SESSION, turn), process, ready)


def _their_writers(path: Path, process: int, ready: Any) -> None:
    peer = Handwritten(str(path))
    _threads(lambda turn: peer.append(SESSION, turn), process, ready)
    peer.close()


def _faults(store: Store) -> int:
    """How many turns are not there once, whole, in one piece and in their writer's order."""
    contents = [record.message.content for record in store.iterate(SESSION)]
    faults = abs(len(contents) - 2 * TURNS)
    next_of: dict[str, int] = {}
    for first, second in zip(contents[::2], contents[1::2], strict=False):
        writer, _, place = first[:-2].rpartition(".")
        expected = next_of.get(writer, 0)
        faults += (first, second) != (f"{writer}.{expected}.0", f"{writer}.{expected}.1")
        next_of[writer] = int(place) + 1
    return faults


def kills(folder: Path, _: int) -> Iterator[Row]:
    """A process is killed with SIGKILL in mid-stream, fifty times."""
    path = folder / "killed.db"
    context = multiprocessing.get_context("spawn")
    acknowledged: list[str] = []
    for number in range(50):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_append_for_ever, args=(path, number, sender))
        process.start()
        sender.close()
        mine = [receiver.recv() for _ in range(random.randint(1, 200))]
        os.kill(process.pid or 0, signal.SIGKILL)
        try:
            while True:
                mine.append(receiver.recv())
        except EOFError:
            process.join()
        acknowledged += mine
    with backscroll.open(f"sqlite:///{path}") as store:
        stored = [json.loads(record.message.content) for record in store.iterate(SESSION)]
    turns = [f"{number}.{place}" for number, place, index in stored if index == 0]
    whole = [(*entry[:2], index) for entry in stored if entry[2] == 0 for index in (0, 1)]
    wrong = len(set(acknowledged) - set(turns)) + (len(turns) - len(set(turns))) + ([*map(tuple, stored)] != whole)
    in_order = [turn for turn in turns if turn in set(acknowledged)] == acknowledged
    yield Row("acknowledged turns before 50 kills", len(acknowledged), "turns")
    yield Row("… of them lost, doubled, split or reordered", wrong + (not in_order), "turns", "<=", 0)


def _append_for_ever(path: Path, number: int, sender: Any) -> None:
    with backscroll.open(f"sqlite:///{path}") as store:
        for place in range(1_000_000):
            turn = [{"role": "user", "content": json.dumps([number, place, index])} for index in (0, 1)]
            store.append(SESSION, turn)
            sender.send(f"{number}.{place}")


MEASURES = {measure.__name__: measure for measure in (appends, reads, imports, contention, kills)}
ONLY_WHEN_NAMED: set[str] = set()


def version() -> str:
    """What was measured."""
    return f"SQLite {sqlite3.sqlite_version}"
