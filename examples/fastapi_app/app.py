"""The chat service. Observability is one line in `create_app` and the decorators in `gateway.py`.

Run it with `uvicorn examples.fastapi_app.app:app`. Environment: `OPENAI_API_KEY` and
`OPENAI_BASE_URL` (see `gateway.open_gateway`), `CHAT_DATABASE` (path of the SQLite file; default:
in memory).
"""

from __future__ import annotations

import json
import logging
import os
import uuid
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, StreamingResponse
from openai import OpenAIError
from pydantic import BaseModel, Field

from examples.gateway import LlmGateway, LlmRequest, LlmStream, open_gateway
from pantheon_obs import instrument

from .store import ConversationStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_LOGGER = logging.getLogger(__name__)

router = APIRouter()


class ChatRequest(BaseModel):
    """The body of a request to either chat endpoint."""

    message: str = Field(min_length=1)
    model_alias: str = "fast"
    conversation_id: str = Field(default_factory=lambda: uuid.uuid4().hex)


def _gateway(request: Request) -> LlmGateway:
    gateway: LlmGateway = request.state.gateway
    return gateway


def _store(request: Request) -> ConversationStore:
    store: ConversationStore = request.state.store
    return store


Gateway = Annotated[LlmGateway, Depends(_gateway)]
Store = Annotated[ConversationStore, Depends(_store)]


@router.get("/api/v1/health")
async def health() -> dict[str, str]:
    """Say that the process is up."""
    return {"status": "ok"}


@router.post("/api/v1/chat")
async def chat(body: ChatRequest, gateway: Gateway, store: Store) -> dict[str, Any]:
    """Answer in one piece and store the exchange."""
    _LOGGER.debug("question_received", extra={"characters": len(body.message)})
    response = await gateway.generate(LlmRequest(body.model_alias, body.message))
    await run_in_threadpool(store.add, body.conversation_id, body.message, response.text)
    _LOGGER.info("chat_answered", extra={"conversation_id": body.conversation_id})
    return {
        "conversation_id": body.conversation_id,
        "answer": response.text,
        "usage": response.usage and asdict(response.usage),
    }


@router.post("/api/v1/chat/stream")
async def chat_stream(body: ChatRequest, gateway: Gateway) -> StreamingResponse:
    """Answer piece by piece as server-sent events: `piece`…, then `done` or `error`."""
    stream = await gateway.stream(LlmRequest(body.model_alias, body.message))
    return StreamingResponse(_events(stream), media_type="text/event-stream")


async def _events(stream: LlmStream) -> AsyncGenerator[str, None]:
    try:
        async with aclosing(stream):
            async for piece in stream:
                yield _event("piece", {"text": piece})
        usage = await stream.usage_future
        yield _event("done", {"usage": usage and asdict(usage)})
    except OpenAIError as error:
        yield _event("error", {"error": type(error).__name__})


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


@router.get("/api/v1/conversations/{conversation_id}")
def conversation(conversation_id: str, store: Store) -> dict[str, Any]:
    """Return the messages of a conversation."""
    messages = store.messages(conversation_id)
    if not messages:
        raise HTTPException(404, "no such conversation")
    _LOGGER.info("conversation_read", extra={"conversation_id": conversation_id})
    return {"conversation_id": conversation_id, "messages": messages}


@router.get("/sentry-debug")
async def sentry_debug() -> float:
    """Fail, so that an unhandled error arrives in the log and in Sentry."""
    return 1 / 0


async def _provider_failed(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": type(error).__name__}, status_code=502)


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncGenerator[dict[str, Any], None]:
    database = os.getenv("CHAT_DATABASE") or ":memory:"
    async with open_gateway() as gateway:
        with closing(ConversationStore(database)) as store:
            _LOGGER.info("chat_started", extra={"gateway": type(gateway).__name__})
            yield {"gateway": gateway, "store": store}


def create_app() -> FastAPI:
    """Build and instrument the service."""
    app = FastAPI(title="Chat", lifespan=_lifespan)
    app.include_router(router)
    app.add_exception_handler(OpenAIError, _provider_failed)
    instrument(app)
    return app


app = create_app()
