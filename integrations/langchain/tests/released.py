"""LangChain's own classes, as they are released: what they write, ours read."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it announces its end
    from langchain_community.chat_message_histories import CassandraChatMessageHistory
    from langchain_community.utilities.cassandra import SetupMode

__all__ = ["CassandraChatMessageHistory", "SetupMode"]
