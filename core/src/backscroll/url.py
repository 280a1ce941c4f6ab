"""The grammar of database URLs; the one place where an authority is taken apart.

``scheme://[user[:password]@]host[:port][,host[:port]…]/path?option=value&…``, each part
percent-encoded; ``scheme:`` alone for a client brought along; ``env:NAME`` for a URL that stands in
an environment variable.

No error repeats any part of a URL but its scheme: with a ``/``, ``?`` or ``#`` left unencoded in a
password, every other part may hold a piece of it.
"""

import os
import re
from contextlib import suppress
from typing import Final

import attrs

from backscroll.errors import InvalidURL

_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*):(.*)", re.DOTALL | re.IGNORECASE | re.ASCII)
_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:]*)(?::([0-9]{1,5}))?")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HINT: Final = "are '/', '?', '#' and '@' in user and password percent-encoded?"


@attrs.frozen
class Host:
    """One server of a URL.

    Args:
        name: Host name or address, an IPv6 address without its brackets.
        port: The port; None where the URL gives none.
    """

    name: str
    port: int | None = None


@attrs.frozen
class URL:
    """A parsed database URL. As a text it is the scheme and the hosts, without what may hold a secret.

    Args:
        scheme: In lower case, for example ``redis+cluster``.
        hosts: The servers in the order given.
        username: The user; None for none.
        password: The password; None for none.
        path: What follows the authority, decoded, with its leading ``/``; empty for none.
        query: The options, decoded.
    """

    scheme: str
    hosts: tuple[Host, ...] = ()
    username: str | None = attrs.field(default=None, repr=False)
    password: str | None = attrs.field(default=None, repr=False)
    path: str = attrs.field(default="", repr=False)
    query: dict[str, str] = attrs.field(factory=dict, repr=False)

    @property
    def family(self) -> str:
        """The scheme up to its first ``+``: the name under which a plugin serves it."""
        return self.scheme.partition("+")[0]

    def __str__(self) -> str:
        hosts = (f"[{host.name}]" if ":" in host.name else host.name for host in self.hosts)
        ports = (f":{host.port}" if host.port else "" for host in self.hosts)
        return f"{self.scheme}://{','.join(map(''.join, zip(hosts, ports, strict=True)))}"


def parse_url(text: str) -> URL:
    """Parse a database URL; ``env:NAME`` is replaced by the variable's value first.

    Raises:
        InvalidURL: It cannot be parsed, or the variable is not set.

    Example:
        >>> parse_url("redis://user:secret@one,two:6380/0?timeout=5")
        URL(scheme='redis', hosts=(Host(name='one', port=None), Host(name='two', port=6380)))
    """
    if not isinstance(text, str):
        raise InvalidURL(f"a database URL is a string, not a {type(text).__name__}")
    if text.startswith("env:"):
        return _parse_variable(text.removeprefix("env:"))
    match = _SCHEME.fullmatch(text)
    # Without the slashes, what stands before the colon may be a user or a password.
    if not match or not (match[2].startswith("//") or match[2][:1] in ("", "?", "#")):
        raise InvalidURL("a database URL starts with its scheme and '//', for example sqlite:///chat.db")
    scheme, rest = match[1].lower(), match[2]
    rest, _, fragment = rest.partition("#")
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.removeprefix("//").partition("/")
    if fragment or "@" in query or (authority and "@" in path):
        raise InvalidURL(f"{scheme}: the URL cannot be taken apart: {_HINT}")
    user, _, hosts = authority.rpartition("@")
    username, colon, password = user.partition(":")
    return URL(
        scheme=scheme,
        hosts=tuple(_parse_host(scheme, host) for host in hosts.split(",")) if hosts else (),
        username=_decoded(scheme, username) if user else None,
        password=_decoded(scheme, password) if colon else None,
        path=_decoded(scheme, slash + path),
        query=_parse_query(scheme, query),
    )


def _parse_variable(name: str) -> URL:
    # A whole URL can land here, with its password: only what looks like a name is repeated.
    if not _VARIABLE.fullmatch(name):
        raise InvalidURL("env: is followed by the name of an environment variable, for example env:CHAT_URL")
    value = os.environ.get(name, "").strip()
    if not value or value.startswith("env:"):
        raise InvalidURL(f"env:{name}: set the environment variable {name} to a database URL")
    try:
        return parse_url(value)
    except InvalidURL as error:
        raise InvalidURL(f"env:{name}: {error}") from None


def _decoded(scheme: str, text: str) -> str:
    from urllib.parse import unquote

    # Raised behind the handler, because the error that it handles holds the text.
    with suppress(UnicodeDecodeError):
        return unquote(text, errors="strict")
    raise InvalidURL(f"{scheme}: what is percent-encoded must be UTF-8")


def _parse_host(scheme: str, text: str) -> Host:
    match = _HOST.fullmatch(text)
    port = int(match[2]) if match and match[2] else None
    if not match or not match[1] or (port is not None and not 0 < port < 65536):
        raise InvalidURL(f"{scheme}: a host must be name, name:port or [address]:port, several with commas; {_HINT}")
    return Host(_decoded(scheme, match[1].strip("[]")), port)


def _parse_query(scheme: str, text: str) -> dict[str, str]:
    from urllib.parse import parse_qsl

    pairs = None
    with suppress(ValueError):
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict")
    if pairs is None:
        raise InvalidURL(f"{scheme}: options are given as ?name=value&name=value, percent-encoded")
    if len(dict(pairs)) != len(pairs):
        raise InvalidURL(f"{scheme}: an option is given twice")
    return dict(pairs)
