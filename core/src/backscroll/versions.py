"""Which releases of a plugin and of its drivers are installed."""

import re
from typing import Final

from backscroll.discovery import Plugin
from backscroll.hookspecs import PROJECT
from backscroll.registry import registry

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NO_DRIVERS: Final = frozenset({PROJECT, "pluggy", "attrs"})


def plugin_of(backend: str) -> Plugin | None:
    """The plugin that provides a backend; None where none does any more."""
    return next((one for one in registry.plugins() if backend in {each.name for each in one.backends}), None)


def version_of(distribution: str) -> str:
    """The version of a distribution; empty where it is not installed."""
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def drivers_of(distribution: str) -> dict[str, str]:
    """What a plugin's distribution needs for itself and is installed, each with its version.

    An optional requirement says nothing about what is used, so it is left out; what ships with Python, too.
    """
    from importlib import metadata

    if distribution == PROJECT or not version_of(distribution):
        return {}
    asked = [line for line in metadata.requires(distribution) or () if not re.search(r";.*\bextra\b", line)]
    names = {match[0].lower() for line in asked if (match := _NAME.match(line))} - _NO_DRIVERS
    return {name: version for name in sorted(names) if (version := version_of(name))}
