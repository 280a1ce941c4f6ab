"""`DropIn`, what the replacements of LangChain's own classes have in common."""

import asyncio
from collections.abc import Sequence

from langchain_core.messages import BaseMessage

from backscroll import Record, Store, Unreadable
from backscroll.arguments import checked_session_id, checked_ttl
from backscroll.errors import UnreadableMessage
from backscroll_langchain.history import ChatMessageHistory
from backscroll_langchain.messages import to_langchain
from backscroll_langchain.originals import OriginalRow, merged, moved_from, readable_of
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
        records = self._records(self.window)
        rows = self._rows(self._kept(records))
        if rows and self._needs_all(records):
            records = self._records(None)
        return self._joined(records, rows)

    async def aread(self) -> Found:
        """Async twin of `read`."""
        await self._open()
        records = await self._arecords(self.window)
        kept = self._kept(records)
        rows = [] if self._needs_no_look(kept) else await asyncio.to_thread(self._rows, kept)
        if rows and self._needs_all(records):
            records = await self._arecords(None)
        return self._joined(records, rows)

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
        rows = self._shared.original.rows(self.session_id, newest)
        if not rows:
            self._shared.remember_no_original(self.session_id)
        return rows

    @property
    def _looks_at_all(self) -> bool:
        """Whether `_look` gives all there is, where it is asked for all."""
        return True

    def _kept(self, records: list[Record | Unreadable]) -> list[Record | Unreadable]:
        """Those of our records that are to be read."""
        return records

    # What all of them do alike.

    async def _open(self) -> None:
        """Open the store where it is not, without holding up the loop."""
        if not self._shared.is_open:
            await asyncio.to_thread(getattr, self._shared, "store")

    def _records(self, newest: int | None) -> list[Record | Unreadable]:
        if newest is None:
            return [*self.store.iterate(self.session_id)]
        return self.store.last(self.session_id, newest)

    async def _arecords(self, newest: int | None) -> list[Record | Unreadable]:
        if newest is None:
            return [record async for record in self.store.aiterate(self.session_id)]
        return await self.store.alast(self.session_id, newest)

    def _needs_no_look(self, records: list[Record | Unreadable]) -> bool:
        """Whether the original has nothing to add, as far as is known without a look."""
        if self._shared.is_without_original(self.session_id):
            return True
        # What was not moved over of the original stands among what was, or behind it.
        return self._is_full(records) and not any(map(moved_from, records))

    def _needs_all(self, records: list[Record | Unreadable]) -> bool:
        """Whether more was moved over than is among these records."""
        return self._is_full(records) and any(map(moved_from, records))

    def _is_full(self, records: list[Record | Unreadable]) -> bool:
        return self.window is not None and len(records) >= self.window

    def _rows(self, records: list[Record | Unreadable]) -> list[OriginalRow]:
        """What of the original may have to be read beside these records."""
        if self._needs_no_look(records):
            return []
        return self._look(None if self.window is None or any(map(moved_from, records)) else self.window - len(records))

    def _joined(self, records: list[Record | Unreadable], rows: list[OriginalRow]) -> Found:
        """All of it, in order."""
        moved = {identity for record in records if (identity := moved_from(record))}
        if rows and self._looks_at_all and all(row.identity in moved for row in rows):
            self._shared.remember_no_original(self.session_id)
        found = [_found(each) for each in merged(rows, self._kept(records), moved)]
        return found if self.window is None else found[-self.window :]

    def _clear_original(self) -> None:
        self._shared.original.clear(self.session_id)


def _found(one: OriginalRow | Record | Unreadable) -> BaseMessage | UnreadableMessage:
    if isinstance(one, OriginalRow):
        return readable_of([one])[0]
    if isinstance(one, Unreadable):
        return UnreadableMessage(one.seq, one.reason)
    return to_langchain(one.message)


def _readable(found: Found) -> list[BaseMessage]:
    messages = []
    for one in found:
        if isinstance(one, UnreadableMessage):
            raise one
        messages.append(one)
    return messages
