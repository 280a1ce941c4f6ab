"""The examples run."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_quickstart(tmp_path: Path) -> None:
    """The quickstart imports the conversations, shows the end of one, takes the tour, and leaves nothing behind."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / "quickstart.py"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "37 added" in done.stdout
    assert "How many stages would that be?" in done.stdout
    assert "All of this held" in done.stdout
    assert list(tmp_path.iterdir()) == []
