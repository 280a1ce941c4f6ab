"""``backscroll copy`` beside what each side does by itself: reading everything, and appending in large turns."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from rows import TURN, Row

import backscroll
from backscroll import Message, Store

LENGTH = 1_000
"""How many messages a session has."""

AT_ONCE = 1_000
"""How many messages a turn has where a side appends as fast as it can."""

FEW = 10 * LENGTH
"""How many messages the sessions have whose number begins with 0000."""

# What getrusage tells of a child begins with the peak of the process that forked it.
MEASURED = r"""
import re, sys
from backscroll.cli import main
code = main(sys.argv[1:])
print(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])
sys.exit(code)
"""
"""The code of a process that runs a command, and says in the last line how much memory it took, in KiB."""

TARGET = 0.5
"""How fast a copy has to be, of the slower side."""


def copies(target: str, count: int, rounds: int) -> Iterator[Row]:
    """Copy so many messages from SQLite to another database, in sessions of `LENGTH` with turns of two.

    Args:
        target: The URL of the other database, with ``{}`` for what makes it another one for each part of the measure.
        count: How many messages.
        rounds: How often.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = f"sqlite:///{folder}/chat.db?durability=process"
        _fill(source, count)
        reading, writing, copying, memory = [], [], [], []
        for number in range(rounds):
            reading.append(_read(source, count))
            writing.append(_written(target.format(f"w{number}"), count))
            seconds, peak = _copied(source, target.format(f"c{number}"), count)
            copying.append(count / seconds)
            memory.append(peak)
        few = [_copied(source, target.format(f"f{number}"), FEW, "session 0000")[1] for number in range(rounds)]
    slower = [min(pair) for pair in zip(reading, writing, strict=True)]
    yield Row(f"SQLite, {count:,} messages read", statistics.median(reading), "messages/s")
    yield Row(f"the other side, appended {AT_ONCE:,} at once", statistics.median(writing), "messages/s")
    yield Row("copy, compared in the end", statistics.median(copying), "messages/s")
    ratio = statistics.median(a / b for a, b in zip(copying, slower, strict=True))
    yield Row("copy / the slower side by itself", ratio, "times", ">=", TARGET)
    yield Row("memory at the most", statistics.median(memory) / 1024, "MiB")
    what = f"memory / that of a copy of {FEW:,} messages"
    yield Row(what, statistics.median(memory) / statistics.median(few), "times", "<=", 1.25)


def _fill(url: str, count: int) -> None:
    with backscroll.open(url, timeout=60) as store:
        for number in range(count // LENGTH):
            for _ in range(LENGTH // len(TURN)):
                store.append(f"session {number:05}", TURN)


def _read(url: str, count: int) -> float:
    with backscroll.open(url) as store:
        began, found = time.perf_counter(), 0
        for session_id in _sessions(store):
            found += sum(1 for _ in store.iterate(session_id))
        seconds = time.perf_counter() - began
    if found != count:
        raise SystemExit(f"read {found} messages of {count}")
    return count / seconds


def _written(url: str, count: int) -> float:
    turn = [Message(**message) for message in TURN] * (AT_ONCE // len(TURN))
    with backscroll.open(url) as store:
        store.setup()
        began = time.perf_counter()
        for number in range(count // AT_ONCE):
            store.append(f"session {number:05}", turn)
        return count / (time.perf_counter() - began)


def _sessions(store: Store) -> Iterator[str]:
    page = store.sessions(limit=1_000)
    yield from page
    while page.cursor is not None:
        page = store.sessions(limit=1_000, cursor=page.cursor)
        yield from page


def _copied(source: str, target: str, count: int, prefix: str = "") -> tuple[float, int]:
    """How many seconds a copy took, and its memory at the most, in KiB."""
    command = [sys.executable, "-c", MEASURED, "copy", source, target, "--prefix", prefix, "--json"]
    began = time.perf_counter()
    answer, peak = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    seconds = time.perf_counter() - began
    if json.loads(answer)["messages"] != count:
        raise SystemExit(f"the copy is not whole: {answer}")
    return seconds, int(peak)
