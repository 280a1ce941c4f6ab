"""Which processes are at work."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

needs_proc = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks for processes in /proc")


def those_in(folder: Path) -> set[int]:
    """The processes whose current directory it is."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cwd").readlink() == folder and "State:\tZ" not in (path / "status").read_text():
                found.add(int(path.name))
        except OSError:
            continue
    return found - {os.getpid()}


def eventually(is_so: Callable[[], object]) -> None:
    """Wait until something is true, and fail after 60 seconds."""
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end, "waited for 60 s"
        time.sleep(0.005)
