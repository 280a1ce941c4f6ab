"""What a turn writes by LangGraph's SqliteSaver, which keeps the whole state at each step, and by a store in SQLite.

A graph of one node answers a question; messages have 400 characters. What is told is what reaches the write-ahead log,
and by how much the file grows.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from rows import SESSION, TURN, Row, microseconds

import backscroll

LENGTHS = (20, 2_000, 11_000)
"""How many messages the session has before the turns."""

TURNS = 5
"""How many turns are measured, one after the other."""


def _answer(_: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(TURN[1]["content"])]}


def _asked() -> dict[str, Any]:
    return {"messages": [HumanMessage(TURN[0]["content"])]}


def _turn_of(path: Path, turn: Callable[[], Any]) -> tuple[float, float, float]:
    """By how many KiB a turn fills the log and lets the file grow, and how many milliseconds it takes, on average."""

    def settled() -> int:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.stat().st_size

    before = settled()
    taken = microseconds(turn, TURNS) / 1_000
    written = path.with_name(f"{path.name}-wal").stat().st_size
    return written / TURNS / 1_024, (settled() - before) / TURNS / 1_024, taken


def _of_langgraph(folder: Path, length: int) -> tuple[float, float, float]:
    path = folder / f"langgraph-{length}.db"
    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # so that the log holds all that is written
        graph = StateGraph(MessagesState).add_node("answer", _answer).add_edge(START, "answer")
        app = graph.compile(checkpointer=SqliteSaver(connection))
        thread: Any = {"configurable": {"thread_id": SESSION}}
        earlier = [message for _ in range(length // 2) for message in _asked()["messages"] + _answer({})["messages"]]
        app.update_state(thread, {"messages": earlier})
        figures = _turn_of(path, lambda: app.invoke(_asked(), thread))
        if len(app.get_state(thread).values["messages"]) != length + 2 * TURNS:
            raise RuntimeError("a message is missing")
    return figures


def _of_backscroll(folder: Path, length: int) -> tuple[float, float, float]:
    path = folder / f"backscroll-{length}.db"
    with backscroll.open(f"sqlite:///{path}") as store:
        for _ in range(length // 20):
            store.append(SESSION, TURN * 10)

        def turn() -> None:
            store.last(SESSION, 20)  # what the model is shown
            store.append(SESSION, TURN[0])
            store.append(SESSION, TURN[1])

        return _turn_of(path, turn)


def turns(folder: Path, _: int) -> Iterator[Row]:
    """A question and its answer, in sessions of several lengths."""
    for length in LENGTHS:
        for who, measure in (("by SqliteSaver", _of_langgraph), ("by backscroll", _of_backscroll)):
            written, grown, taken = measure(folder, length)
            # SQLite begins its log anew from 1,000 pages on, so ours never has more.
            most = ("<=", 100.0) if measure is _of_backscroll else ("", None)
            yield Row(f"a turn after {length:,} messages {who}: written", written, "KiB", *most)
            yield Row(f"a turn after {length:,} messages {who}: the file grows by", grown, "KiB")
            yield Row(f"a turn after {length:,} messages {who}: time", taken, "ms")


MEASURES = {measure.__name__: measure for measure in (turns,)}
ONLY_WHEN_NAMED: set[str] = set()


def version() -> str:
    """What was measured."""
    return ", ".join(f"{name} {version_of(name)}" for name in ("langgraph", "langgraph-checkpoint-sqlite"))
