"""Connections to servers, in pools, and what they take to be let in."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError

from backscroll.backend import URL, Deadline
from backscroll_redis.options import RedisOptions

Settings = dict[str, Any]
"""What a connection takes beside its address; with settings for TLS, it uses TLS."""

MOST_CONNECTIONS: Final = 1 << 31
"""As many as there are calls at once."""

_deadline: Final = threading.local()


@contextmanager
def within(deadline: Deadline) -> Iterator[None]:
    """What a connection of the store's own does in this thread during the block, it does within the deadline."""
    _deadline.of_call = deadline
    try:
        yield
    finally:
        _deadline.of_call = None


class Bounded:
    """A connection whose every step ends by the deadline of the call that needs it."""

    _sock: Any
    socket_timeout: Any
    socket_connect_timeout: Any

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        """Connect; what fails half way is closed, since it is not logged in."""
        if (deadline := getattr(_deadline, "of_call", None)) is not None:
            self.socket_connect_timeout = self.socket_timeout = positive(deadline)
        try:
            return super().connect(*args, **kwargs)  # type: ignore[misc]
        except BaseException:
            self.disconnect()  # type: ignore[attr-defined]
            raise

    def send_packed_command(self, *args: Any, **kwargs: Any) -> Any:
        """Send."""
        self._hurry()
        return super().send_packed_command(*args, **kwargs)  # type: ignore[misc]

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        """Read an answer."""
        self._hurry()
        return super().read_response(*args, **kwargs)  # type: ignore[misc]

    def _hurry(self) -> None:
        if (deadline := getattr(_deadline, "of_call", None)) is not None and self._sock is not None:
            self._sock.settimeout(positive(deadline))


def positive(deadline: Deadline) -> float:
    """The seconds that are left; 0 would mean not to wait at all."""
    return max(0.001, deadline.remaining())


class _Connection(Bounded, redis.Connection):
    pass


class _SSLConnection(Bounded, redis.SSLConnection):
    pass


class _Whole:
    """A connection that is closed where it fails half way, since it is not logged in."""

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        """Connect."""
        try:
            return await super().connect(*args, **kwargs)  # type: ignore[misc]
        except BaseException:
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]
            raise


class _AsyncConnection(_Whole, redis.asyncio.Connection):
    pass


class _AsyncSSLConnection(_Whole, redis.asyncio.SSLConnection):
    pass


class AsyncPool(redis.asyncio.ConnectionPool):
    """A pool that sees by itself whether a connection still is one, since the look of redis-py costs 50 µs."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._idle: Final[list[Any]] = []
        self._ended: Final[list[Any]] = []

    def idle(self) -> Any:
        """A connection that is there and in order; None where there is none."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_connected and not connection._reader.at_eof():  # noqa: SLF001
                return connection
            self._ended.append(connection)
        return None

    async def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        """A connection."""
        if connection := self.idle():
            return connection
        while self._ended:
            connection = self._ended.pop()
            await connection.disconnect(nowait=True)
            await super().release(connection)
        return await super().get_connection(*args, **kwargs)  # type: ignore[no-untyped-call]

    async def release(self, connection: Any) -> None:
        """Take a connection back."""
        if connection.is_connected:
            self._idle.append(connection)
        else:
            await super().release(connection)


def only_masters(connection: Any) -> None:
    """Let a sync connection be one to a master, or none: a replica that was the master once answers what was."""
    connection.on_connect()
    connection.send_command("ROLE")
    _check_role(connection.read_response())


async def only_masters_async(connection: Any) -> None:
    """Async twin of `only_masters`."""
    await connection.on_connect()
    await connection.send_command("ROLE")
    _check_role(await connection.read_response())


def _check_role(answer: list[Any]) -> None:
    if answer[0] not in (b"master", "master"):
        raise ReadOnlyError("READONLY it is no master any more")


def settings(url: URL, options: RedisOptions) -> Settings:
    """What the URL and the options say of connections."""
    tls = url.scheme.startswith("rediss")
    return {"protocol": 2, **_credentials(url, options), **(_tls(options) if tls else {})}


def _credentials(url: URL, options: RedisOptions) -> Settings:
    if options.credential_provider is not None:
        return {"credential_provider": options.credential_provider}
    # An empty user is how a URL gives a password alone.
    return {"username": url.username or None, "password": url.password}


def _tls(options: RedisOptions) -> Settings:
    return {
        "ssl_ca_certs": options.tls_ca,
        "ssl_certfile": options.tls_cert,
        "ssl_keyfile": options.tls_key,
        "ssl_check_hostname": True,
    }


def settings_of(cluster: Any) -> Settings:
    """What the connections of a `RedisCluster` take to be let in."""
    given = cluster.get_connection_kwargs()
    kind = given.get("connection_class", redis.Connection)
    login = {name: given[name] for name in ("username", "password", "credential_provider") if name in given}
    if not given.get("ssl") and not issubclass(kind, redis.SSLConnection | redis.asyncio.SSLConnection):
        return {"protocol": 2, **login}
    tls = {name: value for name, value in given.items() if name.startswith("ssl_")}
    return {"protocol": 2, **login, "ssl_ca_certs": None, **tls}


def sync_pool(host: str, port: int, given: Settings, timeout: float) -> Any:
    """A pool of connections for threads; without a call's deadline, nothing takes longer than `timeout` seconds."""
    kind = _SSLConnection if "ssl_ca_certs" in given else _Connection
    times: Settings = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    return redis.ConnectionPool(
        connection_class=kind,
        max_connections=MOST_CONNECTIONS,
        retry=redis.retry.Retry(NoBackoff(), 0),
        host=host,
        port=port,
        **given,
        **times,
    )


def async_pool(host: str, port: int, given: Settings) -> Any:
    """A pool of connections for one event loop."""
    # The deadline of each call holds instead; with a time of its own, a connection makes a task for each command.
    times = {"socket_timeout": None, "socket_connect_timeout": None}
    return AsyncPool(
        max_connections=MOST_CONNECTIONS,
        connection_class=_AsyncSSLConnection if "ssl_ca_certs" in given else _AsyncConnection,
        retry=redis.asyncio.retry.Retry(NoBackoff(), 0),
        host=host,
        port=port,
        **given,
        **times,
    )
