"""The same on the real servers; one story each, so that each server is started once."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from agents import Agent, Runner, SQLiteSession
from agents.memory import SessionSettings
from fake_model import FakeModel, said
from scenarios import QUIET, SCENARIOS

import backscroll
from backscroll.errors import InvalidMessage
from backscroll_conformance.containers import Server
from backscroll_conformance.servers import running, spec_of
from backscroll_openai_agents import BackscrollSession

ITEMS: list[Any] = [
    {"role": "user", "content": "hi! \U0001f600"},
    {"role": "user", "content": [{"type": "input_text", "text": "ä"}, {"type": "input_image", "image_url": "data:,"}]},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x" * 5_000},
    {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"},
    {"type": "function_call_output", "call_id": "c", "output": ""},
    {"type": "hologram", "depths": [1, 1.5, True, None, {"": 2**60}]},
    {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "status": "completed"},
]


@pytest.fixture(params=["redis", "tidb", "cassandra", "kafka"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of each kind."""
    with running(spec_of(request.param)) as server:
        yield server


def test_a_server_keeps_what_the_sdk_expects(server: Server) -> None:
    """Items, limits, batches, pops by several at once, runs, and another store and loop that go on."""
    asyncio.run(_keeps_everything(server.url))
    asked = _talk(server.url, "Who am I?", "Really?")
    assert [item["content"] for item in asked if item["role"] == "user"] == ["I am Bob.", "Who am I?", "Really?"]


async def _keeps_everything(url: str) -> None:
    async with backscroll.open(url) as store:
        await _keeps_items(BackscrollSession("items", store))
        await _gives_each_pop_another_item([BackscrollSession("pops", store) for _ in range(8)])
        for scenario in SCENARIOS:
            await _runs_as_the_sdks_own(BackscrollSession(scenario.__name__, store), scenario)
        agent = Agent(name="host", model=FakeModel([said("Hi Bob!")]))
        await Runner.run(agent, "I am Bob.", session=BackscrollSession("bob", store), run_config=QUIET)


async def _keeps_items(session: BackscrollSession) -> None:
    items = ITEMS
    await session.clear_session()
    await session.add_items(items[:3])
    await session.add_items(items[3:])
    assert await session.get_items() == items
    assert await session.get_items(limit=4) == items[-4:]
    session.session_settings = SessionSettings(limit=2)
    assert await session.get_items() == items[-2:]
    session.session_settings = None
    with pytest.raises(InvalidMessage, match=r"items\[1\]\.content"):
        await session.add_items([items[0], {"role": "user", "content": b"hi!"}])  # type: ignore[typeddict-item]
    assert await session.pop_item() == items[-1]
    assert await session.get_items() == items[:-1]
    await session.clear_session()
    assert (await session.get_items(), await session.pop_item()) == ([], None)
    await session.add_items(items[:1])
    assert await session.get_items() == items[:1]


async def _gives_each_pop_another_item(sessions: list[BackscrollSession]) -> None:
    items: list[Any] = [{"type": "hologram", "number": number} for number in range(6)]
    await sessions[0].add_items(items)
    popped: list[Any] = await asyncio.gather(*(session.pop_item() for session in sessions))
    assert popped.count(None) == 2
    assert sorted((item for item in popped if item), key=str) == items


async def _runs_as_the_sdks_own(session: BackscrollSession, scenario: Any) -> None:
    own = SQLiteSession("s")
    try:
        expected = await scenario(own, True), await own.get_items()
    finally:
        own.close()
    assert (await scenario(session, True), await session.get_items()) == expected


def _talk(url: str, *texts: str) -> list[Any]:
    """Say something by the sync runner, which goes on with its loop; what the model was asked at last."""
    model, store = FakeModel([said("I see.")]), backscroll.open(url)
    agent = Agent(name="host", model=model)
    with asyncio.Runner() as own:
        asyncio.set_event_loop(own.get_loop())
        for text in texts:
            Runner.run_sync(agent, text, session=BackscrollSession("bob", store), run_config=QUIET)
        own.run(store.aclose())
        asyncio.set_event_loop(None)
    return model.asked[-1]
