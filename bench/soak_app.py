"""The application of the soak test: answers, streams and the figures of its own process."""

from __future__ import annotations

import asyncio
import os
import threading
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from pantheon_obs import instrument

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from bench.asgi_middleware import Receive, Scope, Send

PART = b"data: again\n\n" * 64
TEXT = "text/plain"
STREAMED = 20  # parts
PAGE = os.sysconf("SC_PAGE_SIZE")


def figures() -> bytes:
    """This process's number, resident memory in bytes, open descriptors and threads."""
    resident = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * PAGE
    descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return f"{os.getpid()} {resident} {descriptors} {threading.active_count()}".encode()


def parts(path: str) -> Iterable[bytes]:
    """The body of a path; that of `/endless` has no end."""
    if path == "/figures":
        return (figures(),)
    if path == "/boom":
        raise LookupError(path)
    if path in ("/stream", "/endless"):
        numbers: Iterator[int] = iter(range(STREAMED)) if path == "/stream" else count()
        return (PART for _ in numbers)
    return (b"ok",)


async def service(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer over ASGI."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = parts(scope["path"])
    headers = [(b"content-type", TEXT.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    leaving = asyncio.ensure_future(wait_until_left(receive))
    try:
        for part in body:
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.sleep(0)
            if leaving.done():
                return
        await send({"type": "http.response.body"})
    finally:
        leaving.cancel()


async def wait_until_left(receive: Receive) -> None:
    """Wait until the client has left: uvicorn drops what is sent to it then."""
    while (await receive())["type"] != "http.disconnect":
        pass


def wsgi_service(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer over WSGI."""
    body = parts(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", TEXT)])
    return body


app = instrument(service)
wsgi_app = instrument(wsgi_service)
