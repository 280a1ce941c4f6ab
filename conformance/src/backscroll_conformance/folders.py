"""Folders into which processes that have not ended yet may still write."""

import shutil
import time
from pathlib import Path
from typing import Final

LINGERING: Final = 30.0
"""How many seconds at the most are spent on removing one."""


def remove(folder: str) -> None:
    """Remove a folder, again and again where something appears in it meanwhile."""
    end = time.monotonic() + LINGERING
    while Path(folder).exists() and time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.01)
