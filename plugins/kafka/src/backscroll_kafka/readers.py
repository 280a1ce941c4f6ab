"""The clients of the driver that read, each used by one thread of its own: the driver hangs where two share one."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from backscroll.backend import Deadline
from backscroll.errors import Closed, DeadlineExceeded, StorageError
from backscroll_kafka.connections import TICK, Place, keep
from backscroll_kafka.refusals import is_missing, refused
from backscroll_kafka.waiting import Waiter

HEARS: Final = 0.01
"""How many seconds the tail waits for news before it looks for something else to do."""

AT_ONCE: Final = 1_000
"""How many records are taken from the driver at once, at the most."""

BYTES_AT_ONCE: Final = 1 << 20
"""About how many bytes of records are taken from the driver at once."""

LEARNS: Final = 0.5
"""For how many seconds at the most a client asks who leads a topic that is new to it."""

KNOWS: Final = 300.0
"""For how many seconds a client then knows it for sure: the driver forgets those that are not used."""

Take = Callable[[Sequence[Any]], bool]
"""Takes records; says whether they are enough."""

_GONE: Final = {
    KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001  # the driver's own codes begin so
    KafkaError.OFFSET_OUT_OF_RANGE,
}


class Gone(Exception):
    """What was to be read is not there any more, or not yet."""


class Known:
    """The topics of which a client knows who leads them.

    Of one that it does not know it asks when it looks through all its topics, once a second. So it is made to ask.
    """

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def learn(self, consumer: Any, name: str, seconds: float) -> None:
        """Make a client ask for a topic that is new to it, before it is told to read there."""
        if self._until.get(name, 0.0) < time.monotonic():
            with suppress(KafkaException):  # it goes on asking by itself
                consumer.list_topics(name, min(LEARNS, seconds))
                self._until[name] = time.monotonic() + KNOWS


class Job:
    """Records of a place, from one offset up to another, to be taken.

    Args:
        place: Where.
        low: From which offset on.
        high: Up to which, exclusive.
        take: What takes them.
        deadline: By when.
    """

    def __init__(self, place: Place, low: int, high: int, take: Take, deadline: Deadline) -> None:
        self.place = place
        self.low = low
        self.high = high
        self.take = take
        self.deadline = deadline
        self.waiter = Waiter()


class Reader:
    """Goes through stretches of the log, one after the other.

    Args:
        name: That of its thread.
        settings: Those of its client.
    """

    def __init__(self, name: str, settings: dict[str, Any]) -> None:
        self._name = name
        self._settings = settings
        self._closed = False
        self.forget(first=True)

    def forget(self, *, first: bool = False) -> None:
        """Drop the client, in the child of a fork."""
        if not first:
            keep(self._consumer)
        self._consumer: Any = None
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting: list[Job] = []
        self._is_running = False

    def read(self, job: Job) -> "Future[None]":
        """Do a job; its future is done when enough was taken, or all."""
        with self._lock:
            if self._closed:
                job.waiter.fail(Closed())
                return job.waiter.future
            self._waiting.append(job)
            self._jobs.put(job)
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, args=(self._jobs,), name=self._name, daemon=True).start()
        return job.waiter.future

    def close(self) -> None:
        """Let it end, without waiting."""
        with self._lock:
            self._closed = True
            self._jobs.put(None)

    def _run(self, jobs: "queue.SimpleQueue[Job | None]") -> None:
        consumer, known = None, Known()
        while (job := jobs.get()) is not None:
            with self._lock:
                self._waiting.remove(job)
            try:
                self._check(job)
                if consumer is None:
                    self._consumer = consumer = Consumer(self._settings)
                known.learn(consumer, job.place[0], job.deadline.remaining())
                self._go(consumer, job)
            except BaseException as error:  # noqa: BLE001 - it is told to whoever waits
                job.waiter.fail(refused(error, writes=False, limit=0))
            else:
                job.waiter.give(None)
            del job  # it holds what was read
        while not jobs.empty():
            if job := jobs.get():
                job.waiter.fail(Closed())
        if consumer is not None:
            consumer.close()
            self._consumer = None

    def _go(self, consumer: Any, job: Job) -> None:
        topic, partition = job.place
        consumer.assign([TopicPartition(topic, partition, job.low)])
        try:
            position, more = job.low, 0  # one at first, since it is not known how large they are
            while position < job.high:
                message = consumer.poll(min(TICK, job.deadline.remaining()))
                self._check(job)
                self._end_late()
                if message is None:
                    continue
                batch = [message, *(consumer.consume(more, 0) if more else ())]
                told = [each for each in batch if each.error() is not None]
                records = [each for each in batch if each.error() is None] if told else batch
                position = max(position, *map(_past, (*told, *records[-1:])))
                if records:
                    if job.take(records):
                        return
                    size = sum(map(len, records)) // len(records) + 1
                    more = max(1, min(AT_ONCE, 4 * more + 4, BYTES_AT_ONCE // size)) - 1
        finally:
            consumer.unassign()

    def _check(self, job: Job) -> None:
        if self._closed:
            raise Closed
        if not job.deadline.remaining():
            raise _late(job)

    def _end_late(self) -> None:
        """End what waits for another job to end, where its time is up."""
        if self._waiting:
            with self._lock:
                late = [job for job in self._waiting if not job.deadline.remaining()]
            for job in late:
                job.waiter.fail(_late(job))


def _late(job: Job) -> DeadlineExceeded:
    return DeadlineExceeded(f"kafka: the log could not be read within {job.deadline.seconds:g} s: raise timeout")


def _past(message: Any) -> int:
    """The offset behind a record, or behind what is told instead of one.

    Raises:
        Gone: There is nothing at the offset that was asked for.
        BackscrollError: The brokers refuse.
    """
    error = message.error()
    if error is None:
        return int(message.offset()) + 1
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # the driver's own
        return int(message.offset())
    if error.code() in _GONE or is_missing(error):
        raise Gone
    told = refused(error, writes=False, limit=0)
    if isinstance(told, StorageError):
        raise told
    return -1  # the driver goes on by itself


class Tail:
    """Hears what is new in the places that are in use.

    Args:
        settings: Those of its client.
        arrived: Takes what came, in order for each place.
        ended: Takes how far a place was heard, where nothing came.
        lost: Takes the places that cannot be followed any more, each with what has to be mended before, if anything.
        tick: Is called now and then.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        arrived: Callable[[Sequence[Any]], None],
        ended: Callable[[Place, int], None],
        lost: Callable[[Place, StorageError | None], None],
        tick: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._arrived = arrived
        self._ended = ended
        self._lost = lost
        self._tick = tick
        self._closed = False
        self.forget(first=True)

    def forget(self, *, first: bool = False) -> None:
        """Drop the client, in the child of a fork."""
        if not first:
            keep(self._consumer)
        self._consumer: Any = None
        self._lock = threading.Lock()
        self._commands: queue.SimpleQueue[tuple[Place, int | None] | None] = queue.SimpleQueue()
        self._is_running = False

    def follow(self, place: Place, offset: int | None) -> None:
        """Hear what comes from an offset on; None to hear no more of a place."""
        with self._lock:
            self._commands.put((place, offset))
            if not self._is_running and not self._closed:
                self._is_running = True
                threading.Thread(
                    target=self._run, args=(self._commands,), name="backscroll-kafka-tail", daemon=True
                ).start()

    def close(self) -> None:
        """Let it end, without waiting."""
        with self._lock:
            self._closed = True
            self._commands.put(None)

    def _run(self, commands: "queue.SimpleQueue[tuple[Place, int | None] | None]") -> None:
        try:
            self._consumer = consumer = Consumer(self._settings)
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            self._give_up(commands, refused(error, writes=False, limit=0))
            return
        assigned: set[Place] = set()
        known = Known()
        while not self._closed:
            try:
                self._listen(consumer, commands, assigned, known)
            except Exception:  # noqa: BLE001 - whoever waits is told, and looks at the places anew
                for place in list(assigned):
                    self._leave(consumer, place, assigned)
                    self._lost(place, None)
        consumer.close()
        self._consumer = None

    def _give_up(self, commands: "queue.SimpleQueue[tuple[Place, int | None] | None]", error: BaseException) -> None:
        """End without a client; the next place that is to be followed asks for one anew."""
        places: set[Place] = set()
        with self._lock:
            self._is_running = False
            while not commands.empty():
                if command := commands.get():
                    places.add(command[0])
        for place in places:
            self._lost(place, error if isinstance(error, StorageError) else None)

    def _listen(self, consumer: Any, commands: Any, assigned: set[Place], known: Known) -> None:
        self._obey(consumer, commands, assigned, known)
        message = consumer.poll(HEARS) if assigned else None
        self._tick()
        if message is None:
            return
        batch = [message, *consumer.consume(AT_ONCE, 0)]
        if records := [each for each in batch if each.error() is None]:
            self._arrived(records)
        for each in batch:
            if each.error() is not None:
                self._told(consumer, each, assigned)

    def _obey(self, consumer: Any, commands: Any, assigned: set[Place], known: Known) -> None:
        while not self._closed:
            try:
                command = commands.get(block=not assigned, timeout=TICK)
            except queue.Empty:
                if not assigned:
                    self._tick()
                    continue
                return
            if command is None:
                return
            place, offset = command
            self._leave(consumer, place, assigned)
            if offset is not None:
                assigned.add(place)  # before, so that it is lost where the driver does not take it
                known.learn(consumer, place[0], LEARNS)
                consumer.incremental_assign([TopicPartition(*place, offset)])

    def _leave(self, consumer: Any, place: Place, assigned: set[Place]) -> None:
        if place in assigned:
            with suppress(KafkaException):
                consumer.incremental_unassign([TopicPartition(*place)])
            assigned.discard(place)

    def _told(self, consumer: Any, message: Any, assigned: set[Place]) -> None:
        place = message.topic(), message.partition()
        try:
            position = _past(message)
        except (Gone, StorageError) as error:
            if place in assigned:
                self._leave(consumer, place, assigned)
                self._lost(place, error if isinstance(error, StorageError) else None)
        else:
            if position >= 0 and place in assigned:
                self._ended(place, position)
