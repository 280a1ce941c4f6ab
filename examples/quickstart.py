"""Import real conversations into a new SQLite file, show the end of one, and take the tour.

Run it with the Python that has backscroll with its extra: pip install 'backscroll[cli]'
"""

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

CONVERSATIONS = Path(__file__).with_name("conversations.jsonl")


def backscroll(*arguments: str) -> None:
    """Run one command, and say which."""
    print(f"\n$ backscroll {shlex.join(arguments)}", flush=True)
    subprocess.run([sys.executable, "-m", "backscroll", *arguments], check=True)


def main() -> int:
    """Do it.

    Returns:
        The exit code of the command that failed, or 0.
    """
    with tempfile.TemporaryDirectory(prefix="backscroll-") as folder:
        url = f"sqlite:///{quote(str(Path(folder, 'chat.db')))}"
        try:
            backscroll("import", str(CONVERSATIONS), url)
            backscroll("sessions", url)
            backscroll("show", url, "trip-planner/lena", "--last", "3")
            backscroll("tour")
        except subprocess.CalledProcessError as error:
            return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
