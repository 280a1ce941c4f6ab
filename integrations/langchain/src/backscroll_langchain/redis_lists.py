"""The lists that LangChain's classes for Redis and Memorystore wrote: a list for each session, an element a message."""

import re
from collections.abc import Iterator
from typing import Any, Final

from redis.client import NEVER_DECODE

from backscroll_langchain.originals import BEGINS, OriginalRow
from backscroll_langchain.redis_access import Way
from backscroll_langchain.redis_errors import OtherType, asked

_OURS: Final = re.compile(r".+:\{[0-9]+\}:(messages|session|index|due|schema|rights)\b", re.DOTALL)
"""How the keys of a store begin: none of them is a list of the original, whatever the session is called."""

_SPECIAL: Final = re.compile(r"([*?\[\]\\^-])")


class ListsOriginal:
    """What LangChain's classes for Redis wrote.

    Args:
        way: The way to the server, which ends with this object.
        prefix: What their keys begin with.
        newest_first: Whether the newest message is the first element: what LPUSH leaves, RPUSH the other way round.
    """

    def __init__(self, way: Way, prefix: str, *, newest_first: bool) -> None:
        self._way: Final = way
        self._client: Final = way.client
        self._prefix: Final = prefix
        self._newest_first: Final = newest_first
        self._encoding: Final[str] = way.client.get_encoder().encoding

    def rows(self, session_id: str, newest: int | None = None) -> list[OriginalRow]:
        """The rows of a session, oldest first: all, or only the newest so many."""
        key = self._key(session_id)
        if key is None:
            return []
        first, last, length = 0, -1, 0
        if newest is not None:
            # By places that stay the same when something is added meanwhile.
            length = self._of_list("LLEN", key) or 0
            kept = min(newest, length)
            first, last = (-length, kept - length - 1) if self._newest_first else (length - kept, -1)
            if not kept:
                return []
        elements = self._of_list("LRANGE", key, first, last) or []
        if self._newest_first:
            oldest = min(-1, last)
            elements = elements[::-1]
            return [self._row(key, oldest - number, one) for number, one in enumerate(elements)]
        return [self._row(key, first + number, one) for number, one in enumerate(elements)]

    def clear(self, session_id: str) -> None:
        """Drop the rows of a session; a key that holds something else stays."""
        key = self._key(session_id)
        if key is not None and self._of_list("LLEN", key):
            # The method for it goes another way in a cluster, which some releases of redis-py warn of.
            asked(self._client.execute_command, "DEL", key)

    def session_ids(self) -> Iterator[str]:
        """Each session that has rows, once."""
        seen: set[str] = set()
        keys = self._client.scan_iter(match=_SPECIAL.sub(r"\\\1", self._prefix) + "*", count=1_000)
        while (found := asked(next, keys, None)) is not None:
            key = self._text(found)
            session_id = key.removeprefix(self._prefix)
            if session_id and session_id not in seen and self._holds_messages(key):
                seen.add(session_id)
                yield session_id

    def close(self) -> None:
        """End the way to the server; a client brought along stays open."""
        self._way.close()

    def _key(self, session_id: str) -> str | None:
        """The key of a session's list; None where such a key is a store's."""
        key = self._prefix + session_id
        return None if _OURS.match(key) else key

    def _row(self, key: str, index: int, element: bytes | str) -> OriginalRow:
        return OriginalRow(f"list {key!r}, index {index}", self._text(element))

    def _text(self, value: bytes | str) -> str:
        return value.decode(self._encoding, "surrogateescape") if isinstance(value, bytes) else value

    def _holds_messages(self, key: str) -> bool:
        """Whether it is a list of messages: without a prefix, the lists of all programs are found."""
        if _OURS.match(key):
            return False
        if self._prefix:
            return bool(self._of_list("LLEN", key))
        ends = (self._of_list("LINDEX", key, index) for index in (0, -1))
        return any(end is not None and self._text(end).startswith(BEGINS) for end in ends)

    def _of_list(self, command: str, key: str, *arguments: int) -> Any:
        """What a command for lists answers, in bytes, whatever the client does; None where the key holds no list."""
        try:
            return asked(self._client.execute_command, command, key, *arguments, **{NEVER_DECODE: True})
        except OtherType:
            return None
