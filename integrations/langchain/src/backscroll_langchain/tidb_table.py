"""The table that LangChain's class for TiDB wrote: a row for each message, numbered and with the time of its second."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from backscroll.errors import StorageError
from backscroll_langchain.originals import OriginalRow, as_text
from backscroll_langchain.sql_errors import asked
from backscroll_langchain.tidb_access import Table, Way

R = TypeVar("R")

AT_ONCE: Final = 1_000
"""How many sessions are asked for, or rows dropped, by a statement."""

# A collation may take ids for the same that are not; the index finds what is compared exactly then. With one value for
# the index, TiDB would put that in place of the column in the comparison, too. A table without the original's other
# columns, one of ours above all, is refused by each statement.
_IS_ITS: Final = (
    "session_id IN (%s, %s) AND CAST(CONVERT(session_id USING utf8mb4) AS BINARY) = %s "
    "AND id IS NOT NULL AND message IS NOT NULL"
)


class TableOriginal:
    """What LangChain's class for TiDB wrote.

    Rows are in the order of their times, and of their numbers within a second: several servers of TiDB give numbers of
    ranges of their own.

    Args:
        way: The way to the server, which ends with this object.
        table: The table.
    """

    def __init__(self, way: Way, table: Table) -> None:
        self._way: Final = way
        self._table: Final = table
        self._in_text: Final = str(table).replace("%", "%%")

    def place_prefix(self, session_id: str) -> str:
        """What the places of a session's rows begin with; those of all sessions of a table begin alike."""
        return f"table {self._table}, "

    def rows(self, session_id: str, newest: int | None = None) -> list[OriginalRow]:
        """The rows of a session, oldest first: all, or only the newest so many."""
        return self.rows_since(session_id, None, newest)

    def rows_since(self, session_id: str, since: datetime | None, newest: int | None = None) -> list[OriginalRow]:
        """Those of a session from a time on; of the rows of its second, all are taken."""
        condition = _IS_ITS
        arguments: list[str | bytes] = [*_its(session_id)]
        if since is not None:
            condition += " AND create_time >= %s"
            arguments.append(since.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "seconds"))
        limit = "" if newest is None else f" LIMIT {int(newest)}"
        found = self._ask(
            f"SELECT id, message FROM {self._in_text} WHERE {condition} ORDER BY create_time DESC, id DESC{limit}",
            *arguments,
        )
        return [
            OriginalRow(f"{self.place_prefix(session_id)}id {number}", as_text(message))
            for number, message in found[::-1]
        ]

    def clear(self, session_id: str) -> None:
        """Drop the rows of a session."""
        statement = f"DELETE FROM {self._in_text} WHERE {_IS_ITS} LIMIT {AT_ONCE}"
        while self._change(statement, *_its(session_id)) == AT_ONCE:
            pass

    def session_ids(self) -> Iterator[str | None]:
        """Each session that has rows, once; None for rows whose session is NULL.

        Raises:
            StorageError: The table is missing.
        """
        condition: tuple[str, ...] = ()
        columns = f"SELECT id, session_id, message, create_time FROM {self._in_text} LIMIT 0"
        if self._run(lambda connection: connection.exec_driver_sql(columns).fetchall()) is None:
            raise StorageError(f"tidb: there is no table {self._table}: is its name right?")
        while True:
            page = self._ask(
                f"SELECT DISTINCT session_id FROM {self._in_text}{' WHERE session_id > %s' if condition else ''} "
                f"ORDER BY session_id LIMIT {AT_ONCE}",
                *condition,
            )
            for (one,) in page:
                yield from self._same(one)
            if len(page) < AT_ONCE:
                return
            condition = (page[-1][0],)

    def close(self) -> None:
        """End the way to the server."""
        self._way.close()

    def _same(self, session_id: str | bytes | None) -> list[str] | list[None]:
        """All the ids that the collation takes for this one, where it is text, and so has one."""
        if session_id is None:
            return [None]
        if isinstance(session_id, bytes):
            return [as_text(session_id)]
        found = self._ask(
            f"SELECT DISTINCT CAST(CONVERT(session_id USING utf8mb4) AS BINARY) FROM {self._in_text} "
            "WHERE session_id = %s",
            session_id,
        )
        return sorted(one.decode() for (one,) in found)

    def _ask(self, statement: str, *arguments: str | bytes) -> Sequence[Any]:
        """The rows of a SELECT; none where the table is missing, or cannot hold the session."""
        return self._run(lambda connection: connection.exec_driver_sql(statement, arguments).fetchall()) or ()

    def _change(self, statement: str, *arguments: str | bytes) -> int:
        """How many rows a statement changed."""
        return self._run(lambda connection: connection.exec_driver_sql(statement, arguments).rowcount) or 0

    def _run(self, call: Callable[[Connection], R]) -> R | None:
        """What a call on a connection gives; None where the table is missing, or cannot hold the session."""

        def run() -> R:
            with self._way.engine.connect() as connection:
                return call(connection)

        return asked("tidb", str(self._table), run)


def _its(session_id: str) -> tuple[str | bytes, ...]:
    """The values for `_IS_ITS`."""
    return session_id, f"{session_id}x", session_id.encode()
