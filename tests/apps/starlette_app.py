"""The sample application on Starlette."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from pantheon_obs import instrument
from tests.apps import common, neutral

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.websockets import WebSocket


def incoming(request: Request, body: bytes = b"") -> neutral.Incoming:
    """Read a request."""
    key = request.path_params.get("key", "")
    return neutral.Incoming(key, request.query_params, request.headers, body)


def respond(reply: neutral.Reply) -> Response:
    """Answer with Starlette's own responses and exceptions."""
    if reply.is_refusal:
        raise HTTPException(reply.status)
    after = BackgroundTask(*reply.after) if reply.after else None
    if reply.parts is not None:
        return StreamingResponse(reply.parts, media_type="text/plain", background=after)
    if reply.status == 307:
        return RedirectResponse("/ok")
    if reply.status == 204:
        return Response(status_code=204)
    response = JSONResponse(reply.data, reply.status, background=after)
    response.raw_headers += [(key.encode(), value.encode()) for key, value in reply.headers]
    return response


def endpoint(template: str) -> Any:
    """An endpoint: a coroutine function, or a function that Starlette calls on a thread."""
    handler = common.ROUTES[template]

    async def serve(request: Request) -> Response:
        return respond(await handler(incoming(request, await request.body())))

    def serve_on_thread(request: Request) -> Response:
        return respond(neutral.run(handler(incoming(request))))

    return neutral.name(serve_on_thread if template in common.SYNC else serve, template)


async def websocket(socket: WebSocket) -> None:
    """Echo; or refuse, leave or fail, as the path says."""
    await neutral.converse(socket, socket.path_params["how"])


ok = endpoint("ok")
inner = instrument(
    Starlette(routes=[Route("/items/{item_id}", ok), Route("/boom", endpoint("boom"))])
)
MOUNTS = [
    Mount("/static", StaticFiles(directory=common.FILES)),
    Mount("/tenants/{tenant}", routes=[Route("/things/{thing_id}", ok)]),
    Mount("/plain", app=Router([Route("/things/{thing_id}", ok)])),
]
app = Starlette(
    routes=[
        *(
            Route(f"/{template}", endpoint(template), methods=["POST"] if posted else ["GET"])
            for template in common.ROUTES
            if template != "added"
            for posted in [template in common.POSTED]
        ),
        Route("/items/{item_id:int}", ok),
        *MOUNTS,
        Mount("/api", routes=[Mount("/v1", routes=[Route("/things/{thing_id}", ok)])]),
        Mount("/mounted", inner),
        WebSocketRoute("/ws/{how}", websocket),
    ],
    middleware=[Middleware(CORSMiddleware, allow_origins=[common.ORIGIN])],
    lifespan=common.lifespan,
)
app.add_route("/added", ok)
instrument(app, **common.OPTIONS)
instrument(app, **common.OPTIONS)
