"""Where the database under test is: at a URL, in a folder, or in a container that is started for it."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Final

from backscroll.errors import PluginError
from backscroll.hookspecs import ServerSpec
from backscroll.registry import registry
from backscroll_conformance.containers import NoServer, Server, shared, start
from backscroll_conformance.target import Target

REQUIRED: Final = "BACKSCROLL_SERVERS"
"""The environment variable that says with the value ``required`` that a server which cannot be started is a failure."""

UNRUN: Final = "BACKSCROLL_UNRUN"
"""The environment variable with the file to which the servers are added that could not be started."""


def is_required() -> bool:
    """Whether a run on a real server that cannot happen is a failure."""
    return os.environ.get(REQUIRED) == "required"


def note_unrun(what: str, reason: str) -> None:
    """Add a line to the file that the environment variable `UNRUN` names, if it does.

    Args:
        what: What could not run, for example the name of a backend.
        reason: Why.
    """
    if path := os.environ.get(UNRUN):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{what}: {' '.join(reason.split())}\n")


@contextmanager
def running(spec: ServerSpec, run: Path | None = None) -> Iterator[Server]:
    """A server for tests, which ends with the block; skipped where none can run, unless servers are required.

    Args:
        spec: How to start it.
        run: A folder that all processes have in common that share it, and it ends with the last of them; None for one
            of its own.

    Raises:
        NoServer: It could not be started, and servers are required.
    """
    import pytest

    with ExitStack() as stack:
        try:
            server = stack.enter_context(_one(spec, run))
        except NoServer as error:
            if is_required():
                raise
            note_unrun(spec.backend, str(error))
            pytest.skip(str(error))
        yield server


def _one(spec: ServerSpec, run: Path | None) -> AbstractContextManager[Server]:
    return _own(spec) if run is None else shared(spec, run)


@contextmanager
def _own(spec: ServerSpec) -> Iterator[Server]:
    server = start(spec)
    try:
        yield server
    finally:
        server.remove()


@contextmanager
def provided(
    backend: str,
    url: str | None,
    options: dict[str, object] | None = None,
    *,
    run: Path | None = None,
    server: ServerSpec | None = None,
) -> Iterator[Target]:
    """The database to be tested; a server that is started for it ends with the block.

    Args:
        backend: The name of the backend.
        url: Its URL, or ``env:NAME``; where it is None, a `ServerSpec` says it.
        options: Options beside those in the URL.
        run: A folder that all processes have in common that share a server; None for one of its own.
        server: How it is started; None leaves it to the plugin's own `ServerSpec`.

    Raises:
        PluginError: No plugin provides the backend, or nobody says where the database is.
        NoServer: The server could not be started.
    """
    if url is not None and url.startswith("env:"):
        url = os.environ.get(url.removeprefix("env:"), url)
    spec = None if url is not None else server or spec_of(backend)
    if spec is None or not spec.image:
        target = Target(backend=backend, url=url or (spec.url if spec else ""), options=options or {})
        target.declared()
        yield target
        return
    with _started(spec, run) as started:
        yield Target(backend=backend, url=started.url, options=options or {}, server=spec)


@contextmanager
def _started(spec: ServerSpec, run: Path | None) -> Iterator[Server]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(_one(spec, run))
        except NoServer as error:
            note_unrun(spec.backend, str(error))
            raise
        yield server


def spec_of(backend: str) -> ServerSpec:
    """How the server of a backend is started, or where the embedded one is.

    Args:
        backend: The name of the backend.

    Raises:
        PluginError: No plugin provides it, or its plugin does not say it.
    """
    found = [spec for spec in registry.servers().found if spec.backend == backend]
    if not found:
        registry.find(backend)
        raise PluginError(f"{backend}: say where the database is with a URL: its plugin gives no ServerSpec")
    # One without a server needs nothing to be started.
    return min(found, key=lambda spec: bool(spec.image))
