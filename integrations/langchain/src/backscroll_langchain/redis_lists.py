"""The lists that LangChain's classes for Redis and Memorystore wrote: a list for each session, an element a message."""

import re
from collections.abc import Iterator
from typing import Any, Final

from redis.client import NEVER_DECODE

from backscroll_langchain.originals import OriginalRow, begins_as_its
from backscroll_langchain.redis_access import Way
from backscroll_langchain.redis_errors import OtherType, asked

_OURS: Final = re.compile(r".+:\{[0-9]+\}:(messages|session|index|due|schema|rights)\b", re.DOTALL)
"""How the keys of a store begin; a list of the original's may be called so, too, and is told by what it holds."""

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

    def place_prefix(self, session_id: str) -> str:
        """What the places of a session's rows begin with."""
        return f"list {self._prefix + session_id!r}, "

    def rows(self, session_id: str, newest: int | None = None) -> list[OriginalRow]:
        """The rows of a session, oldest first: all, or only the newest so many."""
        key = self._prefix + session_id
        if self._is_ours(key):
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
            return [self._row(session_id, oldest - number, one) for number, one in enumerate(elements)]
        return [self._row(session_id, first + number, one) for number, one in enumerate(elements)]

    def clear(self, session_id: str) -> None:
        """Drop the rows of a session; a key that holds something else stays."""
        key = self._prefix + session_id
        if not self._is_ours(key) and self._of_list("LLEN", key):
            # The method for it goes another way in a cluster, which some releases of redis-py warn of.
            asked(self._client.execute_command, "DEL", key)

    def session_ids(self) -> Iterator[str | None]:
        """Each session that has rows, once; of a key that is no UTF-8, with surrogates in place of those bytes."""
        seen: set[str] = set()
        keys = self._client.scan_iter(match=_SPECIAL.sub(r"\\\1", self._prefix) + "*", count=1_000)
        while (found := asked(next, keys, None)) is not None:
            session_id = self._text(found).removeprefix(self._prefix)
            if session_id not in seen and self._holds_messages(found):
                seen.add(session_id)
                yield session_id

    def close(self) -> None:
        """End the way to the server; a client brought along stays open."""
        self._way.close()

    def _is_ours(self, key: bytes | str) -> bool:
        """Whether it is a key of a store."""
        return _OURS.match(self._text(key)) is not None and not self._has_messages_at_its_ends(key)

    def _row(self, session_id: str, index: int, element: bytes | str) -> OriginalRow:
        return OriginalRow(f"{self.place_prefix(session_id)}index {index}", self._text(element))

    def _text(self, value: bytes | str) -> str:
        return value.decode(self._encoding, "surrogateescape") if isinstance(value, bytes) else value

    def _holds_messages(self, key: bytes | str) -> bool:
        """Whether it is a list of messages: without a prefix, the lists of all programs are found."""
        if self._prefix and not _OURS.match(self._text(key)):
            return bool(self._of_list("LLEN", key))
        return self._has_messages_at_its_ends(key)

    def _has_messages_at_its_ends(self, key: bytes | str) -> bool:
        ends = (self._of_list("LINDEX", key, index) for index in (0, -1))
        return any(end is not None and begins_as_its(self._text(end)) for end in ends)

    def _of_list(self, command: str, key: bytes | str, *arguments: int) -> Any:
        """What a command for lists answers, in bytes, whatever the client does; None where the key holds no list."""
        try:
            return asked(self._client.execute_command, command, key, *arguments, **{NEVER_DECODE: True})
        except OtherType:
            return None
