"""An agent of the OpenAI Agents SDK that remembers its conversations, in any database.

    pip install backscroll-openai-agents
    python examples/openai_agents_chat.py                # kept in memory
    python examples/openai_agents_chat.py sqlite:///chat.db

The model is a stand-in, so that it runs without a key: leave out `model=` for one of OpenAI's.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, Model, ModelResponse, Runner, Usage, set_tracing_disabled
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

import backscroll
from backscroll_openai_agents import BackscrollSession

ANSWER = "That makes {count}: {known}."


class StandIn(Model):
    """Says what it was told so far."""

    async def get_response(self, system_instructions: Any, input: Any, *args: Any, **kwargs: Any) -> ModelResponse:
        """What a model says to a conversation."""
        items = [{"role": "user", "content": input}] if isinstance(input, str) else input
        known = [str(item["content"]) for item in items if item.get("role") == "user"]
        text = ANSWER.format(count=len(known), known=", ".join(known))
        part = ResponseOutputText(type="output_text", text=text, annotations=[])
        said = ResponseOutputMessage(id="said", type="message", role="assistant", status="completed", content=[part])
        return ModelResponse(output=[said], usage=Usage(), response_id=None)

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """Nothing: this example does not stream."""
        raise NotImplementedError
        yield


async def main() -> None:
    """Talk with two people at once."""
    set_tracing_disabled(True)
    agent = Agent(name="Assistant", model=StandIn())
    async with backscroll.open(sys.argv[1] if len(sys.argv) > 1 else "sqlite://") as store:
        for name, question in (("alice", "tea"), ("bob", "coffee"), ("alice", "cake")):
            result = await Runner.run(agent, question, session=BackscrollSession(name, store))
            print(f"{name}: {question} -> {result.final_output}")


if __name__ == "__main__":
    asyncio.run(main())
