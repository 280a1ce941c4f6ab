"""Move what LangChain's own classes wrote into a store, so that doing it once more moves nothing twice.

Each message keeps the identity of its row in the original. So what the store has of a session says what was moved of
it, by whomever, and however that ended; the other rows follow, with the ``expected_version`` at which this was seen.
They can only follow: where the session has got messages of its own, the rest stays where it is, and that is told. Where
it has none, what was moved and belongs behind a row that came later is moved anew.

Nothing is written to the source. Before anything is appended, and when a session was moved, both are read again: what
was cleared in the source meanwhile is not kept in the store, and all that is not the same in both is told.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import attrs
from langchain_core.messages import BaseMessage

from backscroll import Message, Record, Store
from backscroll.arguments import checked_session_id
from backscroll.backend import Limits
from backscroll.cli.landing import CONFLICTS, land
from backscroll.cli.reading import all_sessions
from backscroll.errors import (
    InvalidArgument,
    InvalidMessage,
    MessageTooLarge,
    VersionConflict,
    WindowExceeded,
)
from backscroll.turn_id import new_turn_id
from backscroll_langchain.messages import from_langchain, to_langchain
from backscroll_langchain.originals import (
    Original,
    OriginalRow,
    UnreadableOriginal,
    message_of,
    moved,
    moved_from,
)

AT_ONCE: Final = 200
"""How many messages land as one turn at the most."""

BYTES: Final = 4 << 20
"""About how many bytes of them, where the target takes more."""

FIRST: Final = 20
"""How many of the first records of a session say whether it was moved, since some may be damaged."""

REMEDY: Final = "clear(session_id) of the store drops the session there, and moving again brings what the source has"
"""What to do where the store has more than the source."""

ROUNDS: Final = 5
"""How often a session is looked at again that grows while it is moved."""

AT_THE_LIST: Final = "the list of sessions"

Movable = tuple[OriginalRow, Message]


@attrs.define
class Moved:
    """How far a move has come.

    Args:
        sessions: How many sessions were moved.
        messages: How many messages of theirs are in the store, compared with the source.
        added: How many of these came there now.
        problems: How many things were told that are not as they should be.
    """

    sessions: int = 0
    messages: int = 0
    added: int = 0
    problems: int = 0


class Mover:
    """Moves sessions, one after the other.

    Args:
        original: Where they are.
        store: Where they go to.
        tell: Is told each problem.
        advance: Is called when something was done.
        ttl: After how many seconds expires what is moved; None for never.

    Attributes:
        done: How far it has come.
        at: What it is about, for the text of an error.
    """

    def __init__(
        self,
        original: Original,
        store: Store,
        tell: Callable[[str], None],
        advance: Callable[[], None],
        *,
        ttl: float | None = None,
    ) -> None:
        self.original: Final = original
        self.store: Final = store
        self.ttl: Final = ttl
        self.done: Final = Moved()
        self.at = AT_THE_LIST
        self._seen: set[str] = set()
        self._tell = tell
        self._advance = advance

    def move(self, session_id: str | None) -> None:
        """Move what was not moved yet of a session, and compare all of it; None for rows that name none.

        Raises:
            BackscrollError: The source or the store failed; moving again goes on from there.
        """
        self.at = f"session {session_id}"
        try:
            checked = checked_session_id(session_id)
        except InvalidArgument as error:
            self.tell(session_id, f"left in the source: {error}")
        else:
            self._seen.add(checked)
            _Session(self, checked).move()
        self.done.sessions += 1
        self.at = AT_THE_LIST
        self._advance()

    def move_all(self) -> None:
        """Move all sessions of the source, and tell those that were moved from there, and are there no more.

        Raises:
            BackscrollError: As with `move`, or the source has no table.
        """
        for session_id in self.original.session_ids():
            self.move(session_id)
        if not self.done.sessions:
            self._told("the source has no session: are its address and the names in it right?")
        for session_id in all_sessions(self.store):
            if session_id not in self._seen:
                self.at = f"session {session_id}"
                _Session(self, session_id).tell_what_is_gone()

    def tell(self, session_id: str | None, problem: str) -> None:
        """Tell a problem of a session."""
        self._told(f"{problem} ({'session is NULL' if session_id is None else f'session {session_id}'})")

    def added(self, count: int) -> None:
        """Note messages that came into the store."""
        self.done.added += count
        self._advance()

    def _told(self, problem: str) -> None:
        self.done.problems += 1
        self._tell(problem)


class _Session:
    """The move of one session."""

    def __init__(self, mover: Mover, session_id: str) -> None:
        self._mover = mover
        self._store = mover.store
        self._id = session_id
        self._left: set[str] = set()
        """the identities of what was told and stays in the source"""
        self._landed: dict[str, int] = {}
        """the seqs of what came into the store now, by identity"""
        self._anew: set[str] = set()
        """the identities of what was there before, and is moved anew"""

    def move(self) -> None:
        """Move what is not there, until nothing is to be moved; then compare."""
        rows, rounds, conflicts = self._rows(), 0, 0
        if not rows:
            self._tell("the source has no messages")
        while True:
            try:
                if not self._bring(rows):
                    break
                rounds, conflicts = rounds + 1, 0
            except (VersionConflict, WindowExceeded):
                conflicts += 1
                if conflicts > CONFLICTS:
                    raise
            coming = self._rows()
            self._take_back(coming)
            if rounds == ROUNDS:
                self._tell("it grows in the source while it is moved: end what writes there, and move it again")
                break
            rows = coming
        self._compare(rows)

    def tell_what_is_gone(self) -> None:
        """Tell what was moved from this source, which has nothing of the session any more."""
        # What was moved stands before all that was not, so the first records say whether anything was.
        if any(self._is_from_here(moved_from(record)) for record in self._store.read(self._id, limit=FIRST)):
            self._compare([])

    def _rows(self) -> list[OriginalRow]:
        return self._mover.original.rows(self._id)

    def _bring(self, rows: Sequence[OriginalRow]) -> bool:
        """Append what is not there, in the order of the source; whether there was anything to append.

        Raises:
            VersionConflict: Others write there; some of it may have been appended.
        """
        version, seqs, is_open = self._seen()
        if is_open:
            self._remove_misplaced(rows, seqs)
        fresh = [row for row in rows if row.identity not in seqs and row.identity not in self._left]
        batch = list(self._movable(fresh))
        if not is_open:
            self._leave(batch, "the target has newer messages of its own")
            return False
        for chunk in _chunks(batch, self._store.limits):
            version = self._append(chunk, version)
        return bool(batch)

    def _seen(self) -> tuple[int, dict[str, int], bool]:
        """The version, the seqs of what was moved by identity, and whether more can follow on that."""
        version, seqs, is_open = self._store.version(self._id), dict[str, int](), True
        if version:
            for record in self._store.iterate(self._id):
                identity = moved_from(record)
                is_open = identity is not None
                if identity is not None:
                    seqs[identity] = record.seq
        return version, seqs, is_open

    def _remove_misplaced(self, rows: Sequence[OriginalRow], seqs: dict[str, int]) -> None:
        """Remove what belongs behind a row that came later, to be moved anew: all of it is in the source."""
        greatest, misplaced = -1, []
        for identity in (row.identity for row in rows if row.identity in seqs):
            if seqs[identity] < greatest:
                misplaced.append(identity)
            greatest = max(greatest, seqs[identity])
        if misplaced:
            self._store.remove(self._id, [seqs.pop(identity) for identity in misplaced])
            self._anew.update(misplaced)

    def _take_back(self, rows: Sequence[OriginalRow]) -> None:
        """Remove what came into the store now, and is not in the source any more."""
        there = {row.identity for row in rows}
        gone = [identity for identity in self._landed if identity not in there]
        if gone:
            self._store.remove(self._id, [self._landed.pop(identity) for identity in gone])
            self._mover.added(-len({*gone} - self._anew))
            self._tell(f"{_some(gone)}: changed or cleared in the source while it was moved, and taken back")

    def _append(self, chunk: Sequence[Movable], version: int) -> int:
        """Append a turn, without what cannot be stored; returns the version after it."""
        try:
            turn = [message for _, message in chunk]
            landed = land(
                self._store, self._id, turn, turn_id=new_turn_id(), expected_version=version, ttl=self._mover.ttl
            )
        except (InvalidMessage, MessageTooLarge) as error:
            if len(chunk) == 1:
                self._leave(chunk, str(error))
                return version
            half = len(chunk) // 2
            return self._append(chunk[half:], self._append(chunk[:half], version))
        fresh = {row.identity: seq for (row, _), seq in zip(chunk, landed.seqs, strict=True)}
        self._mover.added(len(fresh.keys() - self._anew))
        self._landed |= fresh
        return landed.version

    def _readable(self, rows: Sequence[OriginalRow]) -> Iterator[tuple[OriginalRow, BaseMessage]]:
        """The messages of rows, but for damaged ones, each of which is told once."""
        for row in rows:
            try:
                yield row, message_of(row)
            except UnreadableOriginal as error:
                self._leave([(row, None)], f"it is damaged: {error.reason}")

    def _movable(self, rows: Sequence[OriginalRow]) -> Iterator[Movable]:
        for row, message in self._readable(rows):
            try:
                yield row, moved(from_langchain(message), row)
            except InvalidMessage as error:
                self._leave([(row, None)], str(error))

    def _compare(self, rows: Sequence[OriginalRow]) -> None:
        """Tell where the store has something else than the source."""
        wanted = {row.identity: message for row, message in self._readable(rows) if row.identity not in self._left}
        there = {row.identity for row in rows}
        found, other, gone = [], [], []
        for record in self._store.iterate(self._id):
            identity = moved_from(record)
            if identity in wanted and isinstance(record, Record):
                found.append(identity)
                if to_langchain(record.message) != wanted[identity]:
                    other.append(identity)
            elif identity is not None and identity not in there and self._is_from_here(identity):
                gone.append(identity)
        if found != [identity for identity in wanted if identity in set(found)]:
            self._tell("its messages are twice in the target, or in another order")
        lacking = [identity for identity in wanted if identity not in set(found)]
        for some, problem in (
            (lacking, "not in the target"),
            (other, "another message in the target"),
            (gone, f"in the target, and in the source no more: cleared, changed or expired there; {REMEDY}"),
        ):
            if some:
                self._tell(f"{_some(some)}: {problem}")
        self._mover.done.messages += len(set(found))

    def _is_from_here(self, identity: str | None) -> bool:
        """Whether a row with this identity may have been in this source."""
        return identity is not None and identity.startswith(self._mover.original.place_prefix(self._id))

    def _leave(self, batch: Sequence[tuple[OriginalRow, object]], reason: str) -> None:
        """Let rows stay in the source, and tell it where that is new."""
        left = [row.identity for row, _ in batch if row.identity not in self._left]
        self._left.update(left)
        if left:
            self._tell(f"{_some(left)} left in the source: {reason}")

    def _tell(self, problem: str) -> None:
        self._mover.tell(self._id, problem)


def _chunks(batch: Sequence[Movable], limits: Limits) -> Iterator[list[Movable]]:
    """Turns that, most likely, are within the limits."""
    most, most_bytes = min(AT_ONCE, limits.max_turn_messages), min(BYTES, limits.max_turn_bytes // 2)
    chunk: list[Movable] = []
    size = 0
    for row, message in batch:
        size += len(row.text)
        if chunk and (len(chunk) == most or size > most_bytes):
            yield chunk
            chunk, size = [], len(row.text)
        chunk.append((row, message))
    if chunk:
        yield chunk


def _some(identities: Sequence[str]) -> str:
    """The place of the first, and how many more there are."""
    first = identities[0].rpartition(", ")[0]
    return f"{first} and {len(identities) - 1:,} more" if len(identities) > 1 else first
