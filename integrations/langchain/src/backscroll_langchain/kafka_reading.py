"""Reading a session onward from its position, and moving that."""

from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto
from functools import partial
from typing import Final

import attrs
from langchain_core.messages import BaseMessage

from backscroll import Record, Store, Unreadable
from backscroll.backend import Deadline
from backscroll.errors import StorageError, Unavailable, UnreadableMessage, VersionConflict, WindowExceeded
from backscroll_kafka import SHIFT
from backscroll_langchain.kafka_beside import Beside, Move, Session
from backscroll_langchain.kafka_deadlines import left
from backscroll_langchain.kafka_original import Unread, Where, place_of
from backscroll_langchain.kafka_positions import Position, Positions
from backscroll_langchain.messages import to_langchain
from backscroll_langchain.originals import OriginalRow, not_moved, place_moved, readable_of
from backscroll_langchain.sharing import Shared

AT_ONCE: Final = 1_000
"""How many records are read at once, at the most."""

Step = tuple[BaseMessage | UnreadableMessage | None, Position]
"""A message, what is wrong with one that is damaged, or None for one that was read before; and the position behind."""


class Begin(Enum):
    """Where reading begins."""

    LAST = auto()
    BEGINNING = auto()
    LATEST = auto()


class Reading:
    """One look at a session.

    Args:
        shared: The store, and what is beside it.
        beside: The latter.
        prefix: What the names of the sessions' topics begin with.
        session_id: The session.
        deadline: By when.
    """

    def __init__(self, shared: Shared, beside: Beside, prefix: str, session_id: str, deadline: Deadline) -> None:
        self._shared = shared
        self._store: Store = shared.store
        self._beside = beside
        self._positions = Positions(beside.cluster, beside.claims.get(), prefix, session_id)
        self._session_id = session_id
        self._deadline = deadline

    def take(self, begin: Begin, most: int | None, give: Callable[[list[BaseMessage]], bool]) -> None:
        """Give somebody the messages from somewhere on; the position is behind them then.

        Args:
            begin: From where on.
            most: How many at the most; None for all.
            give: Gives them; says whether there is anybody. If not, the next reader of this process gets them.

        Raises:
            UnreadableMessage: The first of them is damaged; the position stays where it was.
        """
        with self._beside.session(self._session_id, self._deadline) as session:
            self._settle(session)
            held = session.left if begin is Begin.LAST else []
            if begin is Begin.LAST and most is not None and len(held) >= most:
                found, rest = held[:most], held[most:]
            else:
                found, rest = held + self._moved(session, begin, most if most is None else most - len(held)), []
            session.left = rest if give(found) else found + rest

    def _settle(self, session: Session) -> None:
        """Find out about the last move, if its outcome was unknown; what it moved past is left to be given."""
        if (move := session.move) is not None:
            try:
                version = self._positions.claim(move.position, move.turn_id, move.version, self._deadline)
            except (VersionConflict, WindowExceeded):
                version = 0
            if version and self._positions.known(self._deadline).version == version:
                self._positions.commit(move.position, version, self._deadline)
            if version or self._positions.is_claimed(move.turn_id, self._deadline):
                session.left += move.found
            session.move = None

    def _moved(self, session: Session, begin: Begin, most: int | None) -> list[BaseMessage]:
        while True:
            known = self._positions.known(self._deadline)
            start = self._start(begin, known.position)
            found, position = self._read(start, 0 if begin is Begin.LATEST else most)
            if position == (start if begin is Begin.LAST else known.position):
                return found
            session.move = Move(found, position, known.version)
            try:
                version = self._positions.claim(position, session.move.turn_id, known.version, self._deadline)
            except VersionConflict:
                session.move = None
                continue
            except (Unavailable, StorageError):
                session.move = None  # everything else leaves it open whether it was claimed
                raise
            self._positions.commit(position, version, self._deadline)
            session.move = None
            return found

    def _start(self, begin: Begin, known: Position | None) -> Position:
        if begin is Begin.LATEST:
            version = self._store.version(self._session_id, timeout=left(self._deadline))
            end = self._beside.end(self._session_id, self._deadline)
            return Position(version - 1, _behind(version - 1), end)
        if begin is Begin.BEGINNING:
            return Position()
        if known is None and not self._shared.is_without_original(self._session_id):
            return Position(original=self._beside.left_at(self._session_id, self._deadline))
        return known or Position()

    def _unread(self, where: Where) -> Unread | None:
        """What of the original was not read; that there is nothing of it is remembered."""
        if self._shared.is_without_original(self._session_id):
            return None
        unread = self._beside.unread(self._session_id, where, self._deadline)
        if unread is None:
            self._shared.remember_no_original(self._session_id)
        return unread

    def _read(self, start: Position, most: int | None) -> tuple[list[BaseMessage], Position]:
        """Messages from a position on, up to a damaged one, and the position behind them."""
        found: list[BaseMessage] = []
        position = start
        for message, behind in self._steps(start, most) if most != 0 else ():
            if isinstance(message, UnreadableMessage):
                if not found:
                    raise message
                break
            position = behind
            if message is not None:
                found.append(message)
                if len(found) == most:
                    break
        return found, position

    def _steps(self, start: Position, most: int | None) -> Iterator[Step]:
        """What is behind a position, and the positions behind that; about so many are asked for at first.

        What was moved over from the original is stored here, and read here; what the original got after that, is newer.
        """
        unread = self._unread(start.original)
        rows = unread.rows if unread else []
        places = self._places() if rows else set()
        fresh = {row.place for row in not_moved([row for row, _, _ in rows], places)}
        if rows and not fresh:
            self._shared.remember_no_original(self._session_id)
        position = start if unread is None else attrs.evolve(start, original=unread.where)
        older = [each for each in rows if each[0].place in fresh]
        many = AT_ONCE if most is None else min(AT_ONCE, most + 1)
        parts: list[Callable[[Position], Iterator[Step]]] = [
            partial(_originals, older),
            partial(_ours, self._records(start.after, many)),
        ]
        for part in reversed(parts) if places else parts:
            for message, behind in part(position):
                position = behind
                yield message, behind

    def _records(self, after: int, many: int) -> Iterator[Record | Unreadable]:
        while True:
            bound = None if after < 0 else after
            records = self._store.read(self._session_id, after=bound, limit=many, timeout=left(self._deadline))
            yield from records
            if len(records) < many:
                return
            after, many = records[-1].seq, AT_ONCE

    def _places(self) -> set[str]:
        """Where the original had what was moved over."""
        records = self._store.iterate(self._session_id, timeout=left(self._deadline))
        return {place for record in records if isinstance(record, Record) and (place := place_moved(record.message))}


def _originals(rows: Iterable[tuple[OriginalRow, int, int]], position: Position) -> Iterator[Step]:
    where = position.original
    for row, partition, offset in rows:
        where = where.behind(partition, offset)
        yield readable_of([row])[0], attrs.evolve(position, original=where)


def _ours(records: Iterator[Record | Unreadable], position: Position) -> Iterator[Step]:
    where, following = position.original, next(records, None)
    while (record := following) is not None:
        following = next(records, None)
        is_within = following is not None and following.seq >> SHIFT == record.seq >> SHIFT
        position = Position(record.seq, _behind(record.seq) - is_within, where)
        if isinstance(record, Unreadable):
            yield UnreadableMessage(record.seq, record.reason), position
            continue
        place = place_of(place_moved(record.message) or "")
        if place is not None and where.passed(*place):
            yield None, position  # it was read where the original had it
            continue
        if place is not None:
            where = where.behind(*place)
        yield to_langchain(record.message), attrs.evolve(position, original=where)


def _behind(seq: int) -> int:
    """The offset behind that of a message."""
    return (seq >> SHIFT) + 1
