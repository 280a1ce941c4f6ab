"""A broker for tests that look behind the curtain, stores on it, and a topic of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

import backscroll
from backscroll import Store
from backscroll.url import parse_url
from backscroll_conformance.containers import Server
from backscroll_conformance.servers import running
from backscroll_kafka.plugin import backscroll_servers

(KAFKA,) = backscroll_servers()

Opened = Callable[..., Store]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A broker, as the suite has it."""
    with running(KAFKA) as server:
        yield server


@pytest.fixture(scope="session")
def port(server: Server) -> int:
    """Where it is reached."""
    [host] = parse_url(server.url).hosts
    return host.port or 0


@pytest.fixture(scope="session")
def admin(port: int) -> Any:
    """The driver's client for administrators."""
    return AdminClient({"bootstrap.servers": f"localhost:{port}"})


@pytest.fixture(scope="session")
def producer(port: int) -> Any:
    """A client of another program that writes."""
    return Producer({"bootstrap.servers": f"localhost:{port}", "linger.ms": 0})


@pytest.fixture
def topic() -> str:
    """The name of a topic that nobody else has."""
    return f"tests-{uuid4().hex}"


@pytest.fixture
def opened(port: int, topic: str) -> Iterator[Opened]:
    """Opens stores on the topic, and closes them."""
    with ExitStack() as stack:

        def opened(query: str = "partitions=2", **options: Any) -> Store:
            return stack.enter_context(backscroll.open(f"kafka://localhost:{port}/{topic}?{query}", **options))

        yield opened


@pytest.fixture
def session_id() -> str:
    """A session that nobody else has."""
    return uuid4().hex
