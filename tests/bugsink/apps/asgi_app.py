"""A plain ASGI callable: Sentry has no integration that knows of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from pantheon_obs import instrument
from tests.bugsink.apps import failures

meeting = failures.Meeting()


async def service(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Fail as the path says."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    status = 200
    match scope["path"].split("/")[1:]:
        case ["sentry-debug", ""]:
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            failures.divide((await receive())["body"], headers["authorization"])
        case ["stream"]:
            await stream(send)
        case ["thread"]:
            failures.in_a_thread()
        case ["logged"]:
            query = parse_qs(scope["query_string"].decode())
            failures.logged(query["how"][0], int(query["order"][0]))
        case ["meet", name]:
            await meeting.meet(name)
        case ["handled"]:
            status = 503
        case ["llm"]:
            failures.llm()
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body"})


async def stream(send: Any) -> None:
    """Fail in the middle of a body."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    async for part in failures.aparts():
        await send({"type": "http.response.body", "body": part, "more_body": True})


async def lifespan(receive: Any, send: Any) -> None:
    """Start and stop with the server."""
    for step in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{step}.complete"})


app = instrument(service)
