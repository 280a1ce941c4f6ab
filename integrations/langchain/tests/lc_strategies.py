"""Every kind of message that LangChain has, with whatever it can hold."""

from typing import Any

from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
maybe_text = st.none() | text
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(text, json_values, max_size=3)

parts = st.lists(
    text
    | st.builds(lambda given: {"type": "text", "text": given}, text)
    | st.just({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}})
    | st.just({"type": "audio", "source_type": "base64", "data": "AAAA", "mime_type": "audio/wav"}),
    max_size=3,
)
common: dict[str, Any] = {
    "content": text | parts,
    "id": maybe_text,
    "name": maybe_text,
    "additional_kwargs": objects,
    "response_metadata": objects,
}
call = st.fixed_dictionaries({"name": text, "args": objects, "id": maybe_text, "type": st.just("tool_call")})
calls = st.lists(call, max_size=2)
invalid_calls = st.lists(
    st.fixed_dictionaries(
        {
            "name": maybe_text,
            "args": maybe_text,
            "id": maybe_text,
            "error": maybe_text,
            "type": st.just("invalid_tool_call"),
        }
    ),
    max_size=2,
)
usage = st.none() | st.builds(
    lambda given, taken: {
        "input_tokens": given,
        "output_tokens": taken,
        "total_tokens": given + taken,
        "input_token_details": {"cache_read": given},
    },
    st.integers(0, 1_000),
    st.integers(0, 1_000),
)
asked: dict[str, Any] = {"usage_metadata": usage}
answered: dict[str, Any] = {
    "tool_call_id": text,
    "artifact": json_values,
    "status": st.sampled_from(["success", "error"]),
}
chunks_of_calls = st.lists(
    st.fixed_dictionaries(
        {
            "name": maybe_text,
            "args": maybe_text,
            "id": maybe_text,
            "index": st.none() | st.integers(0, 3),
            "type": st.just("tool_call_chunk"),
        }
    ),
    max_size=2,
)


def of(cls: type[BaseMessage], **fields: Any) -> st.SearchStrategy[BaseMessage]:
    """Messages of a type."""
    return st.fixed_dictionaries(fields).map(lambda given: cls(**given))


named = {**common, "name": text}

messages: st.SearchStrategy[BaseMessage] = st.one_of(
    of(HumanMessage, **common),
    of(HumanMessageChunk, **common),
    of(SystemMessage, **common),
    of(SystemMessageChunk, **common),
    of(SystemMessage, content=text, additional_kwargs=st.just({"__openai_role__": "developer"})),
    of(AIMessage, **common, **asked, tool_calls=calls, invalid_tool_calls=invalid_calls),
    of(AIMessageChunk, **common, **asked, tool_call_chunks=chunks_of_calls),
    of(ToolMessage, **common, **answered),
    of(ToolMessageChunk, **common, **answered),
    of(ChatMessage, **common, role=text | st.sampled_from(["user", "developer", "critic"])),
    of(ChatMessageChunk, **common, role=text),
    of(FunctionMessage, **named),
    of(FunctionMessageChunk, **named),
    of(RemoveMessage, id=text),
)


class Undecided:
    """Like an array: whether it is the same as something else, it does not say."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value of an array is ambiguous")

    __hash__ = object.__hash__


odd = (
    st.sampled_from([None, 0, 7, True, "", "x", [], ["x"], [1], {}, (), ("a",), b"a", 1.5, float("nan")])
    | st.builds(Undecided)
    | st.builds(lambda: {"a": Undecided()})
    | json_values
)
"""What LangChain would refuse in most fields, or change, where it looked at it."""

odd_calls = st.lists(
    st.fixed_dictionaries({}, optional={"name": odd, "args": odd, "id": odd, "type": odd | st.just("tool_call")})
    | call
    | odd,
    max_size=2,
)
names_of_others = st.sampled_from(
    [
        "tool_calls",
        "tool_call_id",
        "role",
        "artifact",
        "status",
        "usage_metadata",
        "seq",
        "extra",
        "langchain",
        "openai",
    ]
)


@st.composite
def unchecked(draw: st.DrawFn) -> BaseMessage:
    """Messages at whose fields LangChain does not look: those it was given beside its own, and those set later."""
    message = draw(messages)
    own = type(message).model_fields
    for name in draw(st.lists(names_of_others, max_size=2)):
        if name not in own:
            setattr(message, name, draw(odd | odd_calls))
    for name in draw(st.lists(st.sampled_from(sorted(own)), max_size=2)):
        setattr(message, name, draw(odd_calls if name == "tool_calls" else odd))
    if draw(st.integers(0, 9)) == 0:
        del message.__dict__[draw(st.sampled_from(sorted(own.keys() & message.__dict__.keys())))]
    return message
