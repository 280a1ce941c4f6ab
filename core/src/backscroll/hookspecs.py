"""The hooks that a plugin can implement, and the plain data that it returns from them.

A plugin is a module that a distribution names under the entry-point group ``backscroll.plugins``::

    [project.entry-points."backscroll.plugins"]
    mystore = "backscroll_mystore.plugin"

The name of the entry point is what it serves: the scheme of its URLs up to a ``+`` (so ``redis``
serves ``redis://`` and ``redis+cluster://``; a plugin with several schemes lists each, all naming the same
module), or ``observer.<name>`` for one that watches operations or adds commands. By that name the module
is found and imported only when it is needed, so it should import `backscroll` and nothing else at module
level. ``backscroll plugins`` shows what is installed and what is wrong with it.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import attrs
import pluggy

from backscroll.capabilities import Capability, Limits, Support

if TYPE_CHECKING:
    import click

PROJECT: Final = "backscroll"
"""pluggy's name of this project."""

API: Final = (1, 0)
"""The plugin interface of this release: a plugin made for ``(major, minor)`` works with the same major
and the same or a later minor."""

hookspec: Final = pluggy.HookspecMarker(PROJECT)
hookimpl: Final = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's function as the implementation of the hook of the same name."""


@attrs.frozen(kw_only=True)
class BackendInfo:
    """What a plugin says of one backend, before any driver is imported.

    Args:
        name: Its name, lower case.
        schemes: The URL schemes that it opens.
        api: The `API` it was made for.
        factory: Where its `Backend` class is: ``package.module:Class``, imported when a store is opened.
        options: Where its options class is, likewise.
        capabilities: How far it supports each `Capability`.
        limits: Its limits and claims.
    """

    name: str
    schemes: tuple[str, ...]
    api: tuple[int, int]
    factory: str
    options: str
    capabilities: Mapping[Capability, Support]
    limits: Limits


@attrs.frozen(kw_only=True)
class ServerSpec:
    """How to start the real server of a backend for tests; ``{port}`` stands for the port in every text.

    A group of servers in one container has several `ports`; ``{ports}`` stands for all of them, with blanks between.
    An embedded database has no server: it gives the URL only, in which ``{folder}`` stands for an empty folder.

    Args:
        backend: The name of the backend that it serves.
        url: The URL that opens it, through ``localhost`` and the published port where there is a server.
        image: The container image; empty for an embedded database.
        command: The arguments of the container; empty for the image's own.
        environment: Its environment variables.
        files: The text of files that it has before it starts, by their absolute paths inside.
        container_port: The port on which the server listens inside; ``{port}`` where there are several ports.
        ports: How many ports are published.
        ready: A line, or part of one, that its log shows when it can be used.
        ready_timeout: How long that may take, in seconds.
    """

    backend: str
    url: str
    image: str = ""
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = attrs.field(factory=dict)
    files: Mapping[str, str] = attrs.field(factory=dict)
    container_port: str = ""
    ports: int = 1
    ready: str = ""
    ready_timeout: float = 60.0


@attrs.frozen(kw_only=True)
class OperationEvent:
    """One finished operation of a store.

    Args:
        backend: The backend's name.
        operation: The name of the `Store` method, without the prefix ``a``.
        session_id: The session; None where the operation is not about one.
        seconds: How long it took, its retries included.
        tries: How many calls of the backend it took; 0 where it was refused before the first one.
        messages: How many messages were stored or returned.
        error: The name of the exception's class; None where it succeeded.
    """

    backend: str
    operation: str
    session_id: str | None
    seconds: float
    tries: int
    messages: int
    error: str | None


class Hooks:
    """The hook specifications."""

    @hookspec
    def backscroll_backends(self) -> Iterable[BackendInfo]:
        """Return the backends that this plugin provides.

        Example:
            .. code-block:: python

                from backscroll import hookspecs
                from backscroll.backend import Limits, declare

                MIB = 1 << 20


                @hookspecs.hookimpl
                def backscroll_backends():
                    yield hookspecs.BackendInfo(
                        name="mystore",
                        schemes=("mystore",),
                        api=(1, 0),
                        factory="backscroll_mystore.backend:MyStoreBackend",
                        options="backscroll_mystore.options:MyStoreOptions",
                        capabilities=declare(),
                        limits=Limits(max_message_bytes=MIB, max_turn_bytes=4 * MIB, max_turn_messages=1_000),
                    )
        """
        raise NotImplementedError

    @hookspec
    def backscroll_operation(self, event: OperationEvent) -> None:
        """Observe one finished operation, for metrics or tracing. An error here never reaches the caller.

        It is called in the thread or on the event loop of the caller, so it should be quick.

        Example:
            .. code-block:: python

                import collections

                import backscroll
                from backscroll import hookspecs


                class Metrics:
                    def __init__(self):
                        self.calls = collections.Counter()

                    @hookspecs.hookimpl
                    def backscroll_operation(self, event):
                        self.calls[event.operation, event.error] += 1


                metrics = Metrics()
                backscroll.register(metrics)
                with backscroll.open("sqlite://") as store:
                    store.append("chat", [{"role": "user", "content": "hi!"}])
                backscroll.unregister(metrics)
                assert metrics.calls == {("append", None): 1}
        """

    @hookspec
    def backscroll_commands(self) -> "Iterable[click.Command]":
        """Return subcommands for the command line ``backscroll``.

        Example:
            .. code-block:: python

                import click

                from backscroll import hookspecs


                @click.command()
                @click.argument("url")
                def vacuum(url):
                    "Give back the space of expired messages."
                    import backscroll

                    with backscroll.open(url) as store:
                        click.echo(store.purge())


                @hookspecs.hookimpl
                def backscroll_commands():
                    return [vacuum]
        """
        raise NotImplementedError

    @hookspec
    def backscroll_servers(self) -> Iterable[ServerSpec]:
        """Return how to start the real servers of this plugin's backends, for tests.

        Example:
            .. code-block:: python

                from backscroll import hookspecs


                @hookspecs.hookimpl
                def backscroll_servers():
                    yield hookspecs.ServerSpec(
                        backend="mystore",
                        image="mystore:1",
                        command=("--port", "{port}"),
                        container_port="{port}",
                        ready="ready to accept connections",
                        url="mystore://localhost:{port}",
                    )
        """
        raise NotImplementedError
