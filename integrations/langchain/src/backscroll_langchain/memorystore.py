"""`MemorystoreChatMessageHistory`, in place of the one of langchain-google-memorystore-redis."""

from typing import Final

import redis
from redis.client import Pipeline
from redis.cluster import ClusterPipeline

from backscroll.errors import InvalidArgument
from backscroll_langchain.dropin import DropIn
from backscroll_langchain.redis_access import Way
from backscroll_langchain.redis_lists import ListsOriginal
from backscroll_langchain.sharing import Shared, shared_by

PREFIX: Final = "backscroll-memorystore"
"""What the keys of the store begin with; none that stands beside a key prefix of `RedisChatMessageHistory` does."""


class MemorystoreChatMessageHistory(DropIn):
    """One session in Memorystore, through a client of the application's own; constructing it does no I/O.

    Args:
        client: A client of redis-py, which is used and never closed. Of a cluster's, the login and the settings of TLS
            are used, with connections of the store's own.
        session_id: The session.
        ttl: Seconds for which a message is read after it was added; None or 0 for ever.

    Raises:
        InvalidArgument: The id is no session id, or the client is of another kind.
    """

    def __init__(self, client: redis.Redis | redis.RedisCluster, session_id: str, ttl: int | None = None) -> None:
        # A pipeline is a client, too, and answers each command with itself.
        if isinstance(client, Pipeline | ClusterPipeline) or not isinstance(client, redis.Redis | redis.RedisCluster):
            raise InvalidArgument(f"client: a redis.Redis or redis.RedisCluster, not a {type(client).__name__}")
        super().__init__(session_id, _connection(client), ttl=ttl)


def _connection(client: redis.Redis | redis.RedisCluster) -> Shared:
    way = Way(client, "redis:", {"client": client}, owns=False)
    return shared_by(
        client, "memorystore", lambda: way.open_store(PREFIX), lambda: ListsOriginal(way, "", newest_first=False)
    )
