"""A log in memory, and the two ways to it: the driver's client that reads, and the connections that ask."""

import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

import attrs
from confluent_kafka import KafkaError, TopicPartition

from backscroll.backend import Deadline, Turn
from backscroll.futures import start
from backscroll_kafka.connections import Place, Topic
from backscroll_kafka.fold import SHIFT
from backscroll_kafka.index import View
from backscroll_kafka.layout import bound_value, remove_value, turn_value
from backscroll_kafka.logs import Logs
from backscroll_kafka.sessions import Sight
from backscroll_kafka.views import Views

PLACE: Place = ("faked", 0)

TOPIC = Topic("id", 1, 0, 1)

SECONDS = 20.0
"""How long a test waits at the most."""


@attrs.frozen
class Record:
    """A record, or what the driver tells instead of one."""

    at: int
    named: bytes | None = None
    content: bytes = b""
    told: int | None = None
    place: Place = PLACE

    def topic(self) -> str:
        """Where it lies."""
        return self.place[0]

    def partition(self) -> int:
        """Likewise."""
        return self.place[1]

    def offset(self) -> int:
        """Likewise."""
        return self.at

    def key(self) -> bytes | None:
        """Its key."""
        return self.named

    def value(self) -> bytes:
        """Its value."""
        return self.content

    def error(self) -> KafkaError | None:
        """What is told."""
        return None if self.told is None else KafkaError(self.told)

    def __len__(self) -> int:
        return len(self.content)


class Log:
    """A partition in memory, and a store's logs and views on it, whose tail the test moves on itself.

    Args:
        index_bytes: How much memory the index may take.
        cache_bytes: How much the sessions in use may.

    Attributes:
        scanning: Is called whenever a client begins to read a stretch.
    """

    def __init__(self, monkeypatch: Any, *, index_bytes: int = 1 << 30, cache_bytes: int = 1 << 30) -> None:
        monkeypatch.setattr("backscroll_kafka.readers.Consumer", lambda _: Client(self))
        self.records: dict[int, Record] = {}
        self.start = 0
        self.end = 0
        self.scanning: Callable[[], object] = threading.Event
        self.views = Views(index_bytes, cache_bytes)
        self.logs = Logs(Asked(self), self.views)  # type: ignore[arg-type]  # as much of them as is used

    def add(self, key: bytes, value: bytes) -> int:
        """Add a record; its offset."""
        self.records[self.end] = Record(self.end, key, value)
        self.end += 1
        return self.end - 1

    def turn(self, key: bytes, body: bytes = b"{}", checked: int | None = None, expected: int | None = None) -> int:
        """Add a turn of one message; its seq."""
        turn = Turn(UUID(int=self.end + 1), b"d" * 8, (body,), expected_version=expected)
        return self.add(key, turn_value(turn, self.end if checked is None else checked, 1)) << SHIFT

    def drop(self, key: bytes, kind: int, bound: int, ahead: int = 0) -> int:
        """Add a discard or a delete; its offset."""
        return self.add(key, bound_value(kind, bound, self.end + ahead, 1))

    def remove(self, key: bytes, *seqs: int) -> int:
        """Add a remove; its offset."""
        return self.add(key, remove_value(seqs, self.end, 1))

    def others(self, count: int) -> None:
        """Add records that are not ours."""
        for _ in range(count):
            self.add(b"x", b"foreign")

    def heard(self) -> None:
        """Let the tail hear all there is."""
        for place in self.views.places:
            view = self.views.find(place)
            assert view is not None
            self.views.arrived([record for offset, record in self.records.items() if offset >= view.end])

    def view(self) -> View:
        """The view of the partition, at its end."""
        self.heard()
        view: View = run(self.logs.current(PLACE, TOPIC, Deadline(SECONDS)))
        return view

    def sight(self, key: bytes, seconds: float = SECONDS) -> Sight:
        """A session as it is now."""
        return Sight(self.logs, self.views, self.view(), key, Deadline(seconds))


class Asked:
    """Answers what is asked about a log."""

    def __init__(self, log: Log) -> None:
        self.settings: dict[str, Any] = {}
        self._log = log

    async def ends(self, places: list[Place], _: Deadline) -> list[int]:
        """Where it ends."""
        return [self._log.end for _ in places]

    async def starts(self, places: list[Place], _: Deadline) -> list[int]:
        """Where it begins."""
        return [self._log.start for _ in places]

    async def start(self, _: Place, __: Deadline) -> int:
        """Likewise."""
        return self._log.start

    async def pause(self, _: float, __: Deadline) -> None:
        """Wait for nothing."""


class Client:
    """The driver's client, which gives what follows a stretch as well, as much as is asked for; the tail's is deaf."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._position = 1 << 62
        self._is_told = True

    def assign(self, places: list[TopicPartition]) -> None:
        """Begin to read."""
        self._log.scanning()
        self._position, self._is_told = places[0].offset, False

    def unassign(self) -> None:
        """Read no more."""

    def list_topics(self, *_: object) -> None:
        """Ask who leads a topic."""

    def incremental_assign(self, _: list[TopicPartition]) -> None:
        """The test tells what the tail hears."""

    def incremental_unassign(self, _: list[TopicPartition]) -> None:
        """Likewise."""

    def poll(self, seconds: float) -> Record | None:
        """The next record."""
        if self._position < self._log.start:
            return Record(self._position, told=KafkaError._AUTO_OFFSET_RESET)
        if found := self.consume(1, seconds):
            return found[0]
        if self._is_told:
            time.sleep(0.001)
            return None
        self._is_told = True
        return Record(self._log.end, told=KafkaError._PARTITION_EOF)

    def consume(self, most: int, _: float) -> list[Record]:
        """The next records, as many as there are."""
        found: list[Record] = []
        while self._position < self._log.end and len(found) < most:
            if (record := self._log.records.get(self._position)) is not None:
                found.append(record)
            self._position += 1
        return found

    def close(self) -> None:
        """Nothing is open."""


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine over futures."""
    return start(coroutine).result(SECONDS)
