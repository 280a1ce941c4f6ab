"""The table that LangChain's `SQLChatMessageHistory` wrote, in any database that SQLAlchemy knows."""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, NoSuchTableError

from backscroll.errors import InvalidURL, StorageError
from backscroll_langchain.originals import OriginalRow, as_text
from backscroll_langchain.sql_errors import asked

R = TypeVar("R")
Column = sqlalchemy.ColumnClause[Any]

AT_ONCE: Final = 500
"""How many rows a statement drops."""

_NAMES: Final = ("table_name", "session_id_field_name")
"""The options that are not the driver's."""

_MERGING: Final = ("mysql", "mariadb", "mssql")
"""Databases that compare texts without case, unless they are told otherwise."""


class SQLOriginal:
    """What `SQLChatMessageHistory` wrote with its own converter.

    Args:
        engine: Of SQLAlchemy, in its sync form.
        table_name: The table.
        session_id_field_name: Its column for the session.
        owns: Whether the engine goes with this object.
    """

    def __init__(
        self,
        engine: Engine,
        table_name: str = "message_store",
        session_id_field_name: str = "session_id",
        *,
        owns: bool = True,
    ) -> None:
        self._engine: Final = engine
        self._name: Final = table_name
        self._id: Final[Column] = sqlalchemy.column("id")
        self._message: Final[Column] = sqlalchemy.column("message")
        self._session: Final[Column] = sqlalchemy.column(session_id_field_name)
        self._table: Final = sqlalchemy.table(table_name, self._id, self._session, self._message)
        self._owns: Final = owns

    @classmethod
    def of(
        cls, url: str, table_name: str = "message_store", session_id_field_name: str = "session_id"
    ) -> "SQLOriginal":
        """What is at a URL of SQLAlchemy.

        Raises:
            InvalidURL: SQLAlchemy cannot read it, its driver is not installed or an async one, or an option is not
                written as it is called.
            StorageError: It names a file that is not there; opening it would make it.
        """
        engine, missing, other = None, "", ""
        try:
            other = _other(sqlalchemy.make_url(url))
            engine = None if other else sqlalchemy.create_engine(url)
        except ModuleNotFoundError as error:
            missing = f": pip install {error.name}"
        except (ArgumentError, NoSuchModuleError, ValueError):
            pass
        # Raised behind the handlers, because the errors that they handle repeat the URL.
        if engine is None:
            raise InvalidURL(f"sql: {other or f'SQLAlchemy cannot open it{missing}'}")
        if engine.dialect.name == "sqlite" and not Path(engine.url.database or "").is_file():
            raise StorageError("sql: there is no such file")
        return cls(engine, table_name, session_id_field_name)

    def place_prefix(self, session_id: str) -> str:
        """What the places of a session's rows begin with; those of all sessions of a table begin alike."""
        return f"table {self._name!r}, "

    def rows(self, session_id: str, newest: int | None = None) -> list[OriginalRow]:
        """The rows of a session, oldest first: all, or only the newest so many."""
        wanted = (
            sqlalchemy.select(self._id, self._session, self._message)
            .where(self._session == session_id)
            .order_by(self._id.desc())
        )
        if newest is not None and not self._merges:
            wanted = wanted.limit(newest)
        found = self._run(lambda connection: connection.execute(wanted).all()) or ()
        exact = [(number, text) for number, one, text in found if one == session_id][:newest]
        return [
            OriginalRow(f"{self.place_prefix(session_id)}id {number}", as_text(text)) for number, text in exact[::-1]
        ]

    def clear(self, session_id: str) -> None:
        """Drop the rows of a session."""
        wanted = sqlalchemy.select(self._id, self._session, self._message).where(self._session == session_id)

        def dropped(connection: Connection) -> None:
            numbers = [number for number, one, _ in connection.execute(wanted) if one == session_id]
            for start in range(0, len(numbers), AT_ONCE):
                some = numbers[start : start + AT_ONCE]
                connection.execute(sqlalchemy.delete(self._table).where(self._id.in_(some)))

        self._run(dropped)

    def session_ids(self) -> Iterator[str | None]:
        """Each session that has rows, once; None for rows whose session is NULL.

        Raises:
            StorageError: The table is missing.
        """
        distinct = sqlalchemy.select(self._session).select_from(self._table).distinct()
        found = self._run(lambda connection: connection.execute(distinct).all())
        if found is None:
            raise StorageError(f"sql: there is no table {self._name!r}: is its name right?")
        for (one,) in found:
            yield from self._same(one) if self._merges and one is not None else (one,)

    def close(self) -> None:
        """End the connections, where the engine goes with this object."""
        if self._owns:
            self._engine.dispose()

    @property
    def _merges(self) -> bool:
        return self._engine.dialect.name in _MERGING

    def _same(self, session_id: str) -> list[str]:
        """All the ids that the database takes for this one."""
        wanted = sqlalchemy.select(self._session).select_from(self._table).where(self._session == session_id)
        return sorted({one for (one,) in self._run(lambda connection: connection.execute(wanted).all()) or ()})

    def _check(self, columns: set[str]) -> None:
        """Refuse a table without the columns, whose names databases compare without case, or tell as they like."""
        missing = [one.name for one in (self._id, self._session, self._message) if one.name.lower() not in columns]
        if missing:
            raise StorageError(
                f"sql: the table {self._name!r} has no column {' and none '.join(map(repr, missing))}: give the "
                "table_name and session_id_field_name that the class was given"
            )

    def _run(self, call: Callable[[Connection], R]) -> R | None:
        """What a call in a transaction gives; None where the table is missing, or cannot hold the session."""

        def run() -> R | None:
            with self._engine.begin() as connection:
                try:
                    columns = sqlalchemy.inspect(connection).get_columns(self._name)
                except NoSuchTableError:
                    return None
                self._check({column["name"].lower() for column in columns})
                return call(connection)

        return asked("sql", self._name, run)


def _other(url: URL) -> str:
    """What a URL says that is almost right; empty where nothing is."""
    dialect = url.get_dialect()
    if dialect.is_async:
        return f"{dialect.driver} is an async driver: give a sync one, as {dialect.name}:// alone may have it"
    almost = next((one for name in url.query for one in get_close_matches(name, _NAMES, 1, 0.8)), None)
    return f"has an option that is almost {almost}: is it that?" if almost else ""
