"""What LangChain's own classes wrote to a database, as it is read; nothing here writes in their form."""

import json
import re
from collections.abc import Container, Iterable, Iterator
from hashlib import blake2b
from typing import Any, Final, Protocol

import attrs
from langchain_core.messages import BaseMessage, ChatMessage, messages_from_dict
from pydantic import ValidationError

from backscroll import Message, Record, Unreadable
from backscroll.errors import UnreadableMessage

_BEGINS: Final = re.compile(r'\{"type": "[^"]*", "data": \{')

MOVED: Final = "langchain_original"
"""The key in `Message.extra` of a message that was moved over: the identity of the original's row."""


@attrs.frozen
class OriginalRow:
    """A message as the original stored it.

    Args:
        place: Where it stands, as a person would look for it, for example ``list 'message_store:alice', element 3``.
            The same row has the same place at every look, whatever comes before or after it. No secret, no address.
        text: The JSON that the original wrote: ``{"type": "human", "data": {…}}``.
        within: What tells that in which it stands from another of the same name; empty where nothing does.
    """

    place: str
    text: str
    within: str = ""

    @property
    def identity(self) -> str:
        """Its place, and a digest of its text: after the original was cleared, its places are given to other rows.

        Example:
            >>> OriginalRow("row 1", "{}").identity
            'row 1, 01e7b720ff566d53'
        """
        # A database may hold half a surrogate pair, which is a damaged row, and has its identity all the same.
        digest = blake2b(self.text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        return ", ".join(filter(None, (self.place, self.within, digest)))


class Original(Protocol):
    """What one of LangChain's own classes wrote to a database.

    Errors of the driver are told as backscroll's own (`Unavailable`, `StorageError`), without addresses and secrets.
    Where the original's table, topic or keyspace is missing, there are no rows. Any thread may call any method.
    """

    def place_prefix(self, session_id: str) -> str:
        """What the places of a session's rows begin with."""

    def rows(self, session_id: str, newest: int | None = None) -> list[OriginalRow]:
        """The rows of a session, oldest first: all, or only the newest so many."""

    def clear(self, session_id: str) -> None:
        """Drop the rows of a session, and nothing else."""

    def session_ids(self) -> Iterator[str | None]:
        """Each session that has rows, once; what is in memory does not grow with the messages.

        Also those that no store takes: an empty id, one with surrogates in place of bytes that are no UTF-8, and None
        for rows that name no session.

        Raises:
            StorageError: The original's table or keyspace is missing.
        """

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


def begins_as_its(text: str) -> bool:
    """Whether a text begins as every message does that the original wrote.

    Example:
        >>> begins_as_its('{"type": "human", "data": {"content": "hi!"}}'), begins_as_its('{"type": "order", "id": 7}')
        (True, False)
    """
    return _BEGINS.match(text) is not None


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
    return attrs.evolve(message, extra={**(message.extra or {}), MOVED: row.identity})


def moved_from(record: Record | Unreadable) -> str | None:
    """The identity of the row that a record was moved over from; None for one that was not, or is damaged."""
    found = None if isinstance(record, Unreadable) else (record.message.extra or {}).get(MOVED)
    return found if isinstance(found, str) else None


def merged(
    rows: Iterable[OriginalRow], records: Iterable[Record | Unreadable], moved: Container[str]
) -> Iterator[OriginalRow | Record | Unreadable]:
    """Records of a session, and what of the original was not moved over where a reader expects it.

    A row comes behind the record of the last row before it that was moved; the first ones, before that of the first.
    Where nothing of what was moved is left in the original, it comes behind all that was. What nobody moved over, as a
    drop-in adds it, is newer than all rows.

    Args:
        rows: The original's, oldest first.
        records: What is stored, which may be read while this is; all or some.
        moved: The identities of all rows that were moved over, also of those whose records are not among these.
    """
    before, behind, others = _beside(rows, moved)
    for record in records:
        identity = moved_from(record)
        if identity is None and isinstance(record, Record):
            yield from _taken(before, behind, others)
        elif identity is not None:
            yield from before.pop(identity, ())
        yield record
        if identity is not None:
            yield from behind.pop(identity, ())
    yield from _taken(before, behind, others)


Beside = dict[str, list[OriginalRow]]


def _beside(rows: Iterable[OriginalRow], moved: Container[str]) -> tuple[Beside, Beside, Beside]:
    """What comes before and behind the record of each identity, and what comes behind all, under the empty one."""
    before: Beside = {}
    behind: Beside = {}
    first: list[OriginalRow] = []
    last = ""
    for row in rows:
        if (identity := row.identity) in moved:
            if not last and first:
                before[identity], first = first, []
            last = identity
        else:
            (behind.setdefault(last, []) if last else first).append(row)
    return before, behind, {"": first} if first else {}


def _taken(*all_beside: Beside) -> Iterator[OriginalRow]:
    """What is left of these; nothing is left then."""
    for beside in all_beside:
        for rows in [*beside.values()]:
            yield from rows
        beside.clear()


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
