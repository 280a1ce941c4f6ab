"""What LangChain's class for Kafka wrote: a topic for each session, which is named as the session is."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import attrs

from backscroll.backend import Deadline
from backscroll_langchain.kafka_cluster import Cluster, Span, Topic
from backscroll_langchain.kafka_order import ordered
from backscroll_langchain.originals import OriginalRow, as_text, begins_as_its

OURS: Final = "backscroll_langchain"
"""What the names of our own topics begin with; none that begins so is taken for one of the original's."""

SAMPLE: Final = 8
"""How many of the newest records of each partition tell whether a topic is the original's."""

TIMEOUT: Final = 30.0
"""For how many seconds a look may take where the caller does not say."""

_IDENTITY: Final = re.compile(r", partition (\d+), offset (\d+), (\S+), [0-9a-f]+$")


@attrs.frozen
class Where:
    """How far the original's topic of a session was read.

    Args:
        topic: Kafka's id of the topic: one that was made again begins anew. Empty where it is not known.
        offsets: Where each partition goes on; from its beginning where it is not named.
    """

    topic: str = ""
    offsets: Mapping[int, int] = attrs.field(factory=dict)

    def passed(self, spot: "Spot") -> bool:
        """Whether a record was read."""
        return spot.topic == self.topic and spot.offset < self.offsets.get(spot.partition, 0)

    def behind(self, spot: "Spot") -> "Where":
        """Where it goes on when a record was read; one of another topic changes nothing."""
        if spot.topic != self.topic or self.passed(spot):
            return self
        return attrs.evolve(self, offsets={**self.offsets, spot.partition: spot.offset + 1})


class Spot(NamedTuple):
    """Where a record of the original's is, or was: in a topic by Kafka's id of it."""

    topic: str
    partition: int
    offset: int


@attrs.frozen
class Unread:
    """What of a session the original has that was not read.

    Args:
        rows: Oldest first.
        where: How far it was read before.
        is_all: Whether nothing of it was.
    """

    rows: list[OriginalRow]
    where: Where
    is_all: bool


class KafkaOriginal:
    """What LangChain's `KafkaChatMessageHistory` wrote to a cluster.

    It spreads the messages of a session over the partitions of the session's topic: `kafka_order` says how they are put
    in order.

    Args:
        servers: The brokers to ask first.
    """

    def __init__(self, servers: str) -> None:
        self.cluster: Final = Cluster(servers)
        self._known: set[str] = set()

    def place_prefix(self, session_id: str) -> str:
        """What the places of a session's rows begin with."""
        return f"topic {session_id!r}, "

    def rows(self, session_id: str, newest: int | None = None) -> list[OriginalRow]:
        """The messages, oldest first."""
        deadline = Deadline(TIMEOUT)
        topic = self._topic(session_id, deadline)
        if topic is None:
            return []
        spans = topic.spans if newest is None else _ends(topic.spans, newest)
        rows = self._rows(topic, spans, deadline)
        return rows if newest is None else rows[max(0, len(rows) - newest) :]

    def unread(self, session_id: str, where: Where, deadline: Deadline) -> Unread | None:
        """What was not read before; None where there is no topic of the original's."""
        topic = self._topic(session_id, deadline)
        if topic is None:
            return None
        begun = Where(topic.id, where.offsets if where.topic in {"", topic.id} else {})
        spans = {partition: (max(low, begun.offsets.get(partition, 0)), high)
                 for partition, (low, high) in topic.spans.items()}  # fmt: skip
        return Unread(self._rows(topic, spans, deadline), begun, spans == topic.spans)

    def end(self, session_id: str, deadline: Deadline) -> Where:
        """How far it is read when all was read."""
        topic = self._topic(session_id, deadline)
        if topic is None:
            return Where()
        return Where(topic.id, {partition: high for partition, (_, high) in topic.spans.items()})

    def left_at(self, session_id: str, deadline: Deadline) -> Where:
        """How far the original itself has read a session."""
        topic = self._topic(session_id, deadline)
        if topic is None:
            return Where()
        committed = self.cluster.groups.committed(session_id, [(session_id, each) for each in topic.spans], deadline)
        return Where(topic.id, {partition: found.offset for (_, partition), found in committed.items()})

    def clear(self, session_id: str) -> None:
        """Delete the topic of a session, as the original does, if it is one."""
        deadline = Deadline(TIMEOUT)
        if self._topic(session_id, deadline) is not None:
            self.cluster.delete(session_id, deadline)

    def session_ids(self) -> Iterator[str | None]:
        """The topics that look like the original's; a look at the newest records of each topic of the cluster."""
        for name in self.cluster.names(Deadline(TIMEOUT)):
            if self._topic(name, Deadline(TIMEOUT)) is not None:
                yield name

    def close(self) -> None:
        """End the clients."""
        self.cluster.close()

    def _topic(self, session_id: str, deadline: Deadline) -> Topic | None:
        """The topic of a session, if there is one, and it is the original's: most of its newest records look so."""
        topic = None if session_id.startswith(OURS) else self.cluster.topic(session_id, deadline)
        if topic is None or topic.id in self._known:
            return topic
        sample = self.cluster.read(topic.name, _ends(topic.spans, SAMPLE), deadline)
        if not sample or 2 * sum(begins_as_its(as_text(record.value)) for record in sample) < len(sample):
            return None
        self._known.add(topic.id)
        return topic

    def _rows(self, topic: Topic, spans: Mapping[int, Span], deadline: Deadline) -> list[OriginalRow]:
        records = self.cluster.read(topic.name, spans, deadline)
        begin = self.place_prefix(topic.name)
        return [
            OriginalRow(f"{begin}partition {each.partition}, offset {each.offset}", as_text(each.value), topic.id)
            for each in ordered(records)
        ]


def spot_of(identity: str) -> Spot | None:
    """Where a row is, by its identity."""
    found = _IDENTITY.search(identity)
    return Spot(found[3], int(found[1]), int(found[2])) if found else None


def _ends(spans: Mapping[int, Span], newest: int) -> dict[int, Span]:
    return {partition: (max(low, high - newest), high) for partition, (low, high) in spans.items()}
