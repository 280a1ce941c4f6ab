"""What a store's URL, its options and an engine brought along say of the way to the server."""

from collections.abc import Callable
from typing import Any, Final

from pymysql.constants import CLIENT
from sqlalchemy import Engine
from sqlalchemy.pool import Pool, QueuePool

from backscroll.backend import URL
from backscroll.errors import InvalidOption, InvalidURL
from backscroll.tls import context_of
from backscroll_tidb.connections import ISOLATION, SETTINGS, Bounded, Connections, remaining
from backscroll_tidb.options import TiDBOptions

PORTS: Final = {"tidb": 4000, "mysql": 3306, "mariadb": 3306}
"""The port of a server where the URL gives none."""

LONGEST_LIFE: Final = 300
"""After how many seconds a connection is made anew: some gateways drop idle ones after 340 s without a word."""


def connections(url: URL, options: TiDBOptions) -> Connections:
    """The connections to the server.

    Raises:
        InvalidURL: The URL names no server, several, or no database.
        InvalidOption: The engine is of another kind, or options do not go together.
    """
    if options.engine is not None:
        return Connections(_engine(url, options), owns=False)
    settings = _settings(url, options)

    def connect() -> Any:
        left = remaining()
        connection = Bounded(connect_timeout=left, read_timeout=left, write_timeout=left, **settings)
        try:
            connection.query(ISOLATION)
        except BaseException:
            connection.close()
            raise
        return connection

    def pool() -> Pool:
        # As many connections as calls are under way at once; those of the threads of the async form stay open.
        return QueuePool(
            connect,
            pool_size=options.threads,
            max_overflow=-1,
            recycle=LONGEST_LIFE,
            reset_on_return=None,
            use_lifo=True,
        )

    return Connections(pool, owns=True)


def _engine(url: URL, options: TiDBOptions) -> Callable[[], Pool]:
    engine = options.engine
    if not isinstance(engine, Engine) or engine.dialect.driver != "pymysql":
        raise InvalidOption("tidb: engine: expected an Engine of SQLAlchemy that uses PyMySQL")
    if url.hosts or url.path:
        raise InvalidOption("tidb: engine: the URL names a server or a database, too: open tidb: alone with it")
    if options.wants_tls:
        raise InvalidOption("tidb: engine: it has connections of its own: give what is for TLS to it")
    return lambda: engine.pool


def _settings(url: URL, options: TiDBOptions) -> dict[str, Any]:
    if len(url.hosts) != 1:
        raise InvalidURL("tidb: the URL names one server: tidb://user:password@host:4000/database")
    database = url.path.strip("/")
    if not database and options.schema is None:
        raise InvalidURL("tidb: the URL names no database: tidb://user:password@host:4000/database")
    [host], tls = url.hosts, context_of("tidb", options)
    return {
        "host": host.name,
        "port": host.port or PORTS[url.family],
        "user": url.username or "root",
        "password": (url.password or "").encode(),  # PyMySQL would take Latin-1
        "database": database or None,
        "charset": options.charset,
        "autocommit": True,
        "init_command": SETTINGS,
        "client_flag": CLIENT.MULTI_STATEMENTS,
        "ssl": tls,
        "ssl_disabled": tls is None,
    }
