"""`TiDBChatMessageHistory`, in place of the one of langchain-community."""

from datetime import UTC, datetime
from typing import cast

from backscroll import Record, Unreadable
from backscroll.errors import InvalidArgument
from backscroll_langchain.dropin import DropIn
from backscroll_langchain.originals import OriginalRow
from backscroll_langchain.sharing import Lazy, Shared, shared
from backscroll_langchain.tidb_access import Table, checked_url, way_to
from backscroll_langchain.tidb_table import TableOriginal


class TiDBChatMessageHistory(DropIn):
    """One session in TiDB, MySQL or MariaDB; constructing it does no I/O.

    Args:
        session_id: The session.
        connection_string: Where the server is, as SQLAlchemy has it:
            ``mysql+pymysql://user:password@host:4000/database?ssl_ca=…&ssl_verify_cert=true&ssl_verify_identity=true``.
        table_name: The original's table; each has sessions of its own.
        earliest_time: Only messages from this moment on are read, to the microsecond; one without a zone is UTC.

    Attributes:
        table_name: As given.
        earliest_time: As given.

    Raises:
        InvalidArgument: The id is no session id, the connection string is for another database, the name of the table
            is more than a name, or the time is no datetime.
    """

    def __init__(
        self,
        session_id: str,
        connection_string: str,
        table_name: str = "langchain_message_store",
        earliest_time: datetime | None = None,
    ) -> None:
        self.table_name = table_name
        self.earliest_time = earliest_time
        self._since = _checked_time(earliest_time)
        super().__init__(session_id, _connection(connection_string, table_name))

    def reload_cache(self) -> None:
        """Look again whether the original wrote something; messages are read anew each time, without a cache."""
        self._shared.forget_no_original(self.session_id)

    def _look(self, newest: int | None) -> list[OriginalRow]:
        if self._since is None:
            return super()._look(newest)
        original = cast(TableOriginal, self._shared.original)
        rows = original.rows_since(self.session_id, self._since, newest)
        if not rows and not original.rows(self.session_id, 1):
            self._shared.remember_no_original(self.session_id)
        return rows

    @property
    def _looks_at_all(self) -> bool:
        return self._since is None

    def _kept(self, records: list[Record | Unreadable]) -> list[Record | Unreadable]:
        since = self._since
        if since is None:
            return records
        return [record for record in records if isinstance(record, Unreadable) or record.stored_at >= since]


def _checked_time(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise InvalidArgument(f"earliest_time: must be a datetime, not {type(value).__name__}")
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InvalidArgument("earliest_time: no datetime in UTC") from None


def _connection(connection_string: str, table_name: str) -> Shared:
    url, table = checked_url(connection_string), Table.of(table_name)
    way = Lazy(lambda: way_to(url))
    return shared(
        (TiDBChatMessageHistory, connection_string, table),
        lambda: way.get().open_store(table),
        lambda: TableOriginal(way.get(), table),
    )
