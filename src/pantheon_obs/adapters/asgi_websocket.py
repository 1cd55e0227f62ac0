"""One websocket over ASGI: its messages, translated into facts."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pantheon_obs.adapters.asgi_denials import DENIAL, denial
from pantheon_obs.adapters.asgi_exchange import AsgiExchange
from pantheon_obs.adapters.asgi_headers import with_id
from pantheon_obs.core.asgi_types import close_code_of
from pantheon_obs.core.failures import cover_text
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.outcome import must_answer
from pantheon_obs.core.websocket import WebsocketExchange

if TYPE_CHECKING:
    from pantheon_obs.core.asgi_types import Message

_HANDSHAKE = ("websocket.accept", f"{DENIAL}.start")

_guard = Guard("asgi websocket")


class AsgiWebsocket(AsgiExchange, WebsocketExchange):
    """One websocket."""

    accepted = False
    denied = False  # we have sent a response in place of a close

    async def receive(self) -> Message:
        """Pass a message on to the application."""
        message = await self._receive()
        try:
            kind = message["type"]
        except Exception:  # noqa: BLE001 - as `type_of`, without its cost per message
            kind = None
        if kind == "websocket.receive":
            self.received()
        elif kind == "websocket.disconnect" and (self.accepted or not self.response_started):
            self.client_left(close_code_of(message))  # it was not refused
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on to the server; the handshake's answer gets the id."""
        try:
            kind = message["type"]
        except Exception:  # noqa: BLE001 - as `type_of`, without its cost per message
            kind = None
        if kind == "websocket.close":
            self.application_closed(close_code_of(message, 1000))
            if self._can_deny() and not self.response_started:
                # Refused: a response can carry headers, as a bare close cannot.
                await self._deny(failed=self.failed_in_handshake)
                return
        if kind in _HANDSHAKE:
            message = with_id(message, self._response_headers, self.trace_id)
        try:
            await self._send(message)
        except OSError as error:  # since ASGI 2.4
            self.send_failed(error)
            raise
        if kind == "websocket.send":
            self.sent()
        elif kind == "websocket.accept":
            self.opened()
        elif not self.response_started:  # it was refused
            self.started(None)

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

    async def answer(self, *, others_do: bool) -> None:
        """Deny the handshake if the application has not answered it."""
        if must_answer(self, others_do=others_do) and self._can_deny():
            self.answered_by_us()
            with suppress(Exception):  # a server that refuses the answer has its reason
                await self._deny(failed=True)
        if self.denied and self.error is None:
            cover_text(self)  # the server may log that no handshake has taken place
