"""The progress that a command shows on a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from backscroll.cli.output import console, on_terminal

Advance = Callable[[int, str], None]
"""Shows how far it is: what is done of the whole (or 0), and a text."""


@contextmanager
def progress(what: str, whole: int | None, *, quiet: bool = False) -> Iterator[Advance]:
    """A bar on stderr if that is a terminal, which disappears at the end.

    Args:
        what: What is being done.
        whole: How much there is to do, in any unit; None where nobody knows.
        quiet: Whether to show nothing.
    """
    if quiet or not on_terminal(sys.stderr):
        yield lambda _done, _text: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns: list[Any] = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
    columns += [BarColumn()] if whole else []
    with Progress(
        *columns, TimeElapsedColumn(), console=console(stderr=True), transient=True, redirect_stdout=False
    ) as bar:
        task = bar.add_task(what, total=whole)
        yield lambda done, text: bar.update(task, completed=done, description=f"{what}: {text}")
