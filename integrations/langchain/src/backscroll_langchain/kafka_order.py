"""The order of what LangChain's class for Kafka wrote: over several partitions, and with nothing in it that tells.

There are the times of the records, in milliseconds, and the order of those of one partition. A new history of the
original's puts each message of its first turn into a partition by chance, all within a millisecond: of those is only
known what a conversation looks like.
"""

import json
from collections import deque
from operator import attrgetter
from typing import Final

from backscroll_langchain.kafka_cluster import Record

_NEXT: Final = {
    "": "system human call tool ai",
    "system": "system human call tool ai",
    "human": "call tool ai system human",
    "call": "tool call ai human system",
    "tool": "tool call ai human system",
    "ai": "human system call tool ai",
}
"""What is most likely to come next, after nothing and after each kind; a call is an AI's message that calls tools."""

_RANKS: Final = {last: {kind: rank for rank, kind in enumerate(kinds.split())} for last, kinds in _NEXT.items()}


def ordered(records: list[Record]) -> list[Record]:
    """Records of several partitions by their time, and those of one partition in their order.

    A record counts as no younger than what follows it in its partition, so that a clock that was set back changes
    nothing.
    """
    earliest: dict[int, int] = {}
    by_time: dict[int, dict[int, deque[Record]]] = {}
    for record in sorted(records, key=attrgetter("offset"), reverse=True):
        time = min(record.timestamp, earliest.get(record.partition, record.timestamp))
        earliest[record.partition] = time
        by_time.setdefault(time, {}).setdefault(record.partition, deque()).appendleft(record)
    found: list[Record] = []
    for time in sorted(by_time):
        found += _merged(by_time[time])
    return found


def _merged(queues: dict[int, deque[Record]]) -> list[Record]:
    """Records of one millisecond, as a conversation is most likely to go."""
    if len(queues) == 1:
        return list(*queues.values())
    kinds = {record: _kind(record) for queue in queues.values() for record in queue}
    found: list[Record] = []
    last, partition = "", -1
    while queues:
        # Where that decides nothing, it goes on in the same partition: so does the driver, for some milliseconds.
        heads = [(_RANKS[last][kinds[queue[0]]], one != partition, one) for one, queue in queues.items()]
        _, _, partition = min(heads)
        found.append(queues[partition].popleft())
        last = kinds[found[-1]]
        if not queues[partition]:
            del queues[partition]
    return found


def _kind(record: Record) -> str:
    try:
        told = json.loads(record.value)
        kind, data = str(told["type"]).lower().removesuffix("messagechunk"), told["data"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return "ai"
    if kind == "ai" and isinstance(data, dict) and data.get("tool_calls"):
        return "call"
    return {"function": "tool"}.get(kind, kind if kind in _NEXT else "ai")
