"""Chat history that never loses, doubles or reorders a message, in the database your team already runs.

Example:
    >>> import backscroll
    >>> with backscroll.open("sqlite://") as store:
    ...     store.append("chat-1", [{"role": "user", "content": "hi!"}])
    ...     [record.message for record in store.last("chat-1", 20)]
    Appended(version=1, ...)
    [Message('user', 'hi!')]
"""

from backscroll.errors import (
    BackscrollError,
    Closed,
    DeadlineExceeded,
    InvalidArgument,
    InvalidMessage,
    InvalidOption,
    InvalidURL,
    MessageTooLarge,
    OutcomeUnknown,
    PluginError,
    SchemaError,
    StorageError,
    TurnIdReused,
    Unavailable,
    UnreadableMessage,
    Unsupported,
    VersionConflict,
    WindowExceeded,
)
from backscroll.history import History
from backscroll.message import Message
from backscroll.opening import open
from backscroll.registry import register, unregister
from backscroll.store import Store
from backscroll.values import Appended, Health, Record, SessionInfo, SessionPage, Unreadable

__all__ = [
    "Appended",
    "BackscrollError",
    "Closed",
    "DeadlineExceeded",
    "Health",
    "History",
    "InvalidArgument",
    "InvalidMessage",
    "InvalidOption",
    "InvalidURL",
    "Message",
    "MessageTooLarge",
    "OutcomeUnknown",
    "PluginError",
    "Record",
    "SchemaError",
    "SessionInfo",
    "SessionPage",
    "StorageError",
    "Store",
    "TurnIdReused",
    "Unavailable",
    "Unreadable",
    "UnreadableMessage",
    "Unsupported",
    "VersionConflict",
    "WindowExceeded",
    "open",
    "register",
    "unregister",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version

        return version("backscroll")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
