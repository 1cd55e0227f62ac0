"""A plain ASGI application that logs below the level, in coroutines, threads and streams."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from pantheon_obs import get_logger, instrument

log = logging.getLogger("shop")
orders = get_logger("shop.orders")


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve a few paths."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    log.debug("begun")
    await asyncio.to_thread(orders.debug, "in a thread")
    log.info("paid")
    if scope["path"] == "/fail":
        msg = "card refused"
        raise ValueError(msg)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/stream":
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        log.debug("sent")
        msg = "cut"
        raise ValueError(msg)
    if scope["path"] == "/open":
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await asyncio.Event().wait()
    await send({"type": "http.response.body", "body": b"ok"})


app = instrument(app, log_format="json")
