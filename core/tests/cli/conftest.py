"""How the tests run the command line: in this process where that is enough, else in one of its own."""

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

import backscroll
from backscroll.cli import main

PATIENCE = 60
"""Seconds after which a test gives up on a process."""


@attrs.frozen
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        # Not splitlines(), which would split at the line separators that JSON leaves alone.
        return [json.loads(line) for line in self.out.removesuffix("\n").split("\n")]


Run = Callable[..., Ran]


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process."""

    def run(*args: object, stdin: bytes = b"") -> Ran:
        capsysbinary.readouterr()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main([str(arg) for arg in args])
        captured = capsysbinary.readouterr()
        return Ran(code, captured.out.decode(), captured.err.decode())

    return run


@attrs.frozen
class Shown:
    """What a command that ended told, on a terminal and beside it."""

    code: int
    screen: bytes
    piped: bytes


@pytest.fixture
def on_terminal() -> Callable[..., Shown]:
    """Run a command in a process of its own with one of its streams, ``stdout`` or ``stderr``, on a terminal."""

    def on_terminal(stream: str, *args: str, **environment: str) -> Shown:
        ours, theirs = pty.openpty()
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: theirs}
        command = [sys.executable, "-m", "backscroll", *args]
        told = {**os.environ, "TERM": "xterm", **environment}
        with (
            os.fdopen(ours, "rb", buffering=0) as screen,
            subprocess.Popen(command, env=told, stdout=streams["stdout"], stderr=streams["stderr"]) as child,
        ):
            os.close(theirs)
            shown = b""
            with suppress(OSError):  # it has ended
                while True:
                    shown += screen.read(1 << 16)
            out, err = child.communicate(timeout=PATIENCE)
        return Shown(child.returncode, shown, out or err or b"")

    return on_terminal


@pytest.fixture
def process() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a command in a process of its own; it is gone after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*args: object, **options: Any) -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # As on most machines: what is written to a pipe waits in a buffer.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        options = options | {"env": environment | options.get("env", {})}
        command = [sys.executable, "-m", "backscroll", *map(str, args)]
        started.append(subprocess.Popen(command, **pipes | options))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Processes can be interrupted, also where those of the tests ignore it, as in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def next_line() -> Callable[[subprocess.Popen[bytes]], bytes]:
    """The next line that a process writes to its stdout, if it comes in time."""

    def next_line(process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], PATIENCE)[0], "nothing came"
        return process.stdout.readline()

    return next_line


@pytest.fixture
def measuring() -> str:
    """The code of a process that runs a command, and says in the last line how much memory it took, in KiB."""
    return (
        "import re, sys\n"
        "from backscroll.cli import main\n"
        "code = main(sys.argv[1:])\n"
        # What getrusage tells of a child begins with the peak of the process that forked it.
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        "sys.exit(code)\n"
    )


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a file that is not there yet."""
    return f"sqlite:///{tmp_path}/chat.db"


@pytest.fixture
def store(url: str) -> Iterator[backscroll.Store]:
    """A store on the same file."""
    with backscroll.open(url) as store:
        yield store
