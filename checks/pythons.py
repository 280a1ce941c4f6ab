"""The Pythons of this machine, found by trying them."""

import os
import re
import subprocess
import sys
from pathlib import Path


def pythons() -> list[str]:
    """Every Python from 3.11 on PATH that really runs, oldest first, and the one that runs nox."""
    found = {sys.version_info[:2]}
    for folder in os.get_exec_path():
        for path in Path(folder).glob("python3.[1-9]*"):
            if re.fullmatch(r"python3\.\d+", path.name) and os.access(path, os.X_OK):
                asked = subprocess.run(
                    [path, "-c", "import sys; print(*sys.version_info[:2])"],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if asked.returncode == 0:
                    major, minor = map(int, asked.stdout.split())
                    found.add((major, minor))
    return [f"{major}.{minor}" for major, minor in sorted(found) if (major, minor) >= (3, 11)]
