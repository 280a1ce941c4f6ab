"""The real servers, each started where a test asks for it."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from backscroll.hookspecs import ServerSpec
from backscroll.url import parse_url
from backscroll_conformance.containers import Server
from backscroll_conformance.servers import running


@pytest.fixture
def session_id() -> str:
    """A session that nobody else has."""
    return uuid4().hex


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """A Redis."""
    from backscroll_redis.plugin import backscroll_servers

    (spec,) = backscroll_servers()
    with running(spec) as server:
        yield server


@pytest.fixture(scope="session")
def tidb_server() -> Iterator[Server]:
    """A TiDB."""
    from backscroll_tidb.plugin import backscroll_servers

    (spec,) = backscroll_servers()
    with running(spec) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Server]:
    """A MariaDB, whose collations take more for the same than TiDB's."""
    spec = ServerSpec(
        backend="tidb",
        url="mariadb://root@localhost:{port}/test",
        image="mariadb:10.11",
        command=("--port={port}",),
        environment={"MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": "1", "MARIADB_DATABASE": "test"},
        container_port="{port}",
        ready="port: {port}  ",
    )
    with running(spec) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_servers() -> Iterator[str]:
    """The address of a Kafka broker."""
    from backscroll_kafka.plugin import backscroll_servers

    (spec,) = backscroll_servers()
    with running(spec) as server:
        (host,) = parse_url(server.url).hosts
        yield f"{host.name}:{host.port}"
