"""The measured tier: what operations cost as a session grows; judged where the contract says that they must not."""

import gc
import json
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any, Final

from backscroll_conformance.clauses import Form, Tier, clause
from backscroll_conformance.expect import Broken, fail, true
from backscroll_conformance.processes import PATIENCE, installed, last_words
from backscroll_conformance.subject import NotApplicable, Subject, messages, numbered
from backscroll_conformance.target import Target

SHORT: Final = 100
"""How many messages the short session has."""

TIMES: Final = 30
"""How often a call is timed; the median counts."""

TRIES: Final = 3
"""How often a cost is measured that seems too high, since the machine may have been busy."""

MOST_TIMES_OVER: Final = 4.0
"""How many times over the cost may be on the long session …"""

MOST_MORE: Final = 1.0
"""… and by how many milliseconds; it has grown where it is over both."""

BODY: Final = 4_000
"""How many characters the messages have whose bytes are to be seen in memory."""

SMALL: Final = 1_000
"""In which messages of so many characters the effort is counted."""

PAGES: Final = 750
"""How many of these messages fill a few pages, so that a walk through them needs all the memory that one ever needs."""

LEAST_GROWTH: Final = 1 << 20
"""From how many bytes on memory is said to grow."""

QUICK: Final = 0.25
"""In how many seconds a plugin's module should be imported."""

BROUGHT_ANYWAY: Final = frozenset({"attr", "attrs", "importlib_metadata", "pluggy", "typing_extensions", "zipp"})
"""The third-party modules that backscroll itself imports."""

IMPORTING: Final = """
import json, sys, time
import attr, attrs, backscroll, backscroll.backend, backscroll.hookspecs, pluggy
from importlib import import_module
before = set(sys.modules)
began = time.perf_counter()
import_module(sys.argv[1])
seconds = time.perf_counter() - began
print(json.dumps({"seconds": seconds, "modules": sorted(set(sys.modules) - before)}))
"""

Operation = Callable[[str], Awaitable[Any]]


@clause("MEA-001", tier=Tier.MEASURED)
async def last(s: Subject) -> None:
    """The newest messages MUST cost the same to read however long the session is."""
    await _costs_the_same(s, "last(20)", lambda session_id: s.store.last(session_id, 20))


@clause("MEA-002", tier=Tier.MEASURED)
async def memory(s: Subject) -> None:
    """Walking through a session MUST NOT take more memory the longer the session is."""
    few, many = PAGES, PAGES + s.effort.messages * SMALL // BODY
    peaks = [await _peak(s, await _filled(s, count, BODY)) for count in (few, many)]
    for count, peak in zip((few, many), peaks, strict=True):
        s.figures[f"peak of iterate at {count:,} messages (MiB)"] = round(peak / (1 << 20), 2)
    growth = peaks[1] - peaks[0]
    added = (many - few) * BODY
    if growth > max(LEAST_GROWTH, added // 3):
        fail(f"iterating {added:,} bytes more took {growth:,} bytes more of memory: read page by page")


@clause("MEA-003", tier=Tier.MEASURED)
async def append(s: Subject) -> None:
    """A message MUST cost the same to append however long the session is."""
    await _costs_the_same(s, "append", lambda session_id: s.store.append(session_id, messages("one more")))


@clause("MEA-004", tier=Tier.MEASURED, forms=(Form.SYNC,))
async def import_cost(s: Subject) -> None:
    """The module of a plugin SHOULD be imported quickly and bring no driver, since looking for plugins imports it."""
    plugin = installed(s.target)
    if plugin is None or plugin.module is None:
        raise NotApplicable("the backend was registered by this process and has no entry point")
    found = _imported(plugin.module, s.target)
    for _ in range(TRIES - 1):
        if found["seconds"] <= QUICK:
            break
        found = _imported(plugin.module, s.target)
    s.figures[f"import of {plugin.module} (ms)"] = round(found["seconds"] * 1_000, 1)
    own = {"backscroll", plugin.module.partition(".")[0]}
    tops = {name.partition(".")[0] for name in found["modules"]}
    drivers = sorted(
        name
        for name in tops - own - BROUGHT_ANYWAY - sys.stdlib_module_names
        if not name.startswith(("_", "backscroll_"))
    )
    true(not drivers, f"importing {plugin.module} brings {', '.join(drivers)}: leave them to the module of the factory")
    true(found["seconds"] <= QUICK, f"importing {plugin.module} takes {found['seconds']:.2f} s, over {QUICK} s")


async def _filled(s: Subject, count: int, padding: int = 0) -> str:
    """A session with as many messages, each with so many characters that no server compresses to next to nothing."""
    session_id = s.session()
    await s.fill(session_id, [text + s.random.randbytes(padding // 2).hex() for text in numbered(count)])
    return session_id


async def _costs_the_same(s: Subject, name: str, operation: Operation) -> None:
    """Fails where a call on a long session costs clearly more than on a short one, time and again."""
    count = s.effort.messages
    short, long = await _filled(s, SHORT), await _filled(s, count)
    brief = extended = ratio = 0.0
    for _ in range(TRIES):
        brief, extended = await _medians(operation, short, long)
        ratio = extended / brief
        if ratio <= MOST_TIMES_OVER or extended - brief <= MOST_MORE:
            break
    s.figures[f"{name} at {SHORT:,} messages (ms)"] = round(brief, 3)
    s.figures[f"{name} at {count:,} messages (ms)"] = round(extended, 3)
    s.figures["ratio"] = round(ratio, 2)
    if ratio > MOST_TIMES_OVER and extended - brief > MOST_MORE:
        fail(f"{name} took {brief:.3f} ms at {SHORT:,} messages and {extended:.3f} ms at {count:,}: {ratio:.1f} times")


async def _medians(operation: Operation, short: str, long: str) -> tuple[float, float]:
    """How many milliseconds a call takes on each of two sessions, which take turns."""
    taken: dict[str, list[float]] = {short: [], long: []}
    for number in range(TIMES + 5):
        for session_id, times in taken.items():
            began = time.perf_counter()
            await operation(session_id)
            if number >= 5:  # those before warm up
                times.append((time.perf_counter() - began) * 1_000)
    return statistics.median(taken[short]), statistics.median(taken[long])


async def _peak(s: Subject, session_id: str) -> int:
    """The most bytes that a walk through a session takes at a time."""
    is_traced = tracemalloc.is_tracing()
    if not is_traced:
        tracemalloc.start(1)
    try:
        gc.collect()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        async for _ in s.store.walk(session_id):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        if not is_traced:
            tracemalloc.stop()
    return peak - before


def _imported(module: str, target: Target) -> dict[str, Any]:
    """How long another process takes to import a module after backscroll, and what comes with it."""
    command = [sys.executable, "-P", "-c", IMPORTING, module]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    if done.returncode:
        raise Broken(f"importing {module} fails:\n{last_words(done.stderr, target)}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
