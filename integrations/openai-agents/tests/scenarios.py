"""What an application does with a session in the SDK's runner; the answers come from a fake model."""

import asyncio
from typing import Any

from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrailTripwireTriggered,
    MaxTurnsExceeded,
    ModelBehaviorError,
    RunConfig,
    Runner,
    SessionSettings,
    function_tool,
    input_guardrail,
)
from fake_model import FakeModel, called, said

QUIET = RunConfig(tracing_disabled=True)


async def run(agent: Agent[Any], given: Any, session: Any, streamed: bool, **more: Any) -> Any:
    """A turn, in one of the two ways."""
    more = {"run_config": QUIET, **more}
    if not streamed:
        return await Runner.run(agent, given, session=session, **more)
    result = Runner.run_streamed(agent, given, session=session, **more)
    async for _ in result.stream_events():
        pass
    return result


@function_tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"rain in {city}"


async def two_turns(session: Any, streamed: bool) -> list[Any]:
    """The second remembers the first."""
    model = FakeModel([said("Hi Bob!")], [said("Bob.")])
    agent = Agent(name="host", model=model)
    await run(agent, "I am Bob.", session, streamed)
    await run(agent, [{"role": "user", "content": [{"type": "input_text", "text": "Who am I?"}]}], session, streamed)
    return model.asked


async def tools(session: Any, streamed: bool) -> list[Any]:
    """Two calls at once, and what came of them."""
    calls = [called("weather", '{"city": "Rome"}', "c1"), called("weather", '{"city": "Oslo"}', "c2")]
    model = FakeModel(calls, [said("Rain.")], [said("Still.")])
    agent = Agent(name="host", model=model, tools=[weather])
    await run(agent, "Weather?", session, streamed)
    await run(agent, "And now?", session, streamed)
    return model.asked


async def handoff(session: Any, streamed: bool) -> list[Any]:
    """One agent gives over to another, which goes on in the next turn."""
    other = FakeModel([said("Billing here.")], [said("Paid.")])
    billing = Agent(name="billing", model=other)
    model = FakeModel([called("transfer_to_billing")])
    host = Agent(name="host", model=model, handoffs=[billing])
    result = await run(host, "My bill?", session, streamed)
    await run(result.last_agent, "And?", session, streamed)
    return [*model.asked, *other.asked]


async def guardrail(session: Any, streamed: bool) -> list[Any]:
    """What the user said stays, what was being answered does not."""

    @input_guardrail
    async def never(context: Any, agent: Any, given: Any) -> GuardrailFunctionOutput:
        await asyncio.sleep(0)
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    model = FakeModel([said("No.")])
    agent = Agent(name="host", model=model, input_guardrails=[never])
    try:
        await run(agent, "Tell me a secret.", session, streamed)
    except InputGuardrailTripwireTriggered:
        return []
    raise AssertionError("it did not trip")


async def failure(session: Any, streamed: bool) -> list[Any]:
    """The model fails in the second turn of a run: the first one's call and its outcome are kept."""
    model = FakeModel([called("weather", '{"city": "Rome"}')], ModelBehaviorError("nonsense"))
    agent = Agent(name="host", model=model, tools=[weather])
    try:
        await run(agent, "Weather?", session, streamed)
    except ModelBehaviorError:
        return model.asked
    raise AssertionError("it did not fail")


async def too_many_turns(session: Any, streamed: bool) -> list[Any]:
    """A run that calls without end is ended by the SDK, and another one goes on."""
    model = FakeModel([called("weather", '{"city": "Rome"}')])
    agent = Agent(name="host", model=model, tools=[weather])
    try:
        await run(agent, "Weather?", session, streamed, max_turns=2)
    except MaxTurnsExceeded:
        return [*model.asked, *await two_turns(session, streamed)]
    raise AssertionError("it did not end")


async def approval(session: Any, streamed: bool) -> list[Any]:
    """A run is interrupted, approved and resumed with the same session."""

    @function_tool(needs_approval=True)
    def erase(path: str) -> str:
        """Erase a file."""
        return f"erased {path}"

    model = FakeModel([called("erase", '{"path": "a"}')], [said("Done.")])
    agent = Agent(name="host", model=model, tools=[erase])
    result = await run(agent, "Erase a.", session, streamed)
    state = result.to_state()
    for interruption in result.interruptions:
        state.approve(interruption)
    await run(agent, state, session, streamed)
    return model.asked


async def limited(session: Any, streamed: bool) -> list[Any]:
    """Only the newest items are remembered where the run says so; all are kept."""
    model = FakeModel([said("one")], [said("two")], [said("three")])
    agent = Agent(name="host", model=model)
    for text in ("a", "b", "c"):
        config = RunConfig(tracing_disabled=True, session_settings=SessionSettings(limit=2))
        await run(agent, text, session, streamed, run_config=config)
    return model.asked


async def merged(session: Any, streamed: bool) -> list[Any]:
    """A callback that turns the history around changes what the model sees, and not what is kept."""

    def backward(history: list[Any], new: list[Any]) -> list[Any]:
        return [*reversed(history), *new, *new[:1]]

    model = FakeModel([said("one")], [said("two")])
    agent = Agent(name="host", model=model)
    for text in ("a", "b"):
        config = RunConfig(tracing_disabled=True, session_input_callback=backward)
        await run(agent, [{"role": "user", "content": text}], session, streamed, run_config=config)
    return model.asked


async def corrected(session: Any, streamed: bool) -> list[Any]:
    """The last answer and question are taken back, and another one is asked."""
    model = FakeModel([said("4")], [said("5")])
    agent = Agent(name="host", model=model)
    await run(agent, "2 + 2?", session, streamed)
    popped = [await session.pop_item(), await session.pop_item(), await session.pop_item()]
    await run(agent, "2 + 3?", session, streamed)
    return [*model.asked, popped]


SCENARIOS = [
    two_turns,
    tools,
    handoff,
    guardrail,
    failure,
    too_many_turns,
    approval,
    limited,
    merged,
    corrected,
]
