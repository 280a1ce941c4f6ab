"""`BackscrollSession`, a session of the Agents SDK on any store."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final, Literal

from agents import TResponseInputItem
from agents.memory import SessionSettings

from backscroll import Record, Store, Unreadable
from backscroll.errors import InvalidArgument, Unavailable, UnreadableMessage, Unsupported
from backscroll_openai_agents.items import from_items, to_items

TRIES: Final = 1_000
"""How often `BackscrollSession.pop_item` tries while others take the newest item before it."""

PAGE: Final = 1_000
"""How many messages are read at once where all are wanted."""


class BackscrollSession:
    """One session of a store, as the Agents SDK sees it; constructing it does no I/O.

    It is what the SDK's protocol ``Session`` asks for. The store serves any number of sessions and is not closed with
    them; two objects with one id are the same session.

    Args:
        session_id: The session: any non-empty string of up to 512 bytes of UTF-8.
        store: Where the items are.
        session_settings: The SDK's settings: how many items `get_items` reads where it is not told; all by default.
        ttl: After how many seconds (or a timedelta) each item is no longer read; None for never.
        on_damaged: What `get_items` and `pop_item` do about a damaged item: "raise", or "skip" to go on with the
            others, which leaves the damaged one where it is.

    Raises:
        InvalidArgument: The id is no session id.
        ValueError: Another `on_damaged`.

    Example:
        >>> import asyncio, backscroll
        >>> async def turn():
        ...     async with backscroll.open("sqlite://") as store:
        ...         session = BackscrollSession("greeting", store)
        ...         await session.add_items([{"role": "user", "content": "hi!"}])
        ...         return await session.get_items()
        >>> asyncio.run(turn())
        [{'role': 'user', 'content': 'hi!'}]
    """

    def __init__(
        self,
        session_id: str,
        store: Store,
        *,
        session_settings: SessionSettings | dict[str, Any] | None = None,
        ttl: float | timedelta | None = None,
        on_damaged: Literal["raise", "skip"] = "raise",
    ) -> None:
        if on_damaged not in {"raise", "skip"}:
            raise ValueError(f"on_damaged is 'raise' or 'skip', not {on_damaged!r}")
        self.session_id: str = store.history(session_id).session_id
        self.store = store
        if isinstance(session_settings, dict):
            session_settings = SessionSettings(**session_settings)
        self.session_settings: SessionSettings | None = session_settings or SessionSettings()
        self.ttl = ttl
        self.on_damaged = on_damaged

    def __repr__(self) -> str:
        return f"<BackscrollSession of {self.session_id!r} in {self.store!r}>"

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """The newest items, in order.

        Args:
            limit: How many; None for what `session_settings` say, and all where they say nothing. 0 for none.

        Raises:
            InvalidArgument: The limit is no whole number.
            UnreadableMessage: One is damaged; ``store.read`` returns the others, and so does ``on_damaged="skip"``.
        """
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        if limit is None:
            return await self._all_items()
        if type(limit) is not int:
            raise InvalidArgument(f"limit: must be a whole number, or None, not {type(limit).__name__}")
        items: list[TResponseInputItem] = []
        before = None
        while len(items) < limit:
            page = await self.store.aread(self.session_id, before=before, limit=limit, newest=True)
            items = self._items(page) + items
            if len(page) < limit:
                break
            before = page[0].seq
        return items[-limit:]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Add the items of a turn: all of them, contiguous and in order, or none.

        Raises:
            InvalidMessage: One cannot be stored exactly; nothing was sent.
            MessageTooLarge: One, or all together, are over a limit of the store; nothing was sent.
            OutcomeUnknown: Stored or not, nobody can tell; ``store.append`` with its turn_id repeats it.
        """
        if items:
            await self.store.aappend(self.session_id, from_items(items), ttl=self.ttl)

    async def pop_item(self) -> TResponseInputItem | None:
        """Remove the newest item and return it; None where there is none.

        Of several who pop at the same time, each gets another item.

        Raises:
            UnreadableMessage: The newest is damaged; nothing was removed.
            Unsupported: The database cannot remove single messages, or the newest is another program's and stands for
                several items; nothing was removed.
            OutcomeUnknown: Removed or not, nobody can tell.
        """
        for _ in range(TRIES):
            newest = await self._newest()
            if newest is None:
                return None
            seq, items = newest
            if len(items) > 1:
                what = f"popping one of the {len(items)} items for which the message at seq {seq} stands"
                raise Unsupported(self.store.backend, what, "take it out whole, with Store.remove")
            # Read before it is removed, and returned only by the one who really removed it.
            if seq in await self.store.aremove(self.session_id, [seq]):
                return items[0]
        raise Unavailable(f"pop_item: others took the newest item first, {TRIES:,} times: try again")

    async def clear_session(self) -> None:
        """Drop all items that are there now."""
        await self.store.aclear(self.session_id)

    async def _all_items(self) -> list[TResponseInputItem]:
        # Not by aiterate: the SDK's run_sync ends its loop's generators each time, and then uses the loop again.
        items: list[TResponseInputItem] = []
        after = None
        while page := await self.store.aread(self.session_id, after=after, limit=PAGE):
            items += self._items(page)
            after = page[-1].seq
            if len(page) < PAGE:
                break
        return items

    async def _newest(self) -> tuple[int, list[TResponseInputItem]] | None:
        """The place of the newest message that counts, and the items for which it stands."""
        before = None
        while page := await self.store.aread(self.session_id, before=before, limit=1, newest=True):
            before = page[0].seq
            if items := self._items(page):
                return before, items
        return None

    def _items(self, records: Iterable[Record | Unreadable]) -> list[TResponseInputItem]:
        """The items for which these stand, without damaged ones where those are to be skipped."""
        items: list[TResponseInputItem] = []
        for record in records:
            try:
                items += _items_of(record)
            except UnreadableMessage:
                if self.on_damaged == "raise":
                    raise
        return items


def _items_of(record: Record | Unreadable) -> list[TResponseInputItem]:
    if isinstance(record, Unreadable):
        raise UnreadableMessage(record.seq, record.reason)
    try:
        return to_items(record.message)
    except ValueError as error:
        raise UnreadableMessage(record.seq, str(error)) from error
