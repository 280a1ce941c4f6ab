"""What ran where: versions, the server as asked for, what the backend declares; no names of people or machines."""

import platform
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs

from backscroll import Store
from backscroll.errors import PluginError
from backscroll.url import parse_url
from backscroll.versions import drivers_of, plugin_of, version_of
from backscroll_conformance.target import Target

SUITE: Final = "backscroll-conformance"
CORE: Final = "backscroll"

PING_SECONDS: Final = 5.0
"""How long the server may take to say what it is; a backend that ignores it is waited for twice as long."""

_PATH: Final = re.compile(r"""(?:(?<![^\s'"(=])(?:/|[A-Za-z]:\\)[^\s'":;,()/\\]+[/\\]|\(path\))[^\s'":;,()]*""")


@attrs.frozen
class Package:
    """An installed distribution.

    Args:
        name: Its name; of an object that the application registered as a plugin, what the registry calls it.
        version: Its version; empty where there is none.
    """

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


@attrs.frozen
class Declared:
    """How far the backend says that it supports a capability.

    Args:
        capability: The capability.
        level: ``full``, ``partial`` or ``unsupported``.
        reason: Why it is not full; empty where it is.
    """

    capability: str
    level: str
    reason: str


@attrs.frozen(kw_only=True)
class Answer:
    """What a backend and its server say of themselves.

    Args:
        server: What the server calls itself; empty where it did not answer.
        problems: Where its settings fall short of what the backend claims, as it says itself.
        unanswered: Why there is no answer; empty where there is one.
        capabilities: What the backend declares; nothing where it could not be opened.
        limits: The limits in force and the claims, by the names of `backscroll.backend.Limits`.
    """

    server: str = ""
    problems: tuple[str, ...] = ()
    unanswered: str = ""
    capabilities: tuple[Declared, ...] = ()
    limits: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Environment:
    """What ran where.

    Args:
        suite: The version of backscroll-conformance; empty where it is not installed.
        core: The version of backscroll.
        backend: The name of the backend.
        plugin: The distribution that provides it; None where no plugin does.
        drivers: What the plugin's distribution needs beside backscroll, pluggy and attrs, with the installed versions.
        url: Scheme and hosts of the URL, without user, password, path and options.
        server: As in `Answer`, like the four that follow.
        problems: See there.
        unanswered: See there.
        capabilities: See there.
        limits: See there.
        python: The version of Python.
        implementation: Which Python, for example ``CPython``.
        system: The operating system.
        machine: The kind of processor.
        date: When it was asked: date and time in UTC, as in ISO 8601.
    """

    suite: str
    core: str
    backend: str
    plugin: Package | None
    drivers: tuple[Package, ...]
    url: str
    server: str
    problems: tuple[str, ...]
    unanswered: str
    capabilities: tuple[Declared, ...]
    limits: dict[str, Any]
    python: str
    implementation: str
    system: str
    machine: str
    date: str


def asked(target: Target) -> Answer:
    """Ask the server what it is; waits for it ten seconds at the most.

    An embedded database is made in a folder that goes again.

    Args:
        target: The database under test.
    """
    return _Asked(target).told()


def environment(target: Target, ask: Callable[[Target], Answer] = asked) -> Environment:
    """Look at what runs where. Where the backend cannot be opened, the rest is told.

    Args:
        target: The database under test.
        ask: Asks the backend and its server.

    Raises:
        InvalidURL: The URL cannot be parsed.
    """
    plugin = plugin_of(target.backend)
    return Environment(
        suite=version_of(SUITE),
        core=version_of(CORE),
        backend=target.backend,
        plugin=Package(plugin.distribution or plugin.name, plugin.version or "") if plugin else None,
        drivers=_drivers(plugin.distribution) if plugin and plugin.distribution else (),
        url=str(parse_url(target.url)),
        python=platform.python_version(),
        implementation=platform.python_implementation(),
        system=platform.system(),
        machine=platform.machine(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        **attrs.asdict(ask(target), recurse=False),
    )


def _drivers(distribution: str) -> tuple[Package, ...]:
    return tuple(Package(name, version) for name, version in drivers_of(distribution).items())


class _Asked:
    """What the backend declares and its server answers; in a thread, since a backend may never come back."""

    def __init__(self, target: Target) -> None:
        self._target: Final = target
        self._answer = Answer(unanswered=f"no answer within {2 * PING_SECONDS:g} s")

    def told(self) -> Answer:
        """What is known when the time is up."""
        thread = threading.Thread(target=self._ask, name="environment", daemon=True)
        thread.start()
        thread.join(2 * PING_SECONDS)
        return self._answer

    def _ask(self) -> None:
        try:
            with self._target.fresh() as target, target.open() as store:
                self._answer = attrs.evolve(self._answer, **_declared(store))
                if target is not self._target:
                    # Its folder is new, and a database that is not there yet has less to tell.
                    store.setup(timeout=PING_SECONDS)
                health = store.ping(timeout=PING_SECONDS)
                server, problems = self._clean(health.server), tuple(map(self._clean, health.problems))
                self._answer = attrs.evolve(self._answer, unanswered="", server=server, problems=problems)
        except BaseException as error:  # noqa: BLE001 - whatever a backend raises, the rest of the report stands
            self._answer = attrs.evolve(self._answer, unanswered=self._reason(error))

    def _reason(self, error: BaseException) -> str:
        kind = type(error).__name__
        try:
            return self._clean(f"{kind}: {error}")
        except Exception:  # noqa: BLE001 - without the options class nobody knows what in the text is secret
            # Those of the registry tell of plugins, and of a URL no more than its scheme.
            return _without_paths(f"{kind}: {error}", self._target.url) if isinstance(error, PluginError) else kind

    def _clean(self, text: str) -> str:
        return _without_paths(self._target.redacted(text), self._target.url)


def _declared(store: Store) -> dict[str, Any]:
    capabilities = tuple(Declared(one.value, how.level.value, how.reason) for one, how in store.capabilities.items())
    limits = {name: getattr(value, "value", value) for name, value in attrs.asdict(store.limits).items()}
    return {"capabilities": capabilities, "limits": limits}


def _without_paths(text: str, url: str) -> str:
    """A text that names no folder of this machine: paths often hold the name of a user."""
    file = Path(parse_url(url).path.removeprefix("/")).absolute()
    for known in sorted({str(one) for one in (file, file.parent, Path.cwd(), *_home())}, key=len, reverse=True):
        if len(known) > 1:
            text = text.replace(known, "(path)")
    return _PATH.sub("(path)", text)


def _home() -> tuple[Path, ...]:
    try:
        return (Path.home(),)
    except RuntimeError:  # a container's user may have none
        return ()
