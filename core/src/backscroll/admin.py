"""`Admin`, what those who run a database need beyond `Store`: stored messages as they are, byte for byte."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final, final
from uuid import UUID

import attrs

from backscroll.arguments import checked_bound, checked_seq, checked_session_id, checked_ttl
from backscroll.backend import Row, Turn, Window
from backscroll.capabilities import Capability
from backscroll.operations import in_sync
from backscroll.reading import MOST_ROWS, Reading
from backscroll.retry import Call
from backscroll.values import Appended
from backscroll.writing import PURGE_SLACK, Writing

GROWTH: Final = 4
"""How many times more rows are asked for with each further page."""


@final
class Admin(Writing, Reading):
    """A store as `Store` is, by which stored messages can also be read and appended without taking them apart.

    Args:
        backend: The database.
    """

    def rows(
        self,
        session_id: str,
        *,
        after: int | None = None,
        before: int | None = None,
        newest: bool = False,
        limit: int = MOST_ROWS,
    ) -> Iterator[Row]:
        """The stored messages of a session that have not expired; the same as `pages`, one by one."""
        return chain.from_iterable(self.pages(session_id, after=after, before=before, newest=newest, limit=limit))

    def pages(
        self,
        session_id: str,
        *,
        after: int | None = None,
        before: int | None = None,
        newest: bool = False,
        limit: int = MOST_ROWS,
    ) -> Iterator[list[Row]]:
        """The stored messages of a session that have not expired; memory does not grow with the session.

        Args:
            session_id: The session.
            after: Only seqs greater than this one.
            before: Only seqs smaller than this one.
            newest: From the newest one backwards.
            limit: How many to ask the database for at first.
        """
        session_id = checked_session_id(session_id)
        checked_bound("after", after)
        checked_bound("before", before)
        while True:
            rows, resume = self._next_rows(session_id, Window(after, before, limit, newest, 0))
            yield rows
            if resume is None:
                return
            after, before = (after, resume) if newest else (resume, before)
            limit = min(GROWTH * limit, MOST_ROWS)

    async def _rows(self, call: Call, session_id: str, window: Window) -> tuple[list[Row], int | None]:
        """The live rows of a page, and where to go on."""
        call.within(None)
        return await self._page(call, session_id, attrs.evolve(window, now=self._now()))

    _next_rows = in_sync(_rows)

    async def _restore(
        self,
        call: Call,
        session_id: str,
        bodies: Sequence[bytes],
        *,
        turn_id: UUID,
        digest: bytes,
        expected_version: int,
        expires_at: int | None = None,
        timeout: float | None = None,
    ) -> Appended:
        """Append stored messages as they are, as one turn: all of them, or none.

        Args:
            session_id: The session.
            bodies: What `rows` gave.
            turn_id: The idempotency key of this append; what the bodies say of their turn stays.
            digest: 8 bytes that tell one content from another under the same turn_id.
            expected_version: Append only if the session's version still is this one.
            expires_at: When they expire, in microseconds since 1970; None for never.
            timeout: Seconds for the whole call, retries included.

        Raises:
            InvalidArgument: They cannot be stored here, as `check` says of each.
            BackscrollError: As `append`.
        """
        call.within(timeout)
        session_id = checked_session_id(session_id)
        self._require(Capability.CONDITIONAL_APPEND)
        self._check_sizes(bodies)
        turn = Turn(
            turn_id,
            digest,
            tuple(bodies),
            expires_at,
            self._purge_in(expires_at),
            checked_seq("expected_version", expected_version),
            age=None,
        )
        return await self._land(call, session_id, turn)

    restore = in_sync(_restore)

    def check(self, row: Row) -> None:
        """Check, without I/O, that a stored message of another database can be restored here.

        Raises:
            MessageTooLarge: It is over a limit.
            Unsupported: It expires, and this database knows no expiry.
            InvalidArgument: It expires later than this database can tell.
        """
        if len(row.body) > self._surely_fits:
            self._check_sizes((row.body,))
        if row.expires_at is not None:
            self._purge_in(row.expires_at)

    def has_expired(self, row: Row) -> bool:
        """Whether a stored message is read no more, by the store's clock."""
        return row.expires_at is not None and row.expires_at <= self._now()

    def _purge_in(self, expires_at: int | None) -> float | None:
        """After how many seconds the server may drop what expires then."""
        if expires_at is None:
            return None
        self._require(Capability.TTL)
        left = max(1, expires_at - self._now()) / 1e6
        return checked_ttl(left, self._backend.limits.max_ttl) + PURGE_SLACK
