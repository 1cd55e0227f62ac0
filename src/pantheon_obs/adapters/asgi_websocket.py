"""One websocket over ASGI: its messages, translated into facts."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pantheon_obs.adapters.asgi_connection import AsgiConnection
from pantheon_obs.adapters.routes import route_template
from pantheon_obs.core.websocket import WebsocketExchange

if TYPE_CHECKING:
    from pantheon_obs.core.asgi_types import Message

_DENIAL = "websocket.http.response"
_HANDSHAKE = frozenset({"websocket.accept", f"{_DENIAL}.start"})
_FORBIDDEN = 403
_SERVER_ERROR = 500


class AsgiWebsocket(AsgiConnection, WebsocketExchange):
    """One websocket, which stands between the server and the application.

    Attributes:
        accepted: Whether the handshake was accepted.
    """

    accepted = False

    async def receive(self) -> Message:
        """Pass a message on to the application."""
        message = await self._receive()
        if message["type"] == "websocket.receive":
            self.messages_in += 1
        elif message["type"] == "websocket.disconnect":
            refused = self.response_started and not self.accepted
            if not refused:
                self.client_left(message.get("code"))
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on to the server; the handshake's answer gets the id."""
        kind = message["type"]
        if kind == "websocket.close":
            failed = self.unhandled is not None and not self.response_started
            if self.close_code is None and not failed:
                self.close_code = message.get("code", 1000)
            if self._can_deny() and not self.response_started:
                # Refused: a response can carry headers, as a bare close cannot.
                await self._deny(_SERVER_ERROR if failed else _FORBIDDEN)
                return
        if kind in _HANDSHAKE:
            headers = self._response_headers.on(
                message.get("headers") or (), self.trace_id.encode("ascii")
            )
            message = {**message, "headers": headers}
        try:
            await self._send(message)
        except OSError as error:  # since ASGI 2.4
            self.send_failed(error)
            raise
        if kind == "websocket.send":
            self.messages_out += 1
        else:
            self.response_started = True
            self.accepted = self.accepted or kind == "websocket.accept"

    def _can_deny(self) -> bool:
        return _DENIAL in (self.scope.get("extensions") or ())

    async def _deny(self, status: int) -> None:
        await self.send({"type": f"{_DENIAL}.start", "status": status, "headers": []})
        await self.send({"type": f"{_DENIAL}.body", "body": b""})

    def route(self) -> str | None:
        """The route's template, as the router has left it in the scope."""
        return route_template(self.scope, self._mount, self.path, found=self.accepted)

    async def answer(self) -> None:
        """Deny the handshake if the application has not answered it."""
        if self.owes_response and self._can_deny():
            self.replaced = True
            with suppress(Exception):  # a server that refuses the answer has its reason
                await self._deny(_SERVER_ERROR)
