"""The contract's service on Litestar."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from litestar import Litestar, Response, Router, WebSocket, asgi, get, head, post, websocket
from litestar.background_tasks import BackgroundTask
from litestar.config.cors import CORSConfig
from litestar.exceptions import HTTPException
from litestar.params import FromPath  # noqa: TC002 - Litestar reads the annotations
from litestar.response import Redirect, Stream
from litestar.static_files import create_static_files_router

from pantheon_obs import bind, instrument
from tests.adapters.apps import common

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@get("/ok")
async def ok() -> dict[str, Any]:
    """Say what the context holds."""
    return common.seen()


@head("/ok")
async def ok_head() -> None:
    """Answer without a body."""


@get("/sync/{key:str}", sync_to_thread=True)
def sync(key: FromPath[str]) -> dict[str, Any]:
    """Bind from a thread."""
    bind(tenant=key)
    common.log.info("in a thread")
    return common.seen()


@get("/bound/{key:str}")
async def bound(key: FromPath[str]) -> dict[str, Any]:
    """Bind fields in both ways."""
    bind(tenant=key)
    structlog.contextvars.bind_contextvars(user=key)
    common.log.info("bound", extra={"size": 3})
    return common.seen()


@get("/empty", status_code=204)
async def empty() -> None:
    """Answer without a body."""


@get("/redirect", status_code=307)
async def redirect() -> Redirect:
    """Send the client elsewhere."""
    return Redirect("/ok", status_code=307)


@get("/handled/{status:int}")
async def handled(status: FromPath[int]) -> None:
    """Fail with a status that the framework answers with."""
    raise HTTPException(status_code=status)


@get("/boom")
async def boom() -> None:
    """Fail unhandled."""
    raise ZeroDivisionError


@get("/own-header")
async def own_header() -> Response[Any]:
    """Set the id's header, twice and in another spelling."""
    return Response({}, headers={"X-Trace-Id": "mine", "x-trace-id": "mine-again"})


@get(["/cors", "/cors/{key:str}"])
async def cors(key: FromPath[str] = "") -> Response[Any]:
    """Answer a request of another origin."""
    headers = {"access-control-allow-origin": "*"}
    if key:
        headers["access-control-expose-headers"] = "X-Other"
    return Response({}, headers=headers)


@get("/stream/{key:str}")
async def stream(key: FromPath[str]) -> Stream:
    """Stream from an async generator."""
    return Stream(common.chunks(key), media_type="text/plain")


@get("/sync-stream/{key:str}")
async def sync_stream(key: FromPath[str]) -> Stream:
    """Stream from a plain generator."""
    return Stream(common.sync_chunks(key), media_type="text/plain")


@get("/broken-stream")
async def broken_stream() -> Stream:
    """Fail in the middle of a stream."""
    return Stream(common.broken_chunks())


@get("/endless")
async def endless() -> Stream:
    """Stream until the client goes."""
    return Stream(common.endless(), media_type="text/event-stream")


@get("/background/{key:str}")
async def background(key: FromPath[str]) -> Response[Any]:
    """Work after the response."""
    return Response({}, background=BackgroundTask(common.work, key))


@get("/background-boom/{status:int}")
async def background_boom(status: FromPath[int]) -> Response[Any]:
    """Fail after the response, whose status is asked for."""
    return Response({}, status_code=status, background=BackgroundTask(common.fail))


@get("/slow/{key:str}")
async def slow(key: FromPath[str]) -> dict[str, Any]:
    """Answer when the gate is opened."""
    common.log.info("waiting")
    await common.gates[key].arrive()
    return {}


@get("/release/{key:str}", status_code=204)
async def release(key: FromPath[str]) -> None:
    """Open a gate."""
    common.gates[key].open()


@get("/open-call")
async def open_call() -> dict[str, Any]:
    """Return with a call in progress."""
    common.leave_a_call_open()
    return {}


@get("/items/{item_id:int}")
async def item(item_id: FromPath[int]) -> dict[str, Any]:
    """Take a number."""
    return common.seen()


@post("/posted")
async def posted() -> None:
    """Be asked in another way."""


@get("/things/{thing_id:str}")
async def thing(thing_id: FromPath[str]) -> dict[str, Any]:
    """Take a name."""
    return common.seen()


@get("/tenants/{tenant:str}/things/{thing_id:str}")
async def thing_of(tenant: FromPath[str], thing_id: FromPath[str]) -> dict[str, Any]:
    """Take two names."""
    return common.seen()


@websocket("/ws/{how:str}")
async def echo(socket: WebSocket, how: FromPath[str]) -> None:
    """Echo; or refuse, leave or fail, as the path says."""
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


@get("/items/{item_id:str}")
async def inner_item(item_id: FromPath[str]) -> dict[str, Any]:
    """Take a name."""
    return common.seen()


inner = instrument(Litestar([inner_item, boom]))


@asgi("/mounted", is_mount=True, copy_scope=True)
async def mounted(scope: Any, receive: Any, send: Any) -> None:
    """Hand over to another app."""
    await inner(scope, receive, send)


@asynccontextmanager
async def lifespan(_app: Litestar) -> AsyncIterator[None]:
    """Start and stop, as services do."""
    common.log.info("started")
    yield
    common.log.info("stopped")


app = Litestar(
    [
        ok,
        ok_head,
        sync,
        bound,
        empty,
        redirect,
        handled,
        boom,
        own_header,
        cors,
        stream,
        sync_stream,
        broken_stream,
        endless,
        background,
        background_boom,
        slow,
        release,
        open_call,
        item,
        posted,
        thing_of,
        echo,
        mounted,
        get("/slash/")(ok.fn),
        create_static_files_router("/static", directories=[Path(__file__).parent]),
        Router("/api", route_handlers=[Router("/v1", route_handlers=[thing])]),
        Router("/plain", route_handlers=[thing]),
    ],
    cors_config=CORSConfig(allow_origins=["https://front.example"]),
    lifespan=[lifespan],
    openapi_config=None,
)
app.register(get("/added")(ok.fn))
instrument(app)
instrument(app)
