"""The real servers, each started where a test asks for it."""

import importlib.util
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from backscroll.url import parse_url
from backscroll_conformance.containers import Server
from backscroll_conformance.servers import running

PLUGINS = Path(__file__).parents[3] / "plugins"


def of_tests(plugin: str, name: str) -> Any:
    """A module that lies beside the tests of a plugin."""
    spec = importlib.util.spec_from_file_location(name, PLUGINS / plugin / "tests" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def session_id() -> str:
    """A session that nobody else has."""
    return uuid4().hex


@pytest.fixture(scope="session")
def astra() -> Any:
    """What the tests of the Cassandra plugin have in place of Astra DB."""
    return of_tests("cassandra", "astra")


@pytest.fixture(scope="session")
def cassandra(astra: Any, backscroll_run_folder: Path) -> Iterator[Server]:
    """A node of Cassandra that asks for user and password; all processes of this run share it."""
    from backscroll_cassandra.plugin import backscroll_servers

    (spec,) = backscroll_servers()
    with running(astra.guarding(spec), backscroll_run_folder) as server:
        yield server


@pytest.fixture(scope="session")
def keyspace(astra: Any, cassandra: Server) -> Iterator[str]:
    """A keyspace of this process."""
    name = f"tests_{uuid4().hex}"
    replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    with astra.administrator(cassandra) as session:
        session.execute(f"CREATE KEYSPACE {name} WITH replication = {replication}")
        yield name
        session.execute(f"DROP KEYSPACE {name}")


@pytest.fixture(scope="session")
def cassandra_session(astra: Any, cassandra: Server, keyspace: str) -> Iterator[Any]:
    """A session of the driver whose connections send at once."""
    from cassandra.cluster import Cluster

    at_once = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    cluster = Cluster(["localhost"], port=cassandra.published[0], auth_provider=astra.ADMIN, sockopts=[at_once])
    yield cluster.connect()
    cluster.shutdown()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """A Redis."""
    from backscroll_redis.plugin import backscroll_servers

    (spec,) = backscroll_servers()
    with running(spec) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[Server]:
    """A Kafka broker."""
    from backscroll_kafka.plugin import backscroll_servers

    (spec,) = backscroll_servers()
    with running(spec) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_servers(kafka_server: Server) -> str:
    """The address of a Kafka broker."""
    (host,) = parse_url(kafka_server.url).hosts
    return f"{host.name}:{host.port}"


@pytest.fixture(scope="session")
def admin(kafka_servers: str) -> Any:
    """The driver's client for Kafka's administrators."""
    from confluent_kafka.admin import AdminClient

    return AdminClient({"bootstrap.servers": kafka_servers})


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
    with running(of_tests("tidb", "specs").MARIADB) as server:
        yield server
