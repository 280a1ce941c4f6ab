"""In the SDK's own runner a session does what the SDK's own sessions do, with any agent."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from agents import Agent, Runner, SQLiteSession
from agents.memory import OpenAIResponsesCompactionSession, Session
from fake_model import FakeModel, said
from scenarios import QUIET, SCENARIOS, run

import backscroll
from backscroll import Message, Store
from backscroll_openai_agents import BackscrollSession

PROGRAM = Path(__file__).with_name("talk.py")


def test_it_is_what_the_sdk_asks_for(session: BackscrollSession) -> None:
    """By the SDK's own protocol."""
    assert isinstance(session, Session)


@pytest.mark.parametrize("streamed", [False, True], ids=["at once", "streamed"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_a_run_leaves_what_it_leaves_in_the_sdks_own_session(
    session: BackscrollSession, scenario: Any, streamed: bool
) -> None:
    """And its model is asked the same, item by item."""
    own = SQLiteSession("s")
    try:
        expected = await scenario(own, streamed), await own.get_items()
        assert expected[1]
    finally:
        own.close()
    assert (await scenario(session, streamed), await session.get_items()) == expected


async def test_two_turns_remember_each_other(session: BackscrollSession) -> None:
    """The model sees the first one's question and answer before the second question."""
    model = FakeModel([said("Hi Bob!")], [said("Bob.")])
    agent = Agent(name="host", model=model)
    await run(agent, "I am Bob.", session, streamed=False)
    await run(agent, "Who am I?", session, streamed=False)
    [question, answer, again] = model.asked[1]
    assert (question, answer["content"][0]["text"], again) == (
        {"role": "user", "content": "I am Bob."},
        "Hi Bob!",
        {"role": "user", "content": "Who am I?"},
    )


def test_the_sync_runner_works_too(session: BackscrollSession) -> None:
    """It leaves its loop open, so that it is given one of the test's own."""
    model = FakeModel([said("Hi!")])
    agent = Agent(name="host", model=model)
    with asyncio.Runner() as own:
        asyncio.set_event_loop(own.get_loop())
        for text in ("a", "b"):
            Runner.run_sync(agent, text, session=session, run_config=QUIET)
        asyncio.set_event_loop(None)
    assert len(model.asked[1]) == 3


def test_another_process_goes_on(tmp_path: Path) -> None:
    """With the same session, by its id and the database alone."""
    asked = []
    for text in ("I am Bob.", "Who am I?"):
        done = subprocess.run(
            [sys.executable, PROGRAM, f"sqlite:///{tmp_path}/chat.db", "bob", text],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.stderr == ""
        asked.append(json.loads(done.stdout))
    assert [item["content"] for item in asked[1] if item["role"] == "user"] == ["I am Bob.", "Who am I?"]
    with backscroll.open(f"sqlite:///{tmp_path}/chat.db") as store:
        assert [message.role for message in store.history("bob").messages] == ["user", "assistant"] * 2


async def test_a_run_goes_on_with_what_others_wrote(store: Store, session: BackscrollSession) -> None:
    """In the chat format, calls of functions included."""
    call = {"id": "c", "type": "function", "function": {"name": "time", "arguments": "{}"}}
    store.append("s", [Message("user", "Time?"), Message("assistant", "Let me see.", tool_calls=[call])])
    store.append("s", [Message("tool", "14:02", tool_call_id="c")])
    model = FakeModel([said("Two.")])
    await run(Agent(name="host", model=model), "Well?", session, streamed=False)
    assert model.asked == [
        [
            {"role": "user", "content": "Time?"},
            {"role": "assistant", "content": "Let me see."},
            {"type": "function_call", "call_id": "c", "name": "time", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "14:02"},
            {"role": "user", "content": "Well?"},
        ]
    ]


async def test_the_sdk_can_compact_it(session: BackscrollSession) -> None:
    """By its own session around another one, which replaces what is there by what a server made of it."""
    made = {"type": "compaction", "id": "cmp_1", "encrypted_content": "…"}

    async def compact(**_: Any) -> Any:
        return SimpleNamespace(output=[made], usage=None)

    client: Any = SimpleNamespace(responses=SimpleNamespace(compact=compact))
    compacting = OpenAIResponsesCompactionSession("s", session, client=client)
    await run(Agent(name="host", model=FakeModel([said("Hi!")])), "Hello.", compacting, streamed=False)
    assert len(await session.get_items()) == 2
    await compacting.run_compaction({"force": True, "response_id": "resp_1"})
    assert await session.get_items() == [made]


async def test_a_run_whose_items_cannot_be_stored_says_so(session: BackscrollSession) -> None:
    """Before the model is asked for what would be lost."""
    model = FakeModel([said("Hi!")])
    with pytest.raises(backscroll.InvalidMessage):
        await run(Agent(name="host", model=model), "\ud800", session, streamed=False)
    assert await session.get_items() == []
