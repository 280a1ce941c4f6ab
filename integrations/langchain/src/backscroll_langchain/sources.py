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

REDIS: Final = ("redis", "rediss", "valkey")

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
    kind, _, inner = scheme.removeprefix(PREFIX).partition("+")
    if not slashes or not scheme.startswith(PREFIX) or kind not in _KINDS:
        known = ", ".join(f"{PREFIX}{name}" for name in _KINDS)
        raise InvalidURL(f"SOURCE begins with one of {known}, and what follows is the URL of the database")
    extra, names, open_ = _KINDS[kind]
    rest, given = _without(rest, names)
    try:
        return open_(inner, rest, given)
    except ModuleNotFoundError as error:
        raise PluginError(f"{PREFIX}{kind} needs {error.name}: pip install 'backscroll-langchain[{extra}]'") from error


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


def _redis(scheme: str) -> Callable[[str, str, dict[str, str]], Source]:
    def opened(inner: str, rest: str, given: dict[str, str]) -> Source:
        from backscroll_langchain.redis import store_prefix
        from backscroll_langchain.redis_access import checked_url, way_to
        from backscroll_langchain.redis_lists import ListsOriginal

        key_prefix = given.get("key_prefix", "message_store:")
        url = checked_url(f"{scheme}{'+' * bool(inner)}{inner}://{rest}")
        original = ListsOriginal(way_to(url), key_prefix, newest_first=True)
        return Source(original, REDIS, {"prefix": store_prefix(key_prefix)})

    return opened


def _memorystore(inner: str, rest: str, _given: dict[str, str]) -> Source:
    from backscroll_langchain.memorystore import PREFIX as OURS
    from backscroll_langchain.redis_access import checked_url, way_to
    from backscroll_langchain.redis_lists import ListsOriginal

    way = way_to(checked_url(f"{inner or 'redis'}://{rest}"))
    return Source(ListsOriginal(way, "", newest_first=False), REDIS, {"prefix": OURS})


def _cassandra(scheme: str) -> Callable[[str, str, dict[str, str]], Source]:
    def opened(_inner: str, rest: str, given: dict[str, str]) -> Source:
        from backscroll_cassandra import connected
        from backscroll_langchain.cassandra import CassandraOriginal, folded, prefix

        table = folded("table_name", given.get("table_name", "message_store"))
        session, keyspace = connected(f"{scheme}://{rest}")
        original = CassandraOriginal(session, keyspace, table, close=session.cluster.shutdown)
        return Source(original, ("cassandra", "astra"), {"prefix": prefix(table)})

    return opened


def _kafka(_inner: str, rest: str, _given: dict[str, str]) -> Source:
    from backscroll_langchain.kafka_original import OURS, KafkaOriginal

    url = parse_url(f"kafka://{rest}")
    if not url.hosts or url.username or url.path.strip("/") or url.query:
        raise InvalidURL(f"{PREFIX}kafka: expected brokers and nothing else, as LangChain's class takes them")
    servers = ",".join(f"{_bracketed(host.name)}:{host.port or 9092}" for host in url.hosts)
    return Source(KafkaOriginal(servers), ("kafka",), {"topic": OURS, "layout": "topic"})


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


_KINDS: Final[Mapping[str, tuple[str, tuple[str, ...], Callable[[str, str, dict[str, str]], Source]]]] = (
    MappingProxyType(
        {
            "redis": ("redis", ("key_prefix",), _redis("redis")),
            "rediss": ("redis", ("key_prefix",), _redis("rediss")),
            "unix": ("redis", ("key_prefix",), _redis("unix")),
            "memorystore": ("redis", (), _memorystore),
            "cassandra": ("cassandra", ("table_name",), _cassandra("cassandra")),
            "astra": ("cassandra", ("table_name",), _cassandra("astra")),
            "kafka": ("kafka", (), _kafka),
        }
    )
)
"""By the scheme behind `PREFIX`: the extra that it takes, its own options, and what opens it."""
