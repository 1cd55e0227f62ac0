"""The contract's service as a plain ASGI callable: no framework between it and the server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import structlog

from pantheon_obs import bind, instrument
from tests.adapters.apps import common

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Handler = Callable[[dict[str, Any], Any, Any, str], Awaitable[None]]

JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain")


async def answer(
    send: Any, status: int = 200, body: bytes = b"{}", headers: tuple[Any, ...] = (JSON,)
) -> None:
    """Send a whole response."""
    await send({"type": "http.response.start", "status": status, "headers": [*headers]})
    await send({"type": "http.response.body", "body": body})


async def stream(send: Any, chunks: AsyncIterator[bytes]) -> None:
    """Send a body in parts."""
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
    async for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def ok(scope: Any, receive: Any, send: Any, key: str) -> None:
    """Say what the context holds."""
    await answer(send, body=json.dumps(common.seen()).encode())


async def bound(scope: Any, receive: Any, send: Any, key: str) -> None:
    """Bind fields in both ways."""
    bind(tenant=key)
    structlog.contextvars.bind_contextvars(user=key)
    common.log.info("bound", extra={"size": 3})
    await ok(scope, receive, send, key)


async def empty(scope: Any, receive: Any, send: Any, key: str) -> None:
    """Answer without a body."""
    await answer(send, 204, b"", ())


async def redirect(scope: Any, receive: Any, send: Any, key: str) -> None:
    """Send the client elsewhere."""
    await answer(send, 307, b"", ((b"location", b"/ok"),))


async def handled(scope: Any, receive: Any, send: Any, key: str) -> None:
    """Answer with the status that was asked for."""
    await answer(send, int(key))


async def boom(scope: Any, receive: Any, send: Any, key: str) -> None:
    """Fail before the response."""
    raise ZeroDivisionError(key)


async def own_header(scope: Any, receive: Any, send: Any, key: str) -> None:
    """Set the id's header, twice and in another spelling."""
    await answer(send, headers=(JSON, (b"X-Trace-Id", b"mine"), (b"x-trace-id", b"mine-again")))


async def cors(scope: Any, receive: Any, send: Any, key: str) -> None:
    """Answer a request of another origin."""
    exposed = ((b"access-control-expose-headers", b"X-Other"),) if key else ()
    await answer(send, headers=(JSON, (b"access-control-allow-origin", b"*"), *exposed))


async def background(scope: Any, receive: Any, send: Any, key: str) -> None:
    """Work after the response."""
    await answer(send)
    await common.work(key)


async def background_boom(scope: Any, receive: Any, send: Any, key: str) -> None:
    """Fail after the response, whose status is asked for."""
    await answer(send, int(key))
    common.fail()


async def slow(scope: Any, receive: Any, send: Any, key: str) -> None:
    """Answer when the gate is opened."""
    common.log.info("waiting")
    await common.gates[key].arrive()
    await answer(send)


async def release(scope: Any, receive: Any, send: Any, key: str) -> None:
    """Open a gate."""
    common.gates[key].open()
    await answer(send, 204, b"", ())


async def no_response(scope: Any, receive: Any, send: Any, key: str) -> None:
    """Forget to answer."""


async def half_response(scope: Any, receive: Any, send: Any, key: str) -> None:
    """Forget to end the answer."""
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})


async def open_call(scope: Any, receive: Any, send: Any, key: str) -> None:
    """Return with a call in progress."""
    common.leave_a_call_open()
    await answer(send)


HANDLERS: dict[str, Handler] = {
    "ok": ok,
    "bound": bound,
    "empty": empty,
    "redirect": redirect,
    "handled": handled,
    "boom": boom,
    "own-header": own_header,
    "cors": cors,
    "stream": lambda scope, receive, send, key: stream(send, common.chunks(key)),
    "broken-stream": lambda scope, receive, send, key: stream(send, common.broken_chunks()),
    "endless": lambda scope, receive, send, key: endless(receive, send),
    "background": background,
    "background-boom": background_boom,
    "slow": slow,
    "release": release,
    "no-response": no_response,
    "half-response": half_response,
    "open-call": open_call,
}


async def endless(receive: Any, send: Any) -> None:
    """Stream until the client goes, as a framework would notice."""
    import asyncio  # noqa: PLC0415 - for this handler alone

    async def wait_for_departure() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    streaming = asyncio.ensure_future(stream(send, common.endless()))
    departure = asyncio.ensure_future(wait_for_departure())
    try:
        await asyncio.wait({streaming, departure}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        streaming.cancel()
        departure.cancel()


async def websocket(scope: Any, receive: Any, send: Any) -> None:
    """Echo; or refuse, leave or fail, as the path says."""
    await receive()
    how = scope["path"].rpartition("/")[2]
    if how == "deny":
        await send({"type": "websocket.close", "code": 1008})
        return
    if how == "boom":
        msg = "the websocket broke"
        raise RuntimeError(msg)
    if how == "silent":
        return
    await send({"type": "websocket.accept"})
    if how == "leave":
        await send({"type": "websocket.close", "code": 4000})
        return
    if how == "break":
        msg = "the websocket broke"
        raise RuntimeError(msg)
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": json.dumps(common.seen())})
        if message.get("text") == "bind":
            bind(tenant="acme")


async def service(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Find the handler of a path: /handler/key."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await websocket(scope, receive, send)
        return
    _, name, *rest = scope["path"].split("/")
    handler = HANDLERS.get(name)
    if handler is None:
        await answer(send, 404)
    else:
        await handler(scope, receive, send, "/".join(rest))


app = instrument(service)
