"""A plain ASGI app that logs in every way, instrumented by the one line.

Everything it needs is installed with the library: no framework.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any

from pantheon_obs import get_logger, instrument

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]

log = get_logger("shop")


async def app(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Serve lifespan, websockets and a few paths."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await echo(receive, send)
    else:
        work(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


async def lifespan(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Start and stop, or fail to."""
    await receive()
    if os.environ.get("FAILING") == "startup":
        msg = "no database"
        raise RuntimeError(msg)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def echo(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Accept a websocket, answer once, close."""
    await receive()
    await send({"type": "websocket.accept"})
    message = await receive()
    await send({"type": "websocket.send", "text": message["text"]})
    await send({"type": "websocket.close"})


def work(path: str) -> None:
    """Log, or fail, as the path says."""
    if path == "/fail":
        msg = "boom"
        raise ValueError(msg)
    if path == "/everything":
        log.info("structured", order=17)
        logging.getLogger("shop.plain").warning("plain", extra={"order": 18})
        warnings.warn("old", stacklevel=1)
        thread = threading.Thread(target=work, args=("/fail",))
        thread.start()
        thread.join()
        asyncio.get_running_loop().call_soon(work, "/fail")
    if path == "/long":
        for number in range(100):
            log.info("long", number=number, x="x" * 2000)


app = instrument(app)
