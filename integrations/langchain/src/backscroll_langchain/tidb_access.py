"""From the connection strings and table names that LangChain's class for TiDB takes to an engine and a store."""

import os
import re
import weakref
from contextlib import suppress
from difflib import get_close_matches
from hashlib import sha256
from inspect import signature
from typing import Any, Final

import attrs
import sqlalchemy
from pymysql.connections import Connection
from pymysql.constants import CLIENT
from sqlalchemy import URL, Engine
from sqlalchemy.exc import ArgumentError

from backscroll import Store
from backscroll.errors import InvalidArgument, InvalidURL
from backscroll.options import fill
from backscroll.tls import TLSOptions, context_of
from backscroll_langchain.sharing import open_largest

SECONDS: Final = 10
"""How long a look at what the original wrote may take for each step."""

LONGEST_LIFE: Final = 300
"""After how many seconds a connection is made anew."""

_PORTS: Final = {"tidb": 4000, "mysql": 3306, "mariadb": 3306}

_TLS: Final[tuple[str, ...]] = ("ssl_ca", "ssl_cert", "ssl_key", "ssl_verify_cert", "ssl_verify_identity")

_KNOWN: Final = frozenset({*signature(Connection).parameters, *_TLS})
"""The options that a connection string may have."""

_engines: Final[weakref.WeakSet[Engine]] = weakref.WeakSet()

_PART: Final = r"(?:`(?:[^`\0]|``){1,64}`|[0-9A-Za-z$_\u0080-\uffff]{1,64})"
_TABLE: Final = re.compile(rf"(?:({_PART})\.)?({_PART})")


@attrs.frozen
class Table:
    """The name of a table, as the original takes it: it stands in statements, so it has to be nothing but a name.

    Args:
        name: Of the table.
        schema: The database that has it; None for that of the connection.
    """

    name: str
    schema: str | None = None

    @classmethod
    def of(cls, text: str) -> "Table":
        """The table that a name like ``store``, ``chat.store`` or `` `my-store` `` means.

        Raises:
            InvalidArgument: It is none.
        """
        given: object = text
        match = _TABLE.fullmatch(given) if isinstance(given, str) else None
        if match is None:
            raise InvalidArgument(
                "table_name: a name, or two with a dot between them, of letters, digits, _ and $, or in backquotes"
            )
        schema, name = match.groups()
        return cls(_unquoted(name), None if schema is None else _unquoted(schema))

    def __str__(self) -> str:
        """As statements have it."""
        return ".".join(f"`{part.replace('`', '``')}`" for part in (self.schema, self.name) if part is not None)

    @property
    def store_prefix(self) -> str:
        """What the names of the tables begin with of the store that stands beside it."""
        if re.fullmatch(r"[A-Za-z0-9_]{1,36}", self.name):
            return f"backscroll_{self.name}_"
        return f"backscroll0_{sha256(self.name.encode()).hexdigest()[:32]}_"


@attrs.frozen
class Way:
    """The way to a server.

    Args:
        engine: With connections of its own.
        url: What a store is opened with.
        options: And these options.
    """

    engine: Engine = attrs.field(repr=False)
    url: str = attrs.field(repr=False)
    options: dict[str, Any] = attrs.field(repr=False)

    def open_store(self, table: Table) -> Store:
        """The store that stands beside a table."""
        schema = {} if table.schema is None else {"schema": table.schema}
        return open_largest(self.url, prefix=table.store_prefix, **schema, **self.options)

    def close(self) -> None:
        """End the connections that are not lent; it makes others where it is used again."""
        self.engine.dispose()


def checked_url(connection_string: str) -> URL:
    """What a connection string of SQLAlchemy says.

    Raises:
        InvalidURL: It is none for TiDB, MySQL or MariaDB, or has an option that cannot be.
    """
    url = None
    with suppress(ArgumentError, ValueError):
        url = sqlalchemy.make_url(connection_string)
    # Raised behind the handler, because the error that it handles repeats the string.
    if url is None or url.get_backend_name() not in _PORTS:
        raise InvalidURL("connection_string: expected mysql+pymysql://user:password@host:4000/database")
    if unknown := url.query.keys() - _KNOWN:
        hints = sorted({hint for name in unknown for hint in get_close_matches(name, _KNOWN, 1)})
        raise InvalidURL(
            f"connection_string: has an option that PyMySQL has not{': is it ' * bool(hints)}{' or '.join(hints)}"
        )
    family = url.get_backend_name()
    url = url.set(
        drivername="mysql+pymysql", host=url.host or "localhost", port=url.port or _PORTS[family], query=url.query
    )
    taken = False
    with suppress(ValueError):
        taken = bool(url.get_dialect()().create_connect_args(url))
    if not taken:
        raise InvalidURL("connection_string: an option is a number, or true or false, and says something else")
    return url


def way_to(url: URL) -> Way:
    """The way that a URL says.

    Raises:
        InvalidOption: What it says of TLS cannot be.
    """
    query = {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()}
    tls = {name: query.pop(name) for name in _TLS if name in query}
    query.pop("charset", None)  # what the original wrote is JSON in ASCII, which TiDB gives back as UTF-8
    engine = _engine(url, query, tls)
    if query:
        # What only the driver understands.
        return Way(engine, "tidb:", {"engine": engine})
    return Way(engine, url.set(query=tls).render_as_string(hide_password=False), {})


def _engine(url: URL, query: dict[str, str], tls: dict[str, str]) -> Engine:
    context = context_of("tidb", fill(TLSOptions, "tidb", tls, {}))
    engine = sqlalchemy.create_engine(
        url.set(query=query),
        connect_args={
            "charset": "utf8mb4",
            "connect_timeout": SECONDS,
            "read_timeout": SECONDS,
            "write_timeout": SECONDS,
            "init_command": "SET time_zone = '+00:00'",
            "client_flag": CLIENT.FOUND_ROWS | CLIENT.MULTI_STATEMENTS,
            "ssl": context,
            "ssl_disabled": context is None,
        },
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        max_overflow=-1,
        pool_recycle=LONGEST_LIFE,
        pool_pre_ping=True,
        pool_reset_on_return=None,
    )
    _engines.add(engine)
    return engine


def _go_on_in_child() -> None:
    """Leave the connections to the parent of a fork."""
    for engine in list(_engines):
        engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_go_on_in_child)


def _unquoted(part: str) -> str:
    return part[1:-1].replace("``", "`") if part.startswith("`") else part
