"""The contract's service on Quart."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from quart import Blueprint, Quart, Response, abort, redirect, request, send_from_directory
from quart import websocket as socket

from pantheon_obs import bind, instrument
from pantheon_obs.core.context import current_trace
from pantheon_obs.core.exchange import Exchange
from tests.adapters.apps import common

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ORIGIN = "https://front.example"

app = Quart(__name__, static_folder=None)


@app.before_request
async def preflight() -> Response | None:
    """Answer as a CORS extension does."""
    if request.method == "OPTIONS" and request.headers.get("Origin") == ORIGIN:
        return Response("", headers={"Access-Control-Allow-Origin": ORIGIN})
    return None


@app.while_serving
async def lifespan() -> AsyncIterator[None]:
    """Start and stop, as services do."""
    common.log.info("started")
    yield
    common.log.info("stopped")


@app.get("/ok")
@app.get("/slash/")
@app.post("/posted")
async def ok(**_: Any) -> dict[str, object]:
    """Say what the context holds."""
    return common.seen()


@app.get("/sync/<key>")
def sync(key: str) -> dict[str, object]:
    """Bind from a thread."""
    bind(tenant=key)
    common.log.info("in a thread")
    return common.seen()


@app.get("/bound/<key>")
async def bound(key: str) -> dict[str, object]:
    """Bind fields in both ways."""
    bind(tenant=key)
    structlog.contextvars.bind_contextvars(user=key)
    common.log.info("bound", extra={"size": 3})
    return common.seen()


@app.get("/empty")
async def empty() -> Any:
    """Answer without a body."""
    return "", 204


@app.get("/redirect")
async def elsewhere() -> Any:
    """Send the client elsewhere."""
    return redirect("/ok", 307)


@app.get("/handled/<int:status>")
async def handled(status: int) -> None:
    """Fail with a status that the framework answers with."""
    abort(status)


@app.get("/boom")
async def boom() -> None:
    """Fail unhandled."""
    raise ZeroDivisionError


@app.get("/own-header")
async def own_header() -> Response:
    """Set the id's header, twice and in another spelling."""
    response = Response("{}")
    response.headers.add("X-Trace-Id", "mine")
    response.headers.add("x-trace-id", "mine-again")
    return response


@app.get("/cors")
@app.get("/cors/<key>")
async def cors(key: str = "") -> Any:
    """Answer a request of another origin."""
    headers = {"Access-Control-Allow-Origin": "*"}
    if key:
        headers["Access-Control-Expose-Headers"] = "X-Other"
    return {}, 200, headers


@app.get("/stream/<key>")
async def stream(key: str) -> Response:
    """Stream from an async generator."""
    return Response(common.chunks(key), content_type="text/plain")


@app.get("/sync-stream/<key>")
async def sync_stream(key: str) -> Response:
    """Stream from a plain generator."""
    return Response(common.sync_chunks(key), content_type="text/plain")


@app.get("/broken-stream")
async def broken_stream() -> Response:
    """Fail in the middle of a stream."""
    return Response(common.broken_chunks())


@app.get("/endless")
async def endless() -> Response:
    """Stream until the client goes."""
    return Response(common.endless(), content_type="text/event-stream")


@app.get("/background/<key>")
async def background(key: str) -> dict[str, object]:
    """Work after the response."""
    app.add_background_task(common.work, key)
    return {}


@app.get("/background-boom/<int:status>")
async def background_boom(status: int) -> Any:
    """Fail after the response, whose status is asked for."""
    app.add_background_task(fail_later)
    return {}, status


async def fail_later() -> None:
    """Fail once the response has been sent: Quart begins such work before."""
    exchange = current_trace.get()
    assert isinstance(exchange, Exchange)
    while exchange.event_pending:  # noqa: ASYNC110 - nothing else tells
        await asyncio.sleep(0.001)
    common.fail()


@app.get("/slow/<key>")
async def slow(key: str) -> dict[str, object]:
    """Answer when the gate is opened."""
    common.log.info("waiting")
    await common.gates[key].arrive()
    return {}


@app.get("/release/<key>")
async def release(key: str) -> Any:
    """Open a gate."""
    common.gates[key].open()
    return "", 204


@app.get("/open-call")
async def open_call() -> dict[str, object]:
    """Return with a call in progress."""
    common.leave_a_call_open()
    return {}


@app.get("/items/<int:item_id>")
async def item(item_id: int) -> dict[str, object]:
    """Take a number."""
    return common.seen()


@app.get("/static/<path>")
async def static(path: str) -> Response:
    """Serve a file."""
    return await send_from_directory(Path(__file__).parent, path)


@app.websocket("/ws/<how>")
async def websocket(how: str) -> None:
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
    while True:  # until it is cancelled
        text = await socket.receive()
        await socket.send_json(common.seen())
        if text == "bind":
            bind(tenant="acme")


things = Blueprint("things", __name__)
things.add_url_rule("/things/<thing_id>", view_func=ok)
version = Blueprint("version", __name__, url_prefix="/v1")
version.register_blueprint(things)
api = Blueprint("api", __name__, url_prefix="/api")
api.register_blueprint(version)
app.register_blueprint(api)
app.register_blueprint(things, url_prefix="/tenants/<tenant>", name="tenants")
app.register_blueprint(things, url_prefix="/plain", name="plain")
app.add_url_rule("/added", view_func=ok)

inner = Quart("inner", static_folder=None)
inner.add_url_rule("/items/<item_id>", view_func=ok)
inner.add_url_rule("/boom", view_func=boom)
instrument(inner)

outer = app.asgi_app


async def mounting(scope: Any, receive: Any, send: Any) -> None:
    """Mount as hypercorn's dispatcher does, which may fail at the end of hypercorn's lifespan."""
    if scope["type"] != "lifespan" and scope["path"].startswith("/mounted"):
        await inner({**scope, "root_path": scope["root_path"] + "/mounted"}, receive, send)
    else:
        await outer(scope, receive, send)


app.asgi_app = mounting  # type: ignore[method-assign, assignment]
instrument(app)
instrument(app)
