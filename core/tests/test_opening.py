"""`backscroll.open` goes from a URL to a store without any I/O."""

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from backscroll.backend import Backend, BackendOptions, Limits, declare, option
from backscroll.errors import BackscrollError, InvalidOption, InvalidURL, PluginError
from backscroll.hookspecs import API, BackendInfo, OperationEvent, hookimpl
from backscroll.opening import open
from backscroll.registry import register, unregister
from backscroll.store import Store

made: list[Backend] = []


@attrs.frozen(kw_only=True)
class Options(BackendOptions):
    client: Any = option(None, lambda value: value, "a client brought along")


class Fake(Backend):
    append = read = info = setup = ping = close = lambda self, *args: None  # type: ignore[assignment]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        made.append(self)


class Plugin:
    @hookimpl
    def backscroll_backends(self) -> list[BackendInfo]:
        limits = Limits(max_message_bytes=1, max_turn_bytes=1, max_turn_messages=1)
        return [
            BackendInfo(
                name="opening",
                schemes=("opening", "opening+tls"),
                api=API,
                factory=f"{__name__}:Fake",
                options=f"{__name__}:Options",
                capabilities=declare(),
                limits=limits,
            )
        ]


@pytest.fixture(autouse=True)
def plugin() -> Iterator[None]:
    """The plugin is registered during each test."""
    registered = Plugin()
    register(registered)
    made.clear()
    yield
    unregister(registered)


def test_backend_arguments() -> None:
    """The backend gets its declaration the URL and the options."""
    client = object()

    store = open("opening+tls://user:secret@one:1/path?timeout=5&threads=2", client=client, threads=3)

    (backend,) = made
    assert Store is type(store)
    assert (backend.declared.name, backend.url.scheme, backend.url.password) == ("opening", "opening+tls", "secret")
    assert (5.0, 3, client) == (backend.options.timeout, backend.options.threads, backend.options.client)


def test_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL may stand in an environment variable."""
    monkeypatch.setenv("OPENING_URL", "opening://host")

    open("env:OPENING_URL")

    assert made[0].url.scheme == "opening"


@pytest.mark.parametrize(
    ("url", "options", "kind"),
    [
        ("opening://user:hunter2@host/?timeout=hunter2", {}, InvalidOption),
        ("opening://user:hunter2@host/?timeot=1", {}, InvalidOption),
        ("opening://user:hunter2@host/", {"timeout": "hunter2"}, InvalidOption),
        ("opening://user:hunter2@host:port/", {}, InvalidURL),
        ("opening+udp://user:hunter2@host/", {}, PluginError),
        ("nobody://user:hunter2@host/", {}, PluginError),
    ],
)
def test_no_secret(url: str, options: dict[str, Any], kind: type[BackscrollError]) -> None:
    """No error shows a secret of the URL."""
    with pytest.raises(kind) as caught:
        open(url, **options)

    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert made == []


def test_late_observer() -> None:
    """A store tells the observers that are registered after it was opened."""
    seen: list[str] = []

    class Observer:
        @hookimpl
        def backscroll_operation(self, event: OperationEvent) -> None:
            seen.append(event.operation)

    store = open("opening:")
    observer = Observer()
    register(observer)
    try:
        store.ping()
    finally:
        unregister(observer)
    store.ping()

    assert seen == ["ping"]
