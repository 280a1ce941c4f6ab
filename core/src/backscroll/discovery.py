"""Which plugins are installed. Reading their entry points imports none of them."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

import attrs

from backscroll.hookspecs import BackendInfo

GROUP: Final = "backscroll.plugins"
"""The entry-point group of plugins."""

BLOCK: Final = "BACKSCROLL_BLOCK"
"""The environment variable with the names of entry points, separated by commas, that are not to be used."""

OBSERVER: Final = "observer."
"""How the name of an entry point starts that is loaded when the first store is opened."""

FIRST_PARTY: Final = MappingProxyType(
    {
        "sqlite": "backscroll",
        "redis": "backscroll-redis",
        "rediss": "backscroll-redis",
        "valkey": "backscroll-redis",
        "cassandra": "backscroll-cassandra",
        "astra": "backscroll-cassandra",
        "tidb": "backscroll-tidb",
        "mysql": "backscroll-tidb",
        "mariadb": "backscroll-tidb",
        "kafka": "backscroll-kafka",
    }
)
"""The distribution of each scheme of this project."""


class Status(Enum):
    """Whether a plugin can be used."""

    OK = "ok"
    MISSING = "missing"
    """a scheme of this project whose distribution is not installed"""
    BROKEN = "broken"
    """it, or something that it needs, failed to import, or a hook of it raised"""
    INVALID = "invalid"
    """it does not keep the rules for plugins"""
    INCOMPATIBLE = "incompatible"
    """made for another version of the plugin interface"""
    CONFLICT = "conflict"
    """another one provides the same, so neither is used"""
    BLOCKED = "blocked"
    """named in the environment variable `BLOCK`"""


@attrs.frozen(kw_only=True)
class Plugin:
    """One entry point, or one plugin that the application registered, and how it fares.

    Args:
        name: The name of the entry point; of the object's module or class where the application registered it.
        status: Whether it can be used.
        detail: What is wrong and what to do next, as a sentence whose subject is `origin`; empty where all is well.
        distribution: The distribution that provides it; None where the application registered it.
        version: The version of the distribution; None where there is none.
        module: The module that the entry point names; None where there is none.
        backends: The backends of the module; empty until it is loaded.
    """

    name: str
    status: Status = Status.OK
    detail: str = ""
    distribution: str | None = None
    version: str | None = None
    module: str | None = None
    backends: tuple[BackendInfo, ...] = ()

    @property
    def origin(self) -> str:
        """Who provides it: a distribution with its version, or the object's name."""
        return f"{self.distribution} {self.version}" if self.version else self.distribution or self.name

    @property
    def families(self) -> set[str]:
        """The names that it takes: that of its entry point, or those of its schemes up to a ``+``."""
        return {self.name} if self.distribution else families(self.backends)


def families(backends: Iterable[BackendInfo]) -> set[str]:
    """The schemes of backends, each up to its first ``+``."""
    return {scheme.partition("+")[0] for backend in backends for scheme in backend.schemes}


def discover() -> list[Plugin]:
    """The plugins that are installed, and those of this project that are not; nothing is imported."""
    blocked = {name.strip() for name in os.environ.get(BLOCK, "").split(",")}
    installed = sorted(_installed(), key=lambda plugin: (plugin.name, plugin.origin))
    found = [_blocked(plugin) if plugin.name in blocked else plugin for plugin in installed]
    names = {plugin.name for plugin in found}
    return found + [_missing(scheme, name) for scheme, name in FIRST_PARTY.items() if scheme not in names]


def _blocked(plugin: Plugin) -> Plugin:
    detail = f"is blocked: take {plugin.name} out of the environment variable {BLOCK} to use it"
    return attrs.evolve(plugin, status=Status.BLOCKED, detail=detail)


def _missing(scheme: str, distribution: str) -> Plugin:
    detail = f"is not installed: pip install {distribution}"
    return Plugin(name=scheme, status=Status.MISSING, detail=detail, distribution=distribution)


def _installed() -> Iterator[Plugin]:
    seen = set()
    for distribution in _distributions():
        try:
            if GROUP not in (distribution.read_text("entry_points.txt") or ""):
                continue
            name, version = str(distribution.metadata["Name"]), str(distribution.version)
        except Exception:  # noqa: BLE001, S112 - what an uninstalled one left, or the damage of a foreign one
            continue
        # The first one is the one that gets imported, as when a wheel lies behind an editable install.
        if (key := re.sub(r"[-_.]+", "-", name).lower()) not in seen:
            seen.add(key)
            yield from _entries(distribution, name, version)


def _distributions() -> Iterable[Any]:
    # Imported at first use, because `import backscroll` has to be quick.
    if sys.version_info >= (3, 12):
        from importlib import metadata
    else:
        import importlib_metadata as metadata
    return metadata.distributions()


def _entries(distribution: Any, name: str, version: str) -> list[Plugin]:
    try:
        entries = {(entry.name, entry.value) for entry in distribution.entry_points if entry.group == GROUP}
    except Exception as error:  # noqa: BLE001 - one damaged distribution hides no other
        detail = f"has an unreadable entry_points.txt ({type(error).__name__}): install it again"
        return [Plugin(name=name, status=Status.BROKEN, detail=detail, distribution=name, version=version)]
    return [Plugin(name=entry, distribution=name, version=version, module=value) for entry, value in sorted(entries)]
