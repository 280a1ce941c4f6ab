"""How a command can end; the one place for the numbers."""

from enum import IntEnum
from types import MappingProxyType
from typing import Final


class ExitCode(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    PROBLEMS = 1
    USAGE = 2
    FAILED = 3
    INTERRUPTED = 130


MEANINGS: Final = MappingProxyType(
    {
        ExitCode.DONE: "done",
        ExitCode.PROBLEMS: "done, but some input, records, settings or plugins have problems, each told on stderr",
        ExitCode.USAGE: "wrong usage; nothing was done",
        ExitCode.FAILED: "the operation failed",
        ExitCode.INTERRUPTED: "interrupted",
    }
)
"""What each one means, for ``backscroll --help``."""
