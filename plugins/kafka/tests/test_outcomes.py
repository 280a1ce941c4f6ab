"""What is told of a change that may have been made, and of one that surely was not. No broker runs here."""

from collections.abc import Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from told import turn_of

import backscroll
from backscroll import Store
from backscroll.backend import Deadline
from backscroll.errors import Closed, OutcomeUnknown, SchemaError, StorageError, Unavailable, WindowExceeded
from backscroll.futures import pending
from backscroll_kafka.connections import Topic
from backscroll_kafka.fold import Dropped, Verdict
from backscroll_kafka.layout import SEQS_TOGETHER
from backscroll_kafka.topics import Spot
from backscroll_kafka.writes import Written

FAILURES = [Unavailable("gone away"), StorageError("refused"), SchemaError("made again"), Closed()]
"""What may happen after a record was written, or before."""


class Looked:
    """A session as a call sees it, whose log ends at 5."""

    def __init__(self, start: int = 0) -> None:
        self.end, self.start, self.key = 5, start, b"s"
        self.view: Any = SimpleNamespace(place=("topic", 0), kinds=SimpleNamespace(partitions=2))
        self.dropped = Dropped()

    async def version(self) -> int:
        """None that counts."""
        return 0

    async def find(self, *_: object) -> None:
        """No copy of a turn is there."""

    async def live(self, seqs: tuple[int, ...], _: int) -> list[int]:
        """All are there."""
        return list(seqs)

    async def load_all(self, offsets: list[int]) -> list[Any]:
        """The log says nothing of them."""
        return list(offsets)

    async def verdict(self, _: object) -> Verdict:
        """Not to be told."""
        raise AssertionError

    def offsets(self, *_: object) -> list[int]:
        """Nothing came in between."""
        return []


@pytest.fixture
def store() -> Iterator[Store]:
    """A store whose broker takes each record at offset 9, and that sees what `Looked` says."""
    with backscroll.open("kafka://localhost:1/topic") as store:
        backend: Any = store._backend
        topic = Topic("id", 2, 0, 1)

        async def spot(*_: object) -> Spot:
            return Spot(("topic", 0), b"s", topic)

        async def looked(*_: object) -> Looked:
            return Looked()

        backend._topics.spot = backend._topics.spot_to_write = spot
        backend._look = backend._later = looked
        backend._connections.produce = lambda *_: _answered(9)
        backend._connections._producer = object()  # so that no client is made
        yield store
        backend._connections._producer = None


def _answered(offset: int) -> "Future[Written]":
    answer: Future[Written] = pending()
    answer.set_result(Written(offset, is_sure=True))
    return answer


def _fails(error: Exception) -> Any:
    async def fails(*_: object) -> None:
        raise error

    return fails


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_what_fails_behind_a_written_turn_leaves_its_outcome_unknown(store: Store, error: Exception) -> None:
    """Whatever it is: the turn may count."""
    backend: Any = store._backend
    turn = attrs.evolve(turn_of(store, "a"), age=None)
    backend._later = _fails(error)
    with pytest.raises(OutcomeUnknown, match=str(error)):
        backend.append("s", turn, Deadline(5))
    assert backend._doubtful == {(b"s", turn.turn_id.bytes): 5}


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_what_fails_behind_a_written_removal_leaves_its_outcome_unknown(store: Store, error: Exception) -> None:
    """The answer to it, or the rest of very many seqs; before the first record it is surely not done."""
    backend: Any = store._backend
    look, later, seqs = backend._look, backend._later, tuple(range(SEQS_TOGETHER + 1))
    backend._later = _fails(error)
    with pytest.raises(OutcomeUnknown, match=str(error)):
        backend.remove("s", (1,), 0, Deadline(5))
    backend._later = later

    looks = [look, _fails(error)]

    def looked(*each: object) -> Any:
        return looks.pop(0)(*each)

    backend._look = looked
    with pytest.raises(OutcomeUnknown, match=str(error)):
        backend.remove("s", seqs, 0, Deadline(5))

    backend._look = _fails(error)
    with pytest.raises(type(error), match=str(error)):
        backend.remove("s", seqs, 0, Deadline(5))


def test_a_repeat_whose_first_try_retention_may_have_taken_is_not_written_again(store: Store) -> None:
    """Also where the log was empty before it, or nobody remembers; an id from elsewhere is just looked for."""
    backend: Any = store._backend
    turn = turn_of(store, "a")
    name = b"s", turn.turn_id.bytes

    async def cut(*_: object) -> Looked:
        return Looked(start=4)

    for doubtful in ({name: 0}, {name: 3}, {}):
        backend._look = cut
        backend._doubtful.clear()
        backend._doubtful.update(doubtful)
        with pytest.raises(WindowExceeded, match="retention"):
            backend.append("s", attrs.evolve(turn, age=1.0), Deadline(5))
    backend._connections.produce = lambda *_: _answered(5)
    for doubtful, age in [({name: 4}, 1.0), ({}, None)]:
        backend._doubtful.clear()
        backend._doubtful.update(doubtful)
        answer = backend.append("s", attrs.evolve(turn, age=age), Deadline(5))
        assert (answer.seqs, answer.duplicate) == ((5 << 16,), False)


def test_who_waits_for_a_topic_that_is_missing_waits_until_the_deadline(store: Store) -> None:
    """It would ask without a pause otherwise."""
    backend: Any = store._backend

    async def none(*_: object) -> None:
        return None

    pauses: list[float] = []
    deadline = Deadline(0.2)

    async def pause(seconds: float, _: Deadline) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            backend._topics.spot = spot

    spot, backend._topics.spot, backend._connections.pause = backend._topics.spot, none, pause
    backend._views.watch = lambda *_: _answered(0)
    backend.watch("s", 0, deadline)
    assert len(pauses) == 3
