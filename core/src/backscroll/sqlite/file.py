"""The SQLite file: reading a snapshot of it, changing it in a transaction, and what its errors mean."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Literal

from backscroll.backend import Deadline
from backscroll.errors import (
    BackscrollError,
    DeadlineExceeded,
    MessageTooLarge,
    OutcomeUnknown,
    SchemaError,
    StorageError,
    Unavailable,
)
from backscroll.sqlite import layout
from backscroll.sqlite.connections import Connection, Connections, patiently

_STEPS_PER_CHECK: Final = 20_000


class File:
    """One SQLite file, or a database in memory, that holds chat histories.

    Args:
        path: Its absolute path, or `connections.MEMORY`.
        synchronous: SQLite's setting of that name.
        max_bytes: The most bytes that a body may have, for the error.
    """

    def __init__(self, path: str, synchronous: Literal["FULL", "NORMAL"], max_bytes: int) -> None:
        self.path: Final = path
        self._max_bytes = max_bytes
        self.connections: Final = Connections(path, synchronous)

    def snapshot(self, deadline: Deadline) -> "_Snapshot":
        """Lend a connection to read from; None where there is no schema yet."""
        return _Snapshot(self, deadline)

    def transaction(self, deadline: Deadline, *, any_schema: bool = False) -> "_Transaction":
        """Lend a connection in a transaction that no other writer can come between; None where there is no schema.

        Args:
            deadline: How long to wait for other writers.
            any_schema: Lend it for a file without schema or with an older one, too.
        """
        return _Transaction(self, deadline, any_schema)

    def close(self) -> None:
        """Close the connections; those in use when they come back."""
        self.connections.close()

    def make(self, deadline: Deadline) -> None:
        """Make an empty file, unless it is ours already, and set its WAL mode, which no transaction can."""
        try:
            db = self.connections.take_writer(deadline, "rwc")
            try:
                if db is not None:
                    if not self.is_ours(db, older=True) and db.execute("PRAGMA encoding").fetchone() != ("UTF-8",):
                        raise SchemaError(f"{self.path}: is not in UTF-8: give backscroll a file of its own")
                    patiently(db, "PRAGMA journal_mode = WAL", deadline)
            finally:
                self.connections.give_writer(deadline)
        except sqlite3.Error as error:
            raise self.mapped(error, deadline) from error

    def is_ours(self, db: Connection, *, older: bool = False) -> bool:
        """Whether the file has our schema; False for an empty one, an error for any other."""
        if db.is_ours:
            return True
        application, version, is_used = db.execute(layout.OWNER).fetchone()
        if application == layout.APPLICATION_ID:
            if version > layout.SCHEMA_VERSION:
                raise SchemaError(
                    f"{self.path}: has schema version {version}, and this release knows up to {layout.SCHEMA_VERSION}: "
                    "upgrade it with: pip install -U backscroll"
                )
            if version < layout.SCHEMA_VERSION and not older:
                raise SchemaError(f"{self.path}: has the older schema version {version}: call setup() to migrate it")
            db.is_ours = version == layout.SCHEMA_VERSION
            return True
        if application or version or is_used:
            raise SchemaError(f"{self.path}: belongs to another program: give backscroll a file of its own")
        return False

    def mapped(self, error: sqlite3.Error, deadline: Deadline, *, committing: bool = False) -> BackscrollError:
        """What an error of SQLite means for the caller (https://sqlite.org/rescode.html)."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return Unavailable(
                f"{self.path}: locked by another program for {deadline.seconds:g} s: close it, or raise timeout"
            )
        if code == sqlite3.SQLITE_INTERRUPT:
            return DeadlineExceeded(f"{self.path}: not done within {deadline.seconds:g} s: raise timeout")
        if code == sqlite3.SQLITE_TOOBIG:
            return MessageTooLarge("max_message_bytes", self._max_bytes, ceiling=True)
        if committing and code == sqlite3.SQLITE_IOERR:
            return OutcomeUnknown(f"{self.path}: the disk failed while the turn was written ({error})")
        return StorageError(f"{self.path}: {_ADVICE.get(code, str(error))}")


_ADVICE: Final = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_READONLY: "the file is read-only: change its permissions or those of its directory",
    sqlite3.SQLITE_NOTADB: "is not a SQLite database: give another path",
    sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a backup, or salvage it with: sqlite3 FILE .recover",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: check the path and its permissions",
    sqlite3.SQLITE_IOERR: "the disk failed or is full: check it",
}


@contextmanager
def bounded(db: Connection, deadline: Deadline) -> Iterator[None]:
    """Interrupt the statements that run past the deadline."""
    db.set_progress_handler(lambda: not deadline.remaining(), _STEPS_PER_CHECK)
    try:
        yield
    finally:
        # One that was interrupted may be closed by now.
        with suppress(sqlite3.ProgrammingError):
            db.set_progress_handler(None, 0)


class _Snapshot:
    """A connection, lent while it is entered."""

    __slots__ = ("_db", "_deadline", "_file", "_lent")

    def __init__(self, file: File, deadline: Deadline) -> None:
        self._lent = False
        self._file = file
        self._deadline = deadline

    def __enter__(self) -> Connection | None:
        file = self._file
        try:
            self._db = file.connections.take_reader(self._deadline)
            self._lent = True
            try:
                return self._db if self._db is not None and file.is_ours(self._db) else None
            except BaseException:
                self._leave(reusable=False)
                raise
        except sqlite3.Error as error:
            raise file.mapped(error, self._deadline) from error

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._leave(reusable=error is None)
        if isinstance(error, sqlite3.Error):
            raise self._file.mapped(error, self._deadline) from error

    def _leave(self, *, reusable: bool) -> None:
        self._lent = False
        self._file.connections.give_reader(self._db, self._deadline, reusable=reusable)

    def __del__(self) -> None:
        # As in a transaction.
        if self._lent:
            self._leave(reusable=False)


class _Transaction:
    """Begun on entering; committed on leaving, or rolled back when an exception passes."""

    __slots__ = ("_any_schema", "_db", "_deadline", "_file", "_lent")

    def __init__(self, file: File, deadline: Deadline, any_schema: bool) -> None:
        self._lent = False
        self._file = file
        self._deadline = deadline
        self._any_schema = any_schema

    def __enter__(self) -> Connection | None:
        file = self._file
        try:
            self._db = file.connections.take_writer(self._deadline)
            self._lent = True
            try:
                if self._db is None or not (self._any_schema or file.is_ours(self._db)):
                    self._db = None
                else:
                    patiently(self._db, "BEGIN IMMEDIATE", self._deadline)
            except BaseException:
                self._leave(commit=False)
                raise
        except sqlite3.Error as error:
            raise file.mapped(error, self._deadline) from error
        return self._db

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self._leave(commit=error is None)
        except sqlite3.Error as failure:
            raise self._file.mapped(failure, self._deadline, committing=error is None) from failure
        if isinstance(error, sqlite3.Error):
            raise self._file.mapped(error, self._deadline) from error

    def _leave(self, *, commit: bool) -> None:
        try:
            if commit and self._db is not None:
                self._db.execute("COMMIT")
        finally:
            self._lent = False
            self._file.connections.give_writer(self._deadline)

    def __del__(self) -> None:
        # An interrupt, such as Ctrl-C, can come right before __exit__ and keep it from running.
        if self._lent:
            self._leave(commit=False)
