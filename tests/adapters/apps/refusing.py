"""An ASGI application that refuses websockets, bare and instrumented."""

from __future__ import annotations

from typing import Any

from pantheon_obs import instrument


async def service(scope: Any, receive: Any, send: Any) -> None:
    """Close before the handshake; or fail."""
    await receive()
    if scope["type"] == "websocket" and scope["path"] == "/refuse":
        await send({"type": "websocket.close", "code": 1008, "reason": "no token"})
        return
    raise LookupError


app: Any = instrument(service)
