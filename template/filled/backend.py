"""The LMDB backend: what each operation sends, and what the answers mean."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice, starmap, takewhile
from pathlib import Path
from threading import RLock
from typing import Final, TypeAlias

import lmdb
from backscroll.backend import (
    URL,
    Appended,
    Backend,
    Deadline,
    Health,
    Page,
    Row,
    SessionInfo,
    SessionPage,
    Turn,
    Window,
    row_page,
    session_page,
)
from backscroll.errors import DeadlineExceeded, InvalidURL, OutcomeUnknown, SchemaError, StorageError
from backscroll.hookspecs import BackendInfo
from backscroll.recent import known_turn, landed, push_turn, session_info
from filelock import FileLock, Timeout

from backscroll_lmdb import layout
from backscroll_lmdb.options import LMDBOptions

_in_use: Final = RLock()
"""Is held by each call, and during a fork, which few embedded databases survive in the middle of something."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_in_use.acquire, after_in_parent=_in_use.release, after_in_child=_in_use.release)

Transaction: TypeAlias = "lmdb.Transaction[bytes] | None"


class LMDBBackend(Backend):
    """Chat histories in LMDB."""

    def __init__(self, declared: BackendInfo, url: URL, options: LMDBOptions) -> None:
        super().__init__(declared, url, options)
        if url.hosts or url.username is not None or url.path in ("", "/"):
            raise InvalidURL("lmdb: write lmdb:///relative/path, or lmdb:////absolute/path")
        self.path: Final = Path(url.path.removeprefix("/")).absolute()

    def append(self, session_id: str, turn: Turn, deadline: Deadline) -> Appended:
        """Store a turn, whole and once."""
        with self._transaction(deadline, write=True) as txn:
            if txn is None:
                raise SchemaError(f"{self.path}: there is no schema yet: call setup(), or run: backscroll setup URL")
            now = time.time_ns() // 1_000  # while nobody else writes, so that turns land in the order of their times
            key = layout.session(session_id)
            version, first_seq, recent = layout.parsed_state(txn.get(key, layout.state(0, 0)))
            if (known := known_turn(recent, version, now // 1_000, turn)) is not None:
                return known
            ring = push_turn(recent, turn, version, now // 1_000)
            txn.put(key, layout.state(version + len(turn.bodies), first_seq, ring))
            purge_at = 0 if turn.purge_in is None else now + round(turn.purge_in * 1e6)
            for seq, body in enumerate(turn.bodies, version):
                place = layout.place(session_id, seq)
                txn.put(place, layout.message(turn.expires_at, purge_at, body))
                if purge_at:
                    txn.put(layout.due(purge_at, place), place)
        return landed(turn, version)

    def read(self, session_id: str, window: Window, deadline: Deadline) -> Page:
        """The rows within the bounds, up to the limit or the bytes of a page."""
        with self._transaction(deadline) as txn:
            return row_page(_rows(txn, session_id, window), window)

    def info(self, session_id: str, deadline: Deadline) -> SessionInfo:
        """The session's version, and before which seq no message lies."""
        with self._transaction(deadline) as txn:
            stored = txn.get(layout.session(session_id)) if txn else None
        return session_info(session_id, layout.parsed_state(stored) if stored else None)

    def setup(self, deadline: Deadline) -> Health:
        """Make the schema where it is missing."""
        with self._transaction(deadline, write=True, create=True):
            pass
        return self.ping(deadline)

    def ping(self, deadline: Deadline) -> Health:
        """Ask for the version."""
        with self._transaction(deadline):
            return Health("LMDB " + ".".join(map(str, lmdb.version(lib_version=1))))

    def count(self, session_id: str, now: int, deadline: Deadline) -> int:
        """The number of messages that have not expired."""
        window = Window(None, None, 0, newest=False, now=now)
        with self._transaction(deadline) as txn:
            return sum((row.expires_at or now + 1) > now for row in _rows(txn, session_id, window))

    def sessions(self, prefix: str, cursor: str | None, limit: int, deadline: Deadline) -> SessionPage:
        """A page of the sessions."""
        start = layout.session(max(prefix, f"{cursor}\0" if cursor else ""))
        with self._transaction(deadline) as txn:
            found = [key[1:].decode() for key, _ in islice(_items(txn, start, b"t"), limit + 1)]
        return session_page(found, prefix, limit)

    def discard(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Drop the messages below a bound."""
        key = layout.session(session_id)
        with self._transaction(deadline, write=True) as txn:
            if txn and (stored := txn.get(key)):
                version, first_seq, recent = layout.parsed_state(stored)
                bound = max(first_seq, min(before, version))
                txn.put(key, layout.state(version, bound, recent))
                for seq in range(first_seq, bound):
                    _drop(txn, layout.place(session_id, seq), deadline)

    def remove(self, session_id: str, seqs: tuple[int, ...], now: int, deadline: Deadline) -> tuple[int, ...]:
        """Drop single messages."""
        with self._transaction(deadline, write=True) as txn:
            return tuple(seq for seq in seqs if _drop(txn, layout.place(session_id, seq), deadline, now))

    def delete(self, session_id: str, before: int, deadline: Deadline) -> None:
        """Drop a drained session with its version."""
        key = layout.session(session_id)
        with self._transaction(deadline, write=True) as txn:
            if txn and txn.get(key, b"").startswith(layout.state(before, before)):
                txn.delete(key)

    def purge(self, deadline: Deadline) -> int:
        """Drop a batch of the messages whose time has come."""
        with self._transaction(deadline, write=True) as txn:
            marks = list(islice(_items(txn, b"p", layout.due(time.time_ns() // 1_000)), 1_000))
            return sum(_drop(txn, place, deadline) for _, place in marks)

    def close(self) -> None:
        """Release what was opened, without waiting."""
        self.release_threads()

    @contextmanager
    def _turn(self, deadline: Deadline) -> Iterator[None]:
        """One call at a time in this process, and none during a fork."""
        if not _in_use.acquire(timeout=deadline.remaining()):
            raise DeadlineExceeded(f"{self.path}: other threads took {deadline.seconds:g} s; nothing was done")
        try:
            yield
        finally:
            _in_use.release()

    @contextmanager
    def _transaction(self, deadline: Deadline, write: bool = False, create: bool = False) -> "Iterator[Transaction]":
        """Committed where nothing is raised; None where there is no schema."""
        with self._turn(deadline):
            if not (create or self.path.exists()):
                yield None
                return
            is_over = False
            try:
                # LMDB would wait for other writers without an end.
                lock = FileLock(f"{self.path}-writing").acquire(deadline.remaining(), 0.001) if write else nullcontext()
                with lock, self._open(create) as env, env.begin(write=write) as txn:
                    if create:
                        txn.put(layout.SCHEMA, b"%d" % layout.SCHEMA_VERSION, overwrite=False)
                    version = int(txn.get(layout.SCHEMA, b"0"))
                    if version > layout.SCHEMA_VERSION:
                        raise SchemaError(f"{self.path}: was written by a later release: upgrade backscroll-lmdb")
                    yield txn if version else None
                    is_over = True
            except Timeout:
                raise DeadlineExceeded(f"{self.path}: others wrote for {deadline.seconds:g} s") from None
            except (lmdb.Error, OSError) as error:
                raise (OutcomeUnknown if is_over else StorageError)(f"{self.path}: {error}") from error

    def _open(self, create: bool) -> lmdb.Environment:
        return lmdb.open(str(self.path), self.options.map_size, subdir=False, create=create, lib_version=1)


def _items(txn: Transaction, low: bytes, high: bytes, newest: bool = False) -> Iterator[tuple[bytes, bytes]]:
    """What stands under the keys from one up to another, which is not among them."""
    if txn is None:
        return iter(())
    cursor = txn.cursor()
    is_beyond = cursor.set_range(high if newest else low)
    items = cursor.iterprev() if newest else cursor.iternext()
    if newest and is_beyond:
        next(items)
    return takewhile(lambda item: low <= item[0] < high, items)


def _rows(txn: Transaction, session_id: str, window: Window) -> Iterator[Row]:
    low = layout.place(session_id, 0 if window.after is None else window.after + 1)
    high = layout.place(session_id, 1 << 63 if window.before is None else window.before)
    return starmap(layout.row, _items(txn, low, high, window.newest))


def _drop(txn: Transaction, place: bytes, deadline: Deadline, now: int = 0) -> bool:
    """Drop a message that has not expired, with its mark; whether there was one."""
    if not deadline.remaining():
        raise DeadlineExceeded(f"not done within {deadline.seconds:g} s, so nothing was: raise timeout")
    if txn is None or (value := txn.get(place)) is None or 0 < layout.times(value)[0] <= now:
        return False
    txn.delete(layout.due(layout.times(value)[1], place))
    return txn.delete(place)
