"""The sample application as a plain ASGI callable: no framework between it and the server."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from pantheon_obs import instrument
from tests.apps import common, neutral

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain")


async def answer(
    send: Any, status: int = 200, body: bytes = b"{}", headers: tuple[Any, ...] = (JSON,)
) -> None:
    """Send a whole response."""
    await send({"type": "http.response.start", "status": status, "headers": [*headers]})
    await send({"type": "http.response.body", "body": body})


async def stream(send: Any, parts: AsyncIterator[bytes]) -> None:
    """Send a body in parts."""
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
    async for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def read(receive: Any) -> bytes | None:
    """Read the request's body; None if the client leaves within it."""
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message.get("more_body", False):
            return body
    return None


async def stream_until_departure(receive: Any, send: Any, parts: Any) -> None:
    """Stream until the client leaves, as a framework would notice."""

    async def wait_for_departure() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    streaming = asyncio.ensure_future(stream(send, parts))
    departure = asyncio.ensure_future(wait_for_departure())
    try:
        await asyncio.wait({streaming, departure}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        streaming.cancel()
        departure.cancel()


async def respond(reply: neutral.Reply, receive: Any, send: Any, path: str) -> None:
    """Send a reply."""
    if reply.parts is None:
        headers = [(key.encode(), value.encode()) for key, value in reply.headers]
        await answer(send, reply.status, reply.content, (JSON, *headers))
    elif path.startswith("/endless"):
        await stream_until_departure(receive, send, reply.parts)
    else:
        await stream(send, reply.parts)
    await neutral.finish(reply.after)


async def websocket(scope: Any, receive: Any, send: Any) -> None:
    """Echo; or refuse, leave or fail, as the path says."""
    await receive()

    async def accept() -> None:
        await send({"type": "websocket.accept"})

    async def close(code: int) -> None:
        await send({"type": "websocket.close", "code": code})

    async def receive_text() -> str | None:
        message = await receive()
        if message["type"] != "websocket.receive":
            raise EOFError
        text: str | None = message.get("text")
        return text

    async def send_json(data: Any) -> None:
        await send({"type": "websocket.send", "text": json.dumps(data)})

    socket = SimpleNamespace(
        accept=accept, close=close, receive_text=receive_text, send_json=send_json
    )
    try:
        await neutral.converse(socket, scope["path"].rpartition("/")[2])
    except EOFError:
        return


async def service(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Find the handler of a path."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await websocket(scope, receive, send)
        return
    path = scope["path"]
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    handler, key = common.find(path)
    if handler is not None:
        query = dict(parse_qsl(scope["query_string"].decode()))
        body = await read(receive) if scope["method"] == "POST" else b""
        if body is None:
            return
        incoming = neutral.Incoming(key, query, headers, body)
        await respond(await handler(incoming), receive, send, path)
    elif path == "/see":
        await answer(send, body=",".join(headers).encode())
    elif path == "/half-response":
        await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
    elif path != "/no-response":
        await answer(send, 404)


app = instrument(service, **common.OPTIONS)
