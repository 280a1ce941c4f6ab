"""LangChain's chat history on any database that backscroll knows."""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from backscroll_langchain.cassandra import CassandraChatMessageHistory as CassandraChatMessageHistory
    from backscroll_langchain.cassandra import SetupMode as SetupMode
    from backscroll_langchain.history import ChatMessageHistory
    from backscroll_langchain.kafka import KafkaChatMessageHistory as KafkaChatMessageHistory
    from backscroll_langchain.memorystore import MemorystoreChatMessageHistory as MemorystoreChatMessageHistory
    from backscroll_langchain.messages import from_langchain, to_langchain
    from backscroll_langchain.redis import RedisChatMessageHistory as RedisChatMessageHistory
    from backscroll_langchain.tidb import TiDBChatMessageHistory as TiDBChatMessageHistory

__all__ = ["ChatMessageHistory", "from_langchain", "to_langchain"]

_LAZY: Final[dict[str, tuple[str, str]]] = {
    "ChatMessageHistory": ("history", ""),
    "from_langchain": ("messages", ""),
    "to_langchain": ("messages", ""),
    "CassandraChatMessageHistory": ("cassandra", "cassandra"),
    "SetupMode": ("cassandra", "cassandra"),
    "KafkaChatMessageHistory": ("kafka", "kafka"),
    "MemorystoreChatMessageHistory": ("memorystore", "redis"),
    "RedisChatMessageHistory": ("redis", "redis"),
    "TiDBChatMessageHistory": ("tidb", "tidb"),
}
"""The module of each name, imported when it is asked for, and the extra that brings along what it needs.

Each program with a store imports `plugin`, and LangChain takes a second."""


def __getattr__(name: str) -> Any:
    """A class or function, with its driver.

    Raises:
        AttributeError: There is none of this name.
        ImportError: What it needs is not installed; says what to install.
    """
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, extra = _LAZY[name]
    try:
        found = getattr(import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        if not extra:
            raise
        raise ImportError(f'{name} needs {error.name}: pip install "backscroll-langchain[{extra}]"') from error
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
