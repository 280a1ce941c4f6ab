"""LangChain's own classes, as they are released: by them is written what ours have to read."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that they are deprecated is why ours are here
    from langchain_community.chat_message_histories import (
        CassandraChatMessageHistory,
        KafkaChatMessageHistory,
        RedisChatMessageHistory,
        TiDBChatMessageHistory,
    )
    from langchain_community.chat_message_histories.sql import SQLChatMessageHistory
    from langchain_community.utilities.cassandra import SetupMode
    from langchain_google_memorystore_redis import MemorystoreChatMessageHistory

__all__ = [
    "CassandraChatMessageHistory",
    "KafkaChatMessageHistory",
    "MemorystoreChatMessageHistory",
    "RedisChatMessageHistory",
    "SQLChatMessageHistory",
    "SetupMode",
    "TiDBChatMessageHistory",
]
