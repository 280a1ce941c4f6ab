"""What the tests append, and what they find."""

import time
from collections.abc import Callable
from typing import Any

from backscroll import Store

PATIENCE = 60.0
"""How many seconds a test waits at the most for what has to come."""


def message(text: object) -> dict[str, str]:
    """A message."""
    return {"role": "user", "content": str(text)}


def texts(store: Store, session_id: str) -> list[Any]:
    """The texts of a session."""
    return [record.message.content for record in store.iterate(session_id)]


def until(so: Callable[[], object]) -> None:
    """Wait for something."""
    end = time.monotonic() + PATIENCE
    while not so():
        assert time.monotonic() < end, f"waited {PATIENCE:g} s in vain"
        time.sleep(0.01)
