"""The sample application on Litestar."""

from __future__ import annotations

from typing import Any

from litestar import (
    Litestar,
    Request,
    Response,
    Router,
    WebSocket,
    asgi,
    get,
    head,
    post,
    websocket,
)
from litestar.background_tasks import BackgroundTask
from litestar.config.cors import CORSConfig
from litestar.exceptions import HTTPException
from litestar.response import Redirect, Stream
from litestar.static_files import create_static_files_router

from pantheon_obs import instrument
from tests.apps import common, neutral


def respond(reply: neutral.Reply) -> Any:
    """Answer with Litestar's own responses and exceptions."""
    if reply.is_refusal:
        raise HTTPException(status_code=reply.status)
    if reply.status == 307:
        return Redirect("/ok", status_code=307)
    if reply.parts is not None:
        return Stream(reply.parts, media_type="text/plain")
    return Response(
        None if reply.status == 204 else reply.data,
        status_code=reply.status,
        headers=dict(reply.headers),
        background=BackgroundTask(*reply.after) if reply.after else None,
    )


def endpoint(template: str, path: str = "") -> Any:
    """A route handler: a coroutine function, or a function that Litestar calls on a thread."""
    handler = common.ROUTES[template]

    async def serve(request: Request[Any, Any, Any]) -> Any:
        body = await request.body()
        key = request.path_params.get("key", "")
        return respond(
            await handler(neutral.Incoming(key, request.query_params, request.headers, body))
        )

    def serve_on_thread(request: Request[Any, Any, Any]) -> Any:
        return respond(neutral.run(handler(neutral.Incoming(request.path_params["key"]))))

    path = path or f"/{template}".replace("{key}", "{key:str}")
    if template in common.POSTED:
        return post(path, status_code=200)(neutral.name(serve, template))
    if template in common.SYNC:
        return get(path, sync_to_thread=True)(neutral.name(serve_on_thread, template))
    return get(path)(neutral.name(serve, template))


@head("/ok")
async def ok_head() -> None:
    """Answer without a body."""


@websocket("/ws/{how:str}")
async def echo(socket: WebSocket[Any, Any, Any]) -> None:
    """Echo; or refuse, leave or fail, as the path says."""
    await neutral.converse(socket, socket.path_params["how"])


inner = instrument(Litestar([endpoint("ok", "/items/{item_id:str}"), endpoint("boom")]))


@asgi("/mounted", is_mount=True, copy_scope=True)
async def mounted(scope: Any, receive: Any, send: Any) -> None:
    """Hand over to another application."""
    await inner(scope, receive, send)


THING = "/things/{thing_id:str}"
app = Litestar(
    [
        *(endpoint(template) for template in common.ROUTES if template != "added"),
        ok_head,
        echo,
        mounted,
        endpoint("ok", "/items/{item_id:int}"),
        endpoint("ok", "/tenants/{tenant:str}" + THING),
        create_static_files_router("/static", directories=[common.FILES]),
        Router("/api", route_handlers=[Router("/v1", route_handlers=[endpoint("ok", THING)])]),
        Router("/plain", route_handlers=[endpoint("ok", THING)]),
    ],
    cors_config=CORSConfig(allow_origins=[common.ORIGIN]),
    lifespan=[common.lifespan],
    openapi_config=None,
)
app.register(endpoint("added"))
instrument(app, **common.OPTIONS)
instrument(app, **common.OPTIONS)
