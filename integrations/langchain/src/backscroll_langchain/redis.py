"""`RedisChatMessageHistory`, in place of the one of langchain-community."""

import string
from typing import Final
from urllib.parse import quote

from backscroll import Store
from backscroll.errors import InvalidArgument
from backscroll_langchain.dropin import DropIn
from backscroll_langchain.redis_access import checked_url, way_to
from backscroll_langchain.redis_lists import ListsOriginal
from backscroll_langchain.sharing import Lazy, Shared, shared

_SAFE: Final = "".join(set(string.punctuation) - set("{}%"))
"""What stands in the prefix of a store as it is: all but braces, which say in a cluster where a key belongs."""


class RedisChatMessageHistory(DropIn):
    """One session in Redis; constructing it does no I/O.

    Args:
        session_id: The session.
        url: Where the server is: ``redis://``, ``rediss://``, ``unix://`` or ``redis+sentinel://``. That it belongs to
            a cluster is found out.
        key_prefix: What the original's keys begin with; each prefix has sessions of its own.
        ttl: Seconds for which a message is read after it was added; None or 0 for ever.

    Attributes:
        key_prefix: As given.
        ttl: As given.

    Raises:
        InvalidArgument: The id is no session id, the URL has another scheme, or the prefix is no text.
    """

    def __init__(
        self,
        session_id: str,
        url: str = "redis://localhost:6379/0",
        key_prefix: str = "message_store:",
        ttl: int | None = None,
    ) -> None:
        self.key_prefix = key_prefix
        self.ttl = ttl
        super().__init__(session_id, _connection(checked_url(url), key_prefix), ttl=ttl)


def store_prefix(key_prefix: str) -> str:
    """What the keys of the store begin with that stands beside the original's keys with this prefix.

    Raises:
        InvalidArgument: It is no text.

    Example:
        >>> store_prefix("message_store:")
        'backscroll_message_store:'
    """
    if not isinstance(key_prefix, str):
        raise InvalidArgument(f"key_prefix: must be a string, not {type(key_prefix).__name__}")
    try:
        return f"backscroll_{quote(key_prefix, safe=_SAFE)}"
    except UnicodeEncodeError:
        raise InvalidArgument("key_prefix: has a lone surrogate, which is no character") from None


def _connection(url: str, key_prefix: str) -> Shared:
    prefix = store_prefix(key_prefix)
    way = Lazy(lambda: way_to(url))

    def open_store() -> Store:
        _ = found.original  # with it the way ends, also where nothing was read
        return way.get().open_store(prefix)

    found = shared(
        (RedisChatMessageHistory, url, key_prefix),
        open_store,
        lambda: ListsOriginal(way.get(), key_prefix, newest_first=True),
    )
    return found
