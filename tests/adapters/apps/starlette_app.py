"""The contract's service on Starlette."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from pantheon_obs import bind, instrument
from tests.adapters.apps import common

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.websockets import WebSocket


async def ok(request: Request) -> Response:
    """Say what the context holds."""
    return JSONResponse(common.seen())


def sync(request: Request) -> Response:
    """Bind from a thread."""
    bind(tenant=request.path_params["key"])
    common.log.info("in a thread")
    return JSONResponse(common.seen())


async def bound(request: Request) -> Response:
    """Bind fields in both ways."""
    bind(tenant=request.path_params["key"])
    structlog.contextvars.bind_contextvars(user=request.path_params["key"])
    common.log.info("bound", extra={"size": 3})
    return JSONResponse(common.seen())


async def empty(request: Request) -> Response:
    """Answer without a body."""
    return Response(status_code=204)


async def redirect(request: Request) -> Response:
    """Send the client elsewhere."""
    return RedirectResponse("/ok")


async def handled(request: Request) -> Response:
    """Fail with a status that the framework answers with."""
    raise HTTPException(int(request.path_params["key"]))


async def boom(request: Request) -> Response:
    """Fail unhandled."""
    raise ZeroDivisionError


async def own_header(request: Request) -> Response:
    """Set the id's header, twice and in another spelling."""
    response = JSONResponse({})
    response.raw_headers += [(b"X-Trace-Id", b"mine"), (b"x-trace-id", b"mine-again")]
    return response


async def cors(request: Request) -> Response:
    """Answer a request of another origin."""
    headers = {"access-control-allow-origin": "*"}
    if request.path_params.get("key"):
        headers["access-control-expose-headers"] = "X-Other"
    return JSONResponse({}, headers=headers)


async def stream(request: Request) -> Response:
    """Stream from an async generator."""
    return StreamingResponse(common.chunks(request.path_params["key"]), media_type="text/plain")


async def sync_stream(request: Request) -> Response:
    """Stream from a plain generator."""
    key = request.path_params["key"]
    return StreamingResponse(common.sync_chunks(key), media_type="text/plain")


async def broken_stream(request: Request) -> Response:
    """Fail in the middle of a stream."""
    return StreamingResponse(common.broken_chunks())


async def endless(request: Request) -> Response:
    """Stream until the client goes."""
    return StreamingResponse(common.endless(), media_type="text/event-stream")


async def background(request: Request) -> Response:
    """Work after the response."""
    return JSONResponse({}, background=BackgroundTask(common.work, request.path_params["key"]))


async def background_boom(request: Request) -> Response:
    """Fail after the response, whose status is asked for."""
    status = int(request.path_params["key"])
    return JSONResponse({}, status, background=BackgroundTask(common.fail))


async def slow(request: Request) -> Response:
    """Answer when the gate is opened."""
    common.log.info("waiting")
    await common.gates[request.path_params["key"]].arrive()
    return JSONResponse({})


async def release(request: Request) -> Response:
    """Open a gate."""
    common.gates[request.path_params["key"]].open()
    return Response(status_code=204)


async def open_call(request: Request) -> Response:
    """Return with a call in progress."""
    common.leave_a_call_open()
    return JSONResponse({})


async def websocket(socket: WebSocket) -> None:
    """Echo; or refuse, leave or fail, as the path says."""
    how = socket.path_params["how"]
    if how == "deny":
        await socket.close(1008)
        return
    if how == "boom":
        msg = "the websocket broke"
        raise RuntimeError(msg)
    if how == "silent":
        return
    await socket.accept()
    if how == "leave":
        await socket.close(4000)
        return
    if how == "break":
        msg = "the websocket broke"
        raise RuntimeError(msg)
    while True:  # until WebSocketDisconnect
        text = await socket.receive_text()
        await socket.send_json(common.seen())
        if text == "bind":
            bind(tenant="acme")


SHARED = [
    Route("/ok", ok),
    Route("/bound/{key}", bound),
    Route("/sync/{key}", sync),
    Route("/empty", empty),
    Route("/redirect", redirect),
    Route("/handled/{key}", handled),
    Route("/boom", boom),
    Route("/own-header", own_header),
    Route("/cors", cors),
    Route("/cors/{key}", cors),
    Route("/stream/{key}", stream),
    Route("/sync-stream/{key}", sync_stream),
    Route("/broken-stream", broken_stream),
    Route("/endless", endless),
    Route("/background/{key}", background),
    Route("/background-boom/{key}", background_boom),
    Route("/slow/{key}", slow),
    Route("/release/{key}", release),
    Route("/open-call", open_call),
    Route("/items/{item_id:int}", ok),
    Route("/slash/", ok),
    Route("/posted", ok, methods=["POST"]),
    Mount("/static", StaticFiles(directory=Path(__file__).parent)),
    Mount("/api", routes=[Mount("/v1", routes=[Route("/things/{thing_id}", ok)])]),
    Mount("/tenants/{tenant}", routes=[Route("/things/{thing_id}", ok)]),
    Mount("/plain", app=Router([Route("/things/{thing_id}", ok)])),
    WebSocketRoute("/ws/{how}", websocket),
]

inner = instrument(Starlette(routes=[Route("/items/{item_id}", ok), Route("/boom", boom)]))


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """Start and stop, as services do."""
    common.log.info("started")
    yield
    common.log.info("stopped")


app = Starlette(
    routes=[*SHARED, Mount("/mounted", inner)],
    middleware=[Middleware(CORSMiddleware, allow_origins=["https://front.example"])],
    lifespan=lifespan,
)
app.add_route("/added", ok)
instrument(app)
instrument(app)
