"""Faults that show where several clients are at work at once."""

import sqlite3
import threading
import time
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import attrs

from backscroll.backend import URL, Appended, Deadline, Page, Turn, Window
from backscroll.errors import StorageError, VersionConflict
from backscroll.hookspecs import BackendInfo
from backscroll_faulty.fault import fault
from backscroll_faulty.reference import Reference
from backscroll_faulty.session import Entry, Session

R = TypeVar("R")

MINUTE: Final = 60_000_000_000


class _Locked(Reference):
    """Locks its appends against one another, as far as this client goes."""

    def __init__(self, declared: BackendInfo, url: URL, options: Any) -> None:
        super().__init__(declared, url, options)
        self._lock = threading.Lock()

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        with self._lock:
            return self.appended(session_id, turn, deadline)

    def appended(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        """Append, alone in this client."""
        return super().append(session_id, turn, deadline)

    def seen(self, session_id: str, deadline: Deadline) -> Session:
        """What another transaction shows of a session."""
        with self.reading(deadline) as db:
            found = None if db is None else self.find(db, self.key(session_id))
        return found or Session()


@fault("lost_update", caught_by="CON-007")
class LostUpdate(_Locked):
    """Judges the condition in a transaction of its own, before the one that stores."""

    def judges_early(self, turn: Turn) -> bool:
        """Whether it does so with a turn."""
        return turn.expected_version is not None

    def appended(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        if self.judges_early(turn) and deadline.remaining():
            session = self.seen(session_id, deadline)
            if all(entry.turn_id != turn.turn_id.hex for entry in session.turns):
                if session.version != turn.expected_version:
                    return super().appended(session_id, turn, deadline)
                time.sleep(0.008)
                turn = attrs.evolve(turn, expected_version=None, age=turn.age_by_now())
        return super().appended(session_id, turn, deadline)


@fault("lost_update_with_ttl", caught_by="CON-007")
class LostUpdateWithTTL(LostUpdate):
    """Judges the condition of a turn with a TTL in a transaction of its own, before the one that stores."""

    def judges_early(self, turn: Turn) -> bool:
        return turn.expected_version is not None and turn.expires_at is not None


@fault("lost_rows", caught_by="CON-001 CON-008 CON-009")
class LostRows(_Locked):
    """Gives a single message the seq that was free when it looked, and overwrites what another client put there."""

    insert_sql = "INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?, ?)"
    _version = 0

    def appended(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        if deadline.remaining():
            self._version = self.seen(session_id, deadline).version
            time.sleep(0.001)
        return super().appended(session_id, turn, deadline)

    def seqs(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> tuple[int, ...]:
        since = [entry for entry in session.turns if entry.first >= self._version]
        is_single = len(turn.bodies) == 1 and turn.expected_version is None
        if is_single and since and all(entry.length == 1 for entry in since):
            return (self._version,)
        return super().seqs(db, key, session, turn)


@fault("duplicate_race", caught_by="CON-002")
class DuplicateRace(_Locked):
    """Looks for a repeat in a transaction of its own, before the one that stores."""

    _seen: Session | None = None

    def appended(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        self._seen = None
        if turn.age != 0.0 and deadline.remaining():
            self._seen = self.seen(session_id, deadline)
            time.sleep(0.004)
        return super().appended(session_id, turn, deadline)

    def known(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> Entry | None:
        return super().known(db, key, self._seen or session, turn)


@fault("conflict_but_stored", caught_by="CON-003 CON-009")
class ConflictButStored(_Locked):
    """Reports conflicts, once two appends of its client met, and leaves the turns there."""

    _has_waited = False

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        self._has_waited = self._has_waited or self._lock.locked()
        answer = super().append(session_id, turn, deadline)
        if self._has_waited and turn.expected_version is not None and not answer.duplicate:
            raise VersionConflict(turn.expected_version, answer.version)
        return answer


@fault("turn_in_two_steps", caught_by="CON-004 CON-009 DUR-002")
class InTwoSteps(Reference):
    """Stores the first message of a turn in one transaction, and the others in the next."""

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        answer = super().append(session_id, turn, deadline)
        if len(turn.bodies) > 1 and not answer.duplicate:
            time.sleep(0.006)
            with self.writing(Deadline(10)) as db:
                if db is not None:
                    rest = attrs.evolve(turn, bodies=turn.bodies[1:])
                    super().insert(db, self.key(session_id), rest, answer.seqs[1:])
        return answer

    def insert(self, db: sqlite3.Connection, key: bytes, turn: Turn, seqs: Any) -> None:
        super().insert(db, key, attrs.evolve(turn, bodies=turn.bodies[:1]), seqs[:1])


@fault("long_turn_in_two_steps", caught_by="CON-004 CON-009 DUR-002")
class LongInTwoSteps(Reference):
    """Stores the first fifty messages of a turn in one transaction, and the others in the next."""

    at_once: Final = 50

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        answer = super().append(session_id, turn, deadline)
        if len(turn.bodies) > self.at_once and not answer.duplicate:
            time.sleep(0.03)
            with self.writing(Deadline(10)) as db:
                if db is not None:
                    rest = attrs.evolve(turn, bodies=turn.bodies[self.at_once :])
                    super().insert(db, self.key(session_id), rest, answer.seqs[self.at_once :])
        return answer

    def insert(self, db: sqlite3.Connection, key: bytes, turn: Turn, seqs: Sequence[int]) -> None:
        first = attrs.evolve(turn, bodies=turn.bodies[: self.at_once])
        super().insert(db, key, first, seqs[: self.at_once])


@fault("message_by_message", caught_by="CON-004 CON-009 DUR-002 DUR-004")
class MessageByMessage(Reference):
    """Stores each message of a short turn in a transaction of its own, so that turns mingle."""

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        if not 1 < len(turn.bodies) < 4:
            return super().append(session_id, turn, deadline)
        begun = attrs.evolve(turn, bodies=turn.bodies[:1], age=turn.age_by_now())
        first = super().append(session_id, begun, deadline)
        if first.duplicate:
            return first
        seqs = first.seqs
        for body in turn.bodies[1:]:
            time.sleep(0.002)
            with self.writing(Deadline(10)) as db:
                if db is not None:
                    key = self.key(session_id)
                    session = self.find(db, key) or Session()
                    seqs += (session.version,)
                    super().insert(db, key, attrs.evolve(turn, bodies=(body,)), seqs[-1:])
                    session.version += 1
                    self.remember_all(session, turn, seqs)
                    self.save(db, key, session)
        return Appended(seqs[-1] + 1, seqs, turn.turn_id)

    def remember_all(self, session: Session, turn: Turn, seqs: tuple[int, ...]) -> None:
        """Know the turn by all its messages so far."""
        turn_id = turn.turn_id.hex
        session.turns = [
            entry._replace(length=len(seqs)) if entry.turn_id == turn_id else entry for entry in session.turns
        ]


@fault("order_of_the_writers_clock", caught_by="TTL-007 CON-005 CON-006 CON-009")
class OrderOfTheClock(Reference):
    """Takes the time of the writer's clock for the seq, so that one whose clock is behind writes into the past."""

    def seqs(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> tuple[int, ...]:
        now = self.options.clock() // 1_000
        ends = (entry.first + entry.length for entry in session.turns)
        near = now + 1_000_000
        query = "SELECT MAX(seq) + 1 FROM message WHERE session = ? AND seq BETWEEN ? AND ?"
        stored = db.execute(query, (key, now, near)).fetchone()[0] or 0
        first = max(now, stored, *(end for end in ends if end < near), 0)
        return tuple(range(first, first + len(turn.bodies)))

    def store(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> Appended:
        before = session.version
        answer = super().store(db, key, session, turn)
        session.version = max(before, session.version)
        self.save(db, key, session)
        return answer


@fault("version_read_later", caught_by="CON-008")
class VersionReadLater(Reference):
    """Answers an append with the version that it reads after it stored the turn."""

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        answer = super().append(session_id, turn, deadline)
        if answer.duplicate:
            return answer
        time.sleep(0.001)
        return attrs.evolve(answer, version=self.info(session_id, Deadline(10)).version)


@fault("removed_by_several", caught_by="CON-010")
class RemovedBySeveral(Reference):
    """Looks which messages are there in a transaction of its own, before the one that removes them."""

    def remove(self, session_id: str, seqs: tuple[int, ...], now: int, deadline: Deadline) -> tuple[int, ...]:
        key = self.key(session_id)
        with self.reading(deadline) as db:
            there = () if db is None else tuple(seq for seq in sorted(seqs) if self.is_live(db, key, seq, now))
        time.sleep(0.002)
        super().remove(session_id, there, now, deadline)
        return there


@fault("removal_takes_back", caught_by="CON-011")
class RemovalTakesBack(Reference):
    """Removes with what it read of the session before, and so takes back what was appended since then."""

    def remove(self, session_id: str, seqs: tuple[int, ...], now: int, deadline: Deadline) -> tuple[int, ...]:
        key = self.key(session_id)
        with self.reading(deadline) as db:
            before = None if db is None else self.find(db, key)
        time.sleep(0.005)
        removed = super().remove(session_id, seqs, now, deadline)
        with self.writing(Deadline(10)) as db:
            if db is not None and before is not None and removed:
                db.execute("DELETE FROM message WHERE session = ? AND seq >= ?", (key, before.version))
                self.save(db, key, before)
        return removed


@fault("deletion_takes_more", caught_by="CON-012")
class DeletionTakesMore(Reference):
    """Looks whether a session is empty in a transaction of its own, before the one that deletes it."""

    def delete(self, session_id: str, before: int, deadline: Deadline) -> None:
        key = self.key(session_id)
        with self.reading(deadline) as db:
            session = None if db is None else self.find(db, key)
        if session is not None and self.is_drained(session, before):
            time.sleep(0.005)
            with self.writing(Deadline(10)) as db:
                if db is not None:
                    db.execute("DELETE FROM message WHERE session = ?", (key,))
                    self.deleted(db, key)


class _Suspicious(Reference):
    """Does not serve a client whose clock goes and is wrong; one that stands still is that of a test."""

    def check_clock(self) -> None:
        """Refuse a wrong clock."""
        if abs(self.options.clock() - time.time_ns()) > MINUTE:
            before = self.options.clock()
            time.sleep(0.001)
            if self.options.clock() != before:
                raise StorageError("set the clock first")


@fault("refuses_wrong_clocks", caught_by=" ".join(f"CON-{number:03}" for number in range(1, 10)))
class RefusesWrongClocks(_Suspicious):
    """Takes no turn of a client whose clock is wrong."""

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        self.check_clock()
        return super().append(session_id, turn, deadline)


@fault("hides_from_wrong_clocks", caught_by=" ".join(f"CON-{number:03}" for number in range(1, 10)))
class HidesFromWrongClocks(_Suspicious):
    """Shows nothing to a client whose clock is wrong."""

    def read(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        self.check_clock()
        return super().read(session_id, window, deadline)
