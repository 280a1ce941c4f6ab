"""The Kafka plugin of backscroll; opened by URL. What stands here is for those who reach the same cluster beside it."""

from typing import TYPE_CHECKING, Any, Final

from backscroll_kafka.layout import topic_of

if TYPE_CHECKING:
    from backscroll_kafka.access import COMMON
    from backscroll_kafka.connections import keep
    from backscroll_kafka.refusals import refused

__all__ = ["COMMON", "keep", "refused", "topic_of"]

_LAZY: Final = {"COMMON": "access", "keep": "connections", "refused": "refusals"}
"""The modules of what may need the driver, which is imported when it is asked for."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
