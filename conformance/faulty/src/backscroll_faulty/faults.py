"""Every faulty backend, by name, and the class that ``faulty://`` opens."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from backscroll.backend import URL
from backscroll.errors import InvalidOption
from backscroll.hookspecs import BackendInfo
from backscroll_faulty.fault import MADE, Fault
from backscroll_faulty.reference import Reference

for _area in (
    "ids",
    "appending",
    "repeating",
    "conditional",
    "reading",
    "expiry",
    "dropping",
    "listing",
    "failing",
    "lifecycle",
    "declaring",
    "concurrency",
    "durability",
    "cost",
    "harness",
):
    import_module(f"backscroll_faulty.{_area}")

_SLOW: Final = Fault(
    "slow_plugin",
    "Imports its driver, slowly, when its plugin's module is imported.",
    Reference,
    frozenset({"MEA-004"}),
    scheme="slowly",
)

FAULTS: Final[Mapping[str, Fault]] = MappingProxyType({**MADE, _SLOW.name: _SLOW})
"""Every fault by its name."""


class Faulty(Reference):
    """The backend with the fault that the URL names."""

    def __new__(cls, declared: BackendInfo, url: URL, options: Any) -> Any:
        if options.fault not in FAULTS:
            raise InvalidOption(f"faulty: option fault: there are {', '.join(FAULTS)}")
        return FAULTS[options.fault].make(declared, url, options)
