"""A program that says something in a session and prints what its model was asked: URL, session and text."""

import asyncio
import json
import sys

from agents import Agent, set_tracing_disabled
from fake_model import FakeModel, said
from scenarios import run

import backscroll
from backscroll_openai_agents import BackscrollSession


async def main(url: str, session_id: str, text: str) -> None:
    """One turn."""
    model = FakeModel([said("I see.")])
    async with backscroll.open(url) as store:
        await run(Agent(name="host", model=model), text, BackscrollSession(session_id, store), streamed=False)
    sys.stdout.write(json.dumps(model.asked[0]))


set_tracing_disabled(disabled=True)
asyncio.run(main(*sys.argv[1:]))
