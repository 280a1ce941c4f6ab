"""The Cassandra plugin of backscroll; opened by URL. What stands here is for who asks its cluster beside it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backscroll_cassandra.access import connected as connected

__all__ = ["connected"]


def __getattr__(name: str) -> Any:
    # Lazy, because it needs the driver.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from backscroll_cassandra import access

    return getattr(access, name)
