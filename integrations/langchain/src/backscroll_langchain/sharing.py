"""What all drop-ins of one connection share: the store, and the way to what the original wrote.

Both are opened at their first use, once in a process, and survive a fork.
"""

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, Protocol, TypeVar

import backscroll
from backscroll import Store
from backscroll.operations import SIZES
from backscroll.registry import registry
from backscroll.url import parse_url
from backscroll_langchain.originals import Original

MOST_REMEMBERED: Final = 65_536
"""Of how many sessions it is remembered that the original has nothing."""

_FITTING: Final = {"tidb": {"max_turn_bytes": 8 << 20}}
"""What is less than the database takes, since a server as it is installed takes less: MariaDB's max_allowed_packet."""

_ATTRIBUTE: Final = "_backscroll_langchain"


def open_largest(url: str, **options: Any) -> Store:
    """A store that takes what the originals took, as far as its database goes; arguments as for `backscroll.open`."""
    return backscroll.open(url, **largest(url), **options)


def largest(url: str) -> dict[str, int]:
    """The options by which a store takes messages and turns as large as its database does, but for those in the URL.

    Raises:
        InvalidURL: The URL cannot be read.
        PluginError: No usable plugin serves its scheme.
    """
    parsed = parse_url(url)
    declared = registry.find(parsed.scheme)
    limits = declared.limits
    found = {name: getattr(limits, name) for name in SIZES} | _FITTING.get(declared.name, {})
    return {name: value for name, value in found.items() if name not in parsed.query}


class _Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


class Lazy(Generic[C]):
    """Something that is opened at its first use; of several that open it at once, one prevails.

    Args:
        open: Opens it; may take its time, so it is called without a lock.
    """

    def __init__(self, open: Callable[[], C]) -> None:
        self._open: Final = open
        self._found: C | None = None
        self.renew_lock()

    def renew_lock(self) -> None:
        """Forget who holds the lock; for the child of a fork, where that thread does not exist."""
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether it was opened."""
        return self._found is not None

    def get(self) -> C:
        """It."""
        if (found := self._found) is not None:
            return found
        made = self._open()
        with self._lock:
            if self._found is None:
                self._found = made
            found = self._found
        if found is not made:
            made.close()
        return found

    def take(self) -> C | None:
        """Forget it, so that the next use opens it again; None where it was not open."""
        with self._lock:
            found, self._found = self._found, None
        return found


class Shared:
    """What the drop-ins of one connection share. Made by `shared` and `shared_by`; does no I/O before its first use.

    Args:
        open_store: Opens the store.
        open_original: Opens the way to what the original wrote.
    """

    def __init__(self, open_store: Callable[[], Store], open_original: Callable[[], Original]) -> None:
        self._store: Final = Lazy(open_store)
        self._original: Final = Lazy(open_original)
        self._without: dict[str, None] = {}
        self._lock = threading.Lock()
        _all.add(self)

    @property
    def is_open(self) -> bool:
        """Whether the store was opened, so that asking for it takes no time."""
        return self._store.is_open

    @property
    def store(self) -> Store:
        """The store; opening it may take a round trip."""
        return self._store.get()

    @property
    def original(self) -> Original:
        """What the original wrote."""
        return self._original.get()

    def is_without_original(self, session_id: str) -> bool:
        """Whether it is remembered that the original has nothing of a session."""
        return session_id in self._without

    def remember_no_original(self, session_id: str) -> None:
        """Remember that the original has nothing of a session; of many sessions, the newest are remembered."""
        with self._lock:
            self._without[session_id] = None
            if len(self._without) > MOST_REMEMBERED:
                del self._without[next(iter(self._without))]

    def forget_no_original(self, session_id: str) -> None:
        """Forget it, so that the next reading looks again."""
        with self._lock:
            self._without.pop(session_id, None)

    def close(self) -> None:
        """Close both and forget what was remembered; the next use opens them again."""
        store = self._taken()
        if store is not None:
            store.close()

    async def aclose(self) -> None:
        """Async twin of `close`; also releases what belongs to the running loop."""
        store = self._taken()
        if store is not None:
            await store.aclose()

    def _taken(self) -> Store | None:
        with self._lock:
            self._without = {}
        if (original := self._original.take()) is not None:
            original.close()
        return self._store.take()

    def go_on_in_child(self) -> None:
        """Make it usable in the child of a fork; the store sees to itself."""
        self._lock = threading.Lock()
        self._store.renew_lock()
        self._original.renew_lock()
        if (inherited := self._original.take()) is not None:
            _inherited.append(inherited)


_all: Final[weakref.WeakSet[Shared]] = weakref.WeakSet()
_by_key: Final[dict[Hashable, Shared]] = {}
_lock = threading.Lock()
_inherited: Final[list[Original]] = []
"""Of the parent process: closing or freeing it in the child would talk on connections that the parent uses."""


def shared(key: Hashable, open_store: Callable[[], Store], open_original: Callable[[], Original]) -> Shared:
    """What is shared by all who name the same connection.

    Args:
        key: The class, and all that tells the connection and its tables from others. It is never shown.
        open_store: Opens the store, where this is the first to ask.
        open_original: Opens the way to what the original wrote.
    """
    with _lock:
        return _found(_by_key, key, open_store, open_original)


def shared_by(
    client: Any, key: Hashable, open_store: Callable[[], Store], open_original: Callable[[], Original]
) -> Shared:
    """What is shared by all who bring along the same client; it lives as long as the client, which is never closed.

    Args:
        client: The driver's object.
        key: What else tells a connection from others of the same client.
        open_store: Opens the store, where this is the first to ask.
        open_original: Opens the way to what the original wrote.
    """
    with _lock:
        return _found(client.__dict__.setdefault(_ATTRIBUTE, {}), key, open_store, open_original)


def close_all() -> None:
    """Close what is open; histories that are still there open it again at their next use."""
    for each in list(_all):
        each.close()


async def aclose_all() -> None:
    """Async twin of `close_all`; also releases what belongs to the running loop."""
    for each in list(_all):
        await each.aclose()


def _found(
    among: dict[Hashable, Shared],
    key: Hashable,
    open_store: Callable[[], Store],
    open_original: Callable[[], Original],
) -> Shared:
    found = among.get(key)
    if found is None:
        found = among[key] = Shared(open_store, open_original)
    return found


def _go_on_in_child() -> None:
    global _lock  # noqa: PLW0603 - whoever held it in the parent does not exist here
    _lock = threading.Lock()
    for each in list(_all):
        each.go_on_in_child()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_go_on_in_child)
