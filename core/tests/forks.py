"""A forked child that does one thing and never comes back into pytest."""

import os
import traceback
from collections.abc import Callable
from typing import Any


def fork(work: Callable[[], Any]) -> int:
    """Run `work` in a forked child that exits at once; the child's id. An exception makes its status 1."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    except BaseException:  # noqa: BLE001  # a child must not come back into pytest
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)
