"""A server of their own for tests that change its settings, and stores on it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import attrs
import pytest
import redis

import backscroll
from backscroll import Store
from backscroll_conformance.containers import Server
from backscroll_conformance.servers import running
from backscroll_redis.plugin import backscroll_servers

(SPEC,) = backscroll_servers()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server as the suite has it."""
    with running(SPEC) as server:
        yield server


@pytest.fixture(scope="module")
def old_server() -> Iterator[Server]:
    """A server that knows no command newer than Redis 5.0 among those that a client might like to use."""
    newer = (
        "HELLO",
        "GETEX",
        "GETDEL",
        "COPY",
        "LMOVE",
        "LMPOP",
        "LPOS",
        "ZMSCORE",
        "ZRANGESTORE",
        "SMISMEMBER",
        "FCALL",
    )
    gone = [part for name in (*newer, "EVALSHA_RO", "EVAL_RO", "FUNCTION") for part in ("--rename-command", name, "")]
    with running(attrs.evolve(SPEC, command=(*SPEC.command, *gone))) as server:
        yield server


@pytest.fixture
def admin(server: Server) -> Iterator[redis.Redis]:
    """A client to look behind the curtain; all data and settings are as before when a test begins."""
    with redis.Redis.from_url(server.url.partition("?")[0]) as client:
        client.replicaof("NO", "ONE")
        client.config_set("maxmemory", 0)
        client.flushall()
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("appendfsync", "always")
        yield client


@pytest.fixture
def opened(server: Server, admin: redis.Redis) -> Iterator[Callable[..., Store]]:
    """Opens stores on the server, and closes them."""
    with ExitStack() as stack:

        def opened(url: str = server.url, **options: Any) -> Store:
            return stack.enter_context(backscroll.open(url, **options))

        yield opened
