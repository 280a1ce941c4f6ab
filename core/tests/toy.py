"""A toy backend in memory that runs in two ways: dense, and like a log with everything that goes wrong there.

Log-like (faults > 0): seqs have gaps, calls fail surely or with an unknown outcome, before or after they were done, or
are done after their own repetition; pages come back short or empty.
"""

import contextlib
import random
import threading
import time
from types import SimpleNamespace

from backscroll import backend as spi
from backscroll import errors, hookspecs

WINDOW = 16
CAN = spi.declare({c: spi.unsupported("a toy") for c in (spi.Capability.PURGE, spi.Capability.WATCH)})
LIMITS = spi.Limits(max_message_bytes=8 << 20, max_turn_bytes=8 << 20, max_turn_messages=10_000)
TOY = hookspecs.BackendInfo(
    name="toy", schemes=("toy",), api=(1, 0), factory="toy:Toy", options="toy:Toy", capabilities=CAN, limits=LIMITS
)


class Toy(spi.Backend):
    def __init__(self, faults=0.0, seed=1, **options):
        super().__init__(TOY, spi.URL("toy"), spi.BackendOptions(**options))
        self.faults, self.random, self.offset = faults, random.Random(seed), 0
        self.saved, self.late, self.lock = {}, [], threading.RLock()

    def append(self, session_id, turn, deadline):
        return self._perhaps(lambda: self._land(session_id, turn))

    def _land(self, session_id, turn):
        session = self._find(session_id)
        for earlier, answer, _ in session.turns:
            if earlier.turn_id == turn.turn_id:
                if earlier.digest == turn.digest:
                    return spi.Appended(answer.version, answer.seqs, answer.turn_id, duplicate=True)
                raise errors.TurnIdReused(turn.turn_id)
        if turn.age and len(session.turns) == WINDOW and session.turns[0][2] >= time.monotonic() - turn.age_by_now():
            raise errors.WindowExceeded("too many other turns")
        if turn.expected_version not in (None, session.version):
            raise errors.VersionConflict(turn.expected_version, session.version)
        self.offset += self.random.randint(1, 3)
        first = self.offset << 16 if self.faults else session.version
        seqs = tuple(range(first, first + len(turn.bodies)))
        session.rows = session.rows | {seq: spi.Row(seq, turn.expires_at, turn.bodies[seq - first]) for seq in seqs}
        session.version = seqs[-1] + 1
        answer = spi.Appended(session.version, seqs, turn.turn_id)
        session.turns = [*session.turns, (turn, answer, time.monotonic())][-WINDOW:]
        self.saved[session_id] = session
        return answer

    def _perhaps(self, act):
        with self.lock:
            while self.late and self.random.random() < 0.5:
                with contextlib.suppress(errors.BackscrollError):
                    self.late.pop(0)()
            if self.random.random() >= self.faults:
                return act()
            if self.random.random() < 0.25:
                raise errors.Unavailable("the toy is not available")
            self.random.choice([act, int, lambda: self.late.append(act)])()
            raise errors.OutcomeUnknown("the toy's answer was lost")

    def _find(self, session_id):
        return self.saved.get(session_id) or SimpleNamespace(version=0, first_seq=0, rows={}, turns=[])

    def read(self, session_id, window, deadline):
        after = -1 if window.after is None else window.after
        before = 1 << 63 if window.before is None else window.before
        rows = [row for seq, row in sorted(self._find(session_id).rows.items()) if after < seq < before]
        rows = rows[::-1] if window.newest else rows
        if not self.faults:
            return spi.Page(rows[: window.limit], rows[window.limit - 1].seq if len(rows) > window.limit else None)
        page = rows[: self.random.randint(0, window.limit)]
        live = [row for row in page if (row.expires_at or window.now + 1) > window.now]
        scanned = page[-1].seq if page else rows[0].seq + (1 if window.newest else -1) if rows else None
        return spi.Page(live, scanned if page != rows else None)

    def info(self, session_id, deadline):
        return spi.SessionInfo(session_id, self._find(session_id).version, self._find(session_id).first_seq)

    def count(self, session_id, now, deadline):
        return sum((row.expires_at or now + 1) > now for row in self._find(session_id).rows.values())

    def sessions(self, prefix, cursor, limit, deadline):
        ids = sorted(key for key in self.saved if key.startswith(prefix) and key > (cursor or ""))
        return spi.SessionPage(tuple(ids[:limit]), ids[limit - 1] if len(ids) > limit else None)

    def discard(self, session_id, before, deadline):
        def act():
            session = self._find(session_id)
            session.first_seq = max(session.first_seq, min(before, session.version))
            session.rows = {seq: row for seq, row in session.rows.items() if seq >= session.first_seq}

        self._perhaps(act)

    def remove(self, session_id, seqs, now, deadline):
        with self.lock:
            rows = self._find(session_id).rows
            return tuple(s for s in seqs if s in rows and (rows[s].expires_at or now + 1) > now and rows.pop(s))

    def delete(self, session_id, before, deadline):
        def act():
            if self._find(session_id).version == before == self._find(session_id).first_seq:
                self.saved.pop(session_id, None)

        self.late.clear()  # a delete forgets the turns by which a late one would be known
        self._perhaps(act)

    def setup(self, deadline):
        return self._perhaps(lambda: spi.Health("toy"))

    def ping(self, deadline):
        return spi.Health("toy")

    close = spi.Backend.release_threads
