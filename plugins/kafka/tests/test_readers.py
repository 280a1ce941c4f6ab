"""What the clients that read do where the driver fails them. No broker runs here."""

import queue
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from confluent_kafka import KafkaError, KafkaException

from backscroll.backend import Deadline
from backscroll.errors import DeadlineExceeded, StorageError
from backscroll_kafka import readers
from backscroll_kafka.readers import Job, Reader, Tail

PLACE = "topic", 0

Lost = queue.SimpleQueue[Any]


class Broken:
    """A consumer of the driver that does not take what it is assigned, or tells of an error."""

    refuses = False
    code = 0
    pause = 0.0
    asked: ClassVar[list[str]] = []

    def __init__(self, _: object) -> None:
        self.is_assigned = False

    def list_topics(self, name: str, _: float) -> None:
        """Ask who leads a topic."""
        self.asked.append(name)

    def incremental_assign(self, _: object) -> None:
        """Hear of a place."""
        if self.refuses:
            raise KafkaException(KafkaError(KafkaError._STATE))
        self.is_assigned = True

    def incremental_unassign(self, _: object) -> None:
        """Hear no more of it."""
        self.is_assigned = False

    assign = incremental_assign

    def unassign(self) -> None:
        """Hear nothing."""

    def poll(self, seconds: float) -> Any:
        """What there is."""
        time.sleep(self.pause or seconds)
        error = KafkaError(self.code)
        told = SimpleNamespace(error=lambda: error, topic=lambda: PLACE[0], partition=lambda: PLACE[1])
        return told if self.code and self.is_assigned else None

    def consume(self, *_: object) -> list[Any]:
        """No more."""
        return []

    def close(self) -> None:
        """End."""


@pytest.fixture
def lost() -> Lost:
    """The places that could not be followed, each with why."""
    return queue.SimpleQueue()


@pytest.fixture
def tail(lost: Lost) -> Iterator[Tail]:
    """A tail that hears nothing."""

    def passed_over(*_: object) -> None:
        pass

    tail = Tail({"group.id": "x"}, passed_over, passed_over, lambda *each: lost.put(each), passed_over)
    yield tail
    tail.close()


def test_places_are_lost_where_the_driver_makes_no_client(tail: Tail, lost: Lost) -> None:
    """Each time anew, so that they are asked for again."""
    tail._settings = {"no.such.setting": "x"}
    for _ in range(2):
        tail.follow(PLACE, 0)
        assert lost.get(timeout=5)[0] == PLACE


def test_a_place_is_lost_that_the_driver_does_not_take(tail: Tail, lost: Lost, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be waited for in vain otherwise."""
    monkeypatch.setattr(readers, "Consumer", Broken)
    monkeypatch.setattr(Broken, "refuses", True)
    tail.follow(PLACE, 0)
    assert lost.get(timeout=5)[0] == PLACE


def test_a_right_that_is_missing_is_told_to_those_who_wait(
    tail: Tail, lost: Lost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trying again does not help them."""
    monkeypatch.setattr(readers, "Consumer", Broken)
    monkeypatch.setattr(Broken, "code", KafkaError.TOPIC_AUTHORIZATION_FAILED)
    tail.follow(PLACE, 0)
    place, error = lost.get(timeout=5)
    assert place == PLACE
    assert isinstance(error, StorageError)
    assert "lacks a right on the topic: READ" in str(error)


def test_a_job_ends_at_its_deadline_also_where_another_one_is_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is not begun after that."""
    monkeypatch.setattr(readers, "Consumer", Broken)
    begun: list[int] = []
    go = Reader._go

    def noted(self: Reader, consumer: Any, job: Job) -> None:
        begun.append(job.high)
        go(self, consumer, job)

    monkeypatch.setattr(Reader, "_go", noted)
    reader = Reader("reader", {})
    long = reader.read(Job(PLACE, 0, 10, lambda _: True, Deadline(1.5)))
    began = time.monotonic()
    short = reader.read(Job(PLACE, 0, 20, lambda _: True, Deadline(0.1)))
    assert isinstance(short.exception(5), DeadlineExceeded)
    assert time.monotonic() - began < 1.2
    assert isinstance(long.exception(5), DeadlineExceeded)
    last = reader.read(Job(PLACE, 0, 30, lambda _: True, Deadline(0.1)))
    assert isinstance(last.exception(5), DeadlineExceeded)
    assert begun == [10, 30]
    reader.close()


def test_a_client_learns_of_a_topic_before_it_is_to_read_there(
    tail: Tail, lost: Lost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: of one that is new to it the driver only asks when a second is over."""
    monkeypatch.setattr(readers, "Consumer", Broken)
    monkeypatch.setattr(Broken, "code", KafkaError.TOPIC_AUTHORIZATION_FAILED)
    monkeypatch.setattr(Broken, "asked", asked := [])
    reader = Reader("reader", {})
    for place in (PLACE, PLACE, ("other", 0)):
        reader.read(Job(place, 0, 10, lambda _: True, Deadline(5))).exception(5)
    assert asked == ["topic", "other"]
    tail.follow(("third", 0), 0)
    tail.follow(PLACE, 0)
    assert lost.get(timeout=5)[0] == PLACE
    assert asked[2:] == ["third", "topic"]
    reader.close()
