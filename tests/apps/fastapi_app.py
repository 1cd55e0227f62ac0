"""The sample application on FastAPI, with some of Starlette's routes in it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, Request, WebSocket
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route, Router

from pantheon_obs import instrument
from tests.apps import common, neutral, starlette_app

# FastAPI calls these on a thread.
SYNC = common.SYNC | {"meet/{key}", "carried", "logged", "llm"}


def respond(reply: neutral.Reply, tasks: BackgroundTasks) -> Any:
    """Answer with a value where it says everything, else as Starlette does."""
    if reply.is_refusal:
        raise HTTPException(reply.status)
    if not reply.is_plain:
        return starlette_app.respond(reply)
    if reply.after:
        tasks.add_task(*reply.after)
    return reply.data


def endpoint(template: str) -> Any:
    """An endpoint: a coroutine function, or a function that FastAPI calls on a thread."""
    handler = common.ROUTES[template]

    async def serve(request: Request, tasks: BackgroundTasks) -> Any:
        incoming = starlette_app.incoming(request, await request.body())
        return respond(await handler(incoming), tasks)

    def serve_on_thread(request: Request, tasks: BackgroundTasks) -> Any:
        return respond(neutral.run(handler(starlette_app.incoming(request))), tasks)

    return neutral.name(serve_on_thread if template in SYNC else serve, template)


async def item(item_id: int) -> dict[str, Any]:
    """Take a number; anything else is a 422."""
    return neutral.seen()


async def websocket(socket: WebSocket) -> None:
    """Behave as Starlette's does."""
    await starlette_app.websocket(socket)


app = FastAPI(openapi_url=None)
app.add_middleware(CORSMiddleware, allow_origins=[common.ORIGIN])
for route in common.ROUTES:
    if route != "added":
        methods = ["POST"] if route in common.POSTED else ["GET", "HEAD"]
        app.add_api_route(f"/{route}", endpoint(route), methods=methods)
app.add_api_route("/items/{item_id}", item)
app.add_api_websocket_route("/ws/{how}", websocket)

ok = endpoint("ok")
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
inner.add_api_route("/boom", endpoint("boom"))
inner.include_router(version, prefix="/deep")
app.mount("/mounted", inner)
app.router.routes.extend(starlette_app.MOUNTS)
app.add_route("/added", starlette_app.ok)
instrument(app, **common.OPTIONS)
instrument(app, **common.OPTIONS)
