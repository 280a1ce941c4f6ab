"""`DropIn`, what the replacements of LangChain's own classes have in common."""

import asyncio
from collections.abc import Iterable, Sequence

from langchain_core.messages import BaseMessage

from backscroll import Record, Store, Unreadable
from backscroll.arguments import checked_session_id, checked_ttl
from backscroll.errors import UnreadableMessage
from backscroll_langchain.history import ChatMessageHistory
from backscroll_langchain.messages import to_langchain
from backscroll_langchain.originals import OriginalRow, not_moved, place_moved, readable_of
from backscroll_langchain.sharing import Shared

Found = list[BaseMessage | UnreadableMessage]
"""Messages, and in the place of each that is damaged what is wrong with it."""


class DropIn(ChatMessageHistory):
    """A history that stands in for one of LangChain's own classes; constructing it does no I/O.

    What the original wrote of the session is read before what is stored here, and cleared with it. Nothing is written
    in its form. That there is nothing is found out once for each session in a process.

    Args:
        session_id: The session.
        shared: What all histories of the same connection share.
        ttl: Seconds for which a message is read after it was added; None or 0 for ever.

    Attributes:
        window: How many of the newest messages are read; None, unless it is set, for all.

    Raises:
        InvalidArgument: The id is no session id, or the time to live no number of seconds that can be.
    """

    def __init__(self, session_id: str, shared: Shared, *, ttl: float | None = None) -> None:
        self.session_id = checked_session_id(session_id)
        self.window = None
        self._shared = shared
        self._ttl = checked_ttl(ttl, None) if ttl else None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.session_id!r}>"

    @property
    def store(self) -> Store:
        """The store, which all histories of the same connection share."""
        return self._shared.store

    @property
    def messages(self) -> list[BaseMessage]:
        """The messages, in order: what the original wrote, then what is stored here.

        Raises:
            UnreadableMessage: One is damaged; `read` returns the others.
        """
        return _readable(self.read())

    async def aget_messages(self) -> list[BaseMessage]:
        """Async twin of `messages`."""
        return _readable(await self.aread())

    def read(self) -> Found:
        """The messages, in order, and in the place of each that is damaged the `UnreadableMessage` that tells it."""
        records = self._kept(self._records())
        return self._joined(records, self._rows(records))

    async def aread(self) -> Found:
        """Async twin of `read`."""
        await self._open()
        records = self._kept(await self._arecords())
        if self._needs_no_look(records):
            return self._joined(records, [])
        return self._joined(records, await asyncio.to_thread(self._rows, records))

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Async twin of `add_messages`."""
        await self._open()
        await super().aadd_messages(messages)

    def clear(self) -> None:
        """Drop all messages that are there now, also what the original wrote."""
        self._clear_original()
        super().clear()

    async def aclear(self) -> None:
        """Async twin of `clear`."""
        await self._open()
        await asyncio.to_thread(self._clear_original)
        await super().aclear()

    # What a class may do otherwise.

    def _look(self, newest: int | None) -> list[OriginalRow]:
        """What the original wrote, oldest first; all of it or only the newest so many."""
        if self._shared.is_without_original(self.session_id):
            return []
        rows = self._shared.original.rows(self.session_id, newest)
        if not rows:
            self._shared.remember_no_original(self.session_id)
        return rows

    def _kept(self, records: list[Record | Unreadable]) -> list[Record | Unreadable]:
        """Those of our records that are to be read."""
        return records

    # What all of them do alike.

    async def _open(self) -> None:
        """Open the store where it is not, without holding up the loop."""
        if not self._shared.is_open:
            await asyncio.to_thread(getattr, self._shared, "store")

    def _records(self) -> list[Record | Unreadable]:
        if self.window is None:
            return [*self.store.iterate(self.session_id)]
        return self.store.last(self.session_id, self.window)

    async def _arecords(self) -> list[Record | Unreadable]:
        if self.window is None:
            return [record async for record in self.store.aiterate(self.session_id)]
        return await self.store.alast(self.session_id, self.window)

    def _needs_no_look(self, records: list[Record | Unreadable]) -> bool:
        """Whether the original has nothing to add, as far as is known without a look."""
        if self._shared.is_without_original(self.session_id):
            return True
        # What the original got after its messages were moved over stands behind those.
        is_full = self.window is not None and len(records) >= self.window
        return is_full and not any(map(_place, records))

    def _rows(self, records: list[Record | Unreadable]) -> list[OriginalRow]:
        """What of the original is to be read beside these records."""
        if self._needs_no_look(records):
            return []
        places = {place for record in records if (place := _place(record))}
        rows = self._look(self.window if self.window is None or places else self.window - len(records))
        fresh = not_moved(rows, places)
        if rows and not fresh:
            self._shared.remember_no_original(self.session_id)
        return fresh

    def _joined(self, records: list[Record | Unreadable], rows: list[OriginalRow]) -> Found:
        """All of it, in order: what was moved over is older than what the original still has."""
        split = max((number for number, record in enumerate(records, 1) if _place(record)), default=0) if rows else 0
        found = [*_found(records[:split]), *readable_of(rows), *_found(records[split:])]
        return found if self.window is None else found[-self.window :]

    def _clear_original(self) -> None:
        self._shared.original.clear(self.session_id)


def _place(record: Record | Unreadable) -> str | None:
    return None if isinstance(record, Unreadable) else place_moved(record.message)


def _found(records: Iterable[Record | Unreadable]) -> Found:
    return [
        UnreadableMessage(record.seq, record.reason) if isinstance(record, Unreadable) else to_langchain(record.message)
        for record in records
    ]


def _readable(found: Found) -> list[BaseMessage]:
    messages = []
    for one in found:
        if isinstance(one, UnreadableMessage):
            raise one
        messages.append(one)
    return messages
