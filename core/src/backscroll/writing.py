"""The operations of `Store` that write."""

import time
import warnings
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import attrs

from backscroll.arguments import MAX_SEQ, checked_seq, checked_seqs, checked_session_id, checked_ttl
from backscroll.backend import Turn
from backscroll.capabilities import Capability
from backscroll.envelope import encode_turn
from backscroll.errors import InvalidArgument, MessageTooLarge, OutcomeUnknown, StorageError, Unavailable
from backscroll.message import Message, as_list
from backscroll.operations import SIZES, Operations, in_async, in_sync
from backscroll.retry import Call
from backscroll.turn_id import as_turn_id, new_turn_id
from backscroll.values import Appended, Health

Messages = Message | Mapping[str, Any] | Iterable[Message | Mapping[str, Any]]
"""The messages of a turn: each a `Message` or a mapping in OpenAI's chat format."""

END_OF_TIME: Final = 253_402_300_800_000_000
"""The first moment, in microseconds since 1970, that a `datetime` cannot hold."""

PURGE_SLACK: Final = 60.0
"""How many seconds after its expiry the server may drop a message: more than clocks differ."""


class Writing(Operations):
    """The operations that write."""

    _is_set_up = False

    async def _append(
        self,
        call: Call,
        session_id: str,
        messages: Messages,
        *,
        turn_id: UUID | str | None = None,
        expected_version: int | None = None,
        ttl: float | timedelta | None = None,
        timeout: float | None = None,
    ) -> Appended:
        """Add the messages of a turn to a session: all of them, contiguous and in order, or none.

        Args:
            session_id: Any non-empty string of up to 512 bytes of UTF-8.
            messages: One or more, each a `Message` or a mapping in OpenAI's chat format.
            turn_id: The idempotency key: repeating the append with the same one adds nothing. A UUID, or any
                string. Made afresh when None.
            expected_version: Append only if the session's version still is this one; 0 for a new session.
            ttl: After how many seconds (or a timedelta) the messages are no longer read.
            timeout: Seconds for the whole call, retries included.

        Raises:
            InvalidMessage: A message cannot be stored exactly.
            MessageTooLarge: A message or the turn is over a limit.
            VersionConflict: The session has another version than the expected one.
            TurnIdReused: The turn_id stands for other messages.
            OutcomeUnknown: Stored or not, nobody can tell; repeat it with the same turn_id.
        """
        call.within(timeout)
        session_id = checked_session_id(session_id)
        if expected_version is not None:
            self._require(Capability.CONDITIONAL_APPEND)
            checked_seq("expected_version", expected_version)
        key = new_turn_id() if turn_id is None else as_turn_id(turn_id)
        turn = self._encoded(messages, key, expected_version, ttl, age=0.0 if turn_id is None else None)
        answer = await self._land(call, session_id, turn)
        # An id made here was stored by an earlier try of this very call, if it was there already.
        return attrs.evolve(answer, duplicate=False) if turn_id is None and answer.duplicate else answer

    append = in_sync(_append)
    aappend = in_async(_append)

    async def _land(self, call: Call, session_id: str, turn: Turn) -> Appended:
        """Append a turn that is encoded, and again where its outcome is unknown."""
        if not self._is_set_up:
            await self._ensure_setup(call)

        def attempt(doubtful_since: float | None) -> Awaitable[Appended]:
            if doubtful_since is None:
                return call.once(self._backend.append, session_id, turn)
            # By a coarse clock no time may have passed, and an age of 0 would say that there is no copy.
            age = max(1e-6, time.monotonic() - doubtful_since)
            return call.once(self._backend.append, session_id, attrs.evolve(turn, age=age))

        try:
            return await call.insist(attempt)
        except OutcomeUnknown as error:
            raise type(error)(error.reason, turn.turn_id) from error

    async def _clear(self, call: Call, session_id: str, *, timeout: float | None = None) -> None:
        """Drop all messages that are there now. The version goes on from where it is, and retries stay known."""
        call.within(timeout)
        self._require(Capability.DISCARD)
        await self._drain(call, checked_session_id(session_id))

    clear = in_sync(_clear)
    aclear = in_async(_clear)

    async def _discard(self, call: Call, session_id: str, *, before: int, timeout: float | None = None) -> None:
        """Drop the oldest messages: those with seqs smaller than `before` that are there now."""
        call.within(timeout)
        self._require(Capability.DISCARD)
        session_id, before = checked_session_id(session_id), checked_seq("before", before)
        await self._drain(call, session_id, before)

    discard = in_sync(_discard)
    adiscard = in_async(_discard)

    async def _remove(
        self, call: Call, session_id: str, seqs: Iterable[int], *, timeout: float | None = None
    ) -> tuple[int, ...]:
        """Drop single messages.

        Args:
            session_id: The session.
            seqs: Their places; those where nothing is are passed over.
            timeout: Seconds for the whole call.

        Returns:
            The seqs, ascending, of the messages that this very call dropped: of two callers, one gets each.

        Raises:
            OutcomeUnknown: Dropped or not, nobody can tell; read the session. It is not repeated by itself.
        """
        call.within(timeout)
        self._require(Capability.REMOVE)
        session_id, wanted = checked_session_id(session_id), checked_seqs(seqs)
        return await call.ask(self._backend.remove, session_id, wanted, self._now()) if wanted else ()

    remove = in_sync(_remove)
    aremove = in_async(_remove)

    async def _delete(self, call: Call, session_id: str, *, timeout: float | None = None) -> None:
        """Drop a session with all its messages and its counter; one that is made again starts at version 0.

        A turn that is appended by another client while this runs is kept, and the session with it. The
        session's turn_ids are forgotten, so a turn whose outcome was unknown before may still land after it.
        """
        call.within(timeout)
        self._require(Capability.DELETE)
        session_id = checked_session_id(session_id)
        version = await self._drain(call, session_id)
        # Only a drained session goes, so that repeating this never takes messages of one begun anew.
        try:
            await call.insist(lambda _: call.once(self._backend.delete, session_id, version))
        except (Unavailable, StorageError) as error:
            raise OutcomeUnknown(f"delete: the messages are gone, but not the counter ({error})") from error

    delete = in_sync(_delete)
    adelete = in_async(_delete)

    async def _purge(self, call: Call, *, timeout: float | None = None) -> int:
        """Give back the space of expired messages, where the server does not do so by itself.

        Returns:
            How many messages were dropped; 0 when none is left. What the time did not suffice for, another
            call goes on with.
        """
        call.within(timeout)
        self._require(Capability.PURGE)
        total = 0
        try:
            while some := await call.ask(self._backend.purge):
                total += some
        except Unavailable:
            if not total:
                raise
        return total

    purge = in_sync(_purge)
    apurge = in_async(_purge)

    async def _setup(self, call: Call, *, timeout: float | None = None) -> Health:
        """Make or migrate the schema, and check the server's settings; harmless to repeat.

        Raises:
            SchemaError: The schema is newer than this release, or another program's.
        """
        call.within(timeout)
        health = await call.insist(lambda _: call.once(self._backend.setup))
        self._is_set_up = True
        return health

    setup = in_sync(_setup)
    asetup = in_async(_setup)

    async def _ensure_setup(self, call: Call) -> None:
        """Make the schema before the first append, unless that is left to `setup`."""
        if self._options.setup == "never":
            return
        try:
            health = await call.insist(lambda _: call.once(self._backend.setup))
        except OutcomeUnknown as error:
            raise Unavailable(f"setup: {error.reason}; nothing was appended") from error
        self._is_set_up = True
        for problem in health.problems:
            warnings.warn(f"{self.backend}: {problem}", RuntimeWarning, stacklevel=2)

    async def _drain(self, call: Call, session_id: str, before: int = MAX_SEQ) -> int:
        """Discard the messages below a bound that are there now; returns the version.

        The bound is fixed before the first try, no higher than the version, so that a try which lands late takes
        nothing that came after it.
        """
        version = (await call.ask(self._backend.info, session_id)).version
        bound = min(before, version)
        if bound:
            await call.insist(lambda _: call.once(self._backend.discard, session_id, bound))
        return version

    def _encoded(
        self,
        messages: Messages,
        turn_id: UUID,
        expected_version: int | None,
        ttl: float | timedelta | None,
        age: float | None,
    ) -> Turn:
        now = self._now()
        expires_at = purge_in = None
        if ttl is not None:
            self._require(Capability.TTL)
            seconds = checked_ttl(ttl, self._backend.limits.max_ttl)
            expires_at = now + max(1, round(seconds * 1e6))
            purge_in = seconds + PURGE_SLACK
        if not 0 <= now <= (expires_at or now) < END_OF_TIME:
            raise InvalidArgument("clock: gives a time that no date can hold: give nanoseconds since 1970")
        bodies, digest = encode_turn(as_list(messages), turn_id, now, expires_at)
        self._check_sizes(bodies)
        return Turn(turn_id, digest, bodies, expires_at, purge_in, expected_version, age)

    def _check_sizes(self, bodies: Sequence[bytes]) -> None:
        """Compare with the limits of `SIZES`, in their order."""
        total = sum(map(len, bodies))
        if total <= self._surely_fits and len(bodies) <= self._sizes[2]:
            return
        for name, size, limit in zip(SIZES, (max(map(len, bodies)), total, len(bodies)), self._sizes, strict=True):
            if size > limit:
                raise MessageTooLarge(name, limit, size, ceiling=limit == getattr(self._backend.limits, name))
