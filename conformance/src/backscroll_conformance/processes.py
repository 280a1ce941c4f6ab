"""Clients in processes of their own: started, heard, killed, and never left behind."""

import atexit
import itertools
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn, Self

from backscroll.discovery import Plugin, discover
from backscroll.url import parse_url
from backscroll_conformance.client import Job
from backscroll_conformance.expect import Broken
from backscroll_conformance.target import Target

PATIENCE: Final = 20.0
"""How many seconds a client may take for its next line, or to end."""

LAST_WORDS: Final = 2_000
"""How many characters of what a process printed are told."""

CAN_FORK: Final = hasattr(os, "fork")


def installed(target: Target) -> Plugin | None:
    """The entry point by which any process finds the backend; None where only this process knows it."""
    family = parse_url(target.url).scheme.partition("+")[0]
    return next((plugin for plugin in discover() if plugin.name == family and plugin.module), None)


def why_not_elsewhere(target: Target) -> str:
    """Why another process could not open the same database, in a sentence; empty where it can."""
    if not installed(target):
        return "only this process knows the backend: install it with its entry point, so that others find it"
    try:
        json.dumps(dict(target.options))
    except TypeError:
        return "an option is an object of this process: give one that can be written as JSON"
    return ""


def last_words(printed: bytes, target: Target) -> str:
    """The end of what a process printed, free of secrets."""
    return target.redacted(printed.decode(errors="replace")).strip()[-LAST_WORDS:]


class Client:
    """A process that does a job; killed, at the latest, when the block ends.

    Args:
        job: The job.
    """

    def __init__(self, job: Job) -> None:
        text = job.to_json()
        self._target = job.target
        self._host = _Host.shared() if CAN_FORK else _Host()
        self._since = self._host.printed()
        self._number, self._lines = self._host.start(text)
        self._has_ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        if not CAN_FORK:
            self._host.close()

    def line(self, seconds: float = PATIENCE) -> dict[str, Any]:
        """The next line that it says.

        Args:
            seconds: How long to wait for it.

        Raises:
            Broken: It failed or ended, or said nothing in time.
        """
        line = self._checked(self._heard(seconds))
        if "ended" in line:
            self._fail(f"ended (exit code {line['ended']})")
        return line

    def kill(self) -> list[dict[str, Any]]:
        """Kill it, as ``kill -9`` does; gives the lines that it had said and nobody had asked for.

        Raises:
            Broken: It had failed before.
        """
        return [self._checked(line) for line in self._end()]

    def _end(self) -> list[dict[str, Any]]:
        rest: list[dict[str, Any]] = []
        if not self._has_ended:
            self._host.kill(self._number)
            while "ended" not in (line := self._heard(PATIENCE)):
                rest.append(line)
        return rest

    def _heard(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            self._fail(f"said nothing for {seconds:g} s")
        self._has_ended = self._has_ended or "ended" in line
        return line

    def _checked(self, line: dict[str, Any]) -> dict[str, Any]:
        if "failed" in line:
            self._fail(f"failed: {line['failed']}")
        return line

    def _fail(self, what: str) -> NoReturn:
        words = last_words(self._host.printed_since(self._since), self._target)
        raise Broken(f"a client in another process {what}" + (f":\n{words}" if words else ""))


class _Host:
    """A process of ``backscroll_conformance.client``, which forks clients, or is one where the system cannot fork."""

    _shared: "_Host | None" = None
    _sharing: Final = threading.Lock()

    def __init__(self) -> None:
        self._began: Final = _circumstances()
        # A file, since a pipe that nobody empties would hold the process up. Opened twice, so that each has its place.
        self._folder = tempfile.TemporaryDirectory(prefix="backscroll-")
        path = Path(self._folder.name, "printed")
        with path.open("ab") as printed:
            # -P, so that no file of the current directory stands in for a module.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "backscroll_conformance.client"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=printed,
            )
            self._printed = path.open("rb")
        if CAN_FORK:
            self._folder.cleanup()  # such a system lets go of open files, and nothing is left however this process ends
        self._numbers = itertools.count()
        self._clients: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._giving = threading.Lock()
        self._reader = threading.Thread(target=self._listen, name="clients", daemon=True)
        self._reader.start()
        atexit.register(self.close)

    @classmethod
    def shared(cls) -> "_Host":
        """The one of this process."""
        with cls._sharing:
            if cls._shared is None or not cls._shared.is_usable:
                if cls._shared is not None:
                    cls._shared.close()
                cls._shared = cls()
            return cls._shared

    @property
    def is_usable(self) -> bool:
        """Whether it is there, belongs to this process and would not start otherwise today."""
        return self._began == _circumstances() and self._process.poll() is None

    def start(self, text: str) -> "tuple[int, queue.SimpleQueue[dict[str, Any]]]":
        """Start a client with a job; gives its number and what it says."""
        number = next(self._numbers)
        lines = self._clients[number] = queue.SimpleQueue()
        self._give({"client": number, "job": text, "environment": dict(os.environ), "folder": str(Path.cwd())})
        return number, lines

    def kill(self, number: int) -> None:
        """Kill a client."""
        if CAN_FORK:
            self._give({"kill": number})
        else:
            self._process.kill()

    def close(self) -> None:
        """End the process, and with it all clients."""
        if self._began[0] != os.getpid() or self._printed.closed:
            return  # the child of a fork leaves it to its parent
        atexit.unregister(self.close)
        stdin, stdout = self._process.stdin, self._process.stdout
        with suppress(BrokenPipeError):
            if stdin:
                stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if stdout:
            stdout.close()
        self._printed.close()
        self._folder.cleanup()

    def printed(self) -> int:
        """How many bytes it has printed."""
        return self._printed.seek(0, os.SEEK_END)

    def printed_since(self, size: int) -> bytes:
        """What it has printed behind so many bytes."""
        self._printed.seek(size)
        return self._printed.read()

    def _give(self, order: dict[str, Any]) -> None:
        with self._giving, suppress(BrokenPipeError):  # it ended already, which the next line tells
            if stdin := self._process.stdin:
                stdin.write(json.dumps(order).encode() + b"\n")
                stdin.flush()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            if line.endswith(b"\n"):  # the last one may be cut off
                said = json.loads(line)
                number = said.pop("client")
                self._clients[number].put(said)
                if "ended" in said:
                    del self._clients[number]
        code = self._process.wait()
        for lines in self._clients.values():
            lines.put({"ended": code})


def _circumstances() -> tuple[int, dict[str, str]]:
    """Whose the process is, and what it takes in at its start; all else is given to each client."""
    return os.getpid(), {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
