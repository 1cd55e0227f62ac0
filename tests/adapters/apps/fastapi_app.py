"""The contract's service on FastAPI: its own routes where they differ, Starlette's elsewhere."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, WebSocket
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import StreamingResponse
from starlette.routing import Route, Router

from pantheon_obs import bind, instrument
from tests.adapters.apps import common, starlette_app

app = FastAPI()
app.add_middleware(CORSMiddleware, allow_origins=["https://front.example"])


@app.api_route("/ok", methods=["GET", "HEAD"])
async def ok() -> dict[str, Any]:
    """Say what the context holds."""
    return common.seen()


@app.get("/sync/{key}")
def sync(key: str) -> dict[str, Any]:
    """Bind from a thread."""
    bind(tenant=key)
    common.log.info("in a thread")
    return common.seen()


@app.get("/bound/{key}")
async def bound(key: str) -> dict[str, Any]:
    """Bind fields in both ways."""
    bind(tenant=key)
    structlog.contextvars.bind_contextvars(user=key)
    common.log.info("bound", extra={"size": 3})
    return common.seen()


@app.get("/handled/{status}")
async def handled(status: int) -> None:
    """Fail with a status that the framework answers with."""
    raise HTTPException(status)


@app.get("/boom")
async def boom() -> None:
    """Fail unhandled."""
    raise ZeroDivisionError


@app.get("/items/{item_id}")
async def item(item_id: int) -> dict[str, Any]:
    """Take a number; anything else is a 422."""
    return common.seen()


@app.get("/stream/{key}")
async def stream(key: str) -> StreamingResponse:
    """Stream from an async generator."""
    return StreamingResponse(common.chunks(key), media_type="text/plain")


@app.get("/background/{key}")
async def background(key: str, tasks: BackgroundTasks) -> None:
    """Work after the response."""
    tasks.add_task(common.work, key)


@app.get("/slow/{key}")
async def slow(key: str) -> None:
    """Answer when the gate is opened."""
    common.log.info("waiting")
    await common.gates[key].arrive()


@app.websocket("/ws/{how}")
async def websocket(socket: WebSocket) -> None:
    """Behave as Starlette's does."""
    await starlette_app.websocket(socket)


things = APIRouter(prefix="/things")
things.add_api_route("/{thing_id}", ok)
things.add_route("/of-starlette/{thing_id}", starlette_app.ok)
things.mount("/in-a-mount", Router([Route("/{thing_id}", starlette_app.ok)]))
things.add_api_websocket_route("/ws/{how}", websocket)
version = APIRouter(prefix="/v1")
version.include_router(things)
app.include_router(version, prefix="/api")

inner = instrument(FastAPI())
inner.add_api_route("/items/{item_id}", ok)
inner.add_api_route("/boom", boom)
inner.include_router(version, prefix="/deep")
app.mount("/mounted", inner)

taken = {getattr(route, "path", None) for route in app.routes}
app.router.routes.extend(
    route for route in starlette_app.SHARED if getattr(route, "path", None) not in {*taken, "/api"}
)
app.add_route("/added", starlette_app.ok)
instrument(app)
instrument(app)
