"""The shape of the data in Redis: keys, stored messages, and what is sent for each operation. Imports no driver.

Of a session there are a list with its messages and a hash with its version and its last turns. Each session belongs to
one of `SHARDS` shards, and each shard has an index of its sessions by id, one by the time at which something in them is
due, and a mark that tells its database from another. All keys of a shard share a hash tag, so that one script may touch
them in a cluster, too.
"""

import math
import secrets
from binascii import crc_hqx
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final, Generic, NamedTuple, TypeVar
from zlib import crc32

import attrs

from backscroll.backend import PAGE_BYTES, Appended, Page, Row, SessionInfo, SessionPage, Turn, Window
from backscroll.errors import (
    SchemaError,
    StorageError,
    TurnIdReused,
    Unavailable,
    VersionConflict,
    WindowExceeded,
)
from backscroll.values import from_microseconds
from backscroll_redis import scripts
from backscroll_redis.scripts import SCHEMA_VERSION, WINDOW, Script

R = TypeVar("R")

Command = tuple[bytes | str | int | float, ...]
Epochs = Mapping[bytes, bytes]
"""The mark of each shard by its key, as this process has seen it first; empty before that."""

SLOTS: Final = 16_384
"""Over how many slots a cluster spreads its keys."""

SHARDS: Final = 64
"""Over how many slots sessions are spread, evenly over the range of all slots."""

SESSIONS_AT_ONCE: Final = 1_000
"""How many sessions a page lists at the most."""

DUE_AT_ONCE: Final = 16
"""In how many sessions of a shard a call of `purge` looks."""

LOST: Final = "the server came back without its data, or with another's: look at it, then call setup() to go on"
"""What is said where a shard has not the mark that this process has seen."""

MOST_PLACES: Final = 1 << 48
"""More than there are seqs, and little enough for the numbers of Lua."""


def slot_of(key: bytes) -> int:
    """The slot of a key with a hash tag: CRC-16/XMODEM, as the Redis Cluster Specification has it."""
    return crc_hqx(key.partition(b"{")[2].partition(b"}")[0], 0) % SLOTS


def _tags() -> list[bytes]:
    """A hash tag for each shard, whose slot lies in its part of the range, so that masters get even shares."""
    found: dict[int, bytes] = {}
    for number in count():
        tag = b"{%d}" % number
        found.setdefault(slot_of(tag) * SHARDS // SLOTS, tag)
        if len(found) == SHARDS:
            break
    return [tag for _, tag in sorted(found.items())]


@attrs.frozen
class Shard:
    """What a part of the sessions has in common.

    Args:
        tag: What all its keys begin with.
        index: The key of its sessions.
        due: The key of its sessions with something to be purged, by time.
        schema: The key of the mark that tells one database from another.
    """

    tag: bytes
    index: bytes
    due: bytes
    schema: bytes


class Request(NamedTuple, Generic[R]):
    """A script to be run, and what becomes of its answer."""

    script: Script
    keys: tuple[bytes, ...]
    arguments: tuple[bytes | str | int, ...]
    answered: Callable[[list[Any]], R]

    def by_sha(self) -> Command:
        """The command where the server has the script."""
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.arguments)

    def by_text(self) -> Command:
        """The command that also gives it the script."""
        return ("EVAL", self.script.text, len(self.keys), *self.keys, *self.arguments)


class Queries(NamedTuple, Generic[R]):
    """A command for each shard, by a key of it, and what becomes of all their answers."""

    commands: tuple[tuple[bytes, Command], ...]
    answered: Callable[[list[Any]], R]


class Layout:
    """What is sent to a server.

    Args:
        prefix: What every key begins with.
    """

    def __init__(self, prefix: str) -> None:
        tags = [b"%s:%s:" % (prefix.encode(), tag) for tag in _tags()]
        self.shards: Final = [Shard(tag, tag + b"index", tag + b"due", tag + b"schema") for tag in tags]

    def _of(self, session_id: str) -> tuple[Shard, bytes, bytes]:
        """Its shard, its list and its hash: no prefix has braces, so that the first ones are the tag's."""
        encoded = session_id.encode()
        shard = self.shards[crc32(encoded) % SHARDS]
        return shard, shard.tag + b"messages:" + encoded, shard.tag + b"session:" + encoded

    def channel(self, session_id: str) -> bytes:
        """Where a new version is published."""
        return self._of(session_id)[1]

    def append(self, session_id: str, turn: Turn, since: int | None, epochs: Epochs) -> Request[Appended]:
        """Store a turn; `since` is when a copy of it may have been sent, in milliseconds by the server's clock."""
        shard, messages, session = self._of(session_id)
        # While a cluster moves a slot, a script runs on neither side where some of its keys are missing.
        due = () if turn.purge_in is None else (shard.due,)
        keys = messages, session, shard.index, shard.schema, *due
        arguments = (
            session_id.encode(),
            turn.turn_id.bytes + turn.digest,
            _or_none(since),
            _or_none(turn.expected_version),
            _or_none(turn.expires_at),
            "" if turn.purge_in is None else math.ceil(turn.purge_in * 1_000),
            messages,
            *turn.bodies,
        )
        return _request(scripts.APPEND, shard, epochs, keys, arguments, answered=lambda answer: _appended(answer, turn))

    def read(self, session_id: str, window: Window, epochs: Epochs) -> Request[Page]:
        """A page of messages."""
        shard, messages, _ = self._of(session_id)
        bounds = (_bound(window.after), _bound(window.before), window.limit, int(window.newest), PAGE_BYTES)
        return _request(scripts.READ, shard, epochs, (messages, shard.schema), bounds, answered=_page)

    def info(self, session_id: str, epochs: Epochs) -> Request[SessionInfo]:
        """What is known of a session."""
        shard, *own = self._of(session_id)

        def answered(answer: list[Any]) -> SessionInfo:
            version, first, landed = answer
            updated_at = from_microseconds(landed * 1_000) if version else None
            return SessionInfo(session_id, version, first, updated_at=updated_at)

        return _request(scripts.INFO, shard, epochs, (*own, shard.schema), (), answered=answered)

    def count(self, session_id: str, now: int, start: int, epochs: Epochs) -> Request[tuple[int, int]]:
        """How many of the next messages are live, and the seq to go on with, or -1."""
        shard, messages, _ = self._of(session_id)
        keys = messages, shard.schema
        return _request(
            scripts.COUNT, shard, epochs, keys, (now, start), answered=lambda answer: (answer[0], answer[1])
        )

    def remove(self, session_id: str, seqs: tuple[int, ...], now: int, epochs: Epochs) -> Request[tuple[int, ...]]:
        """Single messages; repeating the very same request answers the same."""
        shard, messages, _ = self._of(session_id)
        arguments: tuple[int | str, ...] = now, secrets.token_hex(4), *(seq for seq in seqs if seq < MOST_PLACES)
        keys = messages, shard.schema
        return _request(scripts.REMOVE, shard, epochs, keys, arguments, answered=lambda gone: tuple(map(int, gone)))

    def discard(self, session_id: str, before: int, epochs: Epochs) -> Request[None]:
        """The oldest messages."""
        shard, *own = self._of(session_id)
        return _request(
            scripts.DISCARD, shard, epochs, (*own, shard.schema), (min(before, MOST_PLACES),), answered=_nothing
        )

    def delete(self, session_id: str, before: int, epochs: Epochs) -> Request[None]:
        """A drained session."""
        shard, *own = self._of(session_id)
        keys = *own, shard.index, shard.due, shard.schema
        return _request(scripts.DELETE, shard, epochs, keys, (before, session_id.encode()), answered=_nothing)

    def sweep(self, session_id: str, start: int, earliest: str, epochs: Epochs) -> Request[tuple[int, int, str]]:
        """Purge a piece of a session; gives how many went, the seq to go on with or -1, and what comes next."""
        shard, messages, _ = self._of(session_id)
        keys = messages, shard.due, shard.schema

        def answered(answer: list[Any]) -> tuple[int, int, str]:
            return answer[0], answer[1], answer[2].decode()

        return _request(scripts.SWEEP, shard, epochs, keys, (session_id.encode(), start, earliest), answered=answered)

    def sessions(self, prefix: str, cursor: str | None, limit: int, epochs: Epochs) -> Queries[SessionPage]:
        """A page of the index."""
        limit = min(limit, SESSIONS_AT_ONCE)
        # What of a shard's share of the page may come by chance; where a shard has more, the page ends earlier.
        some = 4 + 2 * limit // SHARDS
        first, behind = prefix.encode(), None if cursor is None else cursor.encode()
        lower = b"[" + first if behind is None or behind < first else b"(" + behind
        # No id has the byte 255 in it.
        page = lower, b"(" + first + b"\xff", "LIMIT", 0, some
        indexes = ((shard.index, ("ZRANGEBYLEX", shard.index, *page)) for shard in self.shards)
        marks = self._marks if cursor is None else ()

        def answered(answers: list[Any]) -> SessionPage:
            if marks:
                self._compare(answers[:SHARDS], epochs)
            return _session_page(answers[len(marks) :], some, limit)

        return Queries((*marks, *indexes), answered)

    def sessions_due(self) -> Queries[list[str]]:
        """Sessions in which something may be purged."""
        text = scripts.DUE.text
        commands = ((shard.due, ("EVAL", text, 1, shard.due, DUE_AT_ONCE)) for shard in self.shards)
        return Queries(tuple(commands), lambda answers: [one.decode() for ids in answers for one in ids])

    def marks(self, epoch: bytes) -> Queries[None]:
        """Mark the shards that have no mark."""
        commands = ((shard.schema, ("SET", shard.schema, epoch, "NX")) for shard in self.shards)
        return Queries(tuple(commands), _nothing)

    def rights(self) -> Request[None]:
        """All that scripts do, done to a key of its own."""
        tag = self.shards[0].tag
        return Request(scripts.RIGHTS, (tag + b"rights",), (tag + b"messages:",), _nothing)

    def epochs(self) -> Queries[Epochs]:
        """The marks of all shards."""
        return Queries(self._marks, self._epochs)

    @property
    def _marks(self) -> tuple[tuple[bytes, Command], ...]:
        return tuple((shard.schema, ("GET", shard.schema)) for shard in self.shards)

    def _compare(self, found: list[bytes | None], epochs: Epochs) -> None:
        """See whether the marks still are those that this process has seen, if it has seen any.

        Raises:
            StorageError: One is not.
        """
        if epochs and any(epochs[shard.schema] != mark for shard, mark in zip(self.shards, found, strict=True)):
            raise StorageError(f"redis: {LOST}")

    def check(self, epochs: Epochs) -> Queries[str]:
        """See whether the marks still are those that this process has seen; what there is of them, in a few words."""

        def answered(answers: list[bytes | None]) -> str:
            self._compare(answers, epochs)
            marks = list(zip(self.shards, answers, strict=True))
            versions = {_version_of(shard, mark) for shard, mark in marks if mark is not None}
            if not versions:
                return "not there yet"
            lacking = answers.count(None)
            text = f"version {', '.join(map(str, sorted(versions)))}"
            return f"{text}, but for {lacking} of {SHARDS} shards" if lacking else text

        return Queries(self._marks, answered)

    def _epochs(self, answers: list[bytes | None]) -> Epochs:
        found: dict[bytes, bytes] = {}
        for shard, mark in zip(self.shards, answers, strict=True):
            if mark is None:
                raise Unavailable("redis: a mark that was just set is gone: was a master lost?")
            _version_of(shard, mark)
            found[shard.schema] = mark
        return found


def _version_of(shard: Shard, mark: bytes) -> int:
    """The version of the schema that a shard has.

    Raises:
        SchemaError: It is newer than this release, or another program's.
    """
    version = schema_version(mark)
    if version is None:
        raise SchemaError(
            f"redis: the key {shard.schema.decode()} is another program's: choose another one with prefix="
        )
    if version > SCHEMA_VERSION:
        raise SchemaError(f"redis: the schema is of version {version}: install a newer backscroll-redis")
    return version


def _session_page(answers: list[list[bytes]], some: int, limit: int) -> SessionPage:
    """The ids up to where a shard may have more; each shard that gave `some` of them may."""
    bound = min((ids[-1] for ids in answers if len(ids) == some), default=None)
    found = sorted(one for ids in answers for one in ids if bound is None or one <= bound)
    ids = tuple(one.decode() for one in found[:limit])
    return SessionPage(ids, ids[-1] if bound is not None or len(found) > limit else None)


def _request(
    script: Script,
    shard: Shard,
    epochs: Epochs,
    keys: tuple[bytes, ...],
    arguments: tuple[bytes | str | int, ...],
    *,
    answered: Callable[[list[Any]], R],
) -> Request[R]:
    """A script that looks first whether the shard still is the one that this process has seen."""
    return Request(script, keys, (epochs.get(shard.schema, b""), *arguments), lambda answer: answered(_known(answer)))


def _or_none(value: int | None) -> int | str:
    return "" if value is None else value


def _bound(seq: int | None) -> int | str:
    return "" if seq is None else min(seq, MOST_PLACES)


def _nothing(answer: object) -> None:
    """Nothing."""


def _known(answer: list[Any]) -> list[Any]:
    """An answer of a server that still has what it had."""
    if answer[:1] == [b"epoch"]:
        raise StorageError(f"redis: {LOST}")
    return answer


def _appended(answer: list[Any], turn: Turn) -> Appended:
    status, *told = answer
    match status:
        case b"stored":
            first = told[0] - len(turn.bodies)
            return Appended(told[0], tuple(range(first, told[0])), turn.turn_id)
        case b"duplicate":
            end = told[0] + told[1]
            return Appended(end, tuple(range(told[0], end)), turn.turn_id, duplicate=True)
        case b"conflict":
            raise VersionConflict(turn.expected_version or 0, told[0])
        case b"reused":
            raise TurnIdReused(turn.turn_id)
        case b"window":
            raise WindowExceeded(f"{WINDOW} other turns were appended since this one was first tried")
        case b"schema":
            raise SchemaError("redis: the schema is of another version: install a backscroll-redis that knows it")
    raise SchemaError("redis: there is no schema yet: call setup(), or run: backscroll setup URL")


def _page(answer: list[Any]) -> Page:
    more, *messages = answer
    rows = [row for row in map(_row, messages) if row]
    return Page(rows, _seq(messages[-1]) if more else None)


def _row(message: bytes) -> Row | None:
    """A stored message; None for what was removed."""
    parts = message.split(b":", 3)
    if len(parts) == 1:
        return None
    seq, expires_at, _, body = parts
    return Row(int(seq), int(expires_at) if expires_at else None, body)


def _seq(message: bytes) -> int:
    return int(message.partition(b":")[0].partition(b"-")[0])


def new_epoch() -> bytes:
    """What marks a database as ours, and tells it from one that comes in its place."""
    return f"{SCHEMA_VERSION} {secrets.token_hex(8)}".encode()


def schema_version(epoch: bytes) -> int | None:
    """The version of the schema that an epoch belongs to; None where it is none."""
    number, _, token = epoch.partition(b" ")
    return int(number) if number.isdigit() and token else None
