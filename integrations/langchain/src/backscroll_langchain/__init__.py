"""LangChain's chat history on any database that backscroll knows."""

from backscroll_langchain.history import ChatMessageHistory
from backscroll_langchain.messages import from_langchain, to_langchain

__all__ = ["ChatMessageHistory", "from_langchain", "to_langchain"]
