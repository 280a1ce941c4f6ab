"""The Cassandra backend: one conditional batch per append, one SELECT per page."""

import asyncio
import heapq
from contextlib import suppress
from typing import Final

import attrs

from backscroll.backend import (
    URL,
    Appended,
    Backend,
    Deadline,
    Durability,
    Examination,
    Health,
    Page,
    SessionInfo,
    SessionPage,
    Turn,
    Window,
    session_page,
)
from backscroll.errors import SchemaError, StorageError
from backscroll.futures import both, done
from backscroll.hookspecs import BackendInfo
from backscroll.recent import session_info
from backscroll_cassandra.access import connections, has_no_delay
from backscroll_cassandra.commits import Commits
from backscroll_cassandra.connections import state_of_tables
from backscroll_cassandra.layout import SHARDS, names
from backscroll_cassandra.options import CassandraOptions
from backscroll_cassandra.pages import Pages
from backscroll_cassandra.refusals import NoTables
from backscroll_cassandra.segments import Segments
from backscroll_cassandra.settings import (
    COMMIT_LOG,
    REPLICATION,
    VERSION,
    Seen,
    examined,
    no_keyspace,
    nodes_of,
    unknown_centres,
)

SESSIONS_AT_ONCE: Final = 1_000
"""How many sessions a page lists at the most."""


class CassandraBackend(Backend):
    """Chat histories in Apache Cassandra or Astra DB."""

    def __init__(self, declared: BackendInfo, url: URL, options: CassandraOptions) -> None:
        super().__init__(declared, url, options)
        self.limits = attrs.evolve(self.limits, durability=Durability(options.durability))
        self._connections: Final = connections(url, options)
        self._segments: Final = Segments(self._connections)
        self._commits: Final = Commits(self._connections, self._segments)
        self._pages: Final = Pages(self._connections, self._segments)

    # The operations.

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        """One conditional batch, with the turns that wait for the same session in this process."""
        self.begin(deadline)
        waiting = self._commits.add(session_id, turn, deadline)
        try:
            return waiting.future.result(deadline.remaining())
        except TimeoutError:
            raise self._commits.give_up(waiting) from None

    async def aappend(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        """Async twin of `append`."""
        await self.abegin(deadline)
        waiting = self._commits.add(session_id, turn, deadline)
        try:
            async with asyncio.timeout(deadline.remaining()):
                return await asyncio.wrap_future(waiting.future)
        except TimeoutError:
            raise self._commits.give_up(waiting) from None
        except asyncio.CancelledError:
            self._commits.give_up(waiting)
            raise

    async def _read(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        """One SELECT for the last messages; a second one in a long session that is new to the process."""
        with suppress(NoTables):
            return await self._pages.read(session_id, window, deadline)
        return Page([], None)

    read, aread = both(_read)

    async def _info(self, session_id: str, deadline: Deadline) -> SessionInfo:
        """The static columns of the last segment."""
        with suppress(NoTables):
            tail = (await self._segments.find(session_id, deadline, serial=False)).tail
            if tail.incarnation is not None:
                return session_info(session_id, (tail.version, tail.first_seq, tail.recent))
        return session_info(session_id, None)

    info, ainfo = both(_info)

    async def _count(self, session_id: str, now: int, deadline: Deadline) -> int:
        """Look at when each message expires."""
        with suppress(NoTables):
            return await self._pages.count(session_id, now, deadline)
        return 0

    count, acount = both(_count)

    async def _sessions(self, prefix: str, cursor: str | None, limit: int, deadline: Deadline) -> SessionPage:
        """A page of each shard of the index, merged."""
        limit = min(limit, SESSIONS_AT_ONCE)
        with suppress(NoTables):
            asked = [
                self._connections.ask(names(shard, prefix, cursor, limit + 1), deadline) for shard in range(SHARDS)
            ]
            shards = [[row[0] for row in (await done(future)).rows] for future in asked]
            return session_page(list(heapq.merge(*shards)), prefix, limit)
        return SessionPage((), None)

    sessions, asessions = both(_sessions)

    async def _discard(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Drop the oldest messages from segment to segment, and note up to where."""
        with suppress(NoTables):
            await self._segments.discard(session_id, before, deadline)

    discard, adiscard = both(_discard)

    async def _remove(self, session_id: str, seqs: tuple[int, ...], now: int, deadline: Deadline) -> tuple[int, ...]:
        """Delete single rows that are there."""
        with suppress(NoTables):
            return await self._segments.remove(session_id, seqs, now, deadline)
        return ()

    remove, aremove = both(_remove)

    async def _delete(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Drop the static columns of a drained session, and its entry in the index."""
        with suppress(NoTables):
            await self._segments.delete(session_id, before, deadline)

    delete, adelete = both(_delete)

    async def _setup(self, deadline: Deadline) -> Health:
        """Make the tables, and the keyspace if it is told how often its data is to be stored."""
        for statement in await self._outstanding(deadline):
            await done(self._connections.run(statement, (), deadline, writes=True))
        return await self._ping(deadline)

    setup, asetup = both(_setup)

    async def _schema_statements(self, deadline: Deadline) -> tuple[str, ...]:
        """The statements that `setup` would run now."""
        return tuple(await self._outstanding(deadline))

    schema_statements, aschema_statements = both(_schema_statements)

    async def _ping(self, deadline: Deadline) -> Health:
        """Ask a node for its version and its settings."""
        return (await self._examine(deadline)).health

    ping, aping = both(_ping)

    async def _examine(self, deadline: Deadline) -> Examination:
        """Ask a node for its version, its time and its settings."""
        run, session, clock = self._connections.run, self._connections.session, self.options.clock
        asked, [[version, time]], answered = clock(), (await done(run(VERSION, (), deadline))).rows, clock()
        seen = Seen(
            version,
            time,
            asked,
            answered,
            nodes_of(session),
            await self._replication(deadline),
            await state_of_tables(self._connections, deadline),
            await self._commit_log(deadline),
            has_no_delay(session),
        )
        return examined(seen, self._connections.tables, self.options)

    examine, aexamine = both(_examine)

    def close(self) -> None:
        """Close the session, if it is ours; what is under way ends as unknown."""
        self._connections.close()
        self.release_threads()

    async def aclose(self) -> None:
        """Async twin of `close`; it does not wait."""
        self._connections.close(wait=False)
        self.close()

    def forget_after_fork(self) -> None:
        """Drop the session, which belongs to the parent."""
        super().forget_after_fork()
        self._connections.forget()
        self._commits.forget()

    # What several of them do.

    def begin(self, deadline: Deadline) -> None:
        """See to it that there is a session of the driver."""
        if not self._connections.is_open:
            try:
                self._connections.opened().result(deadline.remaining())
            except TimeoutError:
                raise self._connections.too_late(deadline) from None

    async def abegin(self, deadline: Deadline) -> None:
        """Async twin of `begin`."""
        if not self._connections.is_open:
            try:
                async with asyncio.timeout(deadline.remaining()):
                    await asyncio.wrap_future(self._connections.opened())
            except TimeoutError:
                raise self._connections.too_late(deadline) from None

    async def _outstanding(self, deadline: Deadline) -> list[str]:
        """The statements by which the schema comes to be that of this release."""
        tables = self._connections.tables
        if await state_of_tables(self._connections, deadline):
            return []
        statements = list(tables.make())
        if await self._replication(deadline) is None:
            replication, nodes = self.options.replication, nodes_of(self._connections.session)
            if replication is None:
                raise SchemaError(f"cassandra: {no_keyspace(tables, nodes)}")
            if unknown := unknown_centres(replication, nodes):
                known = ", ".join(sorted(nodes))
                raise SchemaError(f"cassandra: replication: there is no data centre {', '.join(unknown)}, only {known}")
            statements.insert(0, tables.make_keyspace(replication))
        return statements

    async def _replication(self, deadline: Deadline) -> dict[str, str] | None:
        """How often the data of the keyspace is stored; None where there is no keyspace."""
        keyspace = (self._connections.tables.keyspace,)
        found = (await done(self._connections.run(REPLICATION, keyspace, deadline))).rows
        return dict(found[0][0]) if found else None

    async def _commit_log(self, deadline: Deadline) -> str | None:
        """How the commit log is written to disk; None where that is not told."""
        with suppress(StorageError):  # older ones have no such table, and not every user may look
            told = (await done(self._connections.run(COMMIT_LOG, (), deadline))).rows
            return str(told[0][0]) if told else None
        return None
