"""The connections to one SQLite file: one that writes, and a pool of those that read.

SQLite keeps its locks per process and must not be carried across a fork, not even to be closed there
(https://sqlite.org/howtocorrupt.html, section 2.6). So they are all closed just before a fork, which waits
for the calls under way, and opened again at the next use on both sides. Where that fails, the child refuses
the file for good, in every store: a new connection would trust the locks that only the parent holds.
"""

import os
import random
import sqlite3
import threading
import time
import weakref
from pathlib import Path
from typing import Final, Literal, NoReturn
from urllib.parse import quote

from backscroll.backend import Deadline
from backscroll.errors import Closed, DeadlineExceeded, StorageError, Unavailable

MEMORY: Final = ":memory:"
"""The path of a database in memory."""

FORK_PATIENCE: Final = 10.0
"""How many seconds a fork waits for the calls under way."""

LONGEST_WAIT: Final = 0.01
"""The longest pause between two looks whether another process has stopped writing, in seconds."""

Mode = Literal["rw", "rwc"]


class Connection(sqlite3.Connection):
    """A connection that remembers what was found out about its file."""

    is_ours = False
    """Whether the file has the schema of this release."""


class Connections:
    """Opens, lends and closes the connections of one store.

    Args:
        path: The absolute path of the file, or `MEMORY`.
        synchronous: SQLite's setting of that name.

    Attributes:
        path: As given.
        in_memory: Whether there is no file.
    """

    def __init__(self, path: str, synchronous: Literal["FULL", "NORMAL"]) -> None:
        self.path = path
        self.in_memory: Final = path == MEMORY
        self._synchronous = synchronous
        self._idle: list[Connection] = []
        self._writer: Connection | None = None
        self._closed = False
        self._make_locks()
        with _forking:
            _alive.add(self)

    def _make_locks(self) -> None:
        # Re-entrant, so that an interrupted call can tell what it holds, and a signal's handler cannot lock up.
        self._writing = threading.RLock()
        self._gate = threading.RLock()
        self._changed = threading.Condition(self._gate)
        self._under_way: set[Deadline] = set()
        self._frozen = False

    def take_writer(self, deadline: Deadline, mode: Mode = "rw") -> Connection | None:
        """Lend the connection that writes, to one caller at a time; None where there is no file to open."""
        try:
            if not self._writing.acquire(timeout=deadline.remaining()):
                self._say_busy(deadline)
            self._enter(deadline)
            if self._writer is None:
                self._writer = self._open(mode, deadline)
            elif self._writer.in_transaction:
                self._say_nested()
        except BaseException:
            self._leave_writing(deadline)
            raise
        return self._writer

    def give_writer(self, deadline: Deadline) -> None:
        """Take it back; a transaction that was not committed is rolled back."""
        try:
            # Some errors, a full disk among them, have rolled back already.
            if self._writer is not None and self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        finally:
            self._leave_writing(deadline)

    def take_reader(self, deadline: Deadline) -> Connection | None:
        """Lend a connection that reads; None where there is no file to open."""
        if self.in_memory:
            return self.take_writer(deadline)
        try:
            self._enter(deadline)
            try:
                return self._idle.pop()
            except IndexError:
                return self._open("rw", deadline)
        except BaseException:
            self._leave(deadline)
            raise

    def give_reader(self, connection: Connection | None, deadline: Deadline, *, reusable: bool = True) -> None:
        """Take it back; one that was interrupted could still be in the middle of a statement, and its snapshot."""
        if self.in_memory:
            self.give_writer(deadline)
            return
        if connection is not None and reusable:
            self._idle.append(connection)
        elif connection is not None:
            connection.close()
        self._leave(deadline)

    def close(self) -> None:
        """Close the connections that are not lent now, and the others when they come back."""
        with self._gate:
            self._closed = True
            if not self._under_way:
                self._close_all()

    def _enter(self, deadline: Deadline) -> None:
        with self._gate:
            if self._frozen and not self._changed.wait_for(lambda: not self._frozen, deadline.remaining()):
                raise DeadlineExceeded(f"{self.path}: a fork took {deadline.seconds:g} s; nothing was done")
            if self._closed:
                raise Closed
            self._under_way.add(deadline)

    def _leave_writing(self, deadline: Deadline) -> None:
        try:
            self._leave(deadline)
        finally:
            try:  # noqa: SIM105  # an interrupt could come between the lines of suppress()
                self._writing.release()
            except RuntimeError:
                pass  # this call never got it

    def _leave(self, deadline: Deadline) -> None:
        with self._gate:
            self._under_way.discard(deadline)
            if not self._under_way:
                if self._closed:
                    self._close_all()
                if self._frozen:
                    self._changed.notify_all()

    def _open(self, mode: Mode, deadline: Deadline) -> Connection | None:
        if self._identity() in _lost_in_fork:
            raise StorageError(self._why_lost())
        if not self.in_memory:
            folder = Path(self.path).parent
            if not os.access(folder, os.F_OK):
                raise StorageError(f"{self.path}: there is no directory {folder} (or no way to it): make it first")
            if mode == "rw" and not os.access(self.path, os.F_OK):
                return None
        connection = sqlite3.connect(
            self.path if self.in_memory else f"file://{quote(os.fsencode(self.path))}?mode={mode}",
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
            factory=Connection,
            uri=not self.in_memory,
        )
        try:
            # The first statement reads the file, which a process that closes it may hold for a moment.
            patiently(connection, f"PRAGMA synchronous = {self._synchronous}", deadline)
        except BaseException:
            connection.close()
            raise
        return connection

    def _identity(self) -> object:
        """What tells the database from others of this process, by whatever path or store they are reached."""
        return self if self.in_memory else os.path.realpath(self.path)

    def _close_all(self) -> None:
        while self._idle:
            self._idle.pop().close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _say_busy(self, deadline: Deadline) -> NoReturn:
        raise DeadlineExceeded(f"{self.path}: other threads wrote for {deadline.seconds:g} s; nothing was done")

    def _say_nested(self) -> NoReturn:
        raise Unavailable(f"{self.path}: called by a signal's handler in the middle of another call")

    def _why_lost(self) -> str:
        if self.in_memory:
            return (
                "a database in memory belongs to the process that opened it: open a store after the fork, or use a file"
            )
        return (
            f"{self.path}: this process was forked while a call was under way in its parent, so that SQLite's locks "
            "are of no use here: start it by spawn instead, or fork before the file is used"
        )

    def freeze(self) -> None:
        """Close all connections before a fork, once the calls under way are over."""
        with self._gate:
            self._frozen = True
            # A database in memory has to be quiet, too, or the child might inherit a locked mutex of SQLite.
            quiet = self._changed.wait_for(lambda: not self._under_way, FORK_PATIENCE)
            if quiet and not self.in_memory:
                self._close_all()

    def thaw(self) -> None:
        """Go on in the parent process."""
        with self._gate:
            self._frozen = False
            self._changed.notify_all()

    def thaw_in_child(self) -> None:
        """Go on in the child, or refuse to where a connection could not be closed before."""
        if self._writer is not None or self._idle or self._under_way:
            _lost_in_fork.add(self._identity())
            _leak([self._writer, *self._idle])
            self._writer, self._idle = None, []
        self._make_locks()


def patiently(db: sqlite3.Connection, statement: str, deadline: Deadline) -> None:
    """Execute what has to wait for other processes, with pauses that get longer from look to look."""
    pause = LONGEST_WAIT / 32
    while True:
        try:
            db.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or deadline.remaining() < pause:
                raise
        time.sleep(random.uniform(0, pause))  # noqa: S311  # jitter, not a secret
        pause = min(2 * pause, LONGEST_WAIT)


_alive: "weakref.WeakSet[Connections]" = weakref.WeakSet()
_lost_in_fork: set[object] = set()
_forking = threading.RLock()
"""Held during a fork, so that they come one after the other, and no store is made meanwhile."""


def _leak(things: list[Connection | None]) -> None:
    """Keep objects alive to the very end of the process, past the interpreter's own."""
    import ctypes

    for thing in things:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _before_fork() -> None:
    _forking.acquire()
    _for_all("freeze")


def _after_fork(act: str) -> None:
    _for_all(act)
    _forking.release()  # in the child, too, the thread that forked holds it


def _for_all(act: str) -> None:
    for connections in list(_alive):
        getattr(connections, act)()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: _after_fork("thaw"),
        after_in_child=lambda: _after_fork("thaw_in_child"),
    )
