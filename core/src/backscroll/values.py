"""The values that `Store` gives back."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import attrs

from backscroll.message import Message

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_microseconds(microseconds: int) -> datetime:
    """The time, in UTC, that lies this many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


@attrs.frozen
class Appended:
    """The answer to an append: the turn is stored.

    Args:
        version: The session's version right after this turn: one past its last seq.
        seqs: The places of the turn's messages, in their order.
        turn_id: The id under which repeating the append is harmless.
        duplicate: True where an earlier append with the caller's turn_id had stored the turn already, so that
            nothing was added; after a retry underneath, that may have been this very call.
    """

    version: int
    seqs: tuple[int, ...]
    turn_id: UUID
    duplicate: bool = False


@attrs.frozen
class Record:
    """A stored message with its place.

    Args:
        seq: Its place in the session; only grows, never used again.
        turn_id: The id of the turn that it came with.
        stored_at: When it was first sent, by the writer's clock; UTC, in microseconds.
        expires_at: From when on it is no longer read; None for never.
        message: The message itself.
    """

    seq: int
    turn_id: UUID
    stored_at: datetime
    expires_at: datetime | None
    message: Message


@attrs.frozen
class Unreadable:
    """A record that is there but cannot be read; its neighbours do not care.

    Args:
        seq: Its place in the session.
        reason: What is wrong with it.
        body: The stored bytes as they are.
    """

    seq: int
    reason: str
    body: bytes = attrs.field(repr=False)


@attrs.frozen
class SessionInfo:
    """What a backend knows of a session without looking at its messages.

    Args:
        session_id: The session.
        version: One past the newest seq ever given; 0 where none is known.
        first_seq: No message lies before this seq.
        count: The number of stored messages, where it costs nothing; else None.
        updated_at: When the last turn was stored, by the server's clock, where that costs nothing; else None.
    """

    session_id: str
    version: int
    first_seq: int
    count: int | None = None
    updated_at: datetime | None = None


@attrs.frozen
class SessionPage:
    """Some of the sessions of a store; iterating gives their ids.

    Args:
        session_ids: The ids; a page may be short, even empty, with more behind it.
        cursor: What to give to the next call; None where there are no more.
    """

    session_ids: tuple[str, ...]
    cursor: str | None

    def __iter__(self) -> Iterator[str]:
        return iter(self.session_ids)


@attrs.frozen
class Health:
    """The answer to `ping` and `setup`: the database answers, and this is how it is set.

    Args:
        server: The server's name and version.
        problems: Where its settings fall short of what the backend claims, with the next step; empty is good.
    """

    server: str
    problems: tuple[str, ...] = ()
