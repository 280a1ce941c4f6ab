"""Connections to the server, in a pool, each lent to one call at a time."""

import selectors
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import pymysql
from pymysql.constants import CLIENT
from pymysql.cursors import SSCursor
from sqlalchemy.pool import Pool

from backscroll.backend import Deadline
from backscroll.errors import Closed, MessageTooLarge, OutcomeUnknown, Unavailable
from backscroll_tidb.layout import BEGIN, COMMIT, ROLLBACK
from backscroll_tidb.refusals import (
    NO_MULTI_STATEMENTS,
    SYNTAX,
    UNSENT,
    code_of,
    is_loss,
    not_connected,
    refused,
    too_late,
)

SETTINGS: Final = "SET sql_mode = 'STRICT_ALL_TABLES', time_zone = '+00:00'"
"""For the store's own connections: NULL in a column that takes none has to fail, and no hour may come twice."""

ISOLATION: Final = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"
"""For the store's own connections, since a server may be set to show what was not committed."""

PIECE: Final = 1 << 16
"""The most bytes that are asked of a socket at once."""

LARGE: Final = 1 << 20
"""From how many bytes on a packet is compared with the server's limit before it is sent."""

_STRICT: Final = {"STRICT_ALL_TABLES", "STRICT_TRANS_TABLES"}

_deadline: Final = threading.local()


class Answer(NamedTuple):
    """The answer to a statement: its rows, how many it found or changed, and LAST_INSERT_ID where it was set."""

    rows: tuple[tuple[Any, ...], ...]
    found: int
    last_insert_id: int


def _answer(cursor: Any) -> Answer:
    return Answer(cursor.fetchall(), cursor.rowcount, cursor.lastrowid)


class Bounded(pymysql.connections.Connection):  # type: ignore[misc]
    """A connection whose every step ends by the deadline of the call that needs it."""

    def _get_server_information(self) -> None:
        self._unread = bytearray()
        super()._get_server_information()
        # What comes before TLS begins is not taken for what comes within it.
        self._unread.clear()
        if self.ssl and not self.server_capabilities & CLIENT.SSL:
            raise pymysql.err.OperationalError(2026, "the server offers no TLS")

    def _read_bytes(self, num_bytes: int) -> bytes:
        # In pieces, since the time of an answer that comes in pieces would begin anew with each.
        while len(self._unread) < num_bytes:
            self._hurry()
            try:
                piece = self._sock.recv(PIECE)
            except OSError as error:
                self._force_close()
                raise pymysql.err.OperationalError(2013, str(error)) from error
            except BaseException:
                self._force_close()  # the rest of the answer would be taken for that to another question
                raise
            if not piece:
                self._force_close()
                raise pymysql.err.OperationalError(2013, "the server hung up")
            self._unread += piece
        found = bytes(self._unread[:num_bytes])
        del self._unread[:num_bytes]
        return found

    def _write_bytes(self, data: bytes) -> None:
        self._hurry()
        super()._write_bytes(data)

    def _hurry(self) -> None:
        left = remaining()
        self._read_timeout = self._write_timeout = self._current_timeout = left
        self._sock.settimeout(left)


def remaining() -> float:
    """The seconds that the call of this thread has left; 0 would mean not to wait at all."""
    deadline: Deadline | None = getattr(_deadline, "of_call", None)
    return 1.0 if deadline is None else max(0.001, deadline.remaining())


class Link:
    """A connection that is lent to one call.

    Args:
        lent: It, as the pool gives it.
        deadline: Of the call.
        sends_together: Whether several statements may go in one packet.

    Attributes:
        sends_together: Whether that turned out to be so.
        is_in_doubt: Whether what was sent last may have been done, for all that is known.
        has_committed: Whether something was done for good.
    """

    def __init__(self, lent: Any, deadline: Deadline, *, sends_together: bool) -> None:
        self._lent: Final = lent
        self._connection: Final = lent.dbapi_connection
        self._deadline: Final = deadline
        self._in_transaction = False
        self._is_waiting = False
        self.sends_together = sends_together and bool(self._connection.client_flag & CLIENT.MULTI_STATEMENTS)
        self.is_in_doubt = False
        self.has_committed = False

    @property
    def is_tidb(self) -> bool:
        """Whether the server is TiDB."""
        return "TiDB" in self._connection.get_server_info()

    @property
    def is_strict(self) -> bool:
        """Whether NULL in a column that takes none fails, and assignments see those before them."""
        if isinstance(self._connection, Bounded):
            return True
        known: dict[str, bool] = self._lent.info
        if "backscroll_strict" not in known:
            modes = set(self.ask("SELECT @@sql_mode")[0].rows[0][0].split(","))
            known["backscroll_strict"] = bool(modes & _STRICT) and "SIMULTANEOUS_ASSIGNMENT" not in modes
        return known["backscroll_strict"]

    @property
    def is_mariadb(self) -> bool:
        """Whether the server is MariaDB."""
        return "MariaDB" in self._connection.get_server_info()

    @property
    def is_open(self) -> bool:
        """Whether it still is a connection, on which no answer is still to come."""
        return self._lent.is_valid and bool(self._connection.open) and not self._is_waiting

    def ask(self, *statements: str) -> list[Answer]:
        """Send statements, together where the server takes them so, and return the answer to each.

        Raises:
            DeadlineExceeded: The time is over, and nothing was sent.
        """
        if not self.sends_together:
            return [answer for one in statements for answer in self._send((one,))]
        try:
            return self._send(statements)
        except pymysql.err.MySQLError as error:
            if len(statements) == 1 or code_of(error) not in (SYNTAX, NO_MULTI_STATEMENTS):
                raise
        # The server, or a proxy before it, does not take them so; a mistake of another kind shows again.
        self.sends_together = False
        if statements[0] == BEGIN:
            self.take_back()
        return self.ask(*statements)

    def rows(self, statement: str, limit: int, most_bytes: int, column: int) -> tuple[list[tuple[Any, ...]], bool]:
        """Ask for rows, until one column of them has so many bytes; gives also whether that was before the limit."""
        self._begin((statement,))
        cursor = self._connection.cursor(SSCursor)
        found: list[tuple[Any, ...]] = []
        size = 0
        try:
            cursor.execute(statement)
            while (row := cursor.fetchone()) is not None:
                found.append(row)
                size += len(row[column])
                if size >= most_bytes and len(found) < limit:
                    self._hang_up(cursor)
                    return found, True
            cursor.close()
        except BaseException as error:
            self._is_waiting = code_of(error) is None or is_loss(error)
            if self._is_waiting:
                self._hang_up(cursor)
            raise
        self._is_waiting = False
        return found, False

    def take_back(self) -> None:
        """Undo what was begun and not committed; a connection without autocommit begins with each statement."""
        if self.is_open and (self._in_transaction or not self._connection.get_autocommit()):
            self._send((ROLLBACK,))

    def _send(self, statements: tuple[str, ...]) -> list[Answer]:
        packet = "; ".join(statements)
        if len(packet) > LARGE:
            self._check_size(len(packet))
        self._begin(statements)
        answers: list[Answer] = []
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(packet)
                answers.append(_answer(cursor))
                while cursor.nextset():
                    answers.append(_answer(cursor))
        except pymysql.err.MySQLError as error:
            self._is_waiting = is_loss(error)
            if code_of(error) == UNSENT:
                self.is_in_doubt = False
            elif not is_loss(error) and self._in_transaction:
                # It goes no further, and before its COMMIT nothing of a transaction is done.
                self.is_in_doubt = statements[len(answers)] == COMMIT
            raise
        self._is_waiting = False
        self._in_transaction = self._in_transaction and statements[-1] not in (COMMIT, ROLLBACK)
        self.has_committed = self.has_committed or COMMIT in statements
        return answers

    def _check_size(self, size: int) -> None:
        """Refuse what the server would hang up at, without a word."""
        known: dict[str, int] = self._lent.info
        if "backscroll_packet" not in known:
            known["backscroll_packet"] = self.ask("SELECT @@max_allowed_packet")[0].rows[0][0]
        if size >= (limit := known["backscroll_packet"]):
            raise MessageTooLarge("max_allowed_packet of the server", limit, size, ceiling=True)

    def _begin(self, statements: tuple[str, ...]) -> None:
        if not self._deadline.remaining():
            raise too_late(self._deadline)
        if not isinstance(self._connection, Bounded):
            self._connection._read_timeout = self._connection._write_timeout = remaining()  # noqa: SLF001
        self._in_transaction = self._in_transaction or BEGIN in statements
        # What ends within a transaction was not done, unless it was about to commit.
        self.is_in_doubt = COMMIT in statements or not self._in_transaction
        self._is_waiting = True

    def _hang_up(self, cursor: Any) -> None:
        """Leave the rest of an answer unread; it would have to be read before the next one."""
        if cursor._result is not None:  # noqa: SLF001
            cursor._result.unbuffered_active = False  # noqa: SLF001
            cursor._result = None  # noqa: SLF001
        self._connection._force_close()  # noqa: SLF001


class Connections:
    """Lends the connections of a pool.

    Args:
        made: Makes the pool.
        owns: Whether it is the store's own, and closed with it.
    """

    def __init__(self, made: Callable[[], Pool], *, owns: bool) -> None:
        self._made: Final = made
        self._owns: Final = owns
        self._pool: Pool | None = None
        self._making = threading.Lock()
        self._closed = False
        self._sends_together = True

    @contextmanager
    def lend(self, deadline: Deadline, *, writes: bool = False) -> Iterator[Link]:
        """Lend a connection to one call. What was begun there and not committed is taken back.

        Raises:
            BackscrollError: What an error of the driver means.
            Closed: The store was closed.
        """
        _deadline.of_call = deadline
        try:
            lent = self._checked_out(deadline)
            times = lent.dbapi_connection._read_timeout, lent.dbapi_connection._write_timeout  # noqa: SLF001
            link = Link(lent, deadline, sends_together=self._sends_together)
            try:
                yield link
                self._mend(link, lent)
            except Exception as error:
                in_doubt = writes and link.is_in_doubt
                self._mend(link, lent)
                failure = refused(error, deadline, in_doubt=in_doubt)
                if link.has_committed and isinstance(failure, Unavailable):
                    failure = OutcomeUnknown(f"{failure}, and a part was done before")
                if failure is error:
                    raise
                raise failure from error
            except BaseException:
                lent.invalidate()  # nobody knows what was under way
                raise
            finally:
                self._give_back(link, lent, times)
        finally:
            _deadline.of_call = None

    def close(self) -> None:
        """Close the connections that are idle, and the others when they come back."""
        with self._making:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None and self._owns:
            pool.dispose()

    def forget(self) -> None:
        """Drop the connections, which belong to the parent of this process."""
        self._making = threading.Lock()
        if self._owns and self._pool is not None:
            # Were it finalised here, it would say goodbye on the parent's connections.
            _of_the_parent.append(self._pool)
            self._pool = None

    def _checked_out(self, deadline: Deadline) -> Any:
        """A connection that is there, as far as one can see without asking the server."""
        with self._making:
            if self._closed:
                raise Closed
            if self._pool is None or not self._owns:  # an engine has another one after its dispose()
                self._pool = self._made()
            pool = self._pool
        while True:
            if not deadline.remaining():
                raise too_late(deadline)
            try:
                lent: Any = pool.connect()
            except Exception as error:
                raise not_connected(error) from error
            # A new one need not be looked at, and one that is new each time would be made for ever.
            if not lent.info.setdefault("backscroll_used", False) or not _has_ended(lent.dbapi_connection):
                lent.info["backscroll_used"] = True
                return lent
            lent.invalidate()
            lent.close()

    def _mend(self, link: Link, lent: Any) -> None:
        """Let the connection be as it was, or go."""
        try:
            if link.is_open:
                link.take_back()
            else:
                lent.invalidate()
        except Exception:  # noqa: BLE001 - the server takes it back when the connection ends
            lent.invalidate()

    def _give_back(self, link: Link, lent: Any, times: tuple[Any, Any]) -> None:
        self._sends_together = self._sends_together and link.sends_together
        if link.is_open and not (self._closed and self._owns):
            lent.dbapi_connection._read_timeout, lent.dbapi_connection._write_timeout = times  # noqa: SLF001
        elif lent.is_valid and (self._owns or not link.is_open):
            lent.invalidate()
        lent.close()


_Selector: Final = getattr(selectors, "PollSelector", selectors.SelectSelector)
_of_the_parent: Final[list[Pool]] = []


def _has_ended(connection: Any) -> bool:
    """Whether the server hung up while the connection was idle: there is nothing to read on one that did not."""
    if not connection.open or getattr(connection, "_unread", None):
        return True
    with _Selector() as selector:
        selector.register(connection._sock, selectors.EVENT_READ)  # noqa: SLF001
        return bool(selector.select(0))
