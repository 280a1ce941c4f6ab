"""The session of the driver: opened once, in a thread of its own, and asked by futures."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, NamedTuple

import attrs
from cassandra import ConsistencyLevel
from cassandra.policies import FallthroughRetryPolicy
from cassandra.query import UNSET_VALUE, BatchStatement, BatchType, SimpleStatement

from backscroll.backend import Deadline
from backscroll.errors import BackscrollError, Closed, DeadlineExceeded, SchemaError, Unavailable
from backscroll.futures import done, pending
from backscroll_cassandra.layout import COMMENT, PREPARED, SCHEMA_VERSION, UNSET, Query, Tables
from backscroll_cassandra.refusals import NO_TABLES, UNKNOWN, NoTables, not_connected, refused
from backscroll_cassandra.settings import REPLICATION, no_keyspace, nodes_of

LONGEST_TRY: Final = 3.0
"""After how many seconds a node that was asked is given up for another one."""

CLOSING: Final = 2.0
"""How many seconds `close` waits for the driver's threads."""

TIME: Final = "SELECT toUnixTimestamp(now()) FROM system.local"
FOUND: Final = "SELECT comment FROM system_schema.tables WHERE keyspace_name = %s AND table_name = %s"

_of_the_parent: Final[list[Any]] = []


class Answer(NamedTuple):
    """What came back: the names of the columns, and the rows."""

    names: Sequence[str]
    rows: Sequence[Sequence[Any]]

    @property
    def applied(self) -> bool:
        """Whether the condition of a write held."""
        return bool(self.rows[0][0])

    def row(self) -> dict[str, Any]:
        """The first row by the names of its columns."""
        return dict(zip(self.names, self.rows[0], strict=True))


NOTHING: Final = Answer((), ())


class _Parcel:
    """An answer as the driver gets it, which keeps what it gets until Python looks for cycles: a whole page."""

    def __init__(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self._answer: Answer | None = Answer(names, rows)

    def opened(self) -> Answer:
        """What is in it; afterwards nothing is."""
        answer, self._answer = self._answer, None
        return answer or NOTHING


@attrs.frozen
class Levels:
    """How many replicas have to agree."""

    plain: int
    serial: int


LOCAL: Final = Levels(ConsistencyLevel.LOCAL_QUORUM, ConsistencyLevel.LOCAL_SERIAL)
GLOBAL: Final = Levels(ConsistencyLevel.QUORUM, ConsistencyLevel.SERIAL)


class Clock:
    """The time of the servers, in milliseconds since 1970, as it was told last and has gone on since."""

    def __init__(self) -> None:
        self._latest = self._earliest = 0.0
        self.is_set = False

    def heard(self, told: int, asked_at: float) -> None:
        """Note the time that a server told, who was asked at this moment of the monotonic clock."""
        self._latest = told - asked_at * 1_000
        self._earliest = told - time.monotonic() * 1_000
        self.is_set = True

    def latest(self) -> int:
        """The time by now, or a little more."""
        return max(0, int(self._latest + time.monotonic() * 1_000) + 1)

    def earliest(self) -> int:
        """The time by now, or a little less."""
        return max(0, int(self._earliest + time.monotonic() * 1_000))


class Connections:
    """The way to the cluster.

    Args:
        connect: Makes a session of the driver, or gives the one brought along.
        owns: Whether the session is ours to close.
        tables: The tables of the statements.
        levels: How many replicas have to agree.
        protocol_version: That of the options, for the errors.
        largest: The most bytes of a turn by the options, for the errors.
        makes_keyspace: Whether a keyspace that is missing is made by the first append.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        *,
        owns: bool,
        tables: Tables,
        levels: Levels,
        protocol_version: int,
        largest: int,
        makes_keyspace: bool,
    ) -> None:
        self._connect = connect
        self._owns = owns
        self._levels = levels
        self._protocol_version = protocol_version
        self._largest = largest
        self._makes_keyspace = makes_keyspace
        self.tables = tables
        self.clock = Clock()
        self._closed = False
        self.forget(first=True)

    def forget(self, *, first: bool = False) -> None:
        """Drop what is open, in the child of a fork."""
        if not first:
            # Were it finalised here, it would close the sockets of the parent.
            _of_the_parent.append(self._session)
        self._lock = threading.Lock()
        self._session: Any = None
        self._prepared: dict[str, Any] | None = None
        self._opening: Future[None] | None = None
        self._lacking: SchemaError = NoTables(NO_TABLES)
        self._is_doubtful = False
        """Whether a node did not know the tables, which is looked into before the next call."""
        self._is_released = False

    # Opening.

    def opened(self) -> Future[None]:
        """Done as soon as there is a session, with the statements prepared where the tables are there.

        Raises:
            Closed: The store was closed.
        """
        with self._lock:
            if self._closed:
                raise Closed
            if self._opening is None or (self._opening.done() and not self.is_open):
                opening: Future[None] = pending()
                threading.Thread(
                    target=self._open, args=(opening,), name="backscroll-cassandra-open", daemon=True
                ).start()
                self._opening = opening
            return self._opening

    @property
    def is_open(self) -> bool:
        """Whether the next statement can be sent at once."""
        return self._prepared is not None and not self._is_doubtful and not self._closed

    def too_late(self, deadline: Deadline) -> DeadlineExceeded:
        """What a call meets that waited for the session until its deadline."""
        return DeadlineExceeded(f"cassandra: no connection within {deadline.seconds:g} s: raise timeout")

    def _open(self, opening: "Future[None]") -> None:
        try:
            if self._session is None:
                session = self._connect()
                session.add_request_init_listener(_ours)
                self._session = session
            if not self.clock.is_set:
                self._set_clock()
            rows = self.run(FOUND, self.tables.keys, Deadline(LONGEST_TRY)).result().rows
            if known_version(rows):
                # Preparing waits for an answer, so it is all done here.
                self._prepared = {text: self._session.prepare(self.tables.filled(text)) for text in PREPARED}
            else:
                self._prepared, self._lacking = None, self._look_for_keyspace()
            self._is_doubtful = False
        except BaseException as error:  # noqa: BLE001 - it is told to those who wait
            opening.set_exception(not_connected(error, self._protocol_version))
        else:
            opening.set_result(None)
        if self._closed:
            self._release()

    def _look_for_keyspace(self) -> SchemaError:
        """What a call meets where the tables are missing: nothing is stored yet, or nothing can be."""
        keyspace = (self.tables.keyspace,)
        if self._makes_keyspace or self.run(REPLICATION, keyspace, Deadline(LONGEST_TRY)).result().rows:
            return NoTables(NO_TABLES)
        return SchemaError(f"cassandra: {no_keyspace(self.tables, nodes_of(self._session))}")

    def _set_clock(self) -> None:
        asked_at = time.monotonic()
        [[told]] = self.run(TIME, (), Deadline(LONGEST_TRY)).result().rows
        self.clock.heard(told, asked_at)

    # Asking.

    def ask(
        self,
        query: Query | Sequence[Query],
        deadline: Deadline,
        *,
        writes: bool = False,
        serial: bool = False,
        is_patient: bool = False,
    ) -> "Future[Answer]":
        """Send a statement, or several as one batch; the future ends by the deadline.

        Args:
            query: The statement or the batch.
            deadline: By when.
            writes: Whether it may change something.
            serial: Whether a read waits for the writes that are under way.
            is_patient: Whether a node may take all the time there is.
        """
        try:
            statement = self._statement(query, serial=serial)
        except SchemaError as error:
            return _failed(error)
        return self._send(statement, None, deadline, writes=writes, is_patient=is_patient)

    def run(self, text: str, values: tuple[Any, ...], deadline: Deadline, *, writes: bool = False) -> "Future[Answer]":
        """Send a text that is not prepared: one that makes the schema, or asks the server about itself."""
        statement = self._marked(SimpleStatement(text))
        # What makes a table is slow on a node under load, and a second try would meet the first.
        return self._send(statement, values, deadline, writes=writes, is_patient=writes)

    def _send(
        self,
        statement: Any,
        values: tuple[Any, ...] | None,
        deadline: Deadline,
        *,
        writes: bool,
        is_patient: bool = False,
    ) -> "Future[Answer]":
        seconds = deadline.remaining()
        if not seconds:
            return _failed(DeadlineExceeded(f"cassandra: not begun within {deadline.seconds:g} s: raise timeout"))
        future: Future[Answer] = pending()
        waiting = [future]  # the driver keeps the callbacks, too, and must not keep the answer by them

        def arrived(parcel: _Parcel | None) -> None:
            waiting.pop().set_result(parcel.opened() if parcel else NOTHING)

        def failed(error: BaseException) -> None:
            told = refused(error, writes=writes, limit=self._largest)
            if isinstance(told, NoTables) and statement.is_prepared:
                # It may be this node alone.
                self._is_doubtful = True
                told = Unavailable(UNKNOWN)
            waiting.pop().set_exception(told)

        try:
            timeout = seconds if is_patient else min(seconds, LONGEST_TRY)
            sent = self._session.execute_async(statement, values, timeout=timeout)
        except Exception as error:  # noqa: BLE001 - told in the same way as the driver's
            failed(error)
        else:
            sent.add_callbacks(arrived, failed)
        return future

    def pause(self, seconds: float) -> "Future[None]":
        """Done after so many seconds."""
        future: Future[None] = pending()
        self._session.cluster.connection_class.create_timer(seconds, lambda: future.set_result(None))
        return future

    def _statement(self, query: Query | Sequence[Query], *, serial: bool) -> Any:
        if (known := self._prepared) is None:
            raise self._lacking
        if isinstance(query, Query):
            statement = known[query.text].bind(_bound(query.values))
            statement.fetch_size = None
        else:
            statement = BatchStatement(BatchType.UNLOGGED)
            for each in query:
                statement.add(known[each.text], _bound(each.values))
        return self._marked(statement, serial=serial, is_prepared=True)

    def _marked(self, statement: Any, *, serial: bool = False, is_prepared: bool = False) -> Any:
        statement.consistency_level = self._levels.serial if serial else self._levels.plain
        statement.serial_consistency_level = self._levels.serial
        # The driver would repeat a removal by itself, whose first answer then is lost.
        statement.retry_policy = _FALLTHROUGH
        statement.is_of_backscroll = True
        statement.is_prepared = is_prepared
        return statement

    # What stands beside the statements.

    @property
    def session(self) -> Any:
        """The session of the driver."""
        return self._session

    def close(self, *, wait: bool = True) -> None:
        """Release the session, if it is ours; waiting for the driver's threads a little, or not at all."""
        with self._lock:
            self._closed = True
            is_opening = self._opening is not None and not self._opening.done()
        if not is_opening:
            self._release(wait=wait)

    def _release(self, *, wait: bool = False) -> None:
        with self._lock:
            is_released, self._is_released = self._is_released, True
        if is_released or self._session is None:
            return
        with suppress(Exception):
            self._session.remove_request_init_listener(_ours)
        if self._owns:
            # It waits for its threads, of which one may wait for a node that does not answer.
            closing = threading.Thread(target=self._session.cluster.shutdown, daemon=True)
            closing.start()
            if wait:
                closing.join(CLOSING)


async def state_of_tables(connections: Connections, deadline: Deadline) -> int:
    """The version of the tables, as the server has them now; 0 where there are none.

    Raises:
        SchemaError: They are newer than this release, or another program's.
    """
    return known_version((await done(connections.run(FOUND, connections.tables.keys, deadline))).rows)


def known_version(rows: Sequence[Sequence[Any]]) -> int:
    """The version that the comment of the table of messages tells, if this release knows it.

    Raises:
        SchemaError: It is newer, or another program's.
    """
    version = version_of(rows)
    if version > SCHEMA_VERSION:
        raise SchemaError(
            f"cassandra: the tables have version {version}, and this release knows {SCHEMA_VERSION}: "
            "install a newer backscroll-cassandra"
        )
    return version


def version_of(rows: Sequence[Sequence[Any]]) -> int:
    """The version that the comment of the table of messages tells; 0 where there is none.

    Raises:
        SchemaError: It is another program's.
    """
    if not rows:
        return 0
    comment = rows[0][0] or ""
    number = comment.removeprefix(COMMENT)
    if number == comment or not number.isdigit():
        raise SchemaError("cassandra: the table of the messages is another program's: give another prefix")
    return int(number)


def _failed(error: BackscrollError) -> "Future[Answer]":
    future: Future[Answer] = pending()
    future.set_exception(error)
    return future


def _bound(values: tuple[Any, ...]) -> list[Any]:
    return [UNSET_VALUE if value is UNSET else value for value in values]


def _ours(request: Any) -> None:
    """Let our requests have rows of one shape, and the server's time, whatever the session is set up to."""
    if getattr(request.query, "is_of_backscroll", False):
        request.row_factory = _Parcel
        request.message.timestamp = None


_FALLTHROUGH: Final = FallthroughRetryPolicy()
