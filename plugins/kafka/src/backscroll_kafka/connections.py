"""The clients of the driver that ask and write, made once at first use, and asked by futures.

Those that read have threads of their own: see `readers`. What belongs to the parent of a fork is kept, and never freed:
freeing a client waits for threads that the child does not have.
"""

import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec

from backscroll.backend import Deadline
from backscroll.errors import Closed, DeadlineExceeded, OutcomeUnknown, StorageError, Unavailable
from backscroll.futures import done, pending
from backscroll_kafka.access import COMMON, producing
from backscroll_kafka.options import KafkaOptions
from backscroll_kafka.refusals import OTHER_LEADER, error_of, is_missing, refused
from backscroll_kafka.waiting import Timers, Waiter, when_all
from backscroll_kafka.writes import Writes, Written

TICK: Final = 0.02
"""How often, in seconds, it is looked whether a deadline has passed."""

LONGEST_TRY: Final = 3.0
"""After how many seconds a request to the brokers is given up, so that it can be sent again."""

FIRST_TRY: Final = 1.0
"""After how many seconds before any was answered: then it is looked whether the brokers let nobody in."""

AGAIN: Final = 0.05
"""After how many seconds a request is sent again to which a broker had no answer yet."""

UNKNOWN_OFFSET: Final = 0
"""Smaller ones stand for no offset: a broker that just became the leader may not know it yet."""

Place = tuple[str, int]
"""A topic and one of its partitions."""


class Topic(NamedTuple):
    """What is known of a topic."""

    id: str
    partitions: int
    leaderless: int
    replicas: int
    """how many hold the partition that the fewest hold"""


class Connections:
    """The way to the cluster.

    Args:
        settings: How the brokers are reached.
        options: The store's.
    """

    def __init__(self, settings: dict[str, Any], options: KafkaOptions) -> None:
        self.settings: Final = settings
        self._options = options
        self._closed = False
        self.forget(first=True)

    def forget(self, *, first: bool = False) -> None:
        """Drop what is open, in the child of a fork."""
        if not first:
            keep(self._admin, self._producer)
        self._lock = threading.Lock()
        self._admin: Any = None
        self._producer: Any = None
        self._opening: Future[None] | None = None
        self._trouble: KafkaError | None = None
        self._is_let_in = False
        self._learning: Future[None] | None = None
        self._asking: set[Waiter] = set()
        """Those whose request was not answered: freed in the thread of an answer, the client would end the process."""
        self.timers = Timers()
        self._writes = Writes(lambda error: self._told(error, writes=True))

    # Opening.

    def opened(self) -> "Future[None]":
        """Done as soon as there are clients; they connect by themselves.

        Raises:
            Closed: The store was closed.
        """
        with self._lock:
            if self._closed:
                raise Closed
            if self._opening is None or (self._opening.done() and not self.is_open):
                opening: Future[None] = pending()
                self._opening = opening
                threading.Thread(target=self._open, args=(opening,), name="backscroll-kafka", daemon=True).start()
            return self._opening

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent at once."""
        return self._producer is not None and not self._closed

    def _open(self, opening: "Future[None]") -> None:
        """Make the clients, and then serve the one that writes: this is its thread."""
        try:
            common = {**COMMON, **self.settings, "error_cb": self._note}
            self._admin = self._admin or AdminClient(common)  # a request may be under way with it
            self._producer = producer = Producer({**producing(self._options), **self.settings, "error_cb": self._note})
        except (KafkaException, ValueError, TypeError) as error:
            found = error_of(error)
            why = f" ({found.name()})" if found else ""
            opening.set_exception(StorageError(f"kafka: the driver does not take the settings of the way there{why}"))
            return
        opening.set_result(None)
        # A client that gave up is made anew by the next call; until then this thread still ends what waits.
        while self._opening is opening and not self._closed:
            try:
                time.sleep(TICK) if self._producer is not producer else producer.poll(TICK)
            except KafkaException as error:  # it gave up for good, and reports nothing any more
                self._writes.fail_all(self._told(error, writes=True))
                self._begin_anew(producer)
            self.timers.run_due()
            self._writes.give_up_late()
        self._end(producer)

    def _note(self, error: KafkaError) -> None:
        # Others follow it, such as that all brokers are down, and say nothing of why.
        if isinstance(refused(error, writes=False, limit=0), StorageError):
            self._trouble = error

    # Asking.

    async def topic(self, name: str, deadline: Deadline) -> Topic | None:
        """What there is of a topic; None where it is not there."""

        def ask(seconds: float) -> "Future[Any]":
            answer: Future[Any] = self._admin.describe_topics(TopicCollection([name]), request_timeout=seconds)[name]
            return answer

        try:
            found = await self._insist(ask, deadline)
        except NotThere:
            return None
        counts = [len(each.replicas) for each in found.partitions]
        leaderless = sum(each.leader is None or each.leader.id < 0 for each in found.partitions)
        return Topic(str(found.topic_id), len(counts), leaderless, min(counts, default=0))

    async def topics(self, deadline: Deadline) -> list[str]:
        """The names of all topics."""
        waiter = self._begin_to_ask()

        def ask() -> None:
            try:
                seconds = max(0.01, min(LONGEST_TRY, deadline.remaining()))
                waiter.give(sorted(self._admin.list_topics(timeout=seconds).topics))
            except BaseException as error:  # noqa: BLE001 - it is told to whoever waits
                waiter.fail(self._told(error, writes=False))
            self._asking.discard(waiter)

        threading.Thread(target=ask, name="backscroll-kafka-list", daemon=True).start()
        names: list[str] = await done(waiter.future)
        return names

    async def settings_of(self, name: str, deadline: Deadline) -> dict[str, str]:
        """The settings of a topic."""

        def ask(seconds: float) -> "Future[Any]":
            resource = ConfigResource(ConfigResource.Type.TOPIC, name)
            (answer,) = self._admin.describe_configs([resource], request_timeout=seconds).values()
            return answer  # type: ignore[no-any-return]  # the driver has no types

        return {name: entry.value for name, entry in (await self._insist(ask, deadline)).items()}

    async def make(self, name: str, partitions: int, settings: dict[str, str], deadline: Deadline) -> None:
        """Make a topic; one that others made at the same moment is fine."""
        replication = self._options.replication or -1
        topic = NewTopic(name, partitions, replication, config=settings)

        def ask(seconds: float) -> "Future[Any]":
            answer: Future[Any] = self._admin.create_topics([topic], request_timeout=seconds)[name]
            return answer

        with suppress(_ThereAlready):
            await self._insist(ask, deadline)

    async def end(self, place: Place, deadline: Deadline) -> int:
        """Where the log ends: the offset of the next record."""
        return (await self._offsets([place], OffsetSpec.latest(), deadline))[0]

    async def ends(self, places: Sequence[Place], deadline: Deadline) -> list[int]:
        """Where several logs end."""
        return await self._offsets(places, OffsetSpec.latest(), deadline)

    async def start(self, place: Place, deadline: Deadline) -> int:
        """Where the log begins."""
        return (await self._offsets([place], OffsetSpec.earliest(), deadline))[0]

    async def starts(self, places: Sequence[Place], deadline: Deadline) -> list[int]:
        """Where several logs begin."""
        return await self._offsets(places, OffsetSpec.earliest(), deadline)

    async def _offsets(self, places: Sequence[Place], spec: Any, deadline: Deadline) -> list[int]:
        partitions = [TopicPartition(*place) for place in places]

        def ask(seconds: float) -> "list[Future[Any]]":
            asked = self._admin.list_offsets(dict.fromkeys(partitions, spec), request_timeout=seconds)
            return [asked[partition] for partition in partitions]

        while True:
            offsets = [answer.offset for answer in await self._insist(ask, deadline)]
            if min(offsets) >= UNKNOWN_OFFSET:
                return offsets
            await self._learn(deadline)
            await self.pause(AGAIN, deadline)

    async def brokers(self, deadline: Deadline) -> str:
        """How many brokers there are, as a health tells it."""

        def ask(seconds: float) -> "Future[Any]":
            answer: Future[Any] = self._admin.describe_cluster(request_timeout=seconds)
            return answer

        return f"Kafka, brokers: {len((await self._insist(ask, deadline)).nodes)}"

    async def _insist(self, ask: "Callable[[float], Future[Any] | list[Future[Any]]]", deadline: Deadline) -> Any:
        """The answer to a request that changes nothing, or may be repeated; or the answers to several."""
        while True:
            self._check(deadline)
            try:
                answer = await self._answered(ask, LONGEST_TRY if self._is_let_in else FIRST_TRY, deadline)
                self._is_let_in, self._trouble = True, None
                return answer
            except KafkaException as error:
                found = error_of(error)
                code = found.code() if found else None
                if is_missing(error):
                    raise NotThere("kafka: the brokers do not know of the topic, or not yet") from None
                if code == KafkaError.TOPIC_ALREADY_EXISTS:
                    raise _ThereAlready from error
                told = self._told(error, writes=False)
                if not isinstance(told, Unavailable) or deadline.remaining() < AGAIN:
                    raise told from None
            if code in OTHER_LEADER:
                await self._learn(deadline)
            await self.pause(AGAIN, deadline)

    async def _answered(
        self, ask: "Callable[[float], Future[Any] | list[Future[Any]]]", most: float, deadline: Deadline
    ) -> Any:
        """What a request is answered with; the end of the store does not wait for that."""
        waiter = self._begin_to_ask()
        try:
            asked = ask(max(0.01, min(deadline.remaining(), most)))
        except BaseException:
            self._asking.discard(waiter)
            raise

        def ended() -> None:
            self._asking.discard(waiter)
            waiter.give(None)

        when_all(asked if isinstance(asked, list) else [asked], ended)
        await done(waiter.future)
        return [each.result() for each in asked] if isinstance(asked, list) else asked.result()

    def _begin_to_ask(self) -> Waiter:
        waiter = Waiter()
        with self._lock:
            if self._closed:
                raise Closed
            self._asking.add(waiter)
        return waiter

    async def _learn(self, deadline: Deadline) -> None:
        """Let the client that asks learn who leads what: by itself it does so every few minutes only."""
        with self._lock:
            is_first = self._learning is None
            learning = self._learning = self._learning or pending()
        if is_first:
            try:
                with suppress(Unavailable, StorageError):
                    await self.topics(deadline)
            finally:
                self._learning = None
                learning.set_result(None)
        await done(learning)

    def _check(self, deadline: Deadline) -> None:
        if self._closed:
            raise Closed
        if not deadline.remaining():
            raise DeadlineExceeded(f"kafka: no answer within {deadline.seconds:g} s: are the brokers up? raise timeout")

    def _told(self, error: BaseException, *, writes: bool) -> BaseException:
        told = refused(error, writes=writes, limit=self._options.largest_turn)
        if isinstance(told, Unavailable) and (trouble := self._trouble) is not None and not self._is_let_in:
            # Brokers that let nobody in do not answer, and only so is it known why. Later on such trouble passes.
            return refused(trouble, writes=False, limit=0)
        return told

    async def pause(self, seconds: float, deadline: Deadline) -> None:
        """Wait.

        Raises:
            Closed: The store was closed.
            DeadlineExceeded: The time is up.
        """
        waiter = Waiter()
        self.timers.add(min(seconds, deadline.remaining()), lambda: waiter.give(None))
        if self._closed:
            waiter.fail(Closed())  # the thread that would end it may be gone
        await done(waiter.future)
        self._check(deadline)

    # Writing.

    def produce(self, place: Place, key: bytes, value: bytes, deadline: Deadline) -> "Future[Written]":
        """Write a record; the future says where, or ends by the deadline as unknown."""
        waiter = Waiter()
        if not deadline.remaining():
            waiter.fail(DeadlineExceeded(f"kafka: not begun within {deadline.seconds:g} s: raise timeout"))
            return waiter.future
        producer = self._producer
        if producer is None or self._closed:
            waiter.fail(Closed() if self._closed else Unavailable("kafka: the client that writes is made anew"))
            return waiter.future
        try:
            self._writes.send(waiter, deadline, partial(producer.produce, place[0], value, key, partition=place[1]))
        except (KafkaException, BufferError) as error:
            waiter.fail(self._not_taken(error, producer))
        if self._closed:
            waiter.fail(_closed())  # while it was handed over
        return waiter.future

    def _not_taken(self, error: BaseException, producer: Any) -> BaseException:
        """What it means that the driver does not take a record."""
        found = error_of(error)
        if isinstance(error, BufferError) or (found and found.code() == KafkaError._QUEUE_FULL):  # noqa: SLF001  # its own
            return Unavailable("kafka: too much is under way already")
        if found and found.code() == KafkaError._FATAL:  # noqa: SLF001  # likewise
            self._begin_anew(producer)
            return Unavailable("kafka: the driver gave up its client; another one is made")
        return self._told(error, writes=False)

    def _begin_anew(self, producer: Any) -> None:
        """Drop a client that will not write again; the next call makes another one."""
        with self._lock:
            if self._producer is producer:
                self._producer = None

    # Closing.

    def close(self) -> None:
        """Let the clients end; what is under way ends now, and what was to be written is unknown."""
        with self._lock:
            self._closed = True
        for waiter in list(self._asking):
            waiter.fail(Closed())
        self._writes.fail_all(_closed())

    def _end(self, producer: Any) -> None:
        end = time.monotonic() + 2 * LONGEST_TRY
        while self._closed and self._asking and time.monotonic() < end:
            with suppress(KafkaException):
                producer.poll(TICK)
            self.timers.run_due()
        with suppress(KafkaException):
            producer.flush(0)
        while self._closed and self.timers.run_due():
            time.sleep(TICK)
        if self._closed and not self._asking:
            self._admin = self._producer = None


def _closed() -> OutcomeUnknown:
    return OutcomeUnknown("kafka: the store was closed")


class NotThere(Unavailable):
    """The topic is not there, or a broker does not know of it yet."""


class _ThereAlready(Exception):
    """The topic is there already."""


def keep(*clients: Any) -> None:
    """Let clients of the parent process never be freed, in the child of a fork."""
    for client in clients:
        if client is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))
