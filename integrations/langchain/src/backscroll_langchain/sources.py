"""From the URLs of ``backscroll migrate`` to what LangChain's own classes wrote.

``langchain+`` stands before the URL that such a class is given, or that a store would be opened with. What names the
lists or tables, which the class takes as an argument of its own, is an option in the query.
"""

import os
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from backscroll.errors import InvalidURL, PluginError
from backscroll.url import parse_url
from backscroll_langchain.originals import Original

PREFIX: Final = "langchain+"

_VARIABLE: Final = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")


@attrs.frozen
class Source:
    """Where messages are moved from.

    Args:
        original: What is there.
        families: The schemes of the stores in which the drop-in for its class looks; none where there is no drop-in.
        naming: The options by which such a store is the one.
    """

    original: Original
    families: tuple[str, ...] = ()
    naming: Mapping[str, Any] = attrs.field(factory=dict)


def opened(url: str) -> Source:
    """What a URL says.

    Args:
        url: Or ``env:NAME`` for one in an environment variable.

    Raises:
        InvalidURL: It says nothing that is known, without repeating it.
        PluginError: What it takes is not installed.
    """
    scheme, slashes, rest = _text(url).partition("://")
    ours = scheme.removeprefix(PREFIX)
    kind = _KINDS.get(ours.partition("+")[0])
    if kind is None or not slashes or not scheme.startswith(PREFIX):
        known = ", ".join(f"{PREFIX}{name}" for name in _KINDS)
        raise InvalidURL(f"SOURCE begins with one of {known}, and goes on as the URL of the database")
    rest, given = _without(rest, kind.names)
    try:
        return kind.opened(ours, rest, given)
    except ModuleNotFoundError as error:
        raise PluginError(f"SOURCE needs {error.name}: pip install '{kind.needs}'") from error


def _text(url: str) -> str:
    if not url.startswith("env:"):
        return url
    found = _VARIABLE.fullmatch(url)
    text = os.environ.get(found[1], "").strip() if found else ""
    if not text:
        raise InvalidURL("SOURCE: env: is followed by the name of an environment variable that is set to a URL")
    return text


def _without(rest: str, names: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """A URL without some of its options, and these; the others stay as they are."""
    from urllib.parse import unquote_plus

    start, mark, query = rest.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&")] if mark else []
    given = {name: unquote_plus(value) for name, _, value in pairs if name in names}
    others = "&".join("".join(pair) for pair in pairs if pair[0] not in names)
    return (f"{start}?{others}" if others else start), given


def _redis(scheme: str, rest: str, given: dict[str, str]) -> Source:
    from backscroll_langchain.redis import store_prefix
    from backscroll_langchain.redis_access import checked_url, way_to
    from backscroll_langchain.redis_lists import ListsOriginal

    key_prefix = given.get("key_prefix", "message_store:")
    original = ListsOriginal(way_to(checked_url(f"{scheme}://{rest}")), key_prefix, newest_first=True)
    return Source(original, ("redis", "rediss", "valkey"), {"prefix": store_prefix(key_prefix)})


def _memorystore(scheme: str, rest: str, _given: dict[str, str]) -> Source:
    from backscroll_langchain.memorystore import PREFIX as OURS
    from backscroll_langchain.redis_access import checked_url, way_to
    from backscroll_langchain.redis_lists import ListsOriginal

    way = way_to(checked_url(f"{scheme.partition('+')[2] or 'redis'}://{rest}"))
    return Source(ListsOriginal(way, "", newest_first=False), ("redis", "rediss", "valkey"), {"prefix": OURS})


def _cassandra(scheme: str, rest: str, given: dict[str, str]) -> Source:
    from backscroll_cassandra import connected
    from backscroll_langchain.cassandra import CassandraOriginal, folded, prefix

    table = folded("table_name", given.get("table_name", "message_store"))
    session, keyspace = connected(f"{scheme}://{rest}")
    original = CassandraOriginal(session, keyspace, table, close=session.cluster.shutdown)
    return Source(original, ("cassandra", "astra"), {"prefix": prefix(table)})


def _tidb(scheme: str, rest: str, given: dict[str, str]) -> Source:
    from backscroll_langchain.tidb_access import Table, checked_url, way_to
    from backscroll_langchain.tidb_table import TableOriginal

    table = Table.of(given.get("table_name", "langchain_message_store"))
    naming = {"prefix": table.store_prefix} | ({} if table.schema is None else {"schema": table.schema})
    original = TableOriginal(way_to(checked_url(f"{scheme}://{rest}")), table)
    return Source(original, ("tidb", "mysql", "mariadb"), naming)


def _sql(scheme: str, rest: str, given: dict[str, str]) -> Source:
    from backscroll_langchain.sql_table import SQLOriginal

    return Source(SQLOriginal.of(f"{scheme.partition('+')[2]}://{rest}", **given))


def _kafka(_scheme: str, rest: str, _given: dict[str, str]) -> Source:
    from backscroll_kafka import servers_of
    from backscroll_langchain.kafka_original import OURS, KafkaOriginal

    url = parse_url(f"kafka://{rest}")
    if not url.hosts or url.username or url.path.strip("/") or url.query:
        raise InvalidURL("SOURCE: expected langchain+kafka://broker1:9092,broker2:9092 and nothing else")
    return Source(KafkaOriginal(servers_of(url)), ("kafka",), {"topic": OURS, "layout": "topic"})


@attrs.frozen
class _Kind:
    """What LangChain's classes for one database wrote.

    Args:
        needs: What has to be installed.
        opened: Opens it: the scheme without `PREFIX`, what follows ``://`` without the options of its own, and these.
        names: The names of these options.
    """

    needs: str
    opened: Callable[[str, str, dict[str, str]], Source]
    names: tuple[str, ...] = ()


_ON_REDIS: Final = _Kind("backscroll-langchain[redis]", _redis, ("key_prefix",))
_ON_CASSANDRA: Final = _Kind("backscroll-langchain[cassandra]", _cassandra, ("table_name",))
_ON_TIDB: Final = _Kind("backscroll-langchain[tidb]", _tidb, ("table_name",))

_KINDS: Final[Mapping[str, _Kind]] = MappingProxyType(
    {
        "redis": _ON_REDIS,
        "rediss": _ON_REDIS,
        "unix": _ON_REDIS,
        "memorystore": _Kind("backscroll-langchain[redis]", _memorystore),
        "cassandra": _ON_CASSANDRA,
        "astra": _ON_CASSANDRA,
        "tidb": _ON_TIDB,
        "mysql": _ON_TIDB,
        "mariadb": _ON_TIDB,
        "sql": _Kind("backscroll-langchain[sql]", _sql, ("table_name", "session_id_field_name")),
        "kafka": _Kind("backscroll-langchain[kafka]", _kafka),
    }
)
"""By the scheme behind `PREFIX`, up to its next ``+``."""
