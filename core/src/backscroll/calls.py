"""What a call of a backend is given, and what it answers; public in `backscroll.backend`."""

import time
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

import attrs

from backscroll.values import SessionPage

PAGE_BYTES: Final = 1 << 20
"""How many bytes of bodies a page holds before it ends, short of its limit if need be."""


class Deadline:
    """The moment by which an operation has to be over, all its tries together."""

    __slots__ = ("_end", "seconds")

    def __init__(self, seconds: float) -> None:
        """Start the time: so many seconds from now on."""
        self.seconds: Final = seconds
        self._end: Final = time.monotonic() + seconds

    def remaining(self) -> float:
        """The seconds that are left; 0 once it has passed."""
        return max(0.0, self._end - time.monotonic())


@attrs.frozen
class Turn:
    """What one append adds: all of it, contiguous and in order, or nothing.

    Args:
        turn_id: The idempotency key.
        digest: 8 bytes that tell one content from another under the same turn_id.
        bodies: The encoded messages; at least one.
        expires_at: From when on they are not read, in microseconds since 1970 by the writer's clock; None for never.
        purge_in: After how many seconds from now the server may drop them: the TTL with slack on top. None for never.
        expected_version: The version that the session must have; None for any.
        age: How many seconds before this object was made a copy of the turn was sent whose outcome is unknown. 0: there
            is none. None: nobody knows, since the id is the caller's own and this is the first try of this call.
    """

    turn_id: UUID
    digest: bytes
    bodies: tuple[bytes, ...]
    expires_at: int | None = None
    purge_in: float | None = None
    expected_version: int | None = None
    age: float | None = 0.0
    _made: float = attrs.field(factory=time.monotonic, init=False, eq=False, repr=False)

    def age_by_now(self) -> float | None:
        """`age` with the time since then, which may be long where the turn waited for a thread or a lock."""
        return self.age and self.age + time.monotonic() - self._made


@attrs.frozen
class Window:
    """Which records to read.

    Args:
        after: Only seqs greater than this one; None for no bound.
        before: Only seqs smaller than this one; None for no bound.
        limit: How many at the most.
        newest: From the upper bound downward instead of from the lower one upward.
        now: Microseconds since 1970; what expires at or before it may be left out.
    """

    after: int | None
    before: int | None
    limit: int
    newest: bool
    now: int


class Row(NamedTuple):
    """A stored message (a tuple, since a read makes many): place, expiry in µs since 1970 or None, bytes as given."""

    seq: int
    expires_at: int | None
    body: bytes


@attrs.frozen
class Page:
    """The answer to a read. It ends after about `PAGE_BYTES` of bodies, so that memory stays bounded.

    Args:
        rows: In the order read: ascending, or descending where ``newest`` was asked for. May be fewer than
            the limit, or none, with more behind them.
        resume: Where to go on: the next ``after``, or the next ``before`` where ``newest`` was asked for.
            None when there is no more.
    """

    rows: list[Row]
    resume: int | None


def row_page(rows: Iterable[Row], window: Window) -> Page:
    """A page of a read, for a backend that walks along what it stores.

    Args:
        rows: What stands within the bounds of the window, in the order asked for; taken no further than needed. Those
            that have expired are left out.
        window: What was asked for.
    """
    live: list[Row] = []
    size = 0
    for row in rows:
        size += len(row.body)
        if row.expires_at is None or row.expires_at > window.now:
            live.append(row)
        if len(live) == window.limit or size >= PAGE_BYTES:
            return Page(live, row.seq)
    return Page(live, None)


def session_page(found: Sequence[str], prefix: str, limit: int) -> SessionPage:
    """A page of a listing.

    Args:
        found: Ids in the order of their UTF-8 bytes, from where the page begins; one more than `limit` if there are.
        prefix: What the ids of the listing begin with; none before the first of `found` does.
        limit: How many the page holds at the most.
    """
    ids = tuple(session_id for session_id in found[:limit] if session_id.startswith(prefix))
    more = len(found) > limit and found[limit].startswith(prefix)
    return SessionPage(ids, ids[-1] if more else None)
