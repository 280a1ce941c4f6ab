"""Servers of their own for tests that change their settings, stores on them, and a look behind the curtain."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pymysql
import pytest
from pymysql.constants import CLIENT
from specs import MARIADB, TIDB, parts

import backscroll
from backscroll import Store
from backscroll_conformance.containers import Server
from backscroll_conformance.servers import running

Ask = Callable[..., list[tuple[Any, ...]]]
Opened = Callable[..., Store]


@pytest.fixture(scope="session")
def tidb() -> Iterator[Server]:
    """A TiDB, as the suite has it."""
    with running(TIDB) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """A MariaDB, as the suite has it."""
    with running(MARIADB) as server:
        yield server


@pytest.fixture(params=["tidb", "mariadb"])
def server(request: pytest.FixtureRequest) -> Server:
    """One of each kind."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def ask(server: Server) -> Iterator[Ask]:
    """Asks the server as its administrator; all data is gone when a test begins."""
    host, port = parts(server)
    with closing(
        pymysql.connect(
            host=host, port=port, user="root", autocommit=True, client_flag=CLIENT.MULTI_STATEMENTS, database="test"
        )
    ) as connection:

        def ask(statement: str) -> list[tuple[Any, ...]]:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall())

        for (name,) in ask("SHOW TABLES"):
            ask(f"DROP TABLE `{name}`")
        yield ask


@pytest.fixture
def opened(server: Server, ask: Ask) -> Iterator[Opened]:
    """Opens stores on the server, and closes them."""
    with ExitStack() as stack:

        def opened(url: str = server.url, **options: Any) -> Store:
            return stack.enter_context(backscroll.open(url, **options))

        yield opened
