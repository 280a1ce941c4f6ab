"""What one would write by hand with `sqlite3` for the same durable work: the peer of the measures.

The same tables, the same bytes in them and the same decisions as the SQLite backend (a counter, the last
sixteen turns of the session to know a repeated one, the message in its envelope), in straight lines, for one
caller who makes no mistakes: nothing is validated, retried, bounded by a deadline or explained.
"""

import json
import sqlite3
import struct
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

TABLES = """
CREATE TABLE session (sid INTEGER PRIMARY KEY, session_id TEXT NOT NULL UNIQUE, next_seq INTEGER NOT NULL,
                      first_seq INTEGER NOT NULL, recent BLOB NOT NULL) STRICT;
CREATE TABLE message (id INTEGER PRIMARY KEY, expires_at INTEGER, purge_at INTEGER, body BLOB NOT NULL) STRICT;
CREATE INDEX message_purge ON message (purge_at) WHERE purge_at IS NOT NULL;
"""
RANGE = """FROM message WHERE id >= (SELECT sid FROM session WHERE session_id = ?1) << 32
                          AND id < ((SELECT sid FROM session WHERE session_id = ?1) + 1) << 32"""
ENTRY = struct.Struct(">16s8sQIQ")


class Handwritten:
    """A history on one connection, behind a lock."""

    def __init__(self, path: str, synchronous: str = "FULL") -> None:
        self.lock = threading.Lock()
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=60)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute(f"PRAGMA synchronous = {synchronous}")

    def setup(self) -> None:
        """Make the tables."""
        self.db.executescript(TABLES)

    def append(self, session_id: str, messages: list[dict[str, Any]]) -> int:
        """Append a turn; the answer is the version after it."""
        turn_id, now = uuid.uuid4(), time.time_ns() // 1_000
        bodies = [
            json.dumps(
                {
                    "v": 1,
                    "turn_id": turn_id.hex,
                    "stored_at": now,
                    "expires_at": None,
                    "index": index,
                    "message": message,
                },
                ensure_ascii=False,
                separators=(",", ":"),
            ).encode()
            for index, message in enumerate(messages)
        ]
        with self.lock:
            self.db.execute("BEGIN IMMEDIATE")
            row = self.db.execute(
                "SELECT sid, next_seq, recent FROM session WHERE session_id = ?", (session_id,)
            ).fetchone()
            sid, version, recent = row or (0, 0, b"")
            if turn_id.bytes in recent:
                self.db.execute("ROLLBACK")
                return int(version)
            entry = ENTRY.pack(turn_id.bytes, b"12345678", version, len(bodies), now // 1_000)
            ring = entry + recent[: ENTRY.size * 15]
            if version:
                self.db.execute(
                    "UPDATE session SET next_seq = ?, recent = ? WHERE sid = ?", (version + len(bodies), ring, sid)
                )
            else:
                sid = self.db.execute(
                    "INSERT INTO session (session_id, next_seq, first_seq, recent) VALUES (?, ?, 0, ?)",
                    (session_id, len(bodies), ring),
                ).lastrowid
            first = sid << 32 | version
            self.db.executemany(
                "INSERT INTO message (id, expires_at, purge_at, body) VALUES (?, ?, ?, ?)",
                [(first + index, None, None, body) for index, body in enumerate(bodies)],
            )
            self.db.execute("COMMIT")
        return int(version) + len(bodies)

    def last(self, session_id: str, k: int) -> list[Any]:
        """The last messages as plain dicts: the bare SELECT and `json.loads`."""
        rows = self.db.execute(f"SELECT body {RANGE} ORDER BY id DESC LIMIT ?2", (session_id, k)).fetchall()
        return [json.loads(body) for (body,) in reversed(rows)]

    def iterate(self, session_id: str) -> Iterator[Any]:
        """All messages as plain dicts."""
        for (body,) in self.db.execute(f"SELECT body {RANGE} ORDER BY id", (session_id,)):
            yield json.loads(body)

    def close(self) -> None:
        """Close the connection."""
        self.db.close()
