"""From the URLs that LangChain's class for Redis takes to a client and a store."""

from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel

import backscroll
from backscroll import Store
from backscroll.errors import InvalidURL
from backscroll_langchain.redis_errors import asked
from backscroll_langchain.sharing import open_largest

SECONDS: Final = 10.0
"""How long a look at what the original wrote may take for each step, unless the URL says otherwise."""

SERVICE: Final = "mymaster"
"""The name under which sentinels watch the master where the URL gives none."""

SENTINEL_PORT: Final = 26379
"""The port of a sentinel where the URL gives none."""

_SCHEMES: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")

_OPTIONS: Final = {
    "socket_timeout": "timeout",
    "ssl_ca_certs": "tls_ca",
    "ssl_certfile": "tls_cert",
    "ssl_keyfile": "tls_key",
}
"""The options of redis-py that a store has, too, under names of its own."""


@attrs.frozen
class Way:
    """The way to a server.

    Args:
        client: A client of redis-py, of one server or of a cluster.
        url: What a store is opened with.
        options: And these options.
        owns: Whether the client ends with this way; one brought along does not.
    """

    client: Any
    url: str = attrs.field(repr=False)
    options: dict[str, Any] = attrs.field(repr=False)
    owns: bool = True

    def open_store(self, prefix: str) -> Store:
        """A store whose keys have this prefix."""
        return open_largest(self.url, prefix=prefix, **self.options)

    def close(self) -> None:
        """End the client's connections; it makes others where it is used again."""
        if self.owns:
            # A client of a cluster that was closed does not find where a key has moved to any more (redis-py 8.1).
            getattr(self.client, "disconnect_connection_pools", self.client.close)()


def checked_url(url: str) -> str:
    """A URL with a scheme that LangChain's class takes.

    Raises:
        InvalidURL: It has none.
    """
    if not isinstance(url, str):
        raise InvalidURL(f"url: must be a string, not {type(url).__name__}")
    scheme, slashes, _ = url.partition("://")
    if not slashes or scheme not in _SCHEMES:
        raise InvalidURL(f"url: begins with one of {', '.join(f'{scheme}://' for scheme in _SCHEMES)}")
    return url


def way_to(url: str) -> Way:
    """The way that a URL says; asks the server whether it belongs to a cluster, as LangChain's class does.

    Raises:
        InvalidURL: The URL cannot be read.
        Unavailable: The server does not answer.
        StorageError: It refuses.
    """
    if url.partition("://")[0].endswith("+sentinel"):
        return _through_sentinels(url)
    client = _client(redis.Redis, url)
    if _is_of_cluster(client):
        client.close()
        cluster = asked(_client, redis.RedisCluster, url)
        return Way(cluster, "redis:", {"client": cluster})
    parts, query = urlsplit(url), dict(parse_qsl(urlsplit(url).query))
    if parts.scheme == "unix" or not parts.hostname or query.keys() - _OPTIONS.keys():
        # What only redis-py understands; the async form takes threads then.
        return Way(client, "redis:", {"client": client})
    return Way(client, url.partition("?")[0], {_OPTIONS[name]: value for name, value in query.items()})


def _settings() -> dict[str, Any]:
    """Of connections that are opened here."""
    return {
        "socket_timeout": SECONDS,
        "socket_connect_timeout": SECONDS,
        "retry": Retry(NoBackoff(), 1),  # a connection may have ended since it was used last
        "protocol": 2,  # Redis 5 knows no other one
    }


def _client(kind: Any, url: str) -> Any:
    """A client; what the URL says wins."""
    try:
        client = kind.from_url(url, **_settings())
        if pool := getattr(client, "connection_pool", None):
            # An option that does not exist would else be told when the first connection is made.
            pool.connection_class(**pool.connection_kwargs)
        return client
    except (ValueError, TypeError) as error:
        problem = type(error).__name__
    # Raised behind the handler, because the error that it handles may repeat the URL.
    raise InvalidURL(f"url: redis-py cannot read it ({problem})")


def _is_of_cluster(client: Any) -> bool:
    try:
        return bool(asked(_enabled, client))
    except backscroll.errors.StorageError:
        return False


def _enabled(client: Any) -> Any:
    return client.info("cluster").get("cluster_enabled")


def _through_sentinels(url: str) -> Way:
    found = None
    with suppress(ValueError):
        parts = urlsplit(url)
        service, _, database = parts.path.strip("/").partition("/")
        found = (parts.hostname or "localhost", parts.port or SENTINEL_PORT), int(database or 0)
    # Raised behind the handler, because the error that it handles repeats a part of the URL.
    if found is None:
        raise InvalidURL("url: expected redis+sentinel://user:password@host:26379/mymaster/0")
    address, number = found
    login = {"username": _decoded(parts.username), "password": _decoded(parts.password)}
    settings = {**_settings(), **({"ssl": True} if parts.scheme.startswith("rediss") else {})}
    of_sentinels = _taken(address, settings, login)
    made: Any = Sentinel
    sentinels = made([address], sentinel_kwargs={**settings, **of_sentinels}, db=number, **settings, **login)
    options = {f"sentinel_{name}": value for name, value in of_sentinels.items() if value is not None}
    store_url = f"{parts.scheme}://{parts.netloc}/{service or SERVICE}/{number}"
    return Way(sentinels.master_for(service or SERVICE), store_url, options)


def _taken(address: tuple[str, int], settings: dict[str, Any], login: dict[str, Any]) -> dict[str, Any]:
    """The login for the sentinels: that of the master, unless they have no password."""
    if login["password"] is None:
        return {}
    host, port = address
    made: Any = redis.Redis
    with made(host=host, port=port, **settings, **login) as sentinel:
        try:
            sentinel.ping()
        except (AuthenticationError, ResponseError) as error:
            if "no password is set" in str(error) or "without any password" in str(error):
                return {}
        except (RedisError, OSError):
            pass
    return login


def _decoded(text: str | None) -> str | None:
    return unquote(text) if text else None
