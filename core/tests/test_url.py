"""The grammar of database URLs, and that no part of one but its scheme is ever shown."""

import logging
import re
import traceback
import warnings
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import texts
from toy import Toy

import backscroll
from backscroll import BackscrollError, InvalidURL, Store, Unavailable
from backscroll.backend import BackendOptions
from backscroll.hookspecs import OperationEvent
from backscroll.options import fill
from backscroll.url import URL, Host, parse_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis:", URL("redis")),
        ("redis://", URL("redis")),
        ("redis:?timeout=5", URL("redis", query={"timeout": "5"})),
        ("REDIS+Cluster://Host", URL("redis+cluster", (Host("Host"),))),
        ("s3.x-y+z:", URL("s3.x-y+z")),
        ("redis://host:6379/0", URL("redis", (Host("host", 6379),), path="/0")),
        ("redis://a,b:1,c:65535", URL("redis", (Host("a"), Host("b", 1), Host("c", 65535)))),
        ("redis://[::1]:6379", URL("redis", (Host("::1", 6379),))),
        ("redis://[2001:DB8::1],127.0.0.1", URL("redis", (Host("2001:DB8::1"), Host("127.0.0.1")))),
        ("redis://user@host", URL("redis", (Host("host"),), "user")),
        ("redis://user:@host", URL("redis", (Host("host"),), "user", "")),
        ("redis://:secret@host", URL("redis", (Host("host"),), "", "secret")),
        ("redis://user:a:b@host", URL("redis", (Host("host"),), "user", "a:b")),
        ("redis://user:a@b@host", URL("redis", (Host("host"),), "user", "a@b")),
        ("redis://u%40:p%2F%3F%23%25@h%2Ah/%20", URL("redis", (Host("h*h"),), "u@", "p/?#%", "/ ")),
        ("redis://u:50%@host", URL("redis", (Host("host"),), "u", "50%")),
        ("redis://user:secret@", URL("redis", (), "user", "secret")),
        ("sqlite:///chat.db", URL("sqlite", path="/chat.db")),
        ("sqlite:////var/a@b.db", URL("sqlite", path="//var/a@b.db")),
        ("sqlite:///%C3%A4%00.db", URL("sqlite", path="/ä\0.db")),
        ("sqlite://?a=1&b=&c=%26+%3D", URL("sqlite", query={"a": "1", "b": "", "c": "& ="})),
        ("redis://host/0#", URL("redis", (Host("host"),), path="/0")),
    ],
)
def test_grammar(text: str, expected: URL) -> None:
    """A URL is taken apart into its decoded parts."""
    assert parse_url(text) == expected


def test_family() -> None:
    """A plugin serves the schemes that start with its name."""
    assert [parse_url(text).family for text in ("redis:", "redis+cluster+tls:")] == ["redis", "redis"]


SCHEME = "a database URL starts with its scheme and '//', for example sqlite:///chat.db"
HINT = "are '/', '?', '#' and '@' in user and password percent-encoded?"
HOST = f"a host must be name, name:port or [address]:port, several with commas; {HINT}"
OPTIONS = "options are given as ?name=value&name=value, percent-encoded"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", SCHEME),
        ("chat.db", SCHEME),
        ("/var/chat.db", SCHEME),
        ("://host", SCHEME),
        ("1redis://host", SCHEME),
        ("sqlite:chat.db", SCHEME),
        ("sqlite:/chat.db", SCHEME),
        ("user:hunter2@host", SCHEME),
        ("\u212ait://host", SCHEME),
        ("redis://host:0", f"redis: {HOST}"),
        ("redis://host:65536", f"redis: {HOST}"),
        ("redis://host:x", f"redis: {HOST}"),
        ("redis://host:\u0663", f"redis: {HOST}"),
        ("redis://:6379", f"redis: {HOST}"),
        ("redis://a,,b", f"redis: {HOST}"),
        ("redis://::1", f"redis: {HOST}"),
        ("redis://[::1", f"redis: {HOST}"),
        ("redis://[host]", f"redis: {HOST}"),
        ("redis://host/#x", f"redis: the URL cannot be taken apart: {HINT}"),
        ("redis://user:a/b@host", f"redis: the URL cannot be taken apart: {HINT}"),
        ("redis://user:a?b@host", f"redis: the URL cannot be taken apart: {HINT}"),
        ("redis://host?timeout", f"redis: {OPTIONS}"),
        ("redis://host?a=%FF", f"redis: {OPTIONS}"),
        ("redis://host?a=1&a=2", "redis: an option is given twice"),
        ("redis://%FF@host", "redis: what is percent-encoded must be UTF-8"),
        ("redis://u:%FF@host", "redis: what is percent-encoded must be UTF-8"),
        ("redis://%FF", "redis: what is percent-encoded must be UTF-8"),
        ("sqlite:///%FF", "redis: what is percent-encoded must be UTF-8".replace("redis", "sqlite")),
        (None, "a database URL is a string, not a NoneType"),
        (b"sqlite://", "a database URL is a string, not a bytes"),
    ],
)
def test_refused(text: Any, reason: str) -> None:
    """What is no URL is refused, with a reason that does not repeat it."""
    with pytest.raises(InvalidURL) as caught:
        parse_url(text)

    assert str(caught.value) == reason


@given(texts, texts, texts)
def test_quoted(username: str, password: str, path: str) -> None:
    """Whatever is percent-encoded comes back as it was."""
    url = parse_url(f"redis://{quote(username, safe='')}:{quote(password, safe='')}@host/{quote(path, safe='')}")

    assert (url.username, url.password, url.path) == (username if url.username else "", password, f"/{path}")


NAME = "env: is followed by the name of an environment variable, for example env:CHAT_URL"


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        ("redis://host", "CHAT_URL", URL("redis", (Host("host"),))),
        (" redis://host\n", "CHAT_URL", URL("redis", (Host("host"),))),
        (None, "CHAT_URL", "env:CHAT_URL: set the environment variable CHAT_URL to a database URL"),
        ("", "CHAT_URL", "env:CHAT_URL: set the environment variable CHAT_URL to a database URL"),
        (" ", "CHAT_URL", "env:CHAT_URL: set the environment variable CHAT_URL to a database URL"),
        ("env:CHAT_URL", "CHAT_URL", "env:CHAT_URL: set the environment variable CHAT_URL to a database URL"),
        (" env:CHAT_URL", "CHAT_URL", "env:CHAT_URL: set the environment variable CHAT_URL to a database URL"),
        ("chat.db", "CHAT_URL", f"env:CHAT_URL: {SCHEME}"),
        ("redis://host:hunter2", "CHAT_URL", f"env:CHAT_URL: redis: {HOST}"),
        ("redis://host", "", NAME),
        ("redis://host", "CHAT URL", NAME),
        ("redis://host", " CHAT_URL", NAME),
        ("redis://host", "redis://user:hunter2@host", NAME),
        ("redis://host", "\ud800", NAME),
    ],
)
def test_environment(value: str | None, name: str, expected: URL | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL may stand in an environment variable; not the name of another one."""
    monkeypatch.delenv("CHAT_URL", raising=False)
    if value is not None:
        monkeypatch.setenv("CHAT_URL", value)

    try:
        found: URL | str = parse_url(f"env:{name}")
    except InvalidURL as error:
        found = str(error)

    assert found == expected


PIECES = ["hunter2", "s3cr3t", "9876543", "Pässwört"]
# Between the pieces stands what has a meaning in a URL. All of them are secret, also when they end up apart.
passwords = st.lists(
    st.sampled_from(PIECES) | st.sampled_from([*"/?#:@&=%+,;[] \n\\'\"", "%2F", "%zz", "%FF", "//", "\0", "\u2028"]),
    min_size=1,
    max_size=8,
).map("".join)

# Where the password belongs, and where it lands when it is typed wrong. Two places are left out: before "://" and
# as a name after "env:", which are shown.
PLACES = [
    "sqlite://user:{}@host/chat.db",
    "sqlite://:{}@host",
    "sqlite://{}@host",
    "sqlite://{}:user@host",
    "sqlite://user:{}",
    "sqlite://host:{}",
    "sqlite://[{}]",
    "sqlite://user:{}@one,two:1/0?timeout=5",
    "sqlite://user:x@host/{}",
    "sqlite:///chat.db?password={}",
    "sqlite:///chat.db?timeout={}",
    "sqlite:///chat.db?durability={}",
    "sqlite:///chat.db?clock={}",
    "sqlite:///chat.db?threads={}&setup={}",
    "sqlite:///chat.db?{}",
    "sqlite:///chat.db?{}=1",
    "sqlite:///chat.db?timeout=1&{}=2",
    "sqlite:///chat.db#{}",
    "sqlite:{}",
    "sqlite:/{}",
    "nobody://user:{}@host",
    "sqlte://user:{}@host",
    "//user:{}@host",
    "user:{}@host",
    "{}@host:6379",
    "{}:user@host",
    ":{}@host",
    "env:redis://user:{}@host",
    "env:user:{}@host",
    "env: {}",
]


class Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard += [record.getMessage(), repr(vars(record))]


def shown(error: BaseException | None) -> list[str]:
    """All that an error says, and all that led to it, as a log or a tool for errors would show it."""
    texts: list[str] = []
    while error is not None:
        texts += [
            str(error),
            repr(error),
            repr(error.args),
            repr(vars(error)),
            "".join(traceback.format_exception(error)),
        ]
        texts += shown(error.__cause__)
        error = error.__context__
    return texts


def attempts(url: str) -> list[str]:
    """All that shows when a URL is parsed, its options are filled in, and a store is opened."""
    texts: list[str] = []
    listener = Listener()
    logging.getLogger().addHandler(listener)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            for attempt in (_fill, backscroll.open):
                try:
                    texts.append(repr(attempt(url)))
                except BackscrollError as error:
                    texts += shown(error)
    finally:
        logging.getLogger().removeHandler(listener)
    return [*texts, *listener.heard, *(str(warning) for warning in warned)]


def _fill(url: str) -> BackendOptions:
    parsed = parse_url(url)
    return fill(BackendOptions, parsed.scheme, parsed.query, {})


@given(passwords, st.sampled_from(PLACES), st.booleans(), st.booleans())
def test_no_secret(password: str, place: str, encoded: bool, variable: bool) -> None:
    """A password, encoded or not, in its place or typed wrong, shows nowhere."""
    url = place.replace("{}", quote(password, safe="") if encoded else password)
    if place.startswith("{}") and re.match(r"[\w+.-]+:(//|\?|#|$)", url):
        return
    with pytest.MonkeyPatch.context() as patch:
        if variable and not url.startswith("env:") and "\0" not in url:
            patch.setenv("CHAT_URL", url)
            url = "env:CHAT_URL"
        texts = "\n".join(attempts(url))

    for piece in PIECES:
        assert piece not in texts
        assert quote(piece) not in texts


@pytest.mark.parametrize("option", ["timeout", "threads", "setup", "poll", "clock", "max_turn_bytes"])
@pytest.mark.parametrize("value", ["hunter2", b"hunter2", ["hunter2"], {"hunter2": 1}])
def test_no_secret_in_options(option: str, value: Any) -> None:
    """A value that an option does not take is not repeated."""
    with pytest.raises(BackscrollError) as caught:
        fill(BackendOptions, "toy", {}, {option: value})

    assert "hunter2" not in "\n".join(shown(caught.value))


def test_repr_of_a_url() -> None:
    """The text forms of a URL hold the scheme and the hosts."""
    url = parse_url("redis://hunter2:hunter2@host:1,[::1],two/hunter2?password=hunter2")

    hosts = "Host(name='host', port=1), Host(name='::1', port=None), Host(name='two', port=None)"
    assert repr(url) == f"URL(scheme='redis', hosts=({hosts}))"
    assert str(url) == "redis://host:1,[::1],two"
    assert str(parse_url("sqlite:///hunter2.db")) == "sqlite://"


def test_no_secret_in_operations(caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder) -> None:
    """The operations of a store tell nobody of its password, also when they fail."""
    events: list[OperationEvent] = []

    class Failing(Toy):
        def read(self, *args: Any) -> Any:
            raise Unavailable("the server is not there")

        def info(self, *args: Any) -> Any:
            raise RuntimeError("something else")

    backend = Failing()
    backend.url = parse_url("redis://user:hunter2@host")
    store = Store(backend, events.append)
    texts = [repr(store), repr(store.history("s"))]
    for call in (lambda: store.last("s", timeout=0.001), lambda: store.info("s"), store.ping):
        try:
            texts.append(repr(call()))
        except BackscrollError as error:
            texts += shown(error)

    assert [event.operation for event in events] == ["last", "info", "ping"]
    assert "hunter2" not in "\n".join([*texts, *map(repr, events), caplog.text, *map(str, recwarn)])
