"""A Kafka cluster, as far as the topics and consumer groups of LangChain's class go; by the driver's own clients."""

import os
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import OffsetSpec

from backscroll.backend import Deadline
from backscroll.errors import StorageError
from backscroll_kafka import COMMON, SCAN, is_missing, keep, refused
from backscroll_langchain.kafka_admin import AGAIN, Admin, insist
from backscroll_langchain.kafka_deadlines import late, left
from backscroll_langchain.kafka_groups import Groups

LONGEST_TRY: Final = 5.0
"""After how many seconds a request is given up, so that it can be sent again."""

AT_ONCE: Final = 1_000
"""How many records are taken from the driver at once, at the most."""

_READING: Final = {
    **SCAN,
    "auto.offset.reset": "earliest",  # where retention was faster, from there on
    "queued.max.messages.kbytes": 16_384,
}

Span = tuple[int, int]
"""From which offset on, and up to which, exclusive."""


class Topic(NamedTuple):
    """What there is of a topic."""

    name: str
    id: str
    spans: dict[int, Span]
    """from where to where each of its partitions goes"""


class Record(NamedTuple):
    """A record that has a value."""

    partition: int
    offset: int
    timestamp: int
    value: bytes


class Cluster:
    """The clients are made at their first use, and serve any thread and any number of sessions.

    Args:
        servers: The brokers to ask first, as librdkafka takes them.
    """

    def __init__(self, servers: str) -> None:
        self._admin: Final = Admin({**COMMON, "bootstrap.servers": servers})
        self.groups: Final = Groups(self._admin)
        self._reading: Final = threading.Lock()
        self._consumer: Any = None
        _all.add(self)

    def keep(self) -> None:
        """Never free the clients, in the child of a fork: that would wait for threads which only the parent has."""
        keep(self._consumer)
        self._admin.keep()

    def close(self) -> None:
        """End the client that reads, as soon as nobody reads; the others end when nobody waits for them."""
        with self._reading:
            consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
        self._admin.close()

    # Topics.

    def names(self, deadline: Deadline) -> list[str]:
        """The names of all topics but Kafka's own."""
        listed = self._insist(lambda client, seconds: _at_once(lambda: client.list_topics(timeout=seconds)), deadline)
        return sorted(name for name in listed.topics if not name.startswith("__"))

    def topic(self, name: str, deadline: Deadline) -> Topic | None:
        """What there is of a topic; None where it is not there, or is Kafka's own."""
        try:
            return self._topic(name, deadline)
        except _Missing:
            return None

    def partitions(self, name: str, deadline: Deadline) -> int:
        """How many partitions a topic has; 0 where it is not there, or is no topic's name."""
        if not is_topic_name(name):
            return 0
        try:
            return len(self._described(name, deadline).partitions)
        except _Missing:
            return 0

    def delete(self, name: str, deadline: Deadline) -> None:
        """Delete a topic; done when the brokers do not know it any more."""
        with suppress(_Missing):
            self._insist(lambda client, seconds: client.delete_topics([name], request_timeout=seconds)[name], deadline)
            while self._described(name, deadline):
                time.sleep(AGAIN)

    def _topic(self, name: str, deadline: Deadline) -> Topic | None:
        if not is_topic_name(name):
            return None
        described = self._described(name, deadline)
        if described.is_internal:
            return None
        places = [TopicPartition(name, each.id) for each in described.partitions]
        lows, highs = (self._offsets(places, spec, deadline) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))
        numbers = [each.id for each in described.partitions]
        return Topic(name, str(described.topic_id), dict(zip(numbers, zip(lows, highs, strict=True), strict=True)))

    def _offsets(self, places: Sequence[Any], spec: Any, deadline: Deadline) -> list[int]:
        asked = dict.fromkeys(places, spec)

        def ask(client: Any, seconds: float) -> Any:
            return [*client.list_offsets(asked, request_timeout=seconds).values()]

        return [answer.offset for answer in self._insist(ask, deadline)]

    def _described(self, name: str, deadline: Deadline) -> Any:
        wanted = TopicCollection([name])

        def ask(client: Any, seconds: float) -> Any:
            return client.describe_topics(wanted, request_timeout=seconds)[name]

        return self._insist(ask, deadline)

    # Records.

    def read(self, name: str, spans: Mapping[int, Span], deadline: Deadline) -> list[Record]:
        """The records of these stretches of a topic, those of each partition in their order.

        Raises:
            Unavailable: The brokers do not send them.
        """
        ends = {partition: high for partition, (low, high) in spans.items() if low < high}
        found: list[Record] = []
        if not ends:
            return found
        with self._consuming(deadline) as consumer:
            try:
                consumer.list_topics(name, left(deadline))  # else it learns who leads them within a second
                consumer.assign([TopicPartition(name, partition, spans[partition][0]) for partition in ends])
                while ends:
                    _take(consumer, name, ends, found, deadline)
            except KafkaException as error:
                raise refused(error, writes=False, limit=0) from None
            finally:
                consumer.unassign()
        return found

    @contextmanager
    def _consuming(self, deadline: Deadline) -> Iterator[Any]:
        if not self._reading.acquire(timeout=deadline.remaining()):
            raise late(deadline)
        try:
            if self._consumer is None:
                self._consumer = Consumer({**self._admin.settings, **_READING})
            yield self._consumer
        finally:
            self._reading.release()

    # What several of them do.

    def _insist(self, ask: "Callable[[Any, float], Future[Any] | list[Future[Any]]]", deadline: Deadline) -> Any:
        """The answer to a request that may be repeated, or the answers to several."""

        def answer() -> Any:
            client = self._admin.get()
            asked = ask(client, max(0.01, min(left(deadline), LONGEST_TRY)))
            return [each.result() for each in asked] if isinstance(asked, list) else asked.result()

        return insist(answer, _told, deadline)


def _keep_all() -> None:
    for each in list(_all):
        each.keep()


_all: Final[weakref.WeakSet[Cluster]] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_all)


class _Missing(Exception):
    """The topic is not there."""


def _told(error: KafkaException) -> BaseException:
    return _Missing() if is_missing(error) else refused(error, writes=False, limit=0)


def is_topic_name(text: str) -> bool:
    """Whether Kafka takes a text for the name of a topic."""
    return re.fullmatch(r"[A-Za-z0-9._-]{1,249}", text) is not None and text not in {".", ".."}


def _at_once(ask: Callable[[], Any]) -> "Future[Any]":
    """The answer to a request that waits by itself."""
    answer: Future[Any] = Future()
    answer.set_result(ask())
    return answer


def _take(consumer: Any, name: str, ends: dict[int, int], found: list[Record], deadline: Deadline) -> None:
    """Take what came; of partitions that were read to their ends these are dropped."""
    message = consumer.poll(min(0.1, left(deadline)))
    batch: Iterable[Any] = [] if message is None else [message, *consumer.consume(AT_ONCE, 0)]
    for each in batch:
        partition, error = each.partition(), each.error()
        high = ends.get(partition)
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001  # the driver's own
            told = refused(error, writes=False, limit=0)
            if is_missing(error) or isinstance(told, StorageError):
                raise told
        elif high is not None and each.topic() == name:
            position = each.offset() + (error is None)
            if error is None and each.offset() < high and each.value() is not None:
                found.append(Record(partition, each.offset(), each.timestamp()[1], each.value()))
            if position >= high:
                del ends[partition]
