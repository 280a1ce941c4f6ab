"""The shape of the SQLite file: tables and statements. Imports no driver.

``session`` holds a counter per session and the ring of its last turns (`backscroll.recent`); ``message`` holds the
bodies, clustered by ``id = sid << 32 | seq``, so that the last messages of a session are neighbours on disk.
"""

from typing import Final

APPLICATION_ID: Final = 0x6261636B
"""What marks a file as ours, in its header."""

MIGRATIONS: Final = (
    (
        """
        CREATE TABLE session (
            sid        INTEGER PRIMARY KEY AUTOINCREMENT,
            session_id TEXT NOT NULL UNIQUE,
            next_seq   INTEGER NOT NULL,
            first_seq  INTEGER NOT NULL,
            recent     BLOB NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE message (
            id         INTEGER PRIMARY KEY,
            expires_at INTEGER,
            purge_at   INTEGER,
            body       BLOB NOT NULL
        ) STRICT
        """,
        "CREATE INDEX message_purge ON message (purge_at) WHERE purge_at IS NOT NULL",
    ),
)
"""Step n brings a file from schema version n to n + 1. A step that changes a table has to rename it, so that
an older release which still has the file open fails instead of writing what it does not understand."""

SCHEMA_VERSION: Final = len(MIGRATIONS)
"""The schema version of this release, kept in ``user_version``."""

SEQS: Final = 1 << 32
"""How many seqs a session has."""

# One statement, and so one snapshot: between two, another process could make the schema.
OWNER: Final = """
    SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version),
           EXISTS (SELECT 1 FROM sqlite_schema)
"""

FIND: Final = "SELECT sid, next_seq, recent FROM session WHERE session_id = ?"
BEGIN_SESSION: Final = "INSERT INTO session (session_id, next_seq, first_seq, recent) VALUES (?, ?, 0, ?)"
ADVANCE: Final = "UPDATE session SET next_seq = ?, recent = ? WHERE sid = ?"
INSERT: Final = "INSERT INTO message (id, expires_at, purge_at, body) VALUES (?, ?, ?, ?)"
PURGE: Final = "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE purge_at <= ? ORDER BY purge_at LIMIT ?)"

_RANGE: Final = """
    FROM message WHERE id > ((SELECT sid FROM session WHERE session_id = :session_id) << 32) + :after
                   AND id < ((SELECT sid FROM session WHERE session_id = :session_id) << 32) + :before
                   AND (expires_at IS NULL OR expires_at > :now)
"""
READ_OLDEST: Final = f"SELECT id & 4294967295, expires_at, body {_RANGE} ORDER BY id LIMIT :limit"
READ_NEWEST: Final = f"SELECT id & 4294967295, expires_at, body {_RANGE} ORDER BY id DESC LIMIT :limit"
COUNT: Final = f"SELECT count(*) {_RANGE}"

INFO: Final = "SELECT next_seq, first_seq, recent FROM session WHERE session_id = ?"
SESSIONS: Final = "SELECT session_id FROM session WHERE session_id >= ? AND session_id <> ? ORDER BY session_id LIMIT ?"

REMOVE: Final = "DELETE FROM message WHERE id = ? AND (expires_at IS NULL OR expires_at > ?)"
DISCARD: Final = "DELETE FROM message WHERE id >= ? AND id < ?"
RAISE_FIRST: Final = "UPDATE session SET first_seq = max(first_seq, ?) WHERE sid = ?"
DELETE: Final = "DELETE FROM session WHERE session_id = ? AND next_seq = ? AND first_seq = next_seq"
