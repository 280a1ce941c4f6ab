"""The plugins of a process: finds, loads and calls them, each apart from the others."""

import contextlib
import importlib
import inspect
import os
import threading
import warnings
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, final

import attrs
from pluggy import HookImpl, PluginManager

from backscroll.admission import Rejected, admit, ask, check_backends, check_entries, load_classes, load_module, nearest
from backscroll.backend import Backend
from backscroll.discovery import OBSERVER, Plugin, Status, discover
from backscroll.errors import PluginError
from backscroll.hookspecs import PROJECT, BackendInfo, Hooks, OperationEvent, ServerSpec
from backscroll.options import BackendOptions

if TYPE_CHECKING:
    import click

T = TypeVar("T")

_ABSENT: Final = (Status.MISSING, Status.BLOCKED)


@attrs.frozen
class Collected(Generic[T]):
    """What the plugins gave for one hook.

    Args:
        found: What they gave.
        problems: A line for each plugin that could not be asked or failed.
    """

    found: tuple[T, ...]
    problems: tuple[str, ...]


@final
class Observers:
    """Tells those who implement ``backscroll_operation``; false while there are none.

    What one of them raises reaches neither the caller nor the others. It is reported once for each, as a
    RuntimeWarning without the text of the exception, which may hold a secret.
    """

    def __init__(self) -> None:
        self.implementations: tuple[HookImpl, ...] = ()
        self.reported: Final[dict[str, object]] = {}

    def __bool__(self) -> bool:
        return bool(self.implementations)

    def __call__(self, event: OperationEvent) -> None:
        """Tell them of one finished operation."""
        for implementation in self.implementations:
            try:
                implementation.function(*(event for _ in implementation.argnames))
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # noqa: BLE001 - an observer never reaches the caller
                self.report(implementation.plugin_name, f"raised {type(error).__name__} in backscroll_operation")

    def report(self, name: str, what: str) -> None:
        """Warn of an observer, the first time."""
        mark = object()
        # Atomic, so that one of many threads warns; and a filter may turn the warning into an exception.
        if self.reported.setdefault(name, mark) is mark:
            with contextlib.suppress(Exception):
                warnings.warn(f"the plugin {name} {what}; this is said once", RuntimeWarning, stacklevel=2)


@final
class Registry:
    """The plugins that are installed, and those that the application registers.

    The entry points and the environment variable ``BACKSCROLL_BLOCK`` are read once, at first use; see
    `refresh`. Any thread may call any method.
    """

    def __init__(self) -> None:
        self._manager: Final = PluginManager(PROJECT)
        self._manager.add_hookspecs(Hooks)
        self._observers: Final = Observers()
        self._registered: Final[dict[str, Plugin]] = {}
        self._installed: list[Plugin] | None = None
        self._outcomes: dict[tuple[str | None, str], dict[str, Any]] = {}
        self.renew_lock()

    def renew_lock(self) -> None:
        """Forget who holds the lock; for the child of a fork, where that thread does not exist."""
        # Reentrant, because a plugin's module may call the registry while it is imported.
        self._lock = threading.RLock()

    def refresh(self) -> None:
        """Forget what is installed, so that the next use reads it again.

        What was registered stays, and modules that were imported stay imported.
        """
        with self._lock:
            for name, _ in self._manager.list_name_plugin():
                if name not in self._registered:
                    self._drop(name)
            self._installed = None
            self._outcomes.clear()
            importlib.invalidate_caches()

    def register(self, plugin: Any) -> None:
        """Register an object or a module as a plugin of this process; it may implement any hook.

        Stores that are open already tell it of their operations, too.

        Args:
            plugin: Has functions marked with `backscroll.hookspecs.hookimpl`.

        Raises:
            PluginError: It breaks a rule for plugins, or is registered already.
        """
        with self._lock:
            label = _label(plugin)
            names = (f"{label} ({number})" if number > 1 else label for number in count(1))
            name = next(name for name in names if not self._manager.has_plugin(name))
            try:
                self._registered[name] = Plugin(name=name, backends=self._admit(plugin, name))
            except Rejected as error:
                raise PluginError(f"{label} {error.detail}") from error.__cause__

    def unregister(self, plugin: Any) -> None:
        """Take back `register`.

        Raises:
            PluginError: It is not registered.
        """
        with self._lock:
            names = [name for name, other in self._manager.list_name_plugin() if other is plugin]
            if not names or not self._registered.pop(names[0], None):
                raise PluginError(f"{_label(plugin)} is not registered")
            self._drop(names[0])

    def find(self, scheme: str) -> BackendInfo:
        """The backend that serves a scheme; imports no plugin but the one that the scheme names.

        Raises:
            PluginError: None that can be used does; says what to install or to mend.
        """
        family = scheme.partition("+")[0]
        with self._lock:
            plugins = self._takers(family) or [plugin for plugin in self._found() if plugin.name == family]
            if not plugins or family.startswith(OBSERVER):
                raise PluginError(f"{scheme}: no plugin serves this scheme: {self._hint(family)}")
            plugin = self._load(plugins[0])
        if plugin.status is not Status.OK:
            raise PluginError(f"{scheme}: {plugin.origin} {plugin.detail}")
        served = {name: backend for backend in plugin.backends for name in backend.schemes}
        if scheme not in served:
            raise PluginError(f"{scheme}: {plugin.origin} does not serve this scheme, only {', '.join(served)}")
        return served[scheme]

    def resolve(self, backend: BackendInfo) -> tuple[type[Backend], type[BackendOptions]]:
        """Import the two classes of a backend, and with them its driver.

        Raises:
            PluginError: A module cannot be imported, or a class is missing or of another kind.
        """
        try:
            return load_classes(backend)
        except Rejected as error:
            with self._lock:
                origin = next((plugin.origin for plugin in self._takers(backend.name)), "its plugin")
            raise PluginError(f"{backend.name}: {origin} {error.detail}") from error.__cause__

    def plugins(self, *, strict: bool = False) -> list[Plugin]:
        """Every plugin, by name; loads those that are installed.

        Args:
            strict: Import the drivers as well; a plugin that fails in this is broken.
        """
        with self._lock:
            plugins = [self._load(plugin) for plugin in (*self._found(), *self._registered.values())]
        if strict:
            plugins = [_resolved(plugin) for plugin in plugins]
        return sorted(plugins, key=lambda plugin: (plugin.name, plugin.origin))

    def observer(self) -> Observers:
        """Whom a store has to tell of its operations; loads the plugins that are installed as observers.

        What is registered or unregistered later changes this same object.
        """
        with self._lock:
            for plugin in [self._load(plugin) for plugin in self._found() if plugin.name.startswith(OBSERVER)]:
                if plugin.status not in (Status.OK, Status.BLOCKED):
                    what = f"of {plugin.origin} is {plugin.status.value}, see `{PROJECT} plugins`"
                    self._observers.report(plugin.name, what)
        return self._observers

    def commands(self) -> "Collected[click.Command]":
        """The subcommands of all plugins; of two with the same name neither is used."""
        import click

        given, problems = self._collect("backscroll_commands", click.Command)
        owners: dict[str | None, list[str]] = {}
        for owner, command in given:
            owners.setdefault(command.name, []).append(owner)
        for name, who in owners.items():
            if len(who) > 1:
                problems.append(f"{' and '.join(who)} have the same command {name}, so none is used: remove one")
        return Collected(tuple(command for _, command in given if len(owners[command.name]) == 1), tuple(problems))

    def servers(self) -> Collected[ServerSpec]:
        """How all plugins start the servers of their backends for tests."""
        given, problems = self._collect("backscroll_servers", ServerSpec)
        return Collected(tuple(server for _, server in given), tuple(problems))

    def _collect(self, hook: str, kind: type[T]) -> tuple[list[tuple[str, T]], list[str]]:
        """What the plugins gave, each thing with the plugin's name, and a line for each that failed."""
        failed = [plugin for plugin in self.plugins() if plugin.status not in (Status.OK, *_ABSENT)]
        problems = [f"{plugin.name}: {plugin.origin} {plugin.detail}" for plugin in failed]
        given: list[tuple[str, T]] = []
        for implementation in self._implementations(hook):
            try:
                given += [(implementation.plugin_name, item) for item in ask(implementation, hook, kind)]
            except Rejected as error:
                problems.append(f"{implementation.plugin_name} {error.detail}")
        return given, problems

    def _found(self) -> list[Plugin]:
        if self._installed is None:
            self._installed = discover()
        return self._installed

    def _takers(self, family: str) -> list[Plugin]:
        """The plugins that take a name, but for blocked and missing ones."""
        plugins = (*self._found(), *self._registered.values())
        return [plugin for plugin in plugins if family in plugin.families and plugin.status not in _ABSENT]

    def _hint(self, family: str) -> str:
        plugins = [p for p in (*self._found(), *self._registered.values()) if not p.name.startswith(OBSERVER)]
        known = {name for plugin in plugins for name in plugin.families}
        served = {name for plugin in plugins if plugin.status is Status.OK for name in plugin.families}
        return f"{nearest(family, known)}there are {', '.join(sorted(served))}"

    def _load(self, plugin: Plugin) -> Plugin:
        if plugin.status is not Status.OK:
            return plugin
        for family in sorted(plugin.families):
            others = [taker.origin for taker in self._takers(family) if taker is not plugin]
            if others:
                detail = f"provides {family}, and so does {' and '.join(others)}: none is used until one is removed"
                return attrs.evolve(plugin, status=Status.CONFLICT, detail=detail)
        return attrs.evolve(plugin, **self._outcome(plugin)) if plugin.module else plugin

    def _outcome(self, plugin: Plugin) -> dict[str, Any]:
        """What became of the module of an entry point; it is loaded once for all its entry points."""
        key = plugin.distribution, plugin.module or ""
        if key not in self._outcomes:
            entries = [other.name for other in self._found() if (other.distribution, other.module) == key]
            try:
                backends = self._admit(load_module(key[1]), f"{plugin.origin} ({key[1]})", entries)
                self._outcomes[key] = {"backends": backends}
            except Rejected as error:
                self._outcomes[key] = {"status": error.status, "detail": error.detail}
        return self._outcomes[key]

    def _admit(self, plugin: Any, name: str, entries: list[str] | None = None) -> tuple[BackendInfo, ...]:
        admit(self._manager, plugin, name)
        try:
            backends = self._backends(name)
            check_backends(backends)
            if entries is not None:
                check_entries(entries, backends)
        except BaseException:
            self._drop(name)
            raise
        self._update_observers()
        return backends

    def _backends(self, name: str) -> tuple[BackendInfo, ...]:
        hook = f"{PROJECT}_backends"
        own = [implementation for implementation in self._implementations(hook) if implementation.plugin_name == name]
        return tuple(backend for implementation in own for backend in ask(implementation, hook, BackendInfo))

    def _drop(self, name: str) -> None:
        self._manager.unregister(name=name)
        self._observers.reported.pop(name, None)
        self._update_observers()

    def _update_observers(self) -> None:
        self._observers.implementations = tuple(self._implementations(f"{PROJECT}_operation"))

    def _implementations(self, hook: str) -> list[HookImpl]:
        implementations: list[HookImpl] = getattr(self._manager.hook, hook).get_hookimpls()
        return implementations[::-1]  # the order in which pluggy calls them


def _label(plugin: Any) -> str:
    if inspect.ismodule(plugin):
        return plugin.__name__
    kind = plugin if isinstance(plugin, type) else type(plugin)
    return f"{kind.__module__}.{kind.__qualname__}"


def _resolved(plugin: Plugin) -> Plugin:
    try:
        for backend in plugin.backends:
            load_classes(backend)
    except Rejected as error:
        return attrs.evolve(plugin, status=Status.BROKEN, detail=error.detail)
    return plugin


registry: Final = Registry()
"""The one of this process."""

register = registry.register
unregister = registry.unregister

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=registry.renew_lock)
