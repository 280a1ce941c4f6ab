"""What LangChain's own classes wrote to a database, as it is read; nothing here writes in their form."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

import attrs
from langchain_core.messages import BaseMessage, ChatMessage, messages_from_dict
from pydantic import ValidationError

from backscroll import Message
from backscroll.errors import UnreadableMessage

BEGINS: Final = '{"type": "'
"""How every message begins that the original wrote."""

MOVED: Final = "langchain_original"
"""The key in `Message.extra` of a message that was moved over: where the original had it."""


@attrs.frozen
class OriginalRow:
    """A message as the original stored it.

    Args:
        place: Where it stands, as a person would look for it, for example ``list 'message_store:alice', element 3``.
            The same row has the same place at every look, whatever comes before or after it. No secret, no address.
        text: The JSON that the original wrote: ``{"type": "human", "data": {…}}``.
    """

    place: str
    text: str


class Original(Protocol):
    """What one of LangChain's own classes wrote to a database.

    Errors of the driver are told as backscroll's own (`Unavailable`, `StorageError`), without addresses and secrets.
    Where the original's table, topic or keyspace is missing, there are no rows. Any thread may call any method.
    """

    def rows(self, session_id: str, newest: int | None = None) -> list[OriginalRow]:
        """The rows of a session, oldest first: all, or only the newest so many."""

    def clear(self, session_id: str) -> None:
        """Drop the rows of a session, and nothing else."""

    def session_ids(self) -> Iterator[str]:
        """Each session that has rows, once; what is in memory does not grow with the messages."""

    def close(self) -> None:
        """Release what this object opened itself."""


class UnreadableOriginal(UnreadableMessage):
    """A row of the original is damaged.

    Attributes:
        place: Where it stands.
        reason: What is wrong with it.
        seq: -1, since it is no record of a store.
    """

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(-1, reason)
        self.args = (place, reason)
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: what LangChain's class wrote is unreadable ({self.reason}): read() returns the others"


def as_text(stored: Any) -> str:
    """What a driver gives for the text of a message; bytes that are no UTF-8 are told when the message is read."""
    return stored.decode("utf-8", "surrogateescape") if isinstance(stored, bytes) else str(stored)


def messages_of(rows: Iterable[OriginalRow]) -> list[BaseMessage]:
    """The messages of these rows.

    Raises:
        UnreadableOriginal: One is damaged; `readable_of` gives the others.
    """
    return [message_of(row) for row in rows]


def readable_of(rows: Iterable[OriginalRow]) -> list[BaseMessage | UnreadableMessage]:
    """The messages of these rows, and in the place of each that is damaged what is wrong with it."""
    return [_readable(row) for row in rows]


def message_of(row: OriginalRow) -> BaseMessage:
    """The message of a row.

    A type that the installed langchain-core does not know becomes a `ChatMessage` with all that was kept of it in its
    ``additional_kwargs``.

    Raises:
        UnreadableOriginal: It is damaged.

    Example:
        >>> message_of(OriginalRow("row 1", '{"type": "human", "data": {"content": "hi!"}}'))
        HumanMessage(content='hi!', ...)
    """
    kept = _kept(row)
    problem = ""
    try:
        return messages_from_dict([kept])[0]
    except ValidationError as error:
        fields = {".".join(map(str, ("data", *one["loc"][:1]))) for one in error.errors(include_input=False)}
        problem = f"not as a message of the type {kept['type']!r} has it: {', '.join(sorted(fields))}"
    except ValueError:
        return _unknown(kept)
    except (TypeError, KeyError, AttributeError) as error:
        problem = f"not as a message of the type {kept['type']!r} has it ({type(error).__name__})"
    # Raised behind the handlers, because the errors that they handle hold what was written.
    raise UnreadableOriginal(row.place, problem)


def moved(message: Message, row: OriginalRow) -> Message:
    """A message that is about to be moved over from this row: a drop-in does not read the row beside it then."""
    return attrs.evolve(message, extra={**(message.extra or {}), MOVED: row.place})


def place_moved(message: Message) -> str | None:
    """Where the original had a message that was moved over; None for one that was not."""
    place = (message.extra or {}).get(MOVED)
    return place if isinstance(place, str) else None


def not_moved(rows: Sequence[OriginalRow], places: Collection[str]) -> list[OriginalRow]:
    """The rows behind the last one that was moved over, given where those that were have been."""
    for number in reversed(range(len(rows))):
        if rows[number].place in places:
            return list(rows[number + 1 :])
    return list(rows)


def _readable(row: OriginalRow) -> BaseMessage | UnreadableMessage:
    try:
        return message_of(row)
    except UnreadableOriginal as error:
        return error


def _kept(row: OriginalRow) -> dict[str, Any]:
    """The mapping that the original wrote."""
    problem, kept = "", None
    try:
        row.text.encode()
        kept = json.loads(row.text)
    except UnicodeEncodeError:
        problem = "it is not UTF-8"
    except (ValueError, RecursionError):
        problem = "it is not JSON"
    if problem:
        raise UnreadableOriginal(row.place, problem)
    if not isinstance(kept, dict) or not isinstance(kept.get("type"), str) or not isinstance(kept.get("data"), dict):
        raise UnreadableOriginal(row.place, "it is not an object with the keys type and data")
    return kept


def _unknown(kept: dict[str, Any]) -> ChatMessage:
    """A message of a type that nothing here knows, to be read all the same."""
    data = kept["data"]
    content, role = data.get("content"), data.get("role")
    return ChatMessage(
        content=content if isinstance(content, str) else "",
        role=role if isinstance(role, str) else kept["type"],
        additional_kwargs=kept,
    )
