"""The responses that we send for the application, as messages.

A websocket that is closed before its handshake, or fails in it, can have no headers. So we send the
response that its server would send.
https://asgi.readthedocs.io/en/latest/extensions.html#websocket-denial-response
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.core.response_headers import PLAIN_500, PLAIN_500_HEADERS
from pantheon_obs.products import PRODUCTS, Product

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.core.asgi_types import Message, Send

DENIAL = "websocket.http.response"

_SERVERS = {row.name: row.refusals for row in PRODUCTS}
_USUAL = Product(name="").refusals
_TEXT = (b"content-type", b"text/plain; charset=utf-8")

ANSWER_500: tuple[Message, ...] = (
    {
        "type": "http.response.start",
        "status": 500,
        "headers": [(name.lower().encode(), value.encode()) for name, value in PLAIN_500_HEADERS],
    },
    {"type": "http.response.body", "body": PLAIN_500},
)
"""Answers an HTTP request that the application has not answered."""


def denial(send: Send, version: str | None, *, failed: bool) -> Iterator[Message]:
    """Make the messages of the response that the server of `send` would send.

    `version` is HTTP's version; `failed` says whether the application has failed in the handshake,
    or has refused it.
    """
    server = type(getattr(send, "__self__", send)).__module__.partition(".")[0]
    refusal = _SERVERS.get(server, _USUAL)[failed]
    body = refusal.body.encode()
    headers: list[tuple[bytes, bytes]] = [_TEXT] if body else []
    headers.append((b"content-length", str(len(body)).encode()))
    if refusal.connection and version != "2":
        headers.append((b"connection", refusal.connection.encode()))
    yield {"type": f"{DENIAL}.start", "status": refusal.status, "headers": headers}
    yield {"type": f"{DENIAL}.body", "body": body}
