"""The shape of the tables, and the statements: texts in, texts out. Imports no driver.

``session`` holds a counter per session and the ring of its last turns (`backscroll.recent`); ``message`` the bodies,
clustered by session and seq; ``schema`` the version of this shape. Ids are binary: no collation folds or pads them.
Values are put in as numbers and as hexadecimal digits, so that no setting of the server has a say in how they are read.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from backscroll.backend import Turn, Window
from backscroll.recent import RING_BYTES, push_turn

SCHEMA_VERSION: Final = 1
"""The version of this shape."""

REFUSED: Final = 1
"""What LAST_INSERT_ID stands at where an append was refused; otherwise it is the first seq and `OFFSET`."""

OFFSET: Final = 2

# TiDB's pessimistic transactions wait for each other, its optimistic ones would fail; the others know no other kind.
BEGIN: Final = "BEGIN /*T! PESSIMISTIC */"
COMMIT: Final = "COMMIT"
ROLLBACK: Final = "ROLLBACK"

MARK: Final = "X''"
"""The body that says: this message and all before it were discarded, and are still to be dropped."""

ROWS_AT_ONCE: Final = 1_000
"""How many messages a statement deletes at the most: far from TiDB's limits for a transaction."""

# SYSDATE is the moment at which it is evaluated, NOW that at which the statement began, before it waited for a lock.
_MICROSECONDS: Final = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
_NOW: Final = f"(({_MICROSECONDS} + GREATEST(0, TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6)))) DIV 1000)"
"""Milliseconds since 1970 in any time zone."""

_BEGAN: Final = f"({_MICROSECONDS} DIV 1000)"
"""The same, when the statement began: a constant, by which an index can be searched."""

_UTC: Final = "DATE_FORMAT(UTC_TIMESTAMP() + INTERVAL {} SECOND, '%Y-%m-%d %H:%i:%S+00:00')"

_LAST_SECOND: Final = 2_147_483_647
"""The last second since 1970 that a TIMESTAMP holds."""


@attrs.frozen
class Layout:
    """The statements for one set of tables.

    Args:
        prefix: What the names of the tables begin with.
        schema: The database that holds them; None for the connection's.
        is_tidb: Whether the server is TiDB, which drops what has expired by itself, as often as it is set up to.
    """

    prefix: str
    schema: str | None
    is_tidb: bool

    def table(self, name: str) -> str:
        """The name of a table, as statements have it."""
        return f"`{self.schema}`.`{self.prefix}{name}`" if self.schema else f"`{self.prefix}{name}`"

    # Making the tables.

    def tables(self) -> list[str]:
        """The statements that make the tables where they are missing."""
        clustered = "/*T![clustered_index] CLUSTERED */"
        purge_at, index, expiring = "BIGINT NULL", ", KEY due (purge_at)", ""
        if self.is_tidb:
            # Without an index, since each message would be in it, at one end; the server's own job scans.
            purge_at, index = "TIMESTAMP NULL", ""
            expiring = " TTL = `purge_at` + INTERVAL 0 SECOND TTL_ENABLE = 'ON'"
        return [
            (
                f"CREATE TABLE IF NOT EXISTS {self.table('session')} (session_id VARBINARY(512) NOT NULL, "
                "next_seq BIGINT NOT NULL, first_seq BIGINT NOT NULL, recent VARBINARY(1024) NOT NULL, "
                f"PRIMARY KEY (session_id) {clustered}) ENGINE = InnoDB"
            ),
            (
                f"CREATE TABLE IF NOT EXISTS {self.table('message')} (session_id VARBINARY(512) NOT NULL, "
                f"seq BIGINT NOT NULL, expires_at BIGINT NULL, purge_at {purge_at}, body MEDIUMBLOB NOT NULL, "
                f"PRIMARY KEY (session_id, seq) {clustered}{index}) ENGINE = InnoDB{expiring}"
            ),
            (
                f"CREATE TABLE IF NOT EXISTS {self.table('schema')} "
                "(id INT NOT NULL PRIMARY KEY, version INT NOT NULL) ENGINE = InnoDB"
            ),
        ]

    def migrations(self) -> Sequence[Sequence[str]]:
        """Step n brings the tables from version n to n + 1; each of its statements may be repeated."""
        return (self.tables(),)

    def looks(self) -> list[str]:
        """Statements that fail where tables of these names are another program's."""
        return [
            f"SELECT session_id, next_seq, first_seq, recent FROM {self.table('session')} LIMIT 0",
            f"SELECT session_id, seq, expires_at, purge_at, body FROM {self.table('message')} LIMIT 0",
        ]

    def version(self) -> str:
        """Ask for the version of the shape."""
        return f"SELECT version FROM {self.table('schema')} WHERE id = 1"

    def set_version(self, version: int) -> str:
        """Note the version of the shape."""
        return f"REPLACE INTO {self.table('schema')} (id, version) VALUES (1, {version})"

    # Appending.

    def append(self, session_id: str, turn: Turn) -> list[str]:
        """Append a turn of which no copy was sent before.

        The counter's row decides, and hands the seq on in LAST_INSERT_ID. Where it refuses, NULL goes into a column
        that takes none, and nothing is stored.
        """
        count = len(turn.bodies)
        session, about = _hex(session_id.encode()), _hex(turn.turn_id.bytes + turn.digest)
        fits = f"LOCATE({_hex(turn.turn_id.bytes)}, recent) = 0"
        if turn.expected_version is not None:
            fits += f" AND next_seq = {turn.expected_version}"
        # An absent session has version 0. Made of another column, since TiDB would else evaluate it once, and not again
        # where the row goes while the statement waits for it.
        first = f"LAST_INSERT_ID(first_seq + {OFFSET}) + {count - OFFSET}, {_entry(about, '0', count)}"
        if turn.expected_version:
            first = f"LAST_INSERT_ID(first_seq + {REFUSED}) * 0, X''"
        rows = [f"NULLIF(LAST_INSERT_ID(), {REFUSED}) - {OFFSET} + {index}" for index in range(count)]
        entered = f"SUBSTRING(CONCAT({_entry(about, 'next_seq', count)}, recent), 1, {RING_BYTES})"
        # Evaluated after `recent` is the new one, where the turn fits.
        is_entered = f"LEFT(recent, 24) = {about} AND SUBSTRING(recent, 25, 8) = {_eight_bytes('next_seq')}"
        place = f"LAST_INSERT_ID(IF({is_entered}, next_seq + {OFFSET}, {REFUSED}))"
        return [
            BEGIN,
            (
                f"INSERT INTO {self.table('session')} (session_id, first_seq, next_seq, recent) "
                f"VALUES ({session}, 0, {first}) ON DUPLICATE KEY UPDATE recent = IF({fits}, {entered}, recent), "
                f"next_seq = IF({place} > {REFUSED}, next_seq + {count}, next_seq)"
            ),
            self._insert(session, turn, rows),
            COMMIT,
        ]

    def state(self, session_id: str) -> str:
        """Ask for version, ring and time, and keep others from appending until the transaction ends."""
        return f"SELECT next_seq, recent, {_NOW} FROM {self.table('session')} WHERE {_of(session_id)} FOR UPDATE"

    def lock(self, session_id: str) -> list[str]:
        """Begin a transaction in which nobody else appends, and ask for the state; makes the session."""
        return [
            BEGIN,
            (
                f"INSERT INTO {self.table('session')} (session_id, next_seq, first_seq, recent) "
                f"VALUES ({_hex(session_id.encode())}, 0, 0, X'') ON DUPLICATE KEY UPDATE first_seq = first_seq"
            ),
            self.state(session_id),
        ]

    def land(self, session_id: str, turn: Turn, version: int, recent: bytes, now: int) -> list[str]:
        """Append a turn in the transaction that `lock` began."""
        session, count = _hex(session_id.encode()), len(turn.bodies)
        return [
            (
                f"UPDATE {self.table('session')} SET next_seq = {version + count}, "
                f"recent = {_hex(push_turn(recent, turn, version, now))} WHERE session_id = {session}"
            ),
            self._insert(session, turn, map(str, range(version, version + count))),
            COMMIT,
        ]

    def _insert(self, session: str, turn: Turn, seqs: Iterable[str]) -> str:
        expires_at = "NULL" if turn.expires_at is None else str(turn.expires_at)
        end = f"{expires_at}, {self._purge_at(turn.purge_in)}"
        rows = (f"({session}, {seq}, {end}, {_hex(body)})" for seq, body in zip(seqs, turn.bodies, strict=True))
        columns = "session_id, seq, expires_at, purge_at, body"
        return f"INSERT INTO {self.table('message')} ({columns}) VALUES {', '.join(rows)}"

    def _purge_at(self, seconds: float | None) -> str:
        if seconds is None:
            return "NULL"
        if not self.is_tidb:
            return f"{_NOW} + {round(seconds * 1_000)}"
        whole = int(seconds) + 1
        # Beyond the last second of this type no date is right: such a message stays.
        is_late = f"{whole} > {_LAST_SECOND} - {_NOW} DIV 1000"
        return f"IF({is_late}, NULL, {_UTC.format(min(whole, _LAST_SECOND))})"

    # Reading.

    def read(self, session_id: str, window: Window, *, only_live: bool) -> str:
        """Ask for messages.

        Args:
            session_id: The session.
            window: Which messages.
            only_live: Leave out on the server what has expired or was discarded, which costs it more. Otherwise what
                was discarded ends with a mark, which stands before it only where the newest come first.
        """
        bounds = [_of(session_id)]
        if window.after is not None:
            bounds.append(f"seq > {window.after}")
        if window.before is not None:
            bounds.append(f"seq < {window.before}")
        if only_live:
            bounds += [f"seq >= {self._first_seq(session_id)}", _live(window.now)]
        return (
            f"SELECT seq, expires_at, body FROM {self.table('message')} WHERE {' AND '.join(bounds)} "
            f"ORDER BY seq{' DESC' if window.newest else ''} LIMIT {window.limit}"
        )

    def _first_seq(self, session_id: str) -> str:
        return f"(SELECT first_seq FROM {self.table('session')} WHERE {_of(session_id)})"

    def info(self, session_id: str) -> str:
        """Ask for version, first seq and ring."""
        return f"SELECT next_seq, first_seq, recent FROM {self.table('session')} WHERE {_of(session_id)}"

    def count(self, session_id: str, now: int) -> str:
        """Ask for the number of live messages."""
        return (
            f"SELECT COUNT(*) FROM {self.table('message')} WHERE {_of(session_id)} "
            f"AND {_live(now)} AND seq >= {self._first_seq(session_id)}"
        )

    def sessions(self, prefix: str, cursor: str | None, limit: int) -> str:
        """Ask for one id more than `limit`, in their order."""
        after = f" AND session_id > {_hex(cursor.encode())}" if cursor else ""
        return (
            f"SELECT session_id FROM {self.table('session')} WHERE session_id >= {_hex(prefix.encode())}{after} "
            f"ORDER BY session_id LIMIT {limit + 1}"
        )

    # Dropping.

    def discard(self, session_id: str, before: int) -> list[str]:
        """Let messages not be read any more: move the first seq, and put the mark where the last of them was."""
        return [
            BEGIN,
            (
                f"UPDATE {self.table('session')} SET first_seq = GREATEST(first_seq, LEAST(next_seq, {before})) "
                f"WHERE {_of(session_id)}"
            ),
            (
                f"REPLACE INTO {self.table('message')} (session_id, seq, body) "
                f"SELECT session_id, first_seq - 1, {MARK} FROM {self.table('session')} "
                f"WHERE {_of(session_id)} AND first_seq > 0"
            ),
            COMMIT,
        ]

    def drop_discarded(self, session_id: str) -> list[str]:
        """Drop some messages that are not read any more, the mark last."""
        return [
            BEGIN,
            (
                f"DELETE FROM {self.table('message')} WHERE {_of(session_id)} "
                f"AND seq < {self._first_seq(session_id)} ORDER BY seq LIMIT {ROWS_AT_ONCE}"
            ),
            COMMIT,
        ]

    def hold(self, session_id: str) -> list[str]:
        """Begin a transaction in which nobody else appends or discards."""
        return [
            BEGIN,
            f"SELECT 1 FROM {self.table('session')} WHERE {_of(session_id)} FOR UPDATE",
        ]

    def remove(self, session_id: str, seqs: Sequence[int], now: int) -> list[str]:
        """Ask which of these messages are there, and drop them; in the transaction that `hold` began."""
        chosen = (
            f"FROM {self.table('message')} WHERE {_of(session_id)} AND seq IN ({', '.join(map(str, seqs))}) "
            f"AND {_live(now)} AND seq >= {self._first_seq(session_id)}"
        )
        return [f"SELECT seq {chosen} FOR UPDATE", f"DELETE {chosen}"]

    def delete(self, session_id: str, before: int) -> list[str]:
        """Begin a transaction and drop the row of a drained session of this version."""
        return [
            BEGIN,
            (
                f"DELETE FROM {self.table('session')} WHERE {_of(session_id)} "
                f"AND next_seq = {before} AND first_seq = next_seq"
            ),
        ]

    def delete_rest(self, session_id: str, before: int) -> list[str]:
        """Drop what others left of the session whose row that transaction dropped, and commit."""
        # No condition by a subquery: TiDB evaluates one when it plans, before the statement waited for a lock.
        return [
            f"DELETE FROM {self.table('message')} WHERE {_of(session_id)} AND seq < {before}",
            COMMIT,
        ]

    def purge(self) -> list[str]:
        """Drop some messages whose time has come."""
        now = _UTC.format(0) if self.is_tidb else _BEGAN
        return [BEGIN, f"DELETE FROM {self.table('message')} WHERE purge_at <= {now} LIMIT {ROWS_AT_ONCE}", COMMIT]


def _hex(value: bytes) -> str:
    return f"X'{value.hex()}'"


def _of(session_id: str) -> str:
    return f"session_id = {_hex(session_id.encode())}"


def _eight_bytes(number: str) -> str:
    return f"UNHEX(LPAD(HEX({number}), 16, '0'))"


def _entry(about: str, first_seq: str, count: int) -> str:
    """An entry of the ring, as an expression."""
    length = _hex(count.to_bytes(4, "big"))
    return f"CONCAT({about}, {_eight_bytes(first_seq)}, {length}, {_eight_bytes(_NOW)})"


def _live(now: int) -> str:
    return f"(expires_at IS NULL OR expires_at > {now})"
