"""The TiDB backend: one packet of statements per operation."""

from contextlib import suppress
from typing import Any, Final

import attrs
import pymysql

from backscroll.backend import (
    PAGE_BYTES,
    URL,
    Appended,
    Backend,
    Deadline,
    Durability,
    Examination,
    Health,
    Page,
    Row,
    SessionInfo,
    SessionPage,
    Turn,
    Window,
    session_page,
)
from backscroll.errors import OutcomeUnknown, SchemaError
from backscroll.hookspecs import BackendInfo
from backscroll.recent import known_turn, landed, session_info
from backscroll_tidb.access import connections
from backscroll_tidb.connections import Answer, Link
from backscroll_tidb.layout import BEGIN, COMMIT, OFFSET, ROLLBACK, ROWS_AT_ONCE, SCHEMA_VERSION, Layout
from backscroll_tidb.options import TiDBOptions
from backscroll_tidb.refusals import NO_RIGHT, NO_TABLE, NULL_REFUSED, NoTables, code_of
from backscroll_tidb.settings import OF_ALL, OF_OTHERS, OF_TIDB, Told, examined

BODY: Final = 2
"""The column of a read with the bodies."""

SEQS_AT_ONCE: Final = 1_000
"""How many seqs a statement of `remove` names at the most."""

SESSIONS_AT_ONCE: Final = 1_000
"""How many sessions a page lists at the most."""


class TiDBBackend(Backend):
    """Chat histories in TiDB, MySQL or MariaDB."""

    def __init__(self, declared: BackendInfo, url: URL, options: TiDBOptions) -> None:
        super().__init__(declared, url, options)
        self.limits = attrs.evolve(self.limits, durability=Durability(options.durability))
        self._connections: Final = connections(url, options)
        self._layouts: Final = [Layout(options.prefix, options.schema, is_tidb) for is_tidb in (False, True)]

    # The operations.

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        """One packet; a turn that may have been sent before takes two, since the time has to be looked at."""
        with self._connections.lend(deadline, writes=True) as link:
            layout = self._layout(link)
            if not turn.age and link.is_strict:
                try:
                    answers = link.ask(*layout.append(session_id, turn))
                except pymysql.err.MySQLError as error:
                    if code_of(error) != NULL_REFUSED:
                        raise
                else:
                    return landed(turn, _first_seq(answers[1]))
                # The session is locked still, so that this is why it was refused.
                found = link.ask(layout.state(session_id), ROLLBACK)[0].rows
                if (known := known_turn(*_state(found), turn)) is not None:
                    return known
            found = link.ask(*layout.lock(session_id))[-1].rows
            recent, version, now = _state(found)
            if (known := known_turn(recent, version, now, turn)) is not None:
                return known
            link.ask(*layout.land(session_id, turn, version, recent, now))
            return landed(turn, version)

    def read(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        """One SELECT; for the newest a second one where it met what is not read any more."""
        # The mark of what was discarded stands before it only where one comes from the newest end.
        only_live = not window.newest or window.before is not None
        found, has_more, is_sure = self._read(session_id, window, deadline, only_live=only_live)
        if not only_live and any(_is_gone(row, window.now) for row in found):
            found, has_more, is_sure = self._read(session_id, window, deadline, only_live=True)
        resume = found[-1].seq if found and has_more else None
        if not is_sure:
            # What was committed before the newest of these can be seen by now.
            window = attrs.evolve(window, before=max(row.seq for row in found) + 1)
            found, has_more, _ = self._read(session_id, window, deadline, only_live=True)
            resume = found[-1].seq if found and has_more else resume
        return Page(found, resume)

    def _read(
        self, session_id: str, window: Window, deadline: Deadline, *, only_live: bool
    ) -> tuple[list[Row], bool, bool]:
        """Rows, whether there may be more behind them, and whether there is none between them for sure."""
        with suppress(NoTables), self._connections.lend(deadline) as link:
            statement = self._layout(link).read(session_id, window, only_live=only_live)
            rows, is_cut = link.rows(statement, window.limit, PAGE_BYTES, BODY)
            found = [Row(*row) for row in rows]
            # MariaDB collects what its snapshot holds bit by bit, and may miss one commit and see the next.
            is_sure = not link.is_mariadb or not _has_gap(found, window)
            return found, is_cut or len(found) == window.limit, is_sure
        return [], False, True

    def info(self, session_id: str, deadline: Deadline) -> SessionInfo:
        """The session's row."""
        with suppress(NoTables), self._connections.lend(deadline) as link:
            [answer] = link.ask(self._layout(link).info(session_id))
            return session_info(session_id, answer.rows[0] if answer.rows else None)
        return session_info(session_id, None)

    def count(self, session_id: str, now: int, deadline: Deadline) -> int:
        """Count the session's rows."""
        with suppress(NoTables), self._connections.lend(deadline) as link:
            [answer] = link.ask(self._layout(link).count(session_id, now))
            return int(answer.rows[0][0])
        return 0

    def sessions(self, prefix: str, cursor: str | None, limit: int, deadline: Deadline) -> SessionPage:
        """Walk the key of the sessions, whose order is that of their UTF-8 bytes."""
        limit = min(limit, SESSIONS_AT_ONCE)
        with suppress(NoTables), self._connections.lend(deadline) as link:
            [answer] = link.ask(self._layout(link).sessions(prefix, cursor, limit))
            return session_page([row[0].decode() for row in answer.rows], prefix, limit)
        return SessionPage((), None)

    def discard(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Move the first seq, by which all is gone at once, and drop the rows in batches."""
        with suppress(NoTables), self._connections.lend(deadline, writes=True) as link:
            layout = self._layout(link)
            link.ask(*layout.discard(session_id, before))
            self._drop_discarded(link, session_id)

    def remove(self, session_id: str, seqs: tuple[int, ...], now: int, deadline: Deadline) -> tuple[int, ...]:
        """Delete single rows, in one transaction."""
        removed: list[int] = []
        with suppress(NoTables), self._connections.lend(deadline, writes=True) as link:
            layout = self._layout(link)
            batches = [seqs[start : start + SEQS_AT_ONCE] for start in range(0, len(seqs), SEQS_AT_ONCE)]
            for number, batch in enumerate(batches, 1):
                begin = layout.hold(session_id) if number == 1 else []
                commit = [COMMIT] if number == len(batches) else []
                answers = link.ask(*begin, *layout.remove(session_id, batch, now), *commit)
                removed += [seq for (seq,) in answers[len(begin)].rows]
            return tuple(sorted(removed))
        return ()

    def delete(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Delete the row of a drained session, and before it what an interrupted `discard` left."""
        with suppress(NoTables), self._connections.lend(deadline, writes=True) as link:
            layout = self._layout(link)
            self._drop_discarded(link, session_id)
            if link.ask(*layout.delete(session_id, before))[1].found:
                link.ask(*layout.delete_rest(session_id, before))

    def purge(self, deadline: Deadline) -> int:
        """Delete a batch of the messages whose time has come."""
        with suppress(NoTables), self._connections.lend(deadline, writes=True) as link:
            return link.ask(*self._layout(link).purge())[1].found
        return 0

    def setup(self, deadline: Deadline) -> Health:
        """Make the tables, or bring older ones up to date; whoever finds them so needs no right to change tables."""
        with self._connections.lend(deadline, writes=True) as link:
            for statement in self._outstanding(link):
                link.ask(BEGIN, statement, COMMIT)
        return self.ping(deadline)

    def schema_statements(self, deadline: Deadline) -> tuple[str, ...]:
        """The statements that `setup` would run now."""
        with self._connections.lend(deadline) as link:
            return tuple(self._outstanding(link))

    def ping(self, deadline: Deadline) -> Health:
        """Ask the server for its version and its settings."""
        return self.examine(deadline).health

    def examine(self, deadline: Deadline) -> Examination:
        """Ask the server for its version, its settings, its time, and the version of the tables."""
        clock = self.options.clock
        with self._connections.lend(deadline) as link:
            asked, [of_all], answered = clock(), link.ask(OF_ALL)[0].rows, clock()
            [of_kind] = link.ask(OF_TIDB if link.is_tidb else OF_OTHERS)[0].rows
            version = self._told_version(link)
            return examined(Told(of_all, of_kind, link.is_tidb, version, asked, answered), self.options)

    def close(self) -> None:
        """Close the connections; those in use when they come back."""
        self._connections.close()
        self.release_threads()

    def forget_after_fork(self) -> None:
        """Drop the connections, which belong to the parent."""
        super().forget_after_fork()
        self._connections.forget()

    # What several of them do.

    def _layout(self, link: Link) -> Layout:
        return self._layouts[link.is_tidb]

    def _drop_discarded(self, link: Link, session_id: str) -> None:
        statements = self._layout(link).drop_discarded(session_id)
        while link.ask(*statements)[1].found == ROWS_AT_ONCE:
            pass

    def _told_version(self, link: Link) -> int | None:
        """The version of the tables; None where the user may not read them."""
        try:
            return _version(link, self._layout(link))
        except pymysql.err.MySQLError as error:
            if code_of(error) != NO_RIGHT:
                raise
            return None

    def _outstanding(self, link: Link) -> list[str]:
        """The statements by which the tables come from the version that they have to the one of this release."""
        layout = self._layout(link)
        steps = layout.migrations()[_version(link, layout) :]
        if not steps:
            return []
        return [*(one for step in steps for one in step), *layout.looks(), layout.set_version(SCHEMA_VERSION)]


def _version(link: Link, layout: Layout) -> int:
    """The version of the tables; 0 where there are none.

    Raises:
        SchemaError: They are newer than this release.
    """
    try:
        found = link.ask(layout.version())[0].rows
    except pymysql.err.MySQLError as error:
        if code_of(error) != NO_TABLE:
            raise
        return 0
    version = int(found[0][0]) if found else 0
    if version > SCHEMA_VERSION:
        raise SchemaError(
            f"tidb: the tables have version {version}, and this release knows {SCHEMA_VERSION}: "
            "install a newer backscroll-tidb"
        )
    return version


def _state(found: tuple[tuple[Any, ...], ...]) -> tuple[bytes, int, int]:
    """The ring of a session, its version, and the time in milliseconds; of an absent one, too."""
    version, recent, now = found[0] if found else (0, b"", 0)
    return recent, version, int(now)


def _first_seq(answer: Answer) -> int:
    """What the counter handed on."""
    if answer.last_insert_id < OFFSET:
        raise OutcomeUnknown("tidb: the answer lacks LAST_INSERT_ID: does a proxy drop it?")
    return answer.last_insert_id - OFFSET


def _has_gap(rows: list[Row], window: Window) -> bool:
    """Whether a seq lacks between these rows, or before them where they are to follow one."""
    seqs = [row.seq for row in rows]
    if not seqs:
        return False
    first = min(seqs) if window.newest else (0 if window.after is None else window.after + 1)
    return max(seqs) - first + 1 != len(seqs)


def _is_gone(row: Row, now: int) -> bool:
    """Whether a row has expired, or is the mark of what was discarded."""
    return (row.expires_at is not None and row.expires_at <= now) or not row.body
