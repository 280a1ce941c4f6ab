"""What a store's URL, its options and the clients brought along say of the way to the servers."""

from collections.abc import Callable
from typing import Any, Final

import redis
import redis.asyncio

from backscroll.backend import URL
from backscroll.errors import InvalidOption, StorageError
from backscroll_redis.connections import (
    Settings,
    async_pool,
    only_masters,
    only_masters_async,
    settings,
    settings_of,
    sync_pool,
)
from backscroll_redis.options import RedisOptions
from backscroll_redis.routes import AsyncRoute, Pools, Route
from backscroll_redis.topology import Cluster, Sentinels, Standalone, Topology, located

_KINDS: Final = {
    "client": (redis.Redis, redis.RedisCluster),
    "async_client": (redis.asyncio.Redis, redis.asyncio.RedisCluster),
}

_THE_ONE: Final = Standalone((("", 0),))
"""Where the server of a client brought along is: the client knows."""


class Access:
    """Makes routes.

    Args:
        url: The URL of the store.
        options: Its options.

    Raises:
        InvalidURL: The URL names no server or no database.
        InvalidOption: A durability is claimed that is not to be had there.
    """

    def __init__(self, url: URL, options: RedisOptions) -> None:
        self._options: Final = options
        self._settings, self._topology = self._found(url)
        self._settings_of_seeds: Final = self._of_seeds()
        if isinstance(self._topology, Sentinels) and options.durability != "process":
            raise InvalidOption(
                "redis: durability: a replica that takes over lacks what it was not sent: claim process"
            )

    def _found(self, url: URL) -> tuple[Settings, Topology]:
        """Settings of connections that are the store's own, and where servers are."""
        clients = [one for one in (self._options.client, self._options.async_client) if one is not None]
        for name, kinds in _KINDS.items():
            given = getattr(self._options, name)
            if given is not None and not isinstance(given, kinds):
                raise InvalidOption(
                    f"redis: {name}: expected a {' or '.join(map(_name, kinds))}, not a {_name(type(given))}"
                )
        if clients and url.hosts:
            raise InvalidOption("redis: client: the URL names a server, too: open redis: alone with it")
        for cluster in filter(_is_cluster, clients):
            seeds = tuple((node.host, int(node.port)) for node in cluster.nodes_manager.startup_nodes.values())
            return settings_of(cluster), Cluster(seeds)
        if clients:
            return {}, _THE_ONE
        topology, database = located(url)
        return settings(url, self._options) | {"db": database}, topology

    def _of_seeds(self) -> Settings:
        """Settings for who tells where servers are: sentinels have no databases, and users of their own."""
        if not isinstance(self._topology, Sentinels):
            return self._settings
        tls = {name: value for name, value in self._settings.items() if name.startswith("ssl_")}
        login = {"username": self._options.sentinel_username, "password": self._options.sentinel_password}
        return {"protocol": 2, **tls, **login}

    @property
    def fails_over(self) -> bool:
        """Whether another server may take over, which may lack what was acknowledged last."""
        return self._topology.fails_over

    @property
    def needs_threads(self) -> bool:
        """Whether there is nothing to serve the async form but a sync client."""
        client, async_client = self._options.client, self._options.async_client
        return client is not None and async_client is None and not _is_cluster(client)

    def route(self) -> Route:
        """The way of the sync form.

        Raises:
            StorageError: There is an async client only.
        """
        client = self._options.client
        if self._topology is not _THE_ONE:
            return Route(
                self._topology,
                self._sync_pools(self._settings | self._masters(only_masters)),
                self._sync_pools(self._settings_of_seeds),
            )
        if client is None:
            raise StorageError("redis: this store has an async client only: bring a redis.Redis along, too, as client=")
        return Route(self._topology, lambda _: client.connection_pool, owns=False)

    def async_route(self) -> AsyncRoute:
        """The way of the async form, for one event loop; not where it needs threads."""
        client = self._options.async_client
        if self._topology is not _THE_ONE:
            return AsyncRoute(
                self._topology,
                self._async_pools(self._settings | self._masters(only_masters_async)),
                self._async_pools(self._settings_of_seeds),
            )
        return AsyncRoute(self._topology, lambda _: client.connection_pool, owns=False)

    def _masters(self, check: Callable[[Any], Any]) -> Settings:
        """What a connection has to pass: sentinels may tell of a master that is none any more."""
        return {"redis_connect_func": check} if isinstance(self._topology, Sentinels) else {}

    def _sync_pools(self, given: Settings) -> Pools:
        return lambda address: sync_pool(*address, given, self._options.timeout)

    def _async_pools(self, given: Settings) -> Pools:
        return lambda address: async_pool(*address, given)


def _name(kind: type) -> str:
    form = ".asyncio" if kind.__module__.startswith("redis.asyncio") else ""
    return f"redis{form}.{kind.__name__}" if kind.__module__.startswith("redis") else kind.__name__


def _is_cluster(client: Any) -> bool:
    """Whether it is a `RedisCluster` of either form.

    Such a client sends a command again by itself, so that nobody would know how old a repeat is; the store makes
    connections of its own with its settings instead.
    """
    return hasattr(client, "nodes_manager")
