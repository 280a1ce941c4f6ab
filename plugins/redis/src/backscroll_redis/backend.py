"""The Redis backend: one script per operation, in both forms."""

import math
from contextlib import suppress
from typing import Any, Final, TypeVar

import attrs
from redis.asyncio.client import PubSub as AsyncPubSub
from redis.client import PubSub
from redis.exceptions import NoScriptError, RedisError

from backscroll.backend import (
    URL,
    Appended,
    Backend,
    Deadline,
    Durability,
    Examination,
    Finding,
    Health,
    Page,
    SessionInfo,
    SessionPage,
    Severity,
    Turn,
    Window,
)
from backscroll.errors import Closed, DeadlineExceeded, StorageError, Unavailable
from backscroll.hookspecs import BackendInfo
from backscroll_redis.access import Access
from backscroll_redis.connections import within
from backscroll_redis.layout import Epochs, Layout, Queries, Request, new_epoch
from backscroll_redis.options import RedisOptions
from backscroll_redis.routes import AsyncRoute, Route
from backscroll_redis.settings import SET_UP, SETTINGS, Claim, Told, examined, together

R = TypeVar("R")


class RedisBackend(Backend):
    """Chat histories in Redis, Valkey or Memorystore."""

    def __init__(self, declared: BackendInfo, url: URL, options: RedisOptions) -> None:
        super().__init__(declared, url, options)
        self.limits = attrs.evolve(self.limits, durability=Durability(options.durability))
        self._layout: Final = Layout(options.prefix)
        self._access: Final = Access(url, options)
        self._epochs: Epochs = {}
        self._own: Route | None = None

    # The operations.

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        """One script; before a repeat the server is asked for its time."""
        time = self._time(session_id, deadline) if turn.age else None
        return self._run(self._layout.append(session_id, turn, _since(turn, time), self._epochs), deadline, writes=True)

    async def aappend(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        """Async twin of `append`."""
        time = await self._atime(session_id, deadline) if turn.age else None
        request = self._layout.append(session_id, turn, _since(turn, time), self._epochs)
        return await self._arun(request, deadline, writes=True)

    def read(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        """One script over one list, so that nothing is seen half."""
        return self._run(self._layout.read(session_id, window, self._epochs), deadline)

    async def aread(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        """Async twin of `read`."""
        return await self._arun(self._layout.read(session_id, window, self._epochs), deadline)

    def info(self, session_id: str, deadline: Deadline) -> SessionInfo:
        """The session's hash, and the seq of its first message."""
        return self._run(self._layout.info(session_id, self._epochs), deadline)

    async def ainfo(self, session_id: str, deadline: Deadline) -> SessionInfo:
        """Async twin of `info`."""
        return await self._arun(self._layout.info(session_id, self._epochs), deadline)

    def count(self, session_id: str, now: int, deadline: Deadline) -> int:
        """Look at the list piece by piece."""
        total, start = 0, 0
        while start >= 0:
            live, start = self._run(self._layout.count(session_id, now, start, self._epochs), deadline)
            total += live
        return total

    async def acount(self, session_id: str, now: int, deadline: Deadline) -> int:
        """Async twin of `count`."""
        total, start = 0, 0
        while start >= 0:
            live, start = await self._arun(self._layout.count(session_id, now, start, self._epochs), deadline)
            total += live
        return total

    def sessions(self, prefix: str, cursor: str | None, limit: int, deadline: Deadline) -> SessionPage:
        """A page of each shard of the index, merged."""
        return self._query(self._layout.sessions(prefix, cursor, limit, self._epochs), deadline)

    async def asessions(self, prefix: str, cursor: str | None, limit: int, deadline: Deadline) -> SessionPage:
        """Async twin of `sessions`."""
        return await self._aquery(self._layout.sessions(prefix, cursor, limit, self._epochs), deadline)

    def discard(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Trim the list."""
        self._run(self._layout.discard(session_id, before, self._epochs), deadline, writes=True)

    async def adiscard(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Async twin of `discard`."""
        await self._arun(self._layout.discard(session_id, before, self._epochs), deadline, writes=True)

    def remove(self, session_id: str, seqs: tuple[int, ...], now: int, deadline: Deadline) -> tuple[int, ...]:
        """Overwrite messages with a mark, since dropping them would move the others."""
        return self._run(self._layout.remove(session_id, seqs, now, self._epochs), deadline, writes=True)

    async def aremove(self, session_id: str, seqs: tuple[int, ...], now: int, deadline: Deadline) -> tuple[int, ...]:
        """Async twin of `remove`."""
        return await self._arun(self._layout.remove(session_id, seqs, now, self._epochs), deadline, writes=True)

    def delete(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Drop the hash of a drained session."""
        self._run(self._layout.delete(session_id, before, self._epochs), deadline, writes=True)

    async def adelete(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Async twin of `delete`."""
        await self._arun(self._layout.delete(session_id, before, self._epochs), deadline, writes=True)

    def purge(self, deadline: Deadline) -> int:
        """Mark what is due in a few sessions; a list in which all is due goes by itself."""
        total = 0
        try:
            self._query(self._layout.check(self._epochs), deadline)
            while not total and (due := self._query(self._layout.sessions_due(), deadline)):
                for session_id in due:
                    start, earliest = 0, ""
                    while start >= 0:
                        request = self._layout.sweep(session_id, start, earliest, self._epochs)
                        gone, start, earliest = self._run(request, deadline, writes=True)
                        total += gone
        except (Unavailable, DeadlineExceeded):
            if not total:  # what was dropped is told, and the rest is for the next call
                raise
        return total

    async def apurge(self, deadline: Deadline) -> int:
        """Async twin of `purge`."""
        total = 0
        try:
            await self._aquery(self._layout.check(self._epochs), deadline)
            while not total and (due := await self._aquery(self._layout.sessions_due(), deadline)):
                for session_id in due:
                    start, earliest = 0, ""
                    while start >= 0:
                        request = self._layout.sweep(session_id, start, earliest, self._epochs)
                        gone, start, earliest = await self._arun(request, deadline, writes=True)
                        total += gone
        except (Unavailable, DeadlineExceeded):
            if not total:  # what was dropped is told, and the rest is for the next call
                raise
        return total

    def watch(self, session_id: str, version: int, deadline: Deadline) -> None:
        """Wait for a message on the session's channel."""
        channel = self._layout.channel(session_id)
        route = self._route()
        pool = route.pool(route.address(channel, deadline))
        try:
            with PubSub(pool) as pubsub:
                with within(deadline):
                    pubsub.subscribe(channel)
                pubsub.get_message(timeout=deadline.remaining())
                # Only now, so that nothing slips through between looking and waiting.
                if self.info(session_id, deadline).version <= version:
                    pubsub.get_message(timeout=deadline.remaining())
        except (RedisError, OSError) as error:
            raise DeadlineExceeded(f"redis: the channel broke ({type(error).__name__})") from error

    async def awatch(self, session_id: str, version: int, deadline: Deadline) -> None:
        """Async twin of `watch`."""
        if self._access.needs_threads:
            return await self.in_thread(self.watch, session_id, version, deadline)
        channel = self._layout.channel(session_id)
        route = self._aroute()
        pool = route.pool(await route.address(channel, deadline))
        try:
            async with AsyncPubSub(pool) as pubsub:
                await pubsub.subscribe(channel)
                await pubsub.get_message(timeout=deadline.remaining())
                if (await self.ainfo(session_id, deadline)).version <= version:
                    await pubsub.get_message(timeout=deadline.remaining())
        except (RedisError, OSError) as error:
            raise DeadlineExceeded(f"redis: the channel broke ({type(error).__name__})") from error

    def setup(self, deadline: Deadline) -> Health:
        """Mark the shards as ours, with a number that tells whether the database still is the same one."""
        self._run(self._layout.rights(), deadline, writes=True)
        self._query(self._layout.marks(new_epoch()), deadline, writes=True)
        self._epochs = self._query(self._layout.epochs(), deadline)
        return self.ping(deadline)

    async def asetup(self, deadline: Deadline) -> Health:
        """Async twin of `setup`."""
        await self._arun(self._layout.rights(), deadline, writes=True)
        await self._aquery(self._layout.marks(new_epoch()), deadline, writes=True)
        self._epochs = await self._aquery(self._layout.epochs(), deadline)
        return await self.aping(deadline)

    def ping(self, deadline: Deadline) -> Health:
        """Ask each server what it is and how it is set up."""
        return self.examine(deadline).health

    async def aping(self, deadline: Deadline) -> Health:
        """Async twin of `ping`."""
        return (await self.aexamine(deadline)).health

    def examine(self, deadline: Deadline) -> Examination:
        """Ask each server what it is, how it is set up, and for its marks."""
        route, found, clock = self._route(), [], self.options.clock
        for address in route.masters(deadline):
            asked, [info], answered = clock(), route.ask_at(address, [("INFO",)], deadline), clock()
            config: list[Any] = []
            with suppress(StorageError):
                config = route.ask_at(address, SETTINGS, deadline)
            found.append((address, examined(Told(info, config, asked, answered), self._claim)))
        try:
            schema = self._query(self._layout.check(self._epochs), deadline)
            return together(found, schema)
        except StorageError as error:
            return together(found, Finding(Severity.ERROR, str(error), page=SET_UP))

    async def aexamine(self, deadline: Deadline) -> Examination:
        """Async twin of `examine`."""
        if self._access.needs_threads:
            return await self.in_thread(self.examine, deadline)
        route, found, clock = self._aroute(), [], self.options.clock
        for address in await route.masters(deadline):
            asked, [info], answered = clock(), await route.ask_at(address, [("INFO",)], deadline), clock()
            config: list[Any] = []
            with suppress(StorageError):
                config = await route.ask_at(address, SETTINGS, deadline)
            found.append((address, examined(Told(info, config, asked, answered), self._claim)))
        try:
            schema = await self._aquery(self._layout.check(self._epochs), deadline)
            return together(found, schema)
        except StorageError as error:
            return together(found, Finding(Severity.ERROR, str(error), page=SET_UP))

    def close(self) -> None:
        """Close the connections for threads; those of event loops go with them, or by `aclose`."""
        self.release_threads()
        own, self._own = self._own, None
        if own is not None:
            own.close()

    async def aclose(self) -> None:
        """Async twin of `close`; also closes the connections of the running loop."""
        if not self._access.needs_threads:
            await self._aroute().close()
        self.close()

    def forget_after_fork(self) -> None:
        """Drop the connections, which belong to the parent."""
        super().forget_after_fork()
        self._own = None

    # How they reach the servers.

    def _run(self, request: Request[R], deadline: Deadline, *, writes: bool = False) -> R:
        route = self._route()
        try:
            [answer] = route.ask(request.keys[0], [request.by_sha()], deadline, writes=writes)
        except NoScriptError:
            [answer] = route.ask(request.keys[0], [request.by_text()], deadline, writes=writes)
        return request.answered(answer)

    async def _arun(self, request: Request[R], deadline: Deadline, *, writes: bool = False) -> R:
        if self._access.needs_threads:
            return await self.in_thread(self._run, request, deadline, writes=writes)
        route = self._aroute()
        try:
            [answer] = await route.ask(request.keys[0], [request.by_sha()], deadline, writes=writes)
        except NoScriptError:
            [answer] = await route.ask(request.keys[0], [request.by_text()], deadline, writes=writes)
        return request.answered(answer)

    def _query(self, queries: Queries[R], deadline: Deadline, *, writes: bool = False) -> R:
        return queries.answered(self._route().ask_all(queries.commands, deadline, writes=writes))

    async def _aquery(self, queries: Queries[R], deadline: Deadline, *, writes: bool = False) -> R:
        if self._access.needs_threads:
            return await self.in_thread(self._query, queries, deadline, writes=writes)
        return queries.answered(await self._aroute().ask_all(queries.commands, deadline, writes=writes))

    def _time(self, session_id: str, deadline: Deadline) -> list[bytes]:
        time: list[bytes]
        [time] = self._route().ask(self._layout.channel(session_id), [("TIME",)], deadline)
        return time

    async def _atime(self, session_id: str, deadline: Deadline) -> list[bytes]:
        if self._access.needs_threads:
            return await self.in_thread(self._time, session_id, deadline)
        time: list[bytes]
        [time] = await self._aroute().ask(self._layout.channel(session_id), [("TIME",)], deadline)
        return time

    def _route(self) -> Route:
        if (own := self._own) is None:
            with self._making_threads:
                if self._released:
                    raise Closed
                if self._own is None:
                    self._own = self._access.route()
                own = self._own
        return own

    def _aroute(self) -> AsyncRoute:
        return self.per_loop(self._access.async_route, AsyncRoute.close)

    @property
    def _claim(self) -> Claim:
        return Claim(self.limits.durability, self._access.fails_over)


def _since(turn: Turn, time: list[bytes] | None) -> int | None:
    """When a copy of a turn may have been sent at the earliest, in milliseconds by the server's clock.

    The server told its time before this moment, and the age counts up to it, so that this is no later than it was.
    """
    if time is None:
        return None
    return int(time[0]) * 1_000 + int(time[1]) // 1_000 - math.ceil((turn.age_by_now() or 0) * 1_000)
