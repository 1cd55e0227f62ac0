"""A plain ASGI application whose endpoints block the event loop, or only look as if they did."""

from __future__ import annotations

import asyncio
import json
import os
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from threading import Thread
from typing import Any

from pantheon_obs import instrument

SLOW = 0.4  # seconds
LARGE = "[" + "0," * 16_000_000 + "0]"


def compute() -> None:
    """Keep the processor busy, for as much of its own time on a busy machine."""
    end = time.thread_time() + SLOW
    while time.thread_time() < end:
        sum(range(100))


class Upstream(BaseHTTPRequestHandler):
    """Answers after a while."""

    def do_GET(self) -> None:  # noqa: D102 - the name is the base class's
        time.sleep(SLOW)
        self.send_response(204)
        self.end_headers()


def upstream() -> str:
    """Serve one request in a thread; return its URL."""
    server = HTTPServer(("127.0.0.1", 0), Upstream)
    Thread(target=server.handle_request, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


async def many_short() -> None:
    """Run many callbacks and tasks, each of them short, in few rounds of the loop."""
    loop = asyncio.get_running_loop()
    for _ in range(300):
        loop.call_soon(time.sleep, 0.001)

    async def short() -> None:
        time.sleep(0.001)  # noqa: ASYNC251 - the subject

    await asyncio.gather(*[short() for _ in range(300)])
    for _ in range(300):
        time.sleep(0.001)  # noqa: ASYNC251 - as above
        await asyncio.sleep(0)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve the lifespan, and a few paths."""
    if scope["type"] == "lifespan":
        await receive()
        time.sleep(SLOW)  # noqa: ASYNC251 - a start may take its time
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    match scope["path"]:
        case "/sleep":
            time.sleep(SLOW)  # noqa: ASYNC251 - the subject
        case "/compute":
            compute()
        case "/requests":
            import_module("requests").get(upstream(), timeout=30)
        case "/json":
            json.loads(LARGE)
        case "/short":
            await many_short()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


app = instrument(app, log_format="json")
