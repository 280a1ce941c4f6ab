"""The Kafka plugin of backscroll; opened by URL. What stands here is for those who reach the same cluster beside it."""

from typing import TYPE_CHECKING, Any, Final

from backscroll_kafka.fold import SHIFT
from backscroll_kafka.layout import topic_of

if TYPE_CHECKING:
    from backscroll_kafka.access import COMMON, SCAN, servers_of
    from backscroll_kafka.connections import keep
    from backscroll_kafka.refusals import is_missing, refused

__all__ = ["COMMON", "SCAN", "SHIFT", "is_missing", "keep", "refused", "servers_of", "topic_of"]

_LAZY: Final = {
    "COMMON": "access",
    "SCAN": "access",
    "is_missing": "refusals",
    "keep": "connections",
    "refused": "refusals",
    "servers_of": "access",
}
"""The modules of what may need the driver, which is imported when it is asked for."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
