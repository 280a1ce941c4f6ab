"""What the tests share: a SQLite file, stores that are closed again, and other processes."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import backscroll


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's SQLite file is to be."""
    return tmp_path / "chat.db"


@pytest.fixture
def open_store(path: Path) -> Iterator[Callable[..., backscroll.Store]]:
    """Opens stores, on the test's own file unless told otherwise, and closes them in the end."""
    opened: list[backscroll.Store] = []

    def open_store(url: str = f"sqlite:///{path}", **options: Any) -> backscroll.Store:
        opened.append(backscroll.open(url, **options))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def sql(path: Path) -> Callable[..., list[Any]]:
    """Executes a statement on the test's file by plain `sqlite3`."""

    def sql(statement: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            return db.execute(statement, values).fetchall()

    return sql


@pytest.fixture
def python() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts Python processes that run a script with arguments, and ends them in the end."""
    started: list[subprocess.Popen[str]] = []

    def python(script: str, *arguments: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", script, *map(str, arguments)]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield python
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Waits until something is true, and fails after 20 seconds."""

    def eventually(is_so: Callable[[], object]) -> None:
        end = time.monotonic() + 20
        while not is_so():
            assert time.monotonic() < end, "waited for 20 s"
            time.sleep(0.002)

    return eventually
