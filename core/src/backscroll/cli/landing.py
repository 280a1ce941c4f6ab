"""How the commands that move messages append a turn whose outcome may be unknown."""

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from backscroll.errors import OutcomeUnknown, WindowExceeded
from backscroll.message import Message
from backscroll.store import Store
from backscroll.values import Appended

TRIES: Final = 3
"""How many calls, each with its own deadline and retries, an append with an unknown outcome gets."""

CONFLICTS: Final = 1_000
"""How often in a row another writer may be faster."""


def land(
    store: Store,
    session_id: str,
    messages: Sequence[Message],
    *,
    turn_id: UUID,
    expected_version: int,
    ttl: float | None = None,
) -> Appended:
    """Append a turn; where nobody can tell whether it landed, again.

    Raises:
        VersionConflict: Others were faster.
        WindowExceeded: It may have landed before the turns that the session knows.
        OutcomeUnknown: Nobody can tell after the last try either.
    """
    return until_known(
        lambda: store.append(session_id, messages, turn_id=turn_id, expected_version=expected_version, ttl=ttl)
    )


def until_known(append: Callable[[], Appended]) -> Appended:
    """Call what appends a turn, under the same turn_id each time, until its outcome is known.

    Raises:
        WindowExceeded: It may have landed before the turns that the session knows.
        OutcomeUnknown: Nobody can tell after the last try either.
    """
    for tries in range(1, TRIES + 1):
        try:
            return append()
        except WindowExceeded:
            raise
        except OutcomeUnknown:
            if tries == TRIES:
                raise
    raise AssertionError("the last try returns or raises")
