"""Faults in what is said of failures, in a new database, and in what is shown."""

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from backscroll.backend import URL, Appended, Deadline, Health, Turn
from backscroll.errors import DeadlineExceeded, SchemaError, StorageError
from backscroll.hookspecs import BackendInfo
from backscroll_faulty.fault import fault
from backscroll_faulty.reference import SCHEMA, Reference


@fault("deadline_swallowed", caught_by="ERR-001")
class Swallowed(Reference):
    """Answers as though the turn was stored when its time is up."""

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        try:
            return super().append(session_id, turn, deadline)
        except DeadlineExceeded:
            return Appended(len(turn.bodies), tuple(range(len(turn.bodies))), turn.turn_id)


@fault("count_outlasts_its_deadline", caught_by="ERR-001")
class CountOutlasts(Reference):
    """Counts on, by a time of its own, when its time is up."""

    def count(self, session_id: str, now: int, deadline: Deadline) -> int:
        if not deadline.remaining():
            time.sleep(6)
        return super().count(session_id, now, Deadline(10))


@fault("late_append_denied", caught_by="ERR-002")
class LateAppendDenied(Reference):
    """Stores a turn whose time is up, and says that it surely did not."""

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        if deadline.remaining():
            return super().append(session_id, turn, deadline)
        super().append(session_id, turn, Deadline(10))
        raise DeadlineExceeded("too late")


@fault("late_removal_denied", caught_by="ERR-002")
class LateRemovalDenied(Reference):
    """Removes messages although the time is up, and says that it surely did not."""

    def remove(self, session_id: str, seqs: tuple[int, ...], now: int, deadline: Deadline) -> tuple[int, ...]:
        if deadline.remaining():
            return super().remove(session_id, seqs, now, deadline)
        super().remove(session_id, seqs, now, Deadline(10))
        raise DeadlineExceeded("too late")


@fault("late_discard_denied", caught_by="ERR-002")
class LateDiscardDenied(Reference):
    """Discards messages although the time is up, and says that it surely did not."""

    def discard(self, session_id: str, before: int, deadline: Deadline) -> None:
        if deadline.remaining():
            return super().discard(session_id, before, deadline)
        super().discard(session_id, before, Deadline(10))
        raise DeadlineExceeded("too late")


@fault("reads_need_the_schema", caught_by="SCH-003", also="SCH-004")
class ReadsNeedTheSchema(Reference):
    """Refuses to read where there is no schema yet."""

    @contextmanager
    def reading(self, deadline: Deadline) -> Iterator[sqlite3.Connection | None]:
        with super().reading(deadline) as db:
            if db is None:
                raise SchemaError(f"{self.path}: there is no schema yet")
            yield db


@fault("append_makes_the_schema", caught_by="SCH-003")
class AppendMakesTheSchema(Reference):
    """Makes the schema in an append, whoever was to do so."""

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        try:
            return super().append(session_id, turn, deadline)
        except SchemaError:
            self.setup(deadline)
            return super().append(session_id, turn, deadline)


@fault("setup_races", caught_by="SCH-004")
class SetupRaces(Reference):
    """Looks whether there are tables, and makes them in a transaction of its own."""

    def setup(self, deadline: Deadline) -> Health:
        with self.lent(deadline, "rwc") as db:
            if db is None:
                raise StorageError(f"{self.path}: cannot be made")
            self.patiently(lambda: db.execute("PRAGMA journal_mode = WAL"), deadline)
            if not self.patiently(lambda: self.has_schema(db), deadline):
                time.sleep(0.02)
                self.patiently(lambda: db.execute("BEGIN IMMEDIATE"), deadline)
                for statement in SCHEMA.split(";"):
                    db.execute(statement)
                db.execute("COMMIT")
        return self.ping(deadline)


@fault("setup_begins_anew", caught_by="SCH-001")
class BeginsAnew(Reference):
    """Makes the tables afresh where a caller's thread sets it up for the third time.

    The pool's threads are left out: several first appends may each set up on one of them, the third after an answer.
    """

    def __init__(self, declared: BackendInfo, url: URL, options: Any) -> None:
        super().__init__(declared, url, options)
        self._set_up_by: Counter[int] = Counter()

    def setup(self, deadline: Deadline) -> Health:
        if not threading.current_thread().name.startswith("backscroll"):
            self._set_up_by[threading.get_ident()] += 1
        if self._set_up_by[threading.get_ident()] == 3:
            with self.writing(deadline) as db:
                if db is not None:
                    db.execute("DELETE FROM message")
        return super().setup(deadline)


@fault("nameless_server", caught_by="SCH-002")
class Nameless(Reference):
    """Answers a ping without a name."""

    def ping(self, deadline: Deadline) -> Health:
        return attrs.evolve(super().ping(deadline), server="")


@fault("password_shown", caught_by="SEC-001")
class PasswordShown(Reference):
    """Shows the URL that it is connected to, with the password, in its answer to a ping."""

    def ping(self, deadline: Deadline) -> Health:
        health = super().ping(deadline)
        return attrs.evolve(health, server=f"{health.server} at {self.url.username}:{self.url.password}@")


@fault("password_shown_by_the_twin", caught_by="SEC-001")
class PasswordShownByTheTwin(Reference):
    """Shows the password in the async form of a ping."""

    async def aping(self, deadline: Deadline) -> Health:
        health = await super().aping(deadline)
        return attrs.evolve(health, server=f"{health.server} at {self.url.username}:{self.url.password}@")


@fault("secret_option_shown", caught_by="SEC-001")
class SecretOptionShown(Reference):
    """Shows the value of a secret option in its answer to a ping."""

    def ping(self, deadline: Deadline) -> Health:
        health = super().ping(deadline)
        return attrs.evolve(health, server=f"{health.server} with password={self.options.password}")
