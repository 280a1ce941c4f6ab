"""The rules that a plugin must keep to be used; what breaks one is `Rejected`, and no other plugin suffers."""

import importlib
import inspect
from collections.abc import Collection, Iterable
from itertools import chain
from typing import Any, Final, TypeVar

from pluggy import HookImpl, PluginManager, PluginValidationError

from backscroll.backend import Backend
from backscroll.discovery import OBSERVER, Status, families
from backscroll.hookspecs import API, PROJECT, BackendInfo, Hooks
from backscroll.options import BackendOptions

T = TypeVar("T")

# One that calls sys.exit() while it is imported is as broken as one that raises.
_FAILURE: Final = (Exception, SystemExit)

_HOOKS: Final = tuple(name for name in vars(Hooks) if name.startswith(PROJECT))


class Rejected(Exception):
    """A plugin cannot be used; never leaves the registry.

    Attributes:
        status: In which way.
        detail: As in `Plugin`.
    """

    def __init__(self, status: Status, detail: str) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail


def _invalid(detail: str) -> Rejected:
    return Rejected(Status.INVALID, detail)


def nearest(word: str, known: Iterable[str]) -> str:
    """``did you mean …? `` with the nearest of the known words; empty where none is near."""
    import difflib

    near = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    return f"did you mean {near[0]}? " if near else ""


def load_module(path: str) -> Any:
    """Import a module of a plugin.

    Raises:
        Rejected: It failed; says whether the plugin itself or something that it needs is missing.
    """
    try:
        return importlib.import_module(path)
    except _FAILURE as error:
        raise Rejected(Status.BROKEN, _import_failure(path, error)) from error


def load_classes(backend: BackendInfo) -> tuple[type[Backend], type[BackendOptions]]:
    """Import the two classes of a backend, and with them its driver.

    Raises:
        Rejected: A module failed to import, or a class does not exist, is of another kind, or is abstract.
    """
    factory = _load_class(backend.factory, Backend)  # type: ignore[type-abstract]  # its subclass is not
    return factory, _load_class(backend.options, BackendOptions)


def _load_class(path: str, kind: type[T]) -> type[T]:
    module, _, name = path.partition(":")
    found = getattr(load_module(module), name, None)
    if found is None:
        raise Rejected(Status.BROKEN, f"names {path}, but {module} has no {name}")
    if not isinstance(found, type) or not issubclass(found, kind):
        raise Rejected(Status.BROKEN, f"names {path}, which is no subclass of {kind.__module__}.{kind.__name__}")
    if issubclass(found, BackendOptions) and "__attrs_attrs__" not in vars(found):
        raise Rejected(Status.BROKEN, f"names {path}, which is no attrs class: put @attrs.frozen(kw_only=True) on it")
    if missing := getattr(found, "__abstractmethods__", None):
        raise Rejected(Status.BROKEN, f"names {path}, which lacks {', '.join(sorted(missing))}")
    return found


def _import_failure(path: str, error: BaseException) -> str:
    needed = (error.name if isinstance(error, ModuleNotFoundError) else None) or path
    top = needed.partition(".")[0]
    if top == path.partition(".")[0]:
        return f"is installed, but importing {path} failed: {_one_line(error)}"
    return f"is installed, but its dependency {needed} failed to import: install it (perhaps: pip install {top})"


def _one_line(error: BaseException) -> str:
    import traceback

    # Survives an exception whose __str__ raises.
    return " ".join(traceback.format_exception_only(error)[-1].split())


def admit(manager: PluginManager, plugin: Any, name: str) -> None:
    """Register a plugin with pluggy, and check what pluggy lets pass.

    Raises:
        Rejected: It implements no hook, one that does not exist, or one in the wrong way.
    """
    if manager.is_registered(plugin):
        raise _invalid("is registered already, or equals a plugin that is")
    found = {attribute: manager.parse_hookimpl_opts(plugin, attribute) for attribute in dir(plugin)}
    if not any(found.values()):
        raise _invalid(f"implements no hook: mark its functions with {PROJECT}.hookspecs.hookimpl")
    for attribute, options in found.items():
        if options:
            _check_hook(getattr(plugin, attribute), options.get("specname") or attribute, options)
    try:
        manager.register(plugin, name)
    except PluginValidationError as error:
        # pluggy before 1.7 has registered a part of it by now.
        manager.unregister(name=name)
        raise _invalid(f"does not fit a hook: {' '.join(str(error).split())}") from error


def _check_hook(function: Any, hook: str, options: Any) -> None:
    if hook not in _HOOKS and not options.get("optionalhook"):
        hint = nearest(hook, _HOOKS) or f"there are {', '.join(_HOOKS)}"
        raise _invalid(f"implements {hook}, which is no hook: {hint.strip()}")
    # Both would be called and do nothing, because every plugin is called by itself and nothing is awaited.
    if options.get("wrapper") or options.get("hookwrapper") or inspect.iscoroutinefunction(function):
        raise _invalid(f"implements {hook} as a wrapper or a coroutine: make it a plain function")


def ask(implementation: HookImpl, hook: str, kind: type[T]) -> tuple[T, ...]:
    """Call one plugin's implementation of a hook that gives objects.

    Raises:
        Rejected: It raised, or gave something else.
    """
    try:
        given = implementation.function()
        items = tuple(given) if isinstance(given, Iterable) else (given,)
    except _FAILURE as error:
        raise Rejected(Status.BROKEN, f"raised in {hook}: {_one_line(error)}") from error
    if wrong := {type(item).__name__ for item in items if not isinstance(item, kind)}:
        raise _invalid(f"gives {', '.join(sorted(wrong))} in {hook}: give {kind.__name__} objects")
    return items


def check_backends(backends: Collection[BackendInfo]) -> None:
    """Check what one plugin says of its backends.

    Raises:
        Rejected: Made for another version of the interface, or a name is wrong or used twice.
    """
    for backend in backends:
        _check_api(backend.api)
        _check_names(backend)
    for names in ([b.name for b in backends], list(chain.from_iterable(b.schemes for b in backends))):
        if twice := {name for name in names if names.count(name) > 1}:
            raise _invalid(f"declares {', '.join(sorted(twice))} twice: give each backend its own")


def _check_api(api: Any) -> None:
    match api:
        case (int(major), int(minor)):
            made_for = (major, minor)
        case _:
            raise _invalid(f"gives no version as api: give (major, minor), now {API}")
    if made_for[0] != API[0] or made_for > API:
        step = f"pip install --upgrade {PROJECT}" if made_for > API else "look for a newer release of the plugin"
        versions = f"was made for plugin API {major}.{minor}, and this is {API[0]}.{API[1]}"
        raise Rejected(Status.INCOMPATIBLE, f"{versions}: {step}")


def _check_names(backend: Any) -> None:
    names = (backend.name, *backend.schemes) if isinstance(backend.schemes, tuple) else ()
    if not names or not all(isinstance(name, str) and name.islower() for name in names):
        raise _invalid(f"declares {backend.name} wrongly: give name and schemes in lower case, schemes as a tuple")
    # By this rule and that of `check_entries`, two plugins that provide the same have entry points of the
    # same name, so that a conflict is seen before either is imported.
    if backend.name not in families([backend]):
        raise _invalid(f"has a backend {backend.name}: name it after one of its schemes")
    if not all(isinstance(path, str) and ":" in path for path in (backend.factory, backend.options)):
        raise _invalid(f"declares {backend.name} wrongly: give factory and options as 'package.module:Class'")


def check_entries(names: Iterable[str], backends: Iterable[BackendInfo]) -> None:
    """Check that a module has just the entry points by which its schemes are found.

    Raises:
        Rejected: A scheme without an entry point, or the reverse.
    """
    schemes, entries = families(backends), {name for name in names if not name.startswith(OBSERVER)}
    if unserved := entries - schemes:
        serves = f"serves {', '.join(sorted(schemes)) or 'no scheme'}"
        raise _invalid(f"{serves}, but has an entry point {', '.join(sorted(unserved))}: rename it")
    if hidden := schemes - entries:
        raise _invalid(f"serves {', '.join(sorted(hidden))} without an entry point of that name: add it")
