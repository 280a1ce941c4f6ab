"""What the file says of how it is written, and where that falls short of what is claimed, or of production."""

from collections.abc import Iterator
from typing import Final

from backscroll.examination import Finding, Severity
from backscroll.sqlite.options import SQLiteOptions

GUARANTEES: Final = "docs/sqlite.md#guarantees"
LAYOUT: Final = "docs/sqlite.md#layout"


def findings(mode: str | None, options: SQLiteOptions, *, in_memory: bool) -> Iterator[Finding]:
    """What is wrong.

    Args:
        mode: The journal mode; None where nothing is stored there yet.
        options: The options of the store.
        in_memory: Whether there is no file.
    """
    if mode not in (None, "wal", "memory"):
        yield Finding(
            Severity.ERROR,
            f"journal_mode is {mode}, so that readers and writers wait for each other",
            "call setup()",
            LAYOUT,
        )
    if in_memory:
        yield Finding(
            Severity.WARNING,
            "it is in memory, and gone with this process",
            "name a file: sqlite:///chat.db",
            GUARANTEES,
        )
    elif options.durability == "process":
        yield Finding(
            Severity.WARNING,
            "synchronous is NORMAL, so that a power cut may take the last turns",
            "leave durability=process out",
            GUARANTEES,
        )
