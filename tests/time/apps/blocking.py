"""A plain ASGI application whose endpoints block the event loop, or only look as if they did."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from pantheon_obs import instrument

SLOW = 0.4  # seconds


def compute() -> None:
    """Keep the processor busy."""
    end = time.perf_counter() + SLOW
    while time.perf_counter() < end:
        sum(range(100))


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
        case "/short":
            await many_short()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


app = instrument(app, log_format="json")
