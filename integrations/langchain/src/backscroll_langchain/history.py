"""`ChatMessageHistory`, LangChain's chat history on any store."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage, get_buffer_string

from backscroll import Store
from backscroll.arguments import checked_limit
from backscroll_langchain.messages import from_langchain_all, to_langchain

if TYPE_CHECKING:
    Base = object
else:
    try:
        from langchain_core.chat_history import BaseChatMessageHistory as Base
    except ImportError:  # langchain-core 2 has it no more, and whoever calls these methods does not ask for it
        Base = object


class ChatMessageHistory(Base):
    """One session of a store, as LangChain sees it; constructing it does no I/O.

    It has all of LangChain's ``BaseChatMessageHistory``, of which it is a subclass as long as there is one. The store
    serves any number of sessions and is not closed with them.

    Args:
        store: Where the messages are.
        session_id: The session.
        window: How many of the newest messages `messages` reads; None for all.

    Raises:
        InvalidArgument: A window that is no whole number of at least 1.

    Example:
        >>> import backscroll
        >>> with backscroll.open("sqlite://") as store:
        ...     history = ChatMessageHistory(store, "greeting")
        ...     history.add_user_message("hi!")
        ...     history.add_ai_message("what's up?")
        ...     print(history)
        Human: hi!
        AI: what's up?
    """

    def __init__(self, store: Store, session_id: str, *, window: int | None = None) -> None:
        self._store = store
        self._ttl: float | None = None
        self.session_id = session_id
        self.window = window

    def __repr__(self) -> str:
        return f"<ChatMessageHistory of {self.session_id!r} in {self.store!r}>"

    def __str__(self) -> str:
        return text_of(self.messages)

    @property
    def store(self) -> Store:
        """Where the messages are."""
        return self._store

    @property
    def window(self) -> int | None:
        """How many of the newest messages are read; None for all."""
        return self._window

    @window.setter
    def window(self, value: int | None) -> None:
        self._window = None if value is None else checked_limit(value, "window")

    @property
    def messages(self) -> list[BaseMessage]:
        """The messages, in order: all, or the newest ones of the window.

        Raises:
            UnreadableMessage: One is damaged; ``store.read`` returns the others.
        """
        history = self.store.history(self.session_id)
        found = history.messages if self.window is None else history.last(self.window)
        return [to_langchain(message) for message in found]

    async def aget_messages(self) -> list[BaseMessage]:
        """Async twin of `messages`."""
        history = self.store.history(self.session_id)
        found = await (history.amessages() if self.window is None else history.alast(self.window))
        return [to_langchain(message) for message in found]

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add the messages of a turn: all of them, contiguous and in order, or none.

        Raises:
            InvalidMessage: One cannot be stored exactly; nothing was sent.
        """
        if turn := from_langchain_all(messages):
            self.store.append(self.session_id, turn, ttl=self._ttl)

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Async twin of `add_messages`."""
        if turn := from_langchain_all(messages):
            await self.store.aappend(self.session_id, turn, ttl=self._ttl)

    def add_message(self, message: BaseMessage) -> None:
        """Add one message, as a turn of its own."""
        self.add_messages([message])

    def add_user_message(self, message: HumanMessage | str) -> None:
        """Add what the user said, as a turn of its own."""
        self.add_message(HumanMessage(message) if isinstance(message, str) else message)

    def add_ai_message(self, message: AIMessage | str) -> None:
        """Add what the model said, as a turn of its own."""
        self.add_message(AIMessage(message) if isinstance(message, str) else message)

    def clear(self) -> None:
        """Drop all messages that are there now."""
        self.store.clear(self.session_id)

    async def aclear(self) -> None:
        """Async twin of `clear`."""
        await self.store.aclear(self.session_id)


def text_of(messages: Iterable[BaseMessage]) -> str:
    """A line for each message; none for one that removes another, which LangChain's own function refuses."""
    return get_buffer_string([message for message in messages if not isinstance(message, RemoveMessage)])
