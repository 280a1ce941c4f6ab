"""The stateful tier: random operations, answered as a plain list would."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from backscroll_conformance.clauses import Form, Tier, clause
from backscroll_conformance.subject import Subject


@clause("STA-001", tier=Tier.STATEFUL)
async def like_a_list(s: Subject) -> None:
    """Whatever is done to it, a store MUST answer as a plain list would."""
    await _play(s, loses_answers=False)


@clause("STA-002", tier=Tier.STATEFUL)
async def like_a_list_over_a_bad_line(s: Subject) -> None:
    """Where answers are lost and the store tries again, it MUST still answer as a plain list would."""
    await _play(s, loses_answers=True)


async def _play(s: Subject, *, loses_answers: bool) -> None:
    if s.form is Form.ASYNC:
        # hypothesis calls plain functions; in a thread of its own each of them can run a loop.
        await asyncio.to_thread(_played, s, loses_answers)
    else:
        _played(s, loses_answers)


def _played(s: Subject, loses_answers: bool) -> None:
    # Imported at first use, because hypothesis takes as long to import as all the rest.
    from backscroll_conformance.game import Game
    from backscroll_conformance.machine import play

    with _no_traces(s), Game(s, loses_answers=loses_answers) as game:
        try:
            play(game)
        finally:
            s.figures["random scripts"] = game.scripts


@contextmanager
def _no_traces(s: Subject) -> Iterator[None]:
    """Keep hypothesis from leaving a folder in the current directory, but for the tests that the user has of it."""
    from hypothesis.configuration import set_hypothesis_home_dir, storage_directory

    found = storage_directory(intent_to_write=False)
    before: Any = getattr(found, "home_directory", found)  # older releases give the folder itself
    with tempfile.TemporaryDirectory(prefix="backscroll-", dir=s.target.folders, ignore_cleanup_errors=True) as folder:
        set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            set_hypothesis_home_dir(before)
