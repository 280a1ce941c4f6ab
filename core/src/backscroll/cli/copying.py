"""Copy sessions from one database into another, so that doing it once more copies nothing twice.

A stored message is the same bytes everywhere: they hold its turn_id, its times and its place in the turn. So the newest
message of the target, looked for in the source, says how far a session was copied, by whomever, and however that ended.
What follows it is appended, with the ``expected_version`` at which this was seen. Where the source has no such message,
the target has others, and the session is left alone.

When all sessions were copied, both sides are read again, up to where the source was read before, and compared.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import chain
from threading import Event, Lock
from typing import Any
from uuid import UUID

import attrs

from backscroll.admin import Admin
from backscroll.backend import Row
from backscroll.cli.batches import Batch, Stored, batches
from backscroll.cli.comparing import is_alike, steps
from backscroll.cli.landing import CONFLICTS, until_known
from backscroll.envelope import turn_of
from backscroll.errors import (
    InvalidArgument,
    MessageTooLarge,
    TurnIdReused,
    Unsupported,
    VersionConflict,
    WindowExceeded,
)
from backscroll.values import Appended, Unreadable


@attrs.define
class Copied:
    """How far a copy has come.

    Args:
        sessions: How many sessions were gone through.
        compared: How many of them were compared after that, which those are not that were left alone.
        messages: How many messages are the same on both sides.
        added: How many messages were appended to the target.
        later: How many messages came into the source after they were looked for.
        problems: How many things were told that are not as they should be.
    """

    sessions: int = 0
    compared: int = 0
    messages: int = 0
    added: int = 0
    later: int = 0
    problems: int = 0


class Stopped(Exception):
    """The work on a session ends before its time: another one failed, or somebody interrupted the copy."""


class LeftOut(Exception):
    """A message is not copied; the text says which and why."""


@attrs.frozen
class Way:
    """From where to where is copied, and who is told of it; any number of threads may use it.

    Args:
        source: Where the sessions are.
        target: Where they go to.
        tell: Is told each problem.
        advance: Is called when something was done.
    """

    source: Admin
    target: Admin
    tell: Callable[[str], None]
    advance: Callable[[], None]
    done: Copied = attrs.field(factory=Copied)
    stopping: Event = attrs.field(factory=Event)
    _lock: Lock = attrs.field(factory=Lock)
    _reading: AbstractContextManager[Any] = attrs.field(init=False)

    @_reading.default
    def _one_at_a_time(self) -> AbstractContextManager[Any]:
        # Python's sqlite3 gives way to other threads at every row, and several that do so hold each other up.
        return Lock() if self.source.backend == "sqlite" else nullcontext()

    def read(self, session_id: str, *, after: int | None = None, before: int) -> Iterator[list[Row]]:
        """The pages of a session of the source, between two seqs that do not count; see `Admin.pages`."""
        pages = self.source.pages(session_id, after=after, before=before)
        while True:
            with self._reading:
                page = next(pages, None)
            if page is None:
                return
            yield page

    def count(self, **more: int) -> None:
        """Add to what was done."""
        with self._lock:
            for name, number in more.items():
                setattr(self.done, name, getattr(self.done, name) + number)
            self.advance()

    def problem(self, session_id: str, what: str) -> None:
        """Tell a problem."""
        self.count(problems=1)
        self.tell(f"{what} (session {session_id})")

    def go_on(self) -> None:
        """Check that the work is to go on.

        Raises:
            Stopped: It is not.
        """
        if self.stopping.is_set():
            raise Stopped


def copy_session(way: Way, session_id: str) -> int | None:
    """Append to the target what it lacks at the end of a session.

    Returns:
        The seq of the newest message that the source had, -1 where it had none; None where the session was left alone.

    Raises:
        BackscrollError: The source or the target failed; copying again goes on from there.
        Stopped: The work is not to go on.
    """
    seen = _Session(way, session_id).copy()
    way.count(sessions=1)
    return seen


def compare_session(way: Way, session_id: str, seen: int) -> None:
    """Tell where the target has something else than the source.

    Args:
        way: From where to where was copied.
        session_id: The session.
        seen: Up to which seq of the source.

    Raises:
        BackscrollError: The source or the target failed.
        Stopped: The work is not to go on.
    """
    same = later = 0
    lacking, odd = _Found("source is not in the target"), _Found("target is not in the source, or not any more")
    now = way.source.version(session_id)
    for step in steps(way.read(session_id, before=now), way.target.pages(session_id)):
        way.go_on()
        same += step.alike
        for row in step.odd:
            odd.note(row, way.target)
        for row in step.lacking:
            if row.seq > seen:
                later += 1
                continue
            try:
                _turn_to_copy(way.target, row)
                lacking.note(row, way.target)
            except LeftOut as reason:
                way.problem(session_id, str(reason))
    for found in (lacking, odd):
        if found:
            way.problem(session_id, str(found))
    way.count(compared=1, messages=same, later=later)


class _Found:
    """Messages of which only the first one is told."""

    def __init__(self, problem: str) -> None:
        self._problem = problem
        self._first = -1
        self._count = 0

    def note(self, row: Row, side: Admin) -> None:
        """Take in one more, unless it expired while both sides were read."""
        if side.has_expired(row):
            return
        self._first = row.seq if self._first < 0 else self._first
        self._count += 1

    def __bool__(self) -> bool:
        return self._count > 0

    def __str__(self) -> str:
        return f"seq {self._first} of the {self._problem}" + (f", and {self._count - 1:,} more" * (self._count > 1))


def _turn_to_copy(target: Admin, row: Row) -> str:
    """The turn of a stored message that can be copied.

    Raises:
        LeftOut: It cannot.
    """
    turn = turn_of(row)
    if isinstance(turn, Unreadable):
        raise LeftOut(f"seq {row.seq} is unreadable and left out: {turn.reason}")
    try:
        target.check(row)
    except (InvalidArgument, Unsupported) as error:
        raise LeftOut(f"seq {row.seq} is left out: {error}") from error
    return turn


@attrs.frozen
class _Look:
    """Where the copy of a session goes on.

    Args:
        version: The version of the target.
        after: The seq in the source of the newest message that the target has; None for none.
        alone_from: The seq of the source from which on each turn lands by itself.
        newest: The newest seq of the source; -1 for none.
    """

    version: int
    after: int | None
    alone_from: int
    newest: int


class _Session:
    """The copy of one session."""

    def __init__(self, way: Way, session_id: str) -> None:
        self._way = way
        self._source, self._target = way.source, way.target
        self._id = session_id

    def copy(self) -> int | None:
        """Append what follows on what is there; gives what `copy_session` returns."""
        for conflicts in range(CONFLICTS + 1):
            version = self._target.version(self._id)
            newest = next(self._target.rows(self._id, newest=True, limit=1), None) if version else None
            look = self._look(version, newest)
            if look is not None:
                try:
                    return self._bring(look)
                except (VersionConflict, WindowExceeded):
                    if conflicts == CONFLICTS:
                        raise
            elif newest is not None and not self._target.has_expired(newest):
                self._way.problem(
                    self._id,
                    f"left alone: seq {newest.seq} of the target, its newest, is not in the source, or not any more: "
                    "delete the session in the target to have it copied",
                )
                return None
        raise AssertionError("the last try returns or raises")

    def _look(self, version: int, newest: Row | None) -> _Look | None:
        """Look for the newest message of the target in the source; None where it is not there."""
        kept = min(self._source.limits.dedupe_turns, self._target.limits.dedupe_turns)
        turns: set[str] = set()
        alone_from, last = 0, -1
        for row in self._source.rows(self._id, newest=True, limit=1 if newest else 4 * kept):
            last = max(last, row.seq)
            if newest is not None and is_alike(row, newest):
                return _Look(version, row.seq, alone_from, last)
            if len(turns) <= kept:
                turn = turn_of(row)
                turns.update([] if isinstance(turn, Unreadable) else [turn])
                alone_from = row.seq if len(turns) <= kept else alone_from
            elif newest is None:
                break
        return _Look(version, None, alone_from, last) if newest is None else None

    def _bring(self, look: _Look) -> int:
        """Append what follows, as far as it was there by then: the source may grow faster than it is copied."""
        version = look.version
        for batch in batches(self._following(look), self._target.limits, look.alone_from):
            self._way.go_on()
            version = self._land(batch, version)
        return look.newest

    def _following(self, look: _Look) -> Iterator[Stored]:
        for row in chain.from_iterable(self._way.read(self._id, after=look.after, before=look.newest + 1)):
            try:
                turn = _turn_to_copy(self._target, row)
            except LeftOut:
                continue  # it is told when both sides are compared
            yield turn, row

    def _land(self, batch: Batch, version: int) -> int:
        """Append a batch; gives the version after it."""
        try:
            version = self._append(batch, version)
        except MessageTooLarge as error:  # the server has a limit of its own
            if len(batch.rows) == 1:
                self._way.problem(self._id, f"seq {batch.rows[0].seq} is left out: {error}")
                return version
            first, second = batch.halves()
            return self._land(second, self._land(first, version))
        self._way.count(added=len(batch.rows))
        return version

    def _append(self, batch: Batch, version: int) -> int:
        if batch.turn is not None:
            with suppress(TurnIdReused):
                appended = self._restore(batch, version, *batch.named())
                if appended.seqs[0] >= version:
                    return appended.version
            # An earlier turn of the session has the same id.
        return self._restore(batch, version, *batch.renamed()).version

    def _restore(self, batch: Batch, version: int, turn_id: UUID, digest: bytes) -> Appended:
        return until_known(
            lambda: self._target.restore(
                self._id,
                batch.bodies,
                turn_id=turn_id,
                digest=digest,
                expires_at=batch.rows[0].expires_at,
                expected_version=version,
            )
        )
