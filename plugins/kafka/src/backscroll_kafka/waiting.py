"""What is waited for: futures that end by whoever comes first, and moments at which something is called."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from backscroll.futures import pending


class Timers:
    """Calls something at a moment, in the thread that `run_due` is called in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def add(self, seconds: float, call: Callable[[], None]) -> None:
        """Call it after so many seconds."""
        with self._lock:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), call))

    def run_due(self) -> bool:
        """Call what is due; says whether there is more to come."""
        while True:
            with self._lock:
                if not self._due or self._due[0][0] > time.monotonic():
                    return bool(self._due)
                _, _, call = heapq.heappop(self._due)
            call()


class Waiter:
    """A future that is given its result by whoever comes first: the answer, or its deadline."""

    def __init__(self) -> None:
        self.future: Future[Any] = pending()
        self._lock = threading.Lock()
        self._is_over = False

    def give(self, result: Any) -> None:
        """Give it its result."""
        if self._first():
            self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Give it an error."""
        if self._first():
            self.future.set_exception(error)

    def _first(self) -> bool:
        with self._lock:
            is_first, self._is_over = not self._is_over, True
        return is_first


def when_all(futures: "Iterable[Future[Any]]", call: Callable[[], None]) -> None:
    """Call it as soon as all futures are done, in the thread of the last one."""
    waiting, lock = set(futures), threading.Lock()

    def ended(future: "Future[Any]") -> None:
        with lock:
            waiting.discard(future)
            is_last = not waiting
        if is_last:
            call()

    for future in list(waiting):
        future.add_done_callback(ended)
