"""A chat over HTTP whose answers come as server-sent events, with its history in any database.

    pip install backscroll fastapi uvicorn
    CHAT_URL=sqlite:///chat.db uvicorn --app-dir examples fastapi_chat:app
    curl -N -X POST localhost:8000/chats/alice -H 'Idempotency-Key: 1' --json '{"text": "hi!"}'
    curl localhost:8000/chats/alice

The model is a stand-in, so that it runs anywhere: put yours in place of `answer`.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

import backscroll

REMEMBERED = 20
"""How many messages the model is given."""

STORE = backscroll.open("env:CHAT_URL")
"""One for the whole process; it connects at its first use."""


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Close the store when the server ends."""
    async with STORE:
        yield


app = FastAPI(lifespan=lifespan)


class Question(BaseModel):
    """What somebody says."""

    text: str


async def answer(messages: Sequence[backscroll.Message]) -> AsyncIterator[str]:
    """What a model says to the end of a conversation, piece by piece."""
    for word in f"You said {messages[-1].content!r}, and I know {len(messages) - 1} messages before it.".split(" "):
        yield f"{word} "


@app.get("/chats/{session_id}")
async def read(session_id: str) -> list[dict[str, Any]]:
    """The end of a conversation."""
    return [message.to_openai() for message in await STORE.history(session_id).alast(REMEMBERED)]


@app.post("/chats/{session_id}")
async def ask(
    session_id: str, question: Question, idempotency_key: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """Answer, and keep the question with its answer; with the same Idempotency-Key they are kept once."""
    asked = backscroll.Message("user", question.text)
    try:
        known = await STORE.history(session_id).alast(REMEMBERED)
    except backscroll.Unavailable as error:
        raise HTTPException(503, str(error)) from None

    async def events() -> AsyncIterator[str]:
        pieces = []
        async for piece in answer([*known, asked]):
            pieces.append(piece)
            yield f"data: {json.dumps(piece)}\n\n"
        said = backscroll.Message("assistant", "".join(pieces).rstrip())
        try:
            stored = await STORE.aappend(session_id, [asked, said], turn_id=idempotency_key)
            yield f"event: stored\ndata: {json.dumps({'seqs': stored.seqs, 'duplicate': stored.duplicate})}\n\n"
        except backscroll.TurnIdReused:  # an earlier request with this key is kept, and what was said then
            yield "event: known\ndata: null\n\n"
        except backscroll.BackscrollError as error:
            yield f"event: failed\ndata: {json.dumps(str(error))}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")
