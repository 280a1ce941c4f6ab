"""The conformance suite of backscroll: what every backend has to pass.

Example:
    .. code-block:: python

        from backscroll_conformance import BackendConformance


        class TestMyStore(BackendConformance):
            backend = "mystore"
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backscroll_conformance.outcomes import Gap
    from backscroll_conformance.suite import BackendConformance

__all__ = ["BackendConformance", "Gap"]


def __getattr__(name: str) -> Any:
    # Lazy, because pytest imports this package in every run where it is installed, before coverage is measured.
    from importlib import import_module

    places = {"BackendConformance": "suite", "Gap": "outcomes"}
    if name in places:
        return getattr(import_module(f"backscroll_conformance.{places[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
