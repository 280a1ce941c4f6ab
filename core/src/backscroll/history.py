"""`History`, one session of a store made handy."""

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from backscroll.errors import UnreadableMessage
from backscroll.message import Message
from backscroll.values import Appended, Record, Unreadable

if TYPE_CHECKING:
    from backscroll.store import Store
    from backscroll.writing import Messages


class History:
    """The messages of one session. Made by `Store.history`; constructing it does no I/O.

    It speaks in messages where `Store` speaks in records, and raises `UnreadableMessage` at a damaged one.

    Example:
        >>> import backscroll
        >>> with backscroll.open("sqlite://") as store:
        ...     chat = store.history("greeting")
        ...     chat.add_user_message("hi!")
        ...     chat.add_ai_message("what's up?")
        ...     chat.messages
        Appended(version=1, ...)
        Appended(version=2, ...)
        [Message('user', 'hi!'), Message('assistant', "what's up?")]
    """

    __slots__ = ("session_id", "store")

    def __init__(self, store: "Store", session_id: str) -> None:
        self.store = store
        self.session_id = session_id

    def __repr__(self) -> str:
        return f"<History of {self.session_id!r} in {self.store!r}>"

    def append(
        self,
        messages: "Messages",
        *,
        turn_id: UUID | str | None = None,
        expected_version: int | None = None,
        ttl: float | timedelta | None = None,
        timeout: float | None = None,
    ) -> Appended:
        """Add a turn; see `Store.append`."""
        return self.store.append(
            self.session_id, messages, turn_id=turn_id, expected_version=expected_version, ttl=ttl, timeout=timeout
        )

    async def aappend(
        self,
        messages: "Messages",
        *,
        turn_id: UUID | str | None = None,
        expected_version: int | None = None,
        ttl: float | timedelta | None = None,
        timeout: float | None = None,
    ) -> Appended:
        """Async twin of `append`."""
        return await self.store.aappend(
            self.session_id, messages, turn_id=turn_id, expected_version=expected_version, ttl=ttl, timeout=timeout
        )

    def add_user_message(self, content: str | list[Any]) -> Appended:
        """Add what the user said, as a turn of its own."""
        return self.append(Message("user", content))

    async def aadd_user_message(self, content: str | list[Any]) -> Appended:
        """Async twin of `add_user_message`."""
        return await self.aappend(Message("user", content))

    def add_ai_message(self, content: str | list[Any]) -> Appended:
        """Add what the assistant said, as a turn of its own."""
        return self.append(Message("assistant", content))

    async def aadd_ai_message(self, content: str | list[Any]) -> Appended:
        """Async twin of `add_ai_message`."""
        return await self.aappend(Message("assistant", content))

    @property
    def messages(self) -> list[Message]:
        """All messages, in order.

        Raises:
            UnreadableMessage: One is damaged; `Store.read` returns the others.
        """
        # Not list(self), which asks for the length first.
        return [*iter(self)]

    async def amessages(self) -> list[Message]:
        """Async twin of `messages`."""
        return [message async for message in self]

    def last(self, k: int = 20) -> list[Message]:
        """The last `k` messages, in order."""
        return _messages(self.store.last(self.session_id, k))

    async def alast(self, k: int = 20) -> list[Message]:
        """Async twin of `last`."""
        return _messages(await self.store.alast(self.session_id, k))

    def clear(self) -> None:
        """Drop all messages; see `Store.clear`."""
        self.store.clear(self.session_id)

    async def aclear(self) -> None:
        """Async twin of `clear`."""
        await self.store.aclear(self.session_id)

    def __len__(self) -> int:
        return self.store.count(self.session_id)

    async def acount(self) -> int:
        """The number of messages; the async twin of ``len``."""
        return await self.store.acount(self.session_id)

    def __bool__(self) -> bool:
        """Always true: whether it holds messages is asked with ``len``, which may cost a scan."""
        return True

    def __iter__(self) -> Iterator[Message]:
        return map(_message, self.store.iterate(self.session_id))

    async def __aiter__(self) -> AsyncIterator[Message]:
        async for record in self.store.aiterate(self.session_id):
            yield _message(record)


def _message(record: Record | Unreadable) -> Message:
    if isinstance(record, Unreadable):
        raise UnreadableMessage(record.seq, record.reason)
    return record.message


def _messages(records: Iterable[Record | Unreadable]) -> list[Message]:
    return [_message(record) for record in records]
