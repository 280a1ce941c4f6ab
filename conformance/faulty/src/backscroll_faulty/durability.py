"""Faults that show when a client is killed."""

import contextlib
import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from backscroll.backend import URL, Appended, Deadline, Turn
from backscroll.errors import StorageError
from backscroll.hookspecs import BackendInfo
from backscroll_faulty.fault import fault
from backscroll_faulty.reference import Reference

HOME: Final = os.getpid()
LATER: Final = 0.03
"""After how many seconds what was acknowledged is written."""


class _Behind:
    """What this process still has to write to a file."""

    def __init__(self) -> None:
        self.lock: Final = threading.RLock()
        self.rows: list[tuple[bytes, Turn, Sequence[int]]] = []
        self.is_appending = False


_behind: Final[dict[Path, _Behind]] = {}


# Each turn has a thread that waits to write it; on a busy machine many of them do at once.
@fault("acknowledged_before_written", caught_by="DUR-001", also="LIF-006")
class AcknowledgedBeforeWritten(Reference):
    """Acknowledges a turn when it knows its place, and writes the messages a little later."""

    def __init__(self, declared: BackendInfo, url: URL, options: Any) -> None:
        super().__init__(declared, url, options)
        self._behind = _behind.setdefault(self.path, _Behind())

    def insert(self, db: sqlite3.Connection, key: bytes, turn: Turn, seqs: Sequence[int]) -> None:
        if os.getpid() != HOME:
            super().insert(db, key, turn, seqs)
            return
        self._behind.rows.append((key, turn, seqs))
        timer = threading.Timer(LATER, self._catch_up)
        timer.daemon = True
        timer.start()

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        with self._behind.lock:
            self._behind.is_appending = True
            try:
                return super().append(session_id, turn, deadline)
            finally:
                self._behind.is_appending = False

    def _catch_up(self) -> None:
        # The folder may be gone by now, or the client closed.
        with contextlib.suppress(Exception), self.writing(Deadline(10)):
            pass

    def close(self) -> None:
        self._catch_up()
        super().close()

    @contextmanager
    def transaction(self, begin: str, deadline: Deadline) -> Iterator[sqlite3.Connection | None]:
        with self._behind.lock:
            if self._behind.rows and not self._behind.is_appending and os.getpid() == HOME:
                with super().transaction("BEGIN IMMEDIATE", deadline) as db:
                    if db is not None:
                        self._write(db)
        with super().transaction(begin, deadline) as db:
            yield db

    def _write(self, db: sqlite3.Connection) -> None:
        rows, self._behind.rows = self._behind.rows, []
        for key, turn, seqs in rows:
            session = self.find(db, key)
            if session is not None and session.first_seq <= seqs[0]:
                super().insert(db, key, turn, seqs)


@fault("lock_file_left", caught_by="DUR-003")
class LockFileLeft(Reference):
    """Locks with a file, which stays where its client is killed."""

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        with self._locked(deadline):
            return super().append(session_id, turn, deadline)

    @contextmanager
    def _locked(self, deadline: Deadline) -> Iterator[None]:
        lock = self.path.with_suffix(".lock")
        end = time.monotonic() + min(3.0, deadline.remaining())
        while True:
            with contextlib.suppress(FileExistsError):
                lock.touch(exist_ok=False)
                break
            if time.monotonic() > end:
                raise StorageError("locked by another client")
            time.sleep(random.uniform(0, 0.002))  # noqa: S311  # jitter, not a secret
        try:
            time.sleep(0.005)
            yield
        finally:
            lock.unlink(missing_ok=True)
