"""A FastAPI service that fails in every way of which Sentry should hear, or should not."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from fastapi import BackgroundTasks, FastAPI, Request, Response
from starlette.responses import StreamingResponse

from pantheon_obs import get_logger, instrument, llm_call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# A handler of the host's own: then each line is a record, which others may look at as well.
logging.getLogger().addHandler(logging.NullHandler())

app = FastAPI()


@app.post("/unhandled")
async def unhandled(request: Request) -> None:
    """Fail with secrets in sight."""
    local = (await request.json())["password"]
    raise ZeroDivisionError(len(local))


@app.get("/streaming")
async def streaming() -> StreamingResponse:
    """Fail in the middle of a stream."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        msg = "the stream broke"
        raise RuntimeError(msg)

    return StreamingResponse(chunks())


@app.get("/background")
async def background(tasks: BackgroundTasks) -> None:
    """Fail after the response."""

    def work() -> None:
        msg = "the background broke"
        raise LookupError(msg)

    tasks.add_task(work)


@app.get("/structlog/{order}")
async def structlog(order: int) -> None:
    """Log an error through structlog, an exception attached."""
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        get_logger("shop").exception("payment_failed", order=order, api_key="sk-secret")


@app.get("/stdlib")
async def stdlib() -> None:
    """Log an error through the standard library."""
    logging.getLogger("shop").error("stock is low", extra={"left": 2})


@app.get("/handled")
async def handled() -> Response:
    """Answer with an error that is none of Sentry's business."""
    return Response(status_code=503)


@app.get("/llm")
async def llm() -> None:
    """Handle the error of an LLM call."""
    with suppress(TimeoutError), llm_call(model="small", operation="ask"):
        raise TimeoutError


instrument(app)
