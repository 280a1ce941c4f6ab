"""What the tests of the faulty backends leave behind goes with them."""

import tempfile
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where clients raced, the history is kept in the folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
