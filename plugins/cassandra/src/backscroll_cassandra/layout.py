"""The shape of the tables, and the statements: texts and values in, and out. Imports no driver.

``message`` holds the bodies, partitioned by session and segment and clustered by seq; what is known of the session
stands beside them, in static columns of the segment that the next turn goes to. ``session`` is the index that lists
them. A session begins in segment 0, its head. A segment that is full is sealed in the batch of its last turn: `sealed`
then is the name of the one that follows, which nobody else will ever have, and its static columns change no more. The
head also lists all segments that follow it. Every write to ``message`` is conditional, so that all are in one order,
and no clock has a say in it.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple
from uuid import UUID
from zlib import crc32

import attrs

from backscroll.backend import Turn, Window

SCHEMA_VERSION: Final = 1
"""The version of this shape, which stands in the comments of the tables."""

HEAD: Final = 0
"""The name of a session's first segment."""

DELETED: Final = -1
"""What `sealed` says of the last segment of a session that is deleted."""

DROPPED: Final = -2
"""What `sealed` says of a segment in the middle that is gone: it must not be taken for one that is still to be made."""

SEGMENT_ROWS: Final = 4_096
"""With how many messages a segment is full."""

SEGMENT_BYTES: Final = 16 << 20
"""With how many bytes of bodies a segment is full."""

SHARDS: Final = 8
"""Over how many partitions the index is spread."""

MARK_SECONDS: Final = 86_400
"""How long it is kept in mind that a segment is gone: longer than anyone may still mean to make it."""

LONGEST_TTL: Final = 630_720_000
"""The longest time to live that Cassandra takes: 20 years of 365 days."""

LAST_EXPIRY: Final = 2_147_483_646_000_000
"""From when on Cassandra 4 and earlier let nothing expire (2038), in microseconds since 1970."""

LAST_SEQ: Final = (1 << 63) - 1
"""One more than any seq."""

COMMENT: Final = "backscroll "
"""What the comment of the table of messages says before the version."""

UNSET: Final = object()
"""Stands for a value that is left as it is: null would leave a tombstone."""


class Query(NamedTuple):
    """A statement with its values. The text names the tables as {message} and {session}."""

    text: str
    values: tuple[Any, ...] = ()


class Statics(NamedTuple):
    """The static columns of a segment, as they are stored; all None where there is no such segment."""

    incarnation: UUID | None = None
    """the turn with which the session began"""
    next_seq: int | None = None
    first_seq: int | None = None
    recent: bytes | None = None
    bytes: int | None = None
    """of the bodies in this segment"""
    sealed: int | None = None
    """the name of the segment that follows, or `DELETED`"""


ABSENT: Final = Statics()

# Writing to a segment.

_OF: Final = "WHERE session_id = ? AND segment = ?"
_AS_BEFORE: Final = " AND ".join(f"{name} = ?" for name in Statics._fields)
_CHANGED: Final = ", ".join(f"{name} = ?" for name in Statics._fields)

_SET: Final = f"UPDATE {{message}} SET {_CHANGED} {_OF} IF {_AS_BEFORE}"
_INSERT: Final = "INSERT INTO {message} (session_id, segment, seq, expires_at, body) VALUES (?, ?, ?, ?, ?) USING TTL ?"
_LIST_FIRST: Final = f"UPDATE {{message}} SET segments = segments + ? {_OF}"
_LIST: Final = f"{_LIST_FIRST} IF sealed = ?"
_UNLIST: Final = f"UPDATE {{message}} SET segments = segments - ? {_OF} IF sealed = ?"
_HOLD: Final = f"UPDATE {{message}} SET sealed = ? {_OF} IF sealed = ?"
_FADE: Final = f"UPDATE {{message}} USING TTL ? SET sealed = ? {_OF} IF sealed = ?"
_DROP_ROWS: Final = f"DELETE FROM {{message}} {_OF} AND seq < ?"
_DROP_ONE: Final = f"DELETE FROM {{message}} {_OF} AND seq = ? IF EXISTS"
_DROP_STATICS: Final = f"DELETE {', '.join(Statics._fields)}, segments FROM {{message}} {_OF}"
_DROP_SESSION: Final = f"{_DROP_STATICS} IF {_AS_BEFORE}"
_DROP_HEAD: Final = f"{_DROP_STATICS} IF sealed = ?"
_DROP_REST: Final = f"DELETE {', '.join(Statics._fields[:-1])} FROM {{message}} {_OF}"


def set_statics(session_id: str, segment: int, old: Statics, new: Statics) -> Query:
    """Bring the static columns of a segment from one state to another, if it still is in the first."""
    changed = (UNSET if value == before else value for before, value in zip(old, new, strict=True))
    return Query(_SET, (*changed, session_id, segment, *old))


def insert(session_id: str, segment: int, first_seq: int, turn: Turn) -> Iterable[Query]:
    """The messages of a turn; their time to live is that of the rows alone, since a counter must not expire."""
    ttl, expires_at = _ttl(turn), UNSET if turn.expires_at is None else turn.expires_at
    for seq, body in enumerate(turn.bodies, first_seq):
        yield Query(_INSERT, (session_id, segment, seq, expires_at, body, ttl))


def list_first(session_id: str, start: int, segment: int) -> Query:
    """Enter the segment that follows the head into its list, in the batch that seals the head."""
    return Query(_LIST_FIRST, ({start: segment}, session_id, HEAD))


def list_segment(session_id: str, start: int, segment: int, anchor: int) -> Query:
    """Enter a segment into the list of the head, if `anchor` still is what follows the head."""
    return Query(_LIST, ({start: segment}, session_id, HEAD, anchor))


def unlist(session_id: str, starts: Iterable[int], anchor: int) -> Query:
    """Strike segments off the list of the head, if `anchor` still is what follows the head."""
    return Query(_UNLIST, ({*starts}, session_id, HEAD, anchor))


def hold(session_id: str, segment: int, sealed: int) -> Query:
    """Change nothing, if a segment is sealed as it is meant to be: the condition for what is dropped from it."""
    return Query(_HOLD, (sealed, session_id, segment, sealed))


def fade(session_id: str, segment: int) -> Query:
    """Let the mark of a deleted session go by itself."""
    return Query(_FADE, (MARK_SECONDS, DELETED, session_id, segment, DELETED))


def drop_rows(session_id: str, segment: int, before: int) -> Query:
    """Drop the messages of a segment up to a seq."""
    return Query(_DROP_ROWS, (session_id, segment, before))


def drop_one(session_id: str, segment: int, seq: int) -> Query:
    """Drop a message, if it is there."""
    return Query(_DROP_ONE, (session_id, segment, seq))


def drop_session(session_id: str, old: Statics) -> Query:
    """Drop what is known of a session of one segment, if it still is in that state."""
    return Query(_DROP_SESSION, (session_id, HEAD, *old))


def drop_head(session_id: str, anchor: int) -> Iterable[Query]:
    """Drop the head of a session of several segments, by which it can begin anew."""
    yield Query(_DROP_HEAD, (session_id, HEAD, anchor))
    yield drop_rows(session_id, HEAD, LAST_SEQ)


def drop_segment(session_id: str, segment: int, sealed: int) -> Iterable[Query]:
    """Drop a sealed segment, and leave a mark that goes by itself."""
    yield Query(_FADE, (MARK_SECONDS, DROPPED, session_id, segment, sealed))
    yield Query(_DROP_REST, (session_id, segment))
    yield drop_rows(session_id, segment, LAST_SEQ)


# Reading a segment.

_STATICS: Final = (
    f"SELECT {', '.join(Statics._fields)}, segments, toUnixTimestamp(now()) FROM {{message}} {_OF} LIMIT 1"
)
_NEWEST: Final = f"SELECT seq, expires_at, body, sealed, incarnation, segments FROM {{message}} {_OF} LIMIT ?"
_BETWEEN: Final = f"SELECT seq, expires_at, body, sealed, incarnation FROM {{message}} {_OF} AND seq > ? AND seq < ?"
_DOWNWARD: Final = f"{_BETWEEN} ORDER BY seq DESC LIMIT ?"
_UPWARD: Final = f"{_BETWEEN} ORDER BY seq ASC LIMIT ?"
_EXPIRIES: Final = f"SELECT seq, expires_at FROM {{message}} {_OF} AND seq < ? LIMIT ?"
_SOME: Final = f"SELECT seq, expires_at FROM {{message}} {_OF} AND seq IN ?"


def statics(session_id: str, segment: int) -> Query:
    """Ask for the static columns of a segment, the list in the head, and the server's time in milliseconds."""
    return Query(_STATICS, (session_id, segment))


def is_of_all(window: Window) -> bool:
    """Whether a window is that of the newest messages, whose statement always tells what is known of its segment."""
    return window.newest and window.after is None and window.before is None


def rows(session_id: str, segment: int, window: Window, limit: int) -> Query:
    """Ask for messages of a segment, and what it says of itself; by the newest of all also where there are none."""
    if is_of_all(window):
        return Query(_NEWEST, (session_id, segment, limit))
    after = -1 if window.after is None else window.after
    before = LAST_SEQ if window.before is None else window.before
    return Query(_DOWNWARD if window.newest else _UPWARD, (session_id, segment, after, before, limit))


def expiries(session_id: str, segment: int, before: int, limit: int) -> Query:
    """Ask for the seqs of a segment and when they expire, downward."""
    return Query(_EXPIRIES, (session_id, segment, before, limit))


def some(session_id: str, segment: int, seqs: Iterable[int]) -> Query:
    """Ask which of some seqs there are, and when they expire."""
    return Query(_SOME, (session_id, segment, [*seqs]))


# The index. An entry is of one incarnation: striking off a deleted session never strikes off the one begun anew.

_ENTER: Final = "INSERT INTO {session} (shard, session_id, incarnation) VALUES (?, ?, ?)"
_STRIKE: Final = "DELETE FROM {session} WHERE shard = ? AND session_id = ? AND incarnation = ?"
_ENTRIES: Final = "SELECT incarnation FROM {session} WHERE shard = ? AND session_id = ?"
_NAMES_FROM: Final = "SELECT session_id FROM {session} WHERE shard = ? AND session_id >= ? GROUP BY session_id LIMIT ?"
_NAMES_AFTER: Final = "SELECT session_id FROM {session} WHERE shard = ? AND session_id > ? GROUP BY session_id LIMIT ?"


def enter(session_id: str, incarnation: UUID) -> Query:
    """Enter a session into the index."""
    return Query(_ENTER, (_shard(session_id), session_id, incarnation))


def strike(session_id: str, incarnation: UUID) -> Query:
    """Strike a session off the index."""
    return Query(_STRIKE, (_shard(session_id), session_id, incarnation))


def entries(session_id: str) -> Query:
    """Ask for the entries of a session in the index."""
    return Query(_ENTRIES, (_shard(session_id), session_id))


def names(shard: int, prefix: str, cursor: str | None, limit: int) -> Query:
    """Ask for the ids in a shard of the index, in the order of their UTF-8 bytes."""
    if cursor is None or cursor < prefix:
        return Query(_NAMES_FROM, (shard, prefix, limit))
    return Query(_NAMES_AFTER, (shard, cursor, limit))


PREPARED: Final = (
    *(
        _SET,
        _INSERT,
        _LIST_FIRST,
        _LIST,
        _UNLIST,
        _HOLD,
        _FADE,
        _DROP_ROWS,
        _DROP_ONE,
        _DROP_SESSION,
        _DROP_HEAD,
        _DROP_REST,
    ),
    *(_STATICS, _NEWEST, _DOWNWARD, _UPWARD, _EXPIRIES, _SOME),
    *(_ENTER, _STRIKE, _ENTRIES, _NAMES_FROM, _NAMES_AFTER),
)
"""All statements that are prepared."""

# Making the tables.


@attrs.frozen
class Tables:
    """The names of one set of tables.

    Args:
        keyspace: Where they are.
        prefix: What their names begin with.
    """

    keyspace: str
    prefix: str

    def filled(self, text: str) -> str:
        """A statement for these tables."""
        return text.format(message=self._named("message"), session=self._named("session"))

    def make_keyspace(self, replication: str) -> str:
        """Make the keyspace where it is missing."""
        return f'CREATE KEYSPACE IF NOT EXISTS "{self.keyspace}" WITH replication = {replication}'

    def make(self) -> tuple[str, ...]:
        """Make the tables where they are missing; that of the messages comes last, and tells the version."""
        return (
            (
                f"CREATE TABLE IF NOT EXISTS {self._named('session')} (shard int, session_id text, incarnation uuid, "
                "PRIMARY KEY (shard, session_id, incarnation))"
            ),
            (
                f"CREATE TABLE IF NOT EXISTS {self._named('message')} (session_id text, segment bigint, seq bigint, "
                "incarnation uuid static, next_seq bigint static, first_seq bigint static, recent blob static, "
                "bytes bigint static, sealed bigint static, segments map<bigint, bigint> static, expires_at bigint, "
                "body blob, PRIMARY KEY ((session_id, segment), seq)) WITH CLUSTERING ORDER BY (seq DESC) "
                f"AND comment = '{COMMENT}{SCHEMA_VERSION}'"
            ),
        )

    @property
    def keys(self) -> tuple[str, str]:
        """Under which names the server's own tables know the table of the messages."""
        return self.keyspace, f"{self.prefix}message"

    def _named(self, name: str) -> str:
        return f'"{self.keyspace}"."{self.prefix}{name}"'


def _shard(session_id: str) -> int:
    return crc32(session_id.encode()) % SHARDS


def _ttl(turn: Turn) -> Any:
    """After how many seconds the server may drop a turn; unset where it never may, or takes no time as long."""
    if turn.purge_in is None or turn.expires_at is None:
        return UNSET
    seconds = int(turn.purge_in) + 1
    latest = turn.expires_at + seconds * 1_000_000
    return seconds if seconds <= LONGEST_TTL and latest < LAST_EXPIRY else UNSET
