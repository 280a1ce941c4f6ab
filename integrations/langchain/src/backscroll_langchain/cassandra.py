"""`CassandraChatMessageHistory`, in place of LangChain's own, and what that one wrote."""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from hashlib import blake2b
from typing import Any, Final

from cassandra import ConsistencyLevel, DriverException, InvalidRequest, RequestValidationException
from cassandra.cluster import NoHostAvailable

from backscroll.errors import BackscrollError, InvalidArgument, StorageError, Unavailable
from backscroll_langchain.dropin import DropIn
from backscroll_langchain.originals import OriginalRow, as_text
from backscroll_langchain.sharing import open_largest, shared_by

PAGE_ROWS: Final = 100
"""How many rows the driver asks for at once."""

PAGE_SECONDS: Final = 10.0
"""How long one answer may take."""

LONGEST_PLAIN: Final = 27
"""Up to how many characters the name of a table stands in those of ours; longer ones are told apart by a digest."""

SESSION: Final = "a Session of the driver, Cluster(…).connect()"

_NAME: Final = re.compile(r'[A-Za-z][A-Za-z0-9_]{0,47}|"[A-Za-z][A-Za-z0-9_]{0,47}"')
_MISSING: Final = re.compile(r"unconfigured table|(keyspace|table) .* does not exist", re.IGNORECASE)


class SetupMode(Enum):
    """When the tables are made: SYNC and ASYNC by the first write, OFF never.

    LangChain's enum of this name, cassio's and the names as text are taken as well.
    """

    SYNC = 1
    ASYNC = 2
    OFF = 3


class CassandraChatMessageHistory(DropIn):
    """A history in Cassandra or Astra DB, with the arguments of LangChain's class of this name.

    Args:
        session_id: The session.
        session: A Session of the DataStax driver; None for the one that ``cassio.init`` was given.
        keyspace: The keyspace; None for cassio's.
        table_name: The table of LangChain's own class. It is read, and ours are named after it.
        ttl_seconds: After how many seconds a message that is added expires; None for never.
        setup_mode: OFF where the tables are made by ``backscroll setup``.

    Attributes:
        ttl_seconds: As given.

    Raises:
        InvalidArgument: A name that is none, or nothing says which session and keyspace.
    """

    def __init__(
        self,
        session_id: str,
        session: Any = None,
        keyspace: str | None = None,
        table_name: str = "message_store",
        ttl_seconds: int | None = None,
        *,
        setup_mode: Any = SetupMode.SYNC,
    ) -> None:
        session = _given("session", session, SESSION)
        if not hasattr(session, "prepare"):
            raise InvalidArgument(f"session: give {SESSION}, not a {type(session).__name__}")
        keyspace = folded("keyspace", _given("keyspace", keyspace, "the name of a keyspace"))
        table, setup = folded("table_name", table_name), _setup(setup_mode)
        shared = shared_by(
            session,
            (type(self), keyspace, table, setup),
            lambda: open_largest("cassandra:", session=session, keyspace=keyspace, prefix=prefix(table), setup=setup),
            lambda: CassandraOriginal(session, keyspace, table),
        )
        self.ttl_seconds = ttl_seconds
        super().__init__(session_id, shared, ttl=ttl_seconds)


class CassandraOriginal:
    """What LangChain's `CassandraChatMessageHistory` wrote to a table.

    Args:
        session: A Session of the driver.
        keyspace: The keyspace, as Cassandra has its name.
        table: The table, likewise.
        close: Releases the session; None where it is the caller's.
    """

    def __init__(self, session: Any, keyspace: str, table: str, *, close: Callable[[], None] | None = None) -> None:
        self._session = session
        self._close = close
        self._name = f'"{keyspace}"."{table}"'
        self._shown = f"table '{keyspace}.{table}'"
        self._prepared: dict[str, Any] = {}

    def place_prefix(self, session_id: str) -> str:
        """What the places of a session's rows begin with; those of all sessions of a table begin alike."""
        return f"{self._shown}, "

    def rows(self, session_id: str, newest: int | None = None) -> list[OriginalRow]:
        """The rows of a session, oldest first: all, or only the newest so many."""
        text = f"SELECT row_id, body_blob FROM {self._name} WHERE partition_id = ? ORDER BY row_id DESC"
        found = self._ask(text, session_id) if newest is None else self._ask(f"{text} LIMIT ?", session_id, newest)
        begin = self.place_prefix(session_id)
        rows = [OriginalRow(f"{begin}row_id {row_id}", as_text(body or "")) for row_id, body in found]
        return rows[::-1]

    def clear(self, session_id: str) -> None:
        """Drop the rows of a session, and nothing else."""
        of_session = f"FROM {self._name} WHERE partition_id = ?"
        list(self._ask(f"DELETE {of_session}", session_id))
        # What a client wrote whose clock is ahead is newer than that, and would stay.
        for row_id, written in self._ask(f"SELECT row_id, WRITETIME(body_blob) {of_session}", session_id):
            if written is not None:
                one = f"DELETE FROM {self._name} USING TIMESTAMP ? WHERE partition_id = ? AND row_id = ?"
                list(self._ask(one, written, session_id, row_id))

    def session_ids(self) -> Iterator[str | None]:
        """Each session that has rows, once.

        Raises:
            StorageError: The table is missing.
        """
        for (session_id,) in self._ask(f"SELECT DISTINCT partition_id FROM {self._name}", missing_is_empty=False):
            yield session_id

    def close(self) -> None:
        """Release the session, unless it is the caller's."""
        if self._close is not None:
            self._close()

    def _ask(self, text: str, *values: Any, missing_is_empty: bool = True) -> Iterator[Sequence[Any]]:
        """The rows of an answer, page by page; none where the table is missing, or an error."""
        problem = None
        try:
            if text not in self._prepared:
                self._prepared[text] = self._session.prepare(text)
            statement = self._prepared[text].bind(values)
            statement.consistency_level = ConsistencyLevel.LOCAL_QUORUM
            statement.fetch_size = PAGE_ROWS
            for row in self._session.execute(statement, timeout=PAGE_SECONDS):
                yield tuple(row.values()) if isinstance(row, dict) else row
        except (DriverException, NoHostAvailable, TypeError) as error:
            self._prepared.pop(text, None)
            problem = _told(error, self._shown)
            if _is_missing(error):
                problem = (
                    None
                    if missing_is_empty
                    else StorageError(f"cassandra: {self._shown} is not there: is its name right?")
                )
        # Raised behind the handler, because what led to the error may hold addresses.
        if problem is not None:
            raise problem


def prefix(table: str) -> str:
    """What the names of our tables begin with, beside a table of LangChain's own class.

    Example:
        >>> prefix("message_store")
        'backscroll_message_store_'
    """
    if len(table) <= LONGEST_PLAIN and table == table.lower():
        return f"backscroll_{table}_"
    digest = blake2b(table.encode(), digest_size=5).hexdigest()
    # One character longer than any plain one, whatever the name.
    return f"backscroll_{table.lower()[:17]:_<17}_{digest}_"


def folded(argument: str, name: Any) -> str:
    """A name as Cassandra has it: in small letters, unless it stands in quotation marks.

    Raises:
        InvalidArgument: It is no name.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidArgument(f"{argument}: expected a letter and up to 47 letters, digits and _, of ASCII")
    return name[1:-1] if name.startswith('"') else name.lower()


def _given(argument: str, value: Any, what: str) -> Any:
    """An argument, or what ``cassio.init`` was given for it; who called that has imported cassio."""
    if value is None:
        value = getattr(sys.modules.get("cassio.config"), f"default_{argument}", None)
    if value is None:
        raise InvalidArgument(f"{argument}: give {what}, or call cassio.init first")
    return value


def _setup(mode: Any) -> str:
    name = mode.name if isinstance(mode, Enum) else mode
    known = SetupMode.__members__
    if not isinstance(name, str) or name.upper() not in known:
        raise InvalidArgument(f"setup_mode: expected one of {', '.join(known)}")
    return "never" if name.upper() == SetupMode.OFF.name else "auto"


def _is_missing(error: Exception) -> bool:
    return isinstance(error, InvalidRequest) and _MISSING.search(str(error)) is not None


def _told(error: Exception, where: str) -> BackscrollError:
    """What kept a statement from being answered."""
    if isinstance(error, InvalidRequest | TypeError):  # the latter where a column has another type
        return StorageError(f"cassandra: {where} is not as LangChain's class makes it: give another table_name")
    if isinstance(error, RequestValidationException):
        return StorageError(
            f"cassandra: {where} cannot be used ({type(error).__name__}): does the user have the rights?"
        )
    return Unavailable(f"cassandra: {where} cannot be reached ({type(error).__name__}): is the cluster up?")
