"""One HTTP exchange over ASGI: its messages, translated into facts."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pantheon_obs.adapters.asgi_connection import AsgiConnection
from pantheon_obs.adapters.routes import route_template
from pantheon_obs.core.exchange import PLAIN_500, PLAIN_500_HEADERS

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pantheon_obs.core.asgi_types import Message

_START = "http.response.start"
_BODY = frozenset({"http.response.body", "http.response.zerocopysend", "http.response.pathsend"})
_NOT_FOUND = 404
_PLAIN_500_START = {
    "type": _START,
    "status": 500,
    "headers": [(name.lower().encode(), value.encode()) for name, value in PLAIN_500_HEADERS],
}


class AsgiHttp(AsgiConnection):
    """One HTTP exchange, which stands between the server and the application."""

    content_length = b"content-length"

    async def receive(self) -> Message:
        """Pass a message on to the application."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.client_left()
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on to the server; looked at only where there is something to note."""
        if self.event_pending or message["type"] == _START:
            return self._hand_over(message)
        return self._send(message)

    async def _hand_over(self, message: Message) -> None:
        kind = message["type"]
        starts = kind == _START and not self.response_started
        if starts:
            headers = self._response_headers.on(
                message.get("headers") or (), self.trace_id.encode("ascii")
            )
            message = {**message, "headers": headers}
        try:
            await self._send(message)
        except OSError as error:  # since ASGI 2.4
            self.send_failed(error)
            raise
        if starts:
            if self.event_pending:
                self.started(message.get("status"), headers)
            else:
                self.response_started = True
        elif kind in _BODY and not self.response_complete:
            if not message.get("more_body", False):
                self._look_for_client()
                self.complete()
            elif self.first_byte is None or not self.streaming:
                self.part(len(message.get("body") or b""))

    def _look_for_client(self) -> None:
        # uvicorn drops what nobody receives without an error, but its cycle knows.
        cycle = getattr(self._send, "__self__", None)
        if getattr(cycle, "disconnected", False) is True:
            self.client_left()

    def route(self) -> str | None:
        """The route's template, as the router has left it in the scope."""
        found = self.status_code != _NOT_FOUND
        return route_template(self.scope, self._mount, self.path, found=found)

    async def answer(self) -> None:
        """Answer with a plain 500 if the application has not."""
        self._look_for_client()
        if self.owes_response:
            self.replaced = True
            with suppress(Exception):  # a server that refuses the answer has its reason
                await self.send(_PLAIN_500_START)
                await self.send({"type": "http.response.body", "body": PLAIN_500})
