"""Move what LangChain's own classes wrote into a store, so that doing it once more moves nothing twice.

Each message keeps the place at which the original has it. So what the store has of a session says how far it was moved,
by whomever, and however that ended; the rows behind the last one that is there follow, with the ``expected_version`` at
which this was seen. They can only follow: where the session has got messages of its own, the rest stays where it is,
and that is told.

Nothing is written to the source. When a session was moved, both are read again and compared.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import attrs
from langchain_core.messages import BaseMessage

from backscroll import Message, Record, Store, Unreadable
from backscroll.arguments import checked_session_id
from backscroll.backend import Limits
from backscroll.cli.landing import CONFLICTS, land
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
    not_moved,
    place_moved,
)

AT_ONCE: Final = 200
"""How many messages land as one turn at the most."""

ROUNDS: Final = 5
"""How often a session is looked at again that grows while it is moved."""

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
        self._tell = tell
        self._advance = advance

    def move(self, session_id: str) -> None:
        """Move what was not moved yet of a session, and compare all of it.

        Raises:
            BackscrollError: The source or the store failed; moving again goes on from there.
        """
        try:
            checked_session_id(session_id)
        except InvalidArgument as error:
            self.tell(session_id, f"cannot be moved: {error}")
        else:
            _Session(self, session_id).move()
        self.done.sessions += 1
        self._advance()

    def tell(self, session_id: str, problem: str) -> None:
        """Tell a problem."""
        self.done.problems += 1
        self._tell(f"{problem} (session {session_id})")

    def added(self, count: int) -> None:
        """Note messages that came into the store."""
        self.done.added += count
        self._advance()


class _Session:
    """The move of one session."""

    def __init__(self, mover: Mover, session_id: str) -> None:
        self._mover = mover
        self._store = mover.store
        self._id = session_id
        self._left: set[str] = set()
        """the places of what was told and stays in the source"""

    def move(self) -> None:
        """Move what follows, until nothing does; then compare."""
        rows = coming = self._mover.original.rows(self._id)
        if not rows:
            self._tell("the source has no messages")
            return
        for _ in range(ROUNDS):
            rows = coming
            self._bring(rows)
            coming = self._mover.original.rows(self._id)
            fresh = _following(rows, coming)
            if fresh is None:
                self._tell("its messages were changed or cleared in the source while they were moved: move it again")
                break
            if not fresh:
                rows = coming
                break
        else:
            self._tell("it grows in the source while it is moved: end what writes there, and move it again")
        self._compare({row.place: message for row, message in self._readable(rows) if row.place not in self._left})

    def _bring(self, rows: Sequence[OriginalRow]) -> None:
        """Append what follows on what is there."""
        for conflicts in range(CONFLICTS + 1):
            version, places, is_open = self._seen()
            batch = list(self._movable(not_moved(rows, places)))
            if not batch:
                return
            if not is_open:
                self._leave(batch, "the target has newer messages of its own")
                return
            try:
                for chunk in _chunks(batch, self._store.limits):
                    version = self._append(chunk, version)
                return
            except (VersionConflict, WindowExceeded):
                if conflicts == CONFLICTS:
                    raise

    def _seen(self) -> tuple[int, set[str], bool]:
        """The version, where the original has what is there, and whether more can follow on that."""
        version, places, is_open = self._store.version(self._id), set(), True
        if version:
            for record in self._store.iterate(self._id):
                place = _place(record)
                is_open = place is not None
                if place is not None:
                    places.add(place)
        return version, places, is_open

    def _append(self, chunk: Sequence[Movable], version: int) -> int:
        """Append a turn, without what cannot be stored; returns the version after it."""
        try:
            turn = [message for _, message in chunk]
            version = land(
                self._store, self._id, turn, turn_id=new_turn_id(), expected_version=version, ttl=self._mover.ttl
            ).version
        except (InvalidMessage, MessageTooLarge) as error:
            if len(chunk) == 1:
                self._leave(chunk, str(error))
                return version
            half = len(chunk) // 2
            return self._append(chunk[half:], self._append(chunk[:half], version))
        self._mover.added(len(chunk))
        return version

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

    def _compare(self, wanted: Mapping[str, BaseMessage]) -> None:
        """Tell where the store has something else than the source."""
        found, other = [], []
        for record in self._store.iterate(self._id):
            place = _place(record)
            if place is not None and place in wanted and isinstance(record, Record):
                found.append(place)
                if to_langchain(record.message) != wanted[place]:
                    other.append(place)
        there = set(found)
        lacking = [place for place in wanted if place not in there]
        if found != [place for place in wanted if place in there]:
            self._tell("its messages are twice in the target, or in another order")
        for places, problem in ((lacking, "is not in the target"), (other, "is another message in the target")):
            if places:
                more = f", and {len(places) - 1:,} more" if len(places) > 1 else ""
                self._tell(f"{places[0]} {problem}{more}")
        self._mover.done.messages += len(there)

    def _leave(self, batch: Sequence[tuple[OriginalRow, object]], reason: str) -> None:
        """Let rows stay in the source, and tell it where that is new."""
        places = [row.place for row, _ in batch if row.place not in self._left]
        self._left.update(places)
        if places:
            more = f" and {len(places) - 1:,} more" if len(places) > 1 else ""
            self._tell(f"{places[0]}{more} left in the source: {reason}")

    def _tell(self, problem: str) -> None:
        self._mover.tell(self._id, problem)


def _following(before: Sequence[OriginalRow], after: Sequence[OriginalRow]) -> list[OriginalRow] | None:
    """What came behind some rows meanwhile; None where they are not there any more, but for the oldest."""
    fresh = not_moved(after, {before[-1].place})
    kept = list(after[: len(after) - len(fresh)])
    return fresh if kept and kept == list(before[-len(kept) :]) else None


def _chunks(batch: Sequence[Movable], limits: Limits) -> Iterator[list[Movable]]:
    """Turns that, most likely, are within the limits."""
    most = min(AT_ONCE, limits.max_turn_messages)
    chunk: list[Movable] = []
    size = 0
    for row, message in batch:
        size += len(row.text)
        if chunk and (len(chunk) == most or size > limits.max_turn_bytes // 2):
            yield chunk
            chunk, size = [], len(row.text)
        chunk.append((row, message))
    if chunk:
        yield chunk


def _place(record: Record | Unreadable) -> str | None:
    return None if isinstance(record, Unreadable) else place_moved(record.message)
