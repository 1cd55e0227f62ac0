"""One service behind a hand-written middleware, and behind ours."""

from __future__ import annotations

import json
from typing import Any

import structlog

from pantheon_obs import instrument


async def service(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Read the body, answer with the context, and bind a user where the path says so."""
    if scope["type"] != "http":
        return
    seen = structlog.contextvars.get_contextvars()
    if scope["path"] == "/bind":
        structlog.contextvars.bind_contextvars(user_id="alice")
    while (await receive()).get("more_body"):
        pass
    body = json.dumps(seen).encode()
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


async def bare(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Bind a request id and clear nothing, as in many tutorials."""
    structlog.contextvars.bind_contextvars(request_id="r")
    await service(scope, receive, send)


instrumented = instrument(service)
