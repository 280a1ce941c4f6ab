"""Where clients are born: a process that has imported everything and forks, so that a client starts in no time."""

import contextlib
import json
import os
import select
import signal
import threading
from collections.abc import Callable
from typing import Any, Final, NoReturn


class Nursery:
    """Forks a client for each job on stdin, kills those that it is told to, and says of each how it ended.

    It has one thread only, as a process that forks should.

    Args:
        out: The descriptor to say it on.
        run: Does a job, given as a line of JSON; its answer is the exit code of the client.
    """

    def __init__(self, out: int, run: Callable[[str, int], int]) -> None:
        self._out: Final = out
        self._run: Final = run
        self._clients: dict[int, int] = {}
        # Nobody writes to it: its other end is closed when this process ends, by which its clients see that.
        self._lifeline: Final = os.pipe()
        self._woken, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Serve until stdin ends."""
        rest = b""
        while True:
            ready, _, _ = select.select([0, self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._bury()
            if 0 in ready:
                some = os.read(0, 1 << 16)
                if not some:
                    os._exit(0)  # and with it the lifeline of those who are still at work
                *lines, rest = (rest + some).split(b"\n")
                for line in lines:
                    self._obey(line.decode())

    def _obey(self, line: str) -> None:
        order = json.loads(line)
        if "job" in order:
            self._bear(order, line)
            return
        for pid, client in self._clients.items():
            if client == order["kill"]:
                os.kill(pid, signal.SIGKILL)

    def _bear(self, order: dict[str, Any], line: str) -> None:
        pid = os.fork()
        if pid:
            self._clients[pid] = order["client"]
        else:
            self._live(order, line)

    def _live(self, order: dict[str, Any], line: str) -> NoReturn:
        from backscroll_conformance.client import end_with

        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(self._lifeline[1])
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.environ.clear()
            os.environ.update(order["environment"])
            os.chdir(order["folder"])
            threading.Thread(target=end_with, args=(self._lifeline[0],), daemon=True).start()
            code = self._run(line, self._out)
        finally:
            os._exit(code)

    def _bury(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                what = {"client": self._clients.pop(pid), "ended": os.waitstatus_to_exitcode(status)}
                os.write(self._out, json.dumps(what).encode() + b"\n")
