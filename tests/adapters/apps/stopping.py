"""Requests that the application leaves unfinished: when the server stops, or at once."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from pantheon_obs import instrument


async def service(scope: Any, receive: Any, send: Any) -> None:
    """Stream until the server was told to stop, as SSE libraries do; then return."""
    if scope["type"] != "http":
        msg = "no lifespan"
        raise ValueError(msg)
    if scope["path"] == "/future":  # of which somebody else thinks that nobody waits
        future = asyncio.get_running_loop().create_future()
        future.cancel("nobody waits")
        await future
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"data: first\n\n", "more_body": True})
    if scope["path"] == "/events":
        server: Any = signal.getsignal(signal.SIGTERM).__self__  # type: ignore[union-attr]
        while not server.should_exit:  # noqa: ASYNC110 - nothing reports it
            await asyncio.sleep(0.01)


app = instrument(service, log_format="json")
