"""A chain of LangChain that remembers its conversations, in any database.

    pip install backscroll-langchain
    python examples/langchain_chat.py                    # kept in memory
    python examples/langchain_chat.py sqlite:///chat.db

The model is a stand-in, so that it runs anywhere: put a chat model of LangChain in place of `MODEL`.
"""

import sys
from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableLambda

import backscroll
from backscroll_langchain import ChatMessageHistory

REMEMBERED = 20
"""How many messages the model is given."""


def answer(prompt: Sequence[BaseMessage]) -> AIMessage:
    """What a model says to a prompt."""
    known = [message.content for message in prompt if message.type == "human"]
    return AIMessage(f"That makes {len(known)}: {', '.join(map(str, known))}.")


MODEL = RunnableLambda(lambda prompt: answer(prompt.to_messages()))
PROMPT = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{question}")])
CHAIN = PROMPT | MODEL


def ask(store: backscroll.Store, session_id: str, question: str) -> str:
    """Ask in a conversation; the question and its answer are kept as one turn."""
    history = ChatMessageHistory(store, session_id, window=REMEMBERED)
    said = CHAIN.invoke({"history": history.messages, "question": question})
    history.add_messages([HumanMessage(question), said])
    return str(said.content)


def main() -> None:
    """Talk with two people at once."""
    with backscroll.open(sys.argv[1] if len(sys.argv) > 1 else "sqlite://") as store:
        for name, question in (("alice", "tea"), ("bob", "coffee"), ("alice", "cake")):
            print(f"{name}: {question} -> {ask(store, name, question)}")


if __name__ == "__main__":
    main()
