"""Faults in what an append stores and answers."""

import json
import sqlite3
from collections.abc import Sequence

import attrs

from backscroll.backend import Appended, Deadline, SessionInfo, Turn
from backscroll.errors import StorageError
from backscroll_faulty.fault import fault
from backscroll_faulty.reference import Reference
from backscroll_faulty.session import Session


@fault("gap_in_a_turn", caught_by="APP-001", also="STA-001 STA-002")
class GapInATurn(Reference):
    """Skips a seq where the third turn of a session begins a new block of eight, as block counters do."""

    def seqs(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> tuple[int, ...]:
        seqs = super().seqs(db, key, session, turn)
        is_crossing = len(session.turns) == 2 and seqs[0] < 8 <= seqs[-1]
        return (*seqs[:-1], seqs[-1] + 1) if is_crossing and turn.age == 0.0 else seqs


@fault("version_of_last", caught_by="APP-002 CON-008 CON-009", also="STA-001 STA-002")
class VersionOfLast(Reference):
    """Answers the seq of the last message as the version, where a turn has three or more."""

    def store(self, db: sqlite3.Connection, key: bytes, session: Session, turn: Turn) -> Appended:
        answer = super().store(db, key, session, turn)
        return attrs.evolve(answer, version=answer.version - (len(answer.seqs) >= 3))


@fault("short_turns", caught_by="APP-004")
class ShortTurns(Reference):
    """Stores no more messages of a turn than a statement has room for."""

    def insert(self, db: sqlite3.Connection, key: bytes, turn: Turn, seqs: Sequence[int]) -> None:
        most = 999
        super().insert(db, key, attrs.evolve(turn, bodies=turn.bodies[:most]), seqs[:most])


@fault("cut_at_64_kib", caught_by="APP-005 APP-006 RDG-006")
class CutBodies(Reference):
    """Cuts a message at 64 KiB, as a column that is too narrow does."""

    def body(self, body: bytes) -> bytes:
        return body[: 1 << 16]


@fault("small_packets", caught_by="APP-006")
class SmallPackets(Reference):
    """Declares turns of 2 MiB, and refuses those that are over 1.25 MiB."""

    def insert(self, db: sqlite3.Connection, key: bytes, turn: Turn, seqs: Sequence[int]) -> None:
        if sum(map(len, turn.bodies)) > 5 << 18:
            raise StorageError("the packet is too large")
        super().insert(db, key, turn, seqs)


@fault("bodies_as_text", caught_by="APP-007 UNR-001 UNR-002")
class AsText(Reference):
    """Keeps bodies in a text column, which replaces what is no UTF-8."""

    def body(self, body: bytes) -> bytes:
        return body.decode(errors="replace").encode()


@fault("numbers_as_doubles", caught_by="MSG-001")
class AsDoubles(Reference):
    """Keeps bodies in a JSON column, whose numbers are doubles."""

    def body(self, body: bytes) -> bytes:
        try:
            value = json.loads(body, parse_int=lambda digits: int(float(digits)))
        except (ValueError, OverflowError):
            return body
        exact = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return exact if body.startswith(b"{") else body


@fault("stripped_text", caught_by="MSG-001")
class Stripped(Reference):
    r"""Turns \r\n within a message into \n, as a driver in text mode does."""

    def body(self, body: bytes) -> bytes:
        return body.replace(rb"\r\n", rb"\n")


@fault("created_by_reading", caught_by="SEQ-005", also="STA-001 STA-002")
class CreatedByReading(Reference):
    """Begins a session when its messages are counted."""

    def count(self, session_id: str, now: int, deadline: Deadline) -> int:
        key = self.key(session_id)
        with self.writing(deadline) as db:
            if db is not None and self.find(db, key) is None:
                self.save(db, key, Session())
        return super().count(session_id, now, deadline)


@fault("first_seq_of_last_turn", caught_by="INF-001", also="STA-001 STA-002")
class FirstSeqOfLastTurn(Reference):
    """Says of a session that nothing lies before its last message."""

    def described(self, session_id: str, session: Session) -> SessionInfo:
        info = super().described(session_id, session)
        return attrs.evolve(info, first_seq=max(0, session.version - 1))


@fault(
    "version_without_the_last",
    caught_by="SEQ-001 APP-002 INF-001 INF-002 DSC-005 DEL-005",
    also="STA-001 STA-002",
)
class VersionWithoutTheLast(Reference):
    """Says as the version of a session the seq of its last message, where a turn of three or more came last."""

    def described(self, session_id: str, session: Session) -> SessionInfo:
        info = super().described(session_id, session)
        is_long = bool(session.turns) and session.turns[-1].length >= 3
        return attrs.evolve(info, version=info.version - is_long)
