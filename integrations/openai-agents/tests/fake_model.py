"""A model that says what it is told to, in both of the SDK's ways, and remembers what it was asked."""

import copy
from collections.abc import AsyncIterator
from typing import Any

from agents import Model, ModelResponse, Usage
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

Answer = list[Any] | Exception


class FakeModel(Model):
    """Gives one answer after the other; the last one again and again where there are no more.

    Args:
        answers: Each the output items of a turn, or what is raised instead.
    """

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[list[Any]] = []

    async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> ModelResponse:
        return ModelResponse(output=self._answer(input), usage=Usage(), response_id=None)

    async def stream_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> AsyncIterator[Any]:
        response = Response(
            id="resp_1",
            created_at=0,
            model="fake",
            object="response",
            output=self._answer(input),
            parallel_tool_calls=False,
            tool_choice="none",
            tools=[],
        )
        yield ResponseCompletedEvent(type="response.completed", response=response, sequence_number=0)

    def _answer(self, given: Any) -> list[Any]:
        self.asked.append(copy.deepcopy(given))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def said(text: str) -> ResponseOutputMessage:
    """What an assistant says."""
    part = ResponseOutputText(type="output_text", text=text, annotations=[], logprobs=[])
    return ResponseOutputMessage(id="msg_1", type="message", role="assistant", status="completed", content=[part])


def called(name: str, arguments: str = "{}", call_id: str = "call_1") -> ResponseFunctionToolCall:
    """A call of a function, or of a handoff."""
    return ResponseFunctionToolCall(
        id="fc_1", type="function_call", call_id=call_id, name=name, arguments=arguments, status="completed"
    )
