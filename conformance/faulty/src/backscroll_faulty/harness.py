"""Backends that hang or crash, for the tests of the runner."""

import os
import time

from backscroll.backend import Deadline
from backscroll_faulty.fault import fault
from backscroll_faulty.reference import Reference


@fault("hangs", caught_by="REM-001 REM-002", harness=True)
class Hangs(Reference):
    """Never comes back from a removal."""

    def remove(self, session_id: str, seqs: tuple[int, ...], now: int, deadline: Deadline) -> tuple[int, ...]:
        while True:
            time.sleep(3_600)


@fault("crashes", caught_by="INF-002", harness=True)
class Crashes(Reference):
    """Ends the interpreter when messages are counted."""

    def count(self, session_id: str, now: int, deadline: Deadline) -> int:
        os.abort()


@fault("exits", caught_by="INF-002", harness=True)
class Exits(Reference):
    """Ends the process, as though all was well, when messages are counted."""

    def count(self, session_id: str, now: int, deadline: Deadline) -> int:
        os._exit(0)
