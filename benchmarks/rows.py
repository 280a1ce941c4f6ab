"""What is measured: rows of figures, and how two sides take turns in one run."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from backscroll import Store
from backscroll.hookspecs import ServerSpec

if TYPE_CHECKING:
    from backscroll_conformance.containers import Server
    from backscroll_conformance.relay import Relay

TURN = [{"role": "user", "content": "x" * 400}, {"role": "assistant", "content": "y" * 400}]
SESSION = "chat"

MARIADB = ServerSpec(
    backend="tidb",
    url="mariadb://root@localhost:{port}/test",
    image="mariadb:10.11",
    command=("--port={port}",),
    environment={"MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": "1", "MARIADB_DATABASE": "test"},
    container_port="{port}",
    ready="port: {port}  ",
)
"""The plugin for TiDB on a server of another kind."""


class Row(NamedTuple):
    """One figure, and what it ought to be."""

    what: str
    value: float
    unit: str
    relation: str = ""
    target: float | None = None

    @property
    def verdict(self) -> str:
        """Whether the target is met, and by how much it is missed."""
        if self.target is None:
            return ""
        if self.value <= self.target if self.relation == "<=" else self.value >= self.target:
            return "met"
        return f"missed by {abs(self.value - self.target):.3g}"


def microseconds(act: Callable[[], Any], times: int) -> float:
    """How long one call takes, on average over some."""
    started = time.perf_counter()
    for _ in range(times):
        act()
    return (time.perf_counter() - started) / times * 1e6


def interleaved(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> tuple[float, float, float]:
    """The medians of both, and of their ratio round by round; who begins changes from round to round."""
    pairs = []
    for number in range(rounds):
        if number % 2:
            b, a = theirs(), ours()
        else:
            a, b = ours(), theirs()
        pairs.append((a, b))
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def race(acts: Sequence[Callable[[], Any]], turns: int) -> tuple[float, list[float]]:
    """Do each of these in a thread of its own, again and again; how many in a second, and how long each took, in µs."""

    def run(act: Callable[[], Any]) -> list[float]:
        return [microseconds(act, 1) for _ in range(turns)]

    with ThreadPoolExecutor(len(acts)) as pool:
        started = time.perf_counter()
        waits = [wait for each in pool.map(run, acts) for wait in each]
        return len(waits) / (time.perf_counter() - started), waits


def trips(store: Store, relay: "Relay", *, times: int, most: float, **more: Callable[[], Any]) -> Iterator[Row]:
    """How often each operation goes to the server and back, counted on the line."""
    acts: dict[str, Callable[[], Any]] = {
        "append": lambda: store.append(SESSION, TURN),
        "last": lambda: store.last(SESSION, 20),
        "info": lambda: store.info(SESSION),
        **more,
    }
    for name, act in acts.items():
        act()
        before = relay.round_trips
        for _ in range(times):
            act()
        yield Row(f"round trips of {name}", (relay.round_trips - before) / times, "", "<=", most)


def on_server(
    spec: ServerSpec, measure: Callable[["Server", int], Iterator[Row]]
) -> Callable[[Path, int], Iterator[Row]]:
    """Let something be measured on a server of its own."""
    from backscroll_conformance.containers import start

    def measured(_: Path, rounds: int) -> Iterator[Row]:
        server = start(spec)
        try:
            yield from measure(server, rounds)
        finally:
            server.remove()

    return measured
