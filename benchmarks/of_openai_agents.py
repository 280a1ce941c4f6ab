"""The measures of the session of the Agents SDK: each gives rows, the SDK's SQLiteSession interleaved in the same run.

Both keep their items in an SQLite file; medians.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from agents import SQLiteSession
from rows import Row, interleaved, microseconds

import backscroll
from backscroll_openai_agents import BackscrollSession, from_item, to_items

CALLS = 50
"""How often a side acts before the other one does."""

LONG, SHORT = 10_000, 100

BATCH: list[Any] = [
    {"role": "user", "content": "x" * 400},
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "y" * 400, "annotations": [], "logprobs": []}],
    },
]
"""A turn of a question and an answer, as the SDK has them."""


@contextmanager
def _both(folder: Path, name: str, items: int) -> Iterator[tuple[asyncio.Runner, BackscrollSession, SQLiteSession]]:
    """A session of each kind with as many items, and a loop for both."""
    with asyncio.Runner() as loop, backscroll.open(f"sqlite:///{folder}/ours-{name}.db") as store:
        ours, theirs = BackscrollSession(name, store), SQLiteSession(name, folder / f"theirs-{name}.db")
        for session in (ours, theirs):
            for _ in range(0, items, 100):
                loop.run(session.add_items(BATCH * 50))
        try:
            yield loop, ours, theirs
        finally:
            theirs.close()


def _timed(loop: asyncio.Runner, act: Callable[[], Awaitable[Any]], times: int = CALLS) -> float:
    """How long one call takes within a running loop, in µs, on average over some."""

    async def all_of_them() -> float:
        started = time.perf_counter()
        for _ in range(times):
            await act()
        return (time.perf_counter() - started) / times * 1e6

    return loop.run(all_of_them())


def reads(folder: Path, rounds: int) -> Iterator[Row]:
    """The newest twenty of 10,000 items, and all of them."""
    with _both(folder, "long", LONG) as (loop, ours, theirs), _both(folder, "short", SHORT) as (other, short, _):
        for limit, times in ((20, CALLS), (None, 1)):
            what = f"get_items({limit or ''}) of {LONG:,}"
            a, b, ratio = interleaved(
                lambda: _timed(loop, lambda: ours.get_items(limit), times),  # noqa: B023
                lambda: _timed(loop, lambda: theirs.get_items(limit), times),  # noqa: B023
                rounds,
            )
            yield Row(what, a, "µs")
            yield Row(f"{what}, the SDK's SQLiteSession", b, "µs")
            yield Row(f"{what} / the SDK's SQLiteSession", ratio, "times")
        _, _, ratio = interleaved(
            lambda: _timed(loop, lambda: ours.get_items(20)), lambda: _timed(other, lambda: short.get_items(20)), rounds
        )
        yield Row(f"get_items(20) of {LONG:,} / of {SHORT}", ratio, "times", "<=", 1.2)


def writes(folder: Path, rounds: int) -> Iterator[Row]:
    """A batch of two items, which the SDK writes with fewer waits for the disk: ours is safe once it is told."""
    with _both(folder, "written", SHORT) as (loop, ours, theirs):
        for name in ("add_items", "pop_item"):
            given = (BATCH,) if name == "add_items" else ()
            a, b, ratio = interleaved(
                lambda: _timed(loop, lambda: getattr(ours, name)(*given)),  # noqa: B023
                lambda: _timed(loop, lambda: getattr(theirs, name)(*given)),  # noqa: B023
                rounds,
            )
            yield Row(name, a, "µs")
            yield Row(f"{name}, the SDK's SQLiteSession", b, "µs")
            yield Row(f"{name} / the SDK's SQLiteSession", ratio, "times")


def codec(_: Path, rounds: int) -> Iterator[Row]:
    """An item there and back, without the store."""
    for name, item in (("plain text", BATCH[0]), ("an answer", BATCH[1])):
        a, b, _ratio = interleaved(
            lambda: microseconds(lambda: to_items(from_item(item)), 1_000),  # noqa: B023
            lambda: microseconds(lambda: json.loads(json.dumps(item)), 1_000),  # noqa: B023
            rounds,
        )
        yield Row(f"{name} as a message and back", a, "µs")
        yield Row(f"{name}, json.dumps and json.loads", b, "µs")


MEASURES = {measure.__name__: measure for measure in (reads, writes, codec)}
ONLY_WHEN_NAMED: set[str] = set()


def version() -> str:
    """What was measured."""
    return f"openai-agents {version_of('openai-agents')}"
