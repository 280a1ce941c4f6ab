"""A list on disk, for what may be too long for memory."""

import json
from collections.abc import Iterator
from tempfile import TemporaryFile
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self


class Spool:
    """Takes values that JSON keeps, from any thread, and gives them back in their order; gone when it is closed."""

    def __init__(self) -> None:
        self._file: Final = TemporaryFile("w+b")  # noqa: SIM115 - closed when this is
        self._lock: Final = Lock()
        self._count = 0

    def add(self, value: Any) -> None:
        """Add a value at the end."""
        line = json.dumps(value).encode() + b"\n"
        with self._lock:
            self._file.write(line)
            self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        """All values; nothing may be added meanwhile."""
        self._file.seek(0)
        for line in self._file:
            yield json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
