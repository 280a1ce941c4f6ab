"""The database under test, and how far a run goes."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

import attrs

from backscroll import Store
from backscroll.backend import Backend
from backscroll.errors import InvalidURL, PluginError
from backscroll.hookspecs import BackendInfo, ServerSpec
from backscroll.options import fill, option_names
from backscroll.registry import registry
from backscroll.url import parse_url
from backscroll_conformance.redaction import redacted

FOLDER: Final = "{folder}"
"""Stands in the URL of an embedded database for a folder that is empty at first."""


@attrs.frozen(kw_only=True)
class Effort:
    """How far the parts with random choices go.

    Args:
        examples: How many random scripts the stateful tier tries.
        steps: How many operations each of them has.
        seconds: How long the clients of the concurrent tier are at work.
        kills: How many clients the durable tier kills.
        messages: How long the sessions of the measured tier become.
        shrink: Whether a script that fails is made shorter.
    """

    examples: int
    steps: int
    seconds: float
    kills: int
    messages: int
    shrink: bool


EFFORTS: Final[Mapping[str, Effort]] = {
    "short": Effort(examples=10, steps=25, seconds=0.5, kills=2, messages=3_000, shrink=False),
    "normal": Effort(examples=60, steps=30, seconds=4.0, kills=8, messages=20_000, shrink=True),
    "long": Effort(examples=400, steps=50, seconds=30.0, kills=40, messages=100_000, shrink=True),
}
"""By the name that a user gives."""


@attrs.frozen(kw_only=True)
class Target:
    """The database under test.

    Args:
        backend: The name of the backend.
        url: Where it is. ``{folder}`` in it stands for a folder that each clause gets anew.
        options: Options beside those in the URL.
        folders: Where the folders are made; None leaves it to the system.
        server: How the server was started for this run, so that others like it can be started, too; None where nobody
            knows, or it is embedded.
    """

    backend: str
    url: str = attrs.field(repr=False)
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    folders: Path | None = attrs.field(default=None, repr=False)
    server: ServerSpec | None = attrs.field(default=None, repr=False)

    def declared(self) -> BackendInfo:
        """What its plugin declares.

        Raises:
            PluginError: The URL's scheme is another backend's, or none serves it.
        """
        declared = registry.find(parse_url(self.url).scheme)
        if declared.name != self.backend:
            raise PluginError(f"the URL opens {declared.name}, not {self.backend}: give a URL of {self.backend}")
        return declared

    def within(self, folder: Path) -> "Target":
        """The same database in a folder."""
        return attrs.evolve(self, url=self.url.replace(FOLDER, quote(folder.as_posix())))

    @property
    def is_embedded(self) -> bool:
        """Whether each clause gets a database of its own."""
        return FOLDER in self.url

    @contextmanager
    def fresh(self) -> Iterator["Target"]:
        """The same database; in a new folder, which goes in the end, where it is embedded."""
        if not self.is_embedded:
            yield self
            return
        # A client that was given up may still have files open, which some systems refuse to remove.
        with tempfile.TemporaryDirectory(prefix="backscroll-", dir=self.folders, ignore_cleanup_errors=True) as folder:
            yield self.within(Path(folder))

    def connect(self, **options: Any) -> Backend:
        """The backend; no I/O.

        Args:
            **options: Win over the target's own.
        """
        declared = self.declared()
        factory, options_class = registry.resolve(declared)
        parsed = parse_url(self.url)
        return factory(declared, parsed, fill(options_class, parsed.scheme, parsed.query, {**self.options, **options}))

    def open(self, wrap: Callable[[Backend], Backend] | None = None, **options: Any) -> Store:
        """A store; no I/O.

        Args:
            wrap: Puts something between the store and the backend.
            **options: Win over the target's own.
        """
        backend = self.connect(**options)
        return Store(wrap(backend) if wrap else backend)

    def secrets(self) -> tuple[str, ...]:
        """What must not be shown: the password, and the values of secret options; of a wrong URL nearly all."""
        try:
            parsed = parse_url(self.url)
        except InvalidURL:
            return _parts(self.url)
        given = {**parsed.query, **self.options}
        hidden = _secret_options(parsed.scheme)
        found = [parsed.password, *(str(value) for name, value in given.items() if name in hidden)]
        return tuple(one for one in found if one)

    def redacted(self, text: str) -> str:
        """A text without the secrets, in whatever spelling."""
        return redacted(text, self.secrets())


def _parts(url: str) -> tuple[str, ...]:
    """The parts of a URL that cannot be parsed in which a password may stand."""
    if url.startswith("env:"):
        url = os.environ.get(url.removeprefix("env:"), "")
    rest = url.partition(":")[2].lstrip("/")
    user = rest.rpartition("@")[0]
    password = user.partition(":")[2]
    return tuple(one for one in {rest, user, password, unquote(password)} if one)


def _secret_options(scheme: str) -> set[str]:
    """The names of the options that are secret; none where the plugin cannot be used."""
    try:
        # Not by way of the registry, which would import the driver, too.
        module, _, name = registry.find(scheme).options.partition(":")
        options = getattr(import_module(module), name)
        hidden = {field.name for field in attrs.fields(options) if not field.repr}
        return hidden | {known for known, field in option_names(options).items() if field in hidden}
    except Exception:  # noqa: BLE001 - a broken plugin is told of elsewhere
        return set()
