"""Reading a session onward from its position, and moving that."""

from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Final

import attrs
from langchain_core.messages import BaseMessage

from backscroll import Record, Store, Unreadable
from backscroll.backend import Deadline
from backscroll.errors import StorageError, Unavailable, UnreadableMessage, VersionConflict, WindowExceeded
from backscroll_kafka import SHIFT
from backscroll_langchain.kafka_beside import Beside, Move, Session
from backscroll_langchain.kafka_deadlines import left
from backscroll_langchain.kafka_original import Unread, Where, spot_of
from backscroll_langchain.kafka_positions import Position, Positions
from backscroll_langchain.messages import to_langchain
from backscroll_langchain.originals import OriginalRow, merged, moved_from, readable_of
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
        """What is behind a position, in the order of `merged`, and the positions behind that.

        About as many records are asked for at first as messages are wanted.
        """
        unread = self._unread(start.original)
        rows = unread.rows if unread else []
        moved = self._moved_over() if rows else set()
        if unread and unread.is_all and rows and all(row.identity in moved for row in rows):
            self._shared.remember_no_original(self._session_id)
        position = start if unread is None else attrs.evolve(start, original=unread.where)
        many = AT_ONCE if most is None else min(AT_ONCE, most + 1)
        within: set[int] = set()
        for one in merged(rows, _noting(self._records(start.after, many), within), moved):
            if isinstance(one, OriginalRow):
                message: BaseMessage | UnreadableMessage | None = readable_of([one])[0]
                position = _passing(position, one.identity)
            else:
                offset = _behind(one.seq) - (one.seq in within)
                position = attrs.evolve(position, after=one.seq, offset=offset)
                message, position = _read(one, start, position)
            yield message, position

    def _records(self, after: int, many: int) -> Iterator[Record | Unreadable]:
        while True:
            bound = None if after < 0 else after
            records = self._store.read(self._session_id, after=bound, limit=many, timeout=left(self._deadline))
            yield from records
            if len(records) < many:
                return
            after, many = records[-1].seq, AT_ONCE

    def _moved_over(self) -> set[str]:
        """The identities of the rows that were moved over."""
        records = self._store.iterate(self._session_id, timeout=left(self._deadline))
        return {identity for record in records if (identity := moved_from(record))}


def _noting(records: Iterator[Record | Unreadable], within: set[int]) -> Iterator[Record | Unreadable]:
    """Records, and by their seqs those behind which their turn goes on."""
    following = next(records, None)
    while (record := following) is not None:
        following = next(records, None)
        if following is not None and following.seq >> SHIFT == record.seq >> SHIFT:
            within.add(record.seq)
        yield record


def _read(record: Record | Unreadable, start: Position, position: Position) -> Step:
    """What a record gives; nothing where it was read before, when the original had it."""
    if isinstance(record, Unreadable):
        return UnreadableMessage(record.seq, record.reason), position
    identity = moved_from(record) or ""
    spot = spot_of(identity)
    if spot is not None and any(where.passed(spot) for where in (start.original, position.original)):
        return None, position
    return to_langchain(record.message), _passing(position, identity)


def _passing(position: Position, identity: str) -> Position:
    """A position behind a row of the original's, or a record that was moved over from it."""
    spot = spot_of(identity)
    return position if spot is None else attrs.evolve(position, original=position.original.behind(spot))


def _behind(seq: int) -> int:
    """The offset behind that of a message."""
    return (seq >> SHIFT) + 1
