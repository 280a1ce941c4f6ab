"""The connections of the reference backend: lent to one call at a time, and closed before a fork."""

import os
import sqlite3
import threading
import weakref
from pathlib import Path
from typing import Final

from backscroll.errors import Closed

KEPT: Final = 4
"""How many connections stay open between calls."""

FORK_PATIENCE: Final = 10.0
"""How many seconds a fork waits for the calls under way."""


PATIENCE: Final = 5.0
"""How many seconds a connection waits while it is opened."""


class Connections:
    """Opens, lends and closes connections to one file.

    SQLite keeps its locks per process, so that none may cross a fork: https://sqlite.org/howtocorrupt.html, 2.6.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[sqlite3.Connection] = []
        self._lent = 0
        self._closed = False
        self.renew_lock()
        _alive.add(self)

    def renew_lock(self) -> None:
        """Forget who holds the lock; for the child of a fork, where that thread does not exist."""
        self._changed = threading.Condition()
        self._lent = 0
        self._frozen = False

    def lend(self, mode: str = "rw") -> sqlite3.Connection | None:
        """A connection in autocommit mode; None where there is no file.

        Args:
            mode: ``rw``, or ``rwc`` to make the file.
        """
        with self._changed:
            while self._frozen:
                self._changed.wait()
            if self._closed:
                raise Closed
            self._lent += 1
            idle = self._idle.pop() if self._idle else None
        try:
            db = idle or self._open_if_there(mode)
        except BaseException:
            self._end()
            raise
        if db is None:
            self._end()
        return db

    def _open_if_there(self, mode: str) -> sqlite3.Connection | None:
        while True:
            there = self._path.exists()
            try:
                return self._open(mode)
            except sqlite3.OperationalError:
                if there:
                    raise
                # Another client may have made the file in between.
                if not self._path.exists():
                    return None

    def take_back(self, db: sqlite3.Connection) -> None:
        """The call is over."""
        if db.in_transaction:
            db.execute("ROLLBACK")
        with self._changed:
            keep = not self._closed and not self._frozen and len(self._idle) < KEPT
            if keep:
                self._idle.append(db)
        if not keep:
            db.close()
        self._end()

    def close(self) -> None:
        """Close those that are idle; those in use when they come back."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
        for db in idle:
            db.close()

    def freeze(self) -> None:
        """Wait for the calls under way, and close all."""
        self._changed.acquire()
        self._frozen = True
        self._changed.wait_for(lambda: not self._lent, FORK_PATIENCE)
        while self._idle:
            self._idle.pop().close()

    def thaw(self) -> None:
        """Go on."""
        self._frozen = False
        self._changed.notify_all()
        self._changed.release()

    def _end(self) -> None:
        with self._changed:
            self._lent -= 1
            self._changed.notify_all()

    def _open(self, mode: str) -> sqlite3.Connection:
        uri = f"{self._path.as_uri()}?mode={mode}"
        db = sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA synchronous = OFF")  # waits where another repairs what a killed client left
            db.execute("PRAGMA busy_timeout = 0")
        except BaseException:
            db.close()
            raise
        return db


_alive: Final[weakref.WeakSet[Connections]] = weakref.WeakSet()
_frozen: Final[list[Connections]] = []


def _before() -> None:
    _frozen.extend(_alive)
    for connections in _frozen:
        connections.freeze()


def _in_parent() -> None:
    while _frozen:
        _frozen.pop().thaw()


def _in_child() -> None:
    while _frozen:
        _frozen.pop().renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
