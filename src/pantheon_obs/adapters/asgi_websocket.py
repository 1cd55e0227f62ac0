"""One websocket over ASGI: its messages, translated into facts."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pantheon_obs.adapters.asgi_denials import DENIAL, denial
from pantheon_obs.adapters.asgi_exchange import AsgiExchange
from pantheon_obs.adapters.asgi_headers import with_id
from pantheon_obs.core.asgi_types import close_code_of, type_of
from pantheon_obs.core.failures import cover_text
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.websocket import WebsocketExchange

if TYPE_CHECKING:
    from pantheon_obs.core.asgi_types import Message

_HANDSHAKE = frozenset({"websocket.accept", f"{DENIAL}.start"})

_guard = Guard("asgi websocket")


class AsgiWebsocket(AsgiExchange, WebsocketExchange):
    """One websocket."""

    accepted = False
    denied = False  # we have sent a response in place of a close

    async def receive(self) -> Message:
        """Pass a message on to the application."""
        message = await self._receive()
        kind = type_of(message)
        if kind == "websocket.receive":
            self.messages_in += 1
        elif kind == "websocket.disconnect" and (self.accepted or not self.response_started):
            self.client_left(close_code_of(message))  # it was not refused
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on to the server; the handshake's answer gets the id."""
        kind = type_of(message)
        if kind == "websocket.close":
            failed = self.unhandled is not None and not self.response_started
            if self.close_code is None and not failed:
                self.close_code = close_code_of(message, 1000)
            if self._can_deny() and not self.response_started:
                # Refused: a response can carry headers, as a bare close cannot.
                await self._deny(failed=failed)
                return
        if type(kind) is str and kind in _HANDSHAKE:
            message = with_id(message, self._response_headers, self.trace_id)
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
        # A server names its version of ASGI. A caller that does not is no server but a test client,
        # whose user looks for the close code or for the exception of the application.
        with _guard:
            is_server = "version" in (self.scope.get("asgi") or ())
            return is_server and DENIAL in (self.scope.get("extensions") or ())
        return False

    async def _deny(self, *, failed: bool) -> None:
        """Send the response that a server sends to refuse a handshake, with the id."""
        self.denied = True
        for message in denial(self._send, self.scope.get("http_version"), failed=failed):
            await self.send(message)

    async def answer(self) -> None:
        """Deny the handshake if the application has not answered it."""
        if self.owes_response and self._can_deny():
            self.replaced = True
            with suppress(Exception):  # a server that refuses the answer has its reason
                await self._deny(failed=True)
        if self.denied and self.error is None:
            cover_text(self)  # the server may log that no handshake has taken place
