"""`KafkaChatMessageHistory`, in place of the one of langchain-community."""

import asyncio
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

from langchain_core.messages import BaseMessage

from backscroll.backend import Deadline
from backscroll.errors import InvalidArgument, InvalidURL, UnreadableMessage
from backscroll.url import parse_url
from backscroll_langchain.dropin import DropIn
from backscroll_langchain.history import text_of
from backscroll_langchain.kafka_beside import Beside
from backscroll_langchain.kafka_deadlines import left
from backscroll_langchain.kafka_original import OURS, TIMEOUT
from backscroll_langchain.kafka_reading import Begin, Reading
from backscroll_langchain.messages import from_langchain_all
from backscroll_langchain.sharing import Shared, open_largest, shared

Messages = list[BaseMessage]


class KafkaChatMessageHistory(DropIn):
    """One session in Kafka; constructing it does no I/O.

    Reading is stateful, as it is in the original: `messages` gives what came since the last read, whoever that was. How
    far the session was read is kept on the server, in a consumer group.

    Args:
        session_id: The session; it need not be the name of a topic.
        bootstrap_servers: The brokers to ask first, with commas between them.
        ttl_ms: Milliseconds for which a message is read after it was added; -1 for ever.
        replication_factor: How many brokers hold the topic of a new session; -1 for as many as the cluster says.
        partition: Taken, and of no effect: a session is in one partition, since only there it has an order.

    Attributes:
        bootstrap_servers: As given.

    Raises:
        InvalidArgument: The id is no session id, or another argument is out of range.
    """

    def __init__(
        self,
        session_id: str,
        bootstrap_servers: str,
        ttl_ms: int = 604_800_000,
        replication_factor: int = 1,
        partition: int = 3,
    ) -> None:
        _check(ttl_ms=ttl_ms, replication_factor=replication_factor, partition=partition)
        self.bootstrap_servers = bootstrap_servers
        connection = _connection(store_url(bootstrap_servers), ttl_ms, replication_factor)
        super().__init__(session_id, connection, ttl=None if ttl_ms < 0 else ttl_ms / 1_000)

    def __str__(self) -> str:
        """All messages; how far the session was read does not change."""
        found = self.read()
        for each in found:
            if isinstance(each, UnreadableMessage):
                raise each
        return text_of(cast("Messages", found))

    @property
    def messages(self) -> Messages:
        """What came since the last read, all of it.

        Raises:
            UnreadableMessage: The first of it is damaged; `read` returns the others, `messages_from_latest` goes on
                behind it.
        """
        return self.messages_from_last_consumed(None, None)

    async def aget_messages(self) -> Messages:
        """Async twin of `messages`."""
        return await self.amessages_from_last_consumed(None, None)

    def messages_from_last_consumed(
        self, max_message_count: int | None = 5, max_time_sec: float | None = 5.0
    ) -> Messages:
        """What came since the last read.

        Args:
            max_message_count: How many at the most; None for all.
            max_time_sec: Seconds that it may take; it never waits for more to come. None for 30.

        Raises:
            UnreadableMessage: As with `messages`.
            DeadlineExceeded: It took longer; how far the session was read did not change.
        """
        return self._take(Begin.LAST, max_message_count, max_time_sec)

    def messages_from_beginning(self, max_message_count: int | None = 5, max_time_sec: float | None = 5.0) -> Messages:
        """The messages from the oldest one on; the next read goes on behind them. Arguments and errors likewise."""
        return self._take(Begin.BEGINNING, max_message_count, max_time_sec)

    def messages_from_latest(self, max_message_count: int | None = 5, max_time_sec: float | None = 5.0) -> Messages:
        """None: the next read gives what comes from now on. Arguments and errors likewise."""
        return self._take(Begin.LATEST, max_message_count, max_time_sec)

    async def amessages_from_last_consumed(
        self, max_message_count: int | None = 5, max_time_sec: float | None = 5.0
    ) -> Messages:
        """Async twin of `messages_from_last_consumed`; what a call has read that was cancelled, the next one gives."""
        return await self._atake(Begin.LAST, max_message_count, max_time_sec)

    async def amessages_from_beginning(
        self, max_message_count: int | None = 5, max_time_sec: float | None = 5.0
    ) -> Messages:
        """Async twin of `messages_from_beginning`."""
        return await self._atake(Begin.BEGINNING, max_message_count, max_time_sec)

    async def amessages_from_latest(
        self, max_message_count: int | None = 5, max_time_sec: float | None = 5.0
    ) -> Messages:
        """Async twin of `messages_from_latest`."""
        return await self._atake(Begin.LATEST, max_message_count, max_time_sec)

    def add_messages(self, messages: Sequence[BaseMessage], flush_timeout_seconds: float | None = None) -> None:
        """Add the messages of a turn: all of them, contiguous and in order, or none.

        Args:
            messages: The messages.
            flush_timeout_seconds: Seconds that it may take; None for 30.

        Raises:
            InvalidMessage: One cannot be stored exactly; nothing was sent.
        """
        if turn := from_langchain_all(messages):
            deadline = _deadline("flush_timeout_seconds", flush_timeout_seconds)
            self._beside.prepare(self.session_id, deadline)
            self.store.append(self.session_id, turn, ttl=self._ttl, timeout=left(deadline))

    async def aadd_messages(self, messages: Sequence[BaseMessage], flush_timeout_seconds: float | None = None) -> None:
        """Async twin of `add_messages`."""
        if turn := from_langchain_all(messages):
            deadline = _deadline("flush_timeout_seconds", flush_timeout_seconds)
            await self._open()
            if not self._beside.is_prepared:
                await asyncio.to_thread(self._beside.prepare, self.session_id, deadline)
            await self.store.aappend(self.session_id, turn, ttl=self._ttl, timeout=left(deadline))

    def close(self) -> None:
        """Nothing: what it uses belongs to all histories of this connection, and ends with the process."""

    async def aclose(self) -> None:
        """Async twin of `close`."""

    def _reading(self, deadline: Deadline) -> Reading:
        return Reading(self._shared, self._beside, f"{OURS}-", self.session_id, deadline)

    @property
    def _beside(self) -> Beside:
        return cast("Beside", self._shared.original)

    def _give_back(self, found: Messages) -> None:
        self._beside.give_back(self.session_id, found)

    def _take(self, begin: Begin, most: int | None, seconds: float | None) -> Messages:
        reader = _Reader(self._reading, self._give_back)
        reader.read(begin, most, seconds)
        return reader.found

    async def _atake(self, begin: Begin, most: int | None, seconds: float | None) -> Messages:
        reader = _Reader(self._reading, self._give_back)
        try:
            await asyncio.to_thread(reader.read, begin, most, seconds)
        except asyncio.CancelledError:
            reader.leave()
            raise
        return reader.found


class _Reader:
    """Somebody who reads a session, and may go away meanwhile; what was read for it, the next one is given.

    Args:
        reading: Begins a look at the session.
        give_back: Keeps messages for the next one.
    """

    def __init__(self, reading: Callable[[Deadline], Reading], give_back: Callable[[Messages], None]) -> None:
        self._reading = reading
        self._give_back = give_back
        self._lock = threading.Lock()
        self._is_gone = False
        self.found: Messages = []

    def read(self, begin: Begin, most: int | None, seconds: float | None) -> None:
        """Read, and be given what is found."""
        if most is not None and (type(most) is not int or most < 0):
            raise InvalidArgument(f"max_message_count: expected a whole number from 0 on, or None, not {most!r}")
        self._reading(_deadline("max_time_sec", seconds)).take(begin, most, self._give)

    def leave(self) -> None:
        """Go away."""
        with self._lock:
            self._is_gone = True
            if self.found:
                self._give_back(self.found)

    def _give(self, found: Messages) -> bool:
        with self._lock:
            if not self._is_gone:
                self.found = found
            return not self._is_gone


def _deadline(name: str, seconds: Any) -> Deadline:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float | None):
        raise InvalidArgument(f"{name}: expected a number of seconds, or None, not {seconds!r}")
    return Deadline(TIMEOUT if seconds is None else seconds)


def _check(**given: Any) -> None:
    for name, value in given.items():
        if type(value) is not int or (value < 1 and value != -1):
            raise InvalidArgument(f"{name}: expected a whole number from 1 on, or -1, not {value!r}")


def store_url(bootstrap_servers: str) -> str:
    """The URL of the store of these brokers.

    Raises:
        InvalidURL: They are no list of brokers.

    Example:
        >>> store_url("broker1:9092, broker2:9092")
        'kafka://broker1:9092,broker2:9092/backscroll_langchain?layout=topic'
    """
    if not isinstance(bootstrap_servers, str):
        raise InvalidArgument(f"bootstrap_servers: must be a string, not {type(bootstrap_servers).__name__}")
    servers = re.sub(r"\s+", "", re.sub("plaintext://", "", bootstrap_servers, flags=re.IGNORECASE))
    url = f"kafka://{servers}/{OURS}?layout=topic"
    parsed = parse_url(url)
    if not parsed.hosts or parsed.path.strip("/") != OURS:
        raise InvalidURL("bootstrap_servers: expected broker1:9092,broker2:9092 and nothing else")
    return url


def _connection(url: str, ttl_ms: int, replication_factor: int) -> Shared:
    options = {
        "retention": None if ttl_ms < 0 else ttl_ms / 1_000,
        "replication": None if replication_factor < 0 else replication_factor,
    }
    given = {name: value for name, value in options.items() if value is not None}
    return shared(
        (KafkaChatMessageHistory, url, ttl_ms, replication_factor),
        lambda: open_largest(url, **given),
        lambda: Beside(url, given.get("replication")),
    )
