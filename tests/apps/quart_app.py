"""The sample application on Quart."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from quart import Blueprint, Quart, Response, abort, redirect, request, send_from_directory
from quart import websocket as socket

from pantheon_obs import instrument
from pantheon_obs.core.context import current_trace
from pantheon_obs.core.exchange import Exchange
from tests.apps import common, neutral

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

app = Quart(__name__, static_folder=None)


@app.before_request
async def preflight() -> Response | None:
    """Answer as a CORS extension does."""
    if request.method == "OPTIONS" and request.headers.get("Origin") == common.ORIGIN:
        return Response("", headers={"Access-Control-Allow-Origin": common.ORIGIN})
    return None


@app.while_serving
async def lifespan() -> AsyncIterator[None]:
    """Start and stop, as services do."""
    common.log.info("started")
    yield
    common.log.info("stopped")


async def finish(after: tuple[Any, ...]) -> None:
    """Work once the response has been sent: Quart begins such work before."""
    trace = current_trace.get()
    assert isinstance(trace, Exchange)
    while trace.event_pending:  # noqa: ASYNC110 - no event says so
        await asyncio.sleep(0.001)
    await neutral.finish(after)


def respond(reply: neutral.Reply) -> Any:
    """Answer with Quart's own responses and exceptions."""
    if reply.is_refusal:
        abort(reply.status)
    if reply.status == 307:
        return redirect("/ok", 307)
    if reply.parts is not None:
        return Response(reply.parts, content_type="text/plain")
    if reply.after:
        app.add_background_task(finish, reply.after)
    if reply.is_plain:
        return reply.data
    response = Response(reply.content, reply.status, content_type="application/json")
    for key, value in reply.headers:
        response.headers.add(key, value)
    return response


def view(template: str) -> Any:
    """A view: a coroutine function, or a function that Quart calls on a thread."""
    handler = common.ROUTES[template]

    async def serve(key: str = "", **_: str) -> Any:
        body = await request.get_data()
        return respond(await handler(neutral.Incoming(key, request.args, request.headers, body)))

    def serve_on_thread(key: str) -> Any:
        return respond(neutral.run(handler(neutral.Incoming(key))))

    return neutral.name(serve_on_thread if template in common.SYNC else serve, template)


async def static(path: str) -> Response:
    """Serve a file."""
    return await send_from_directory(common.FILES, path)


async def websocket(how: str) -> None:
    """Echo; or refuse, leave or fail, as the path says."""
    named = SimpleNamespace(receive_text=socket.receive)
    named.accept, named.close, named.send_json = socket.accept, socket.close, socket.send_json
    await neutral.converse(named, how)


for template in common.ROUTES:
    methods = ["POST"] if template in common.POSTED else ["GET"]
    app.add_url_rule(f"/{neutral.angled(template)}", template, view(template), methods=methods)
ok = view("ok")
app.add_url_rule("/items/<int:item_id>", "item", ok)
app.add_url_rule("/static/<path>", view_func=static)
app.add_websocket("/ws/<how>", view_func=websocket)

neutral.add_blueprints(app, Blueprint, ok)

inner = Quart("inner", static_folder=None)
inner.add_url_rule("/items/<item_id>", view_func=ok)
inner.add_url_rule("/boom", view_func=view("boom"))
instrument(inner)

outer = app.asgi_app


async def mounting(scope: Any, receive: Any, send: Any) -> None:
    """Mount as hypercorn's dispatcher does, which may fail at the end of hypercorn's lifespan."""
    if scope["type"] != "lifespan" and scope["path"].startswith("/mounted"):
        await inner({**scope, "root_path": scope["root_path"] + "/mounted"}, receive, send)
    else:
        await outer(scope, receive, send)


app.asgi_app = mounting  # type: ignore[method-assign, assignment]
instrument(app, **common.OPTIONS)
instrument(app, **common.OPTIONS)
