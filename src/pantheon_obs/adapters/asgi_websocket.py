"""One websocket over ASGI: the id on its handshake, one line at its end."""

from __future__ import annotations

from asyncio import CancelledError
from time import perf_counter
from typing import TYPE_CHECKING

from pantheon_obs.adapters.asgi_headers import with_trace_headers
from pantheon_obs.adapters.routes import route_template
from pantheon_obs.core import pipeline
from pantheon_obs.core.events import WebsocketFinished
from pantheon_obs.core.failures import mark_logged, mark_trace
from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from pantheon_obs.adapters.asgi import Message, Receive, Scope, Send
    from pantheon_obs.core.context import Record
    from pantheon_obs.core.events import Outcome

_DENIAL = "websocket.http.response"
# RFC 6455, section 7.4.1: normal closure, going away (a page left), no status received.
_ORDERLY = frozenset({1000, 1001, 1005})
_FORBIDDEN = 403
_SERVER_ERROR = 500

_guard = Guard("asgi websocket")


class WebsocketExchange:
    """Stands between the server and the app for one websocket.

    Args:
        record: The connection's record.
        names: Names of the response headers that carry the id, in lower case.
        scope: The connection's scope.
        receive: The server's receive.
        send: The server's send.
    """

    __slots__ = (
        "_answered",
        "_close_code",
        "_denial",
        "_left",
        "_messages_in",
        "_messages_out",
        "_names",
        "_receive",
        "_record",
        "_root_path",
        "_scope",
        "_send",
    )

    def __init__(
        self, record: Record, names: tuple[bytes, ...], scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._record = record
        self._names = names
        self._scope = scope
        self._root_path = scope.get("root_path", "")
        self._receive = receive
        self._send = send
        self._denial = _DENIAL in (scope.get("extensions") or ())
        self._answered = False
        self._left = False
        self._close_code: int | None = None
        self._messages_in = 0
        self._messages_out = 0

    async def receive(self) -> Message:
        """Pass a message on to the app."""
        message = await self._receive()
        if message["type"] == "websocket.receive":
            self._messages_in += 1
        elif message["type"] == "websocket.disconnect" and self._close_code is None:
            self._close_code = message.get("code", 1005)
            self._left = True
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on to the server; the handshake's answer gets the id."""
        kind = message["type"]
        if kind in ("websocket.accept", f"{_DENIAL}.start"):
            await self._send(with_trace_headers(message, self._names, self._record.trace_id))
            self._answered = True
        elif kind == "websocket.close":
            await self._close(message)
        else:
            await self._send(message)
            self._messages_out += kind == "websocket.send"

    async def _close(self, message: Message) -> None:
        if self._close_code is None:
            self._close_code = message.get("code", 1000)
        if self._answered or not self._denial:
            self._answered = True
            await self._send(message)
        else:
            await self._deny(_FORBIDDEN)

    async def _deny(self, status: int) -> None:
        """Refuse the handshake with a response that can carry headers, as a bare close cannot."""
        start: Message = {"type": f"{_DENIAL}.start", "status": status, "headers": []}
        await self.send(start)
        await self._send({"type": f"{_DENIAL}.body", "body": b""})

    async def returned(self) -> None:
        """The app has returned."""
        self._record.finish_open_calls()
        if self._left and self._close_code not in _ORDERLY:
            self._finish("client_disconnected")
        elif self._answered or self._left:
            self._finish("ok")
        else:
            await self._deny_unanswered()
            self._finish("no_response")

    async def failed(self, error: BaseException) -> None:
        """The app has raised; the caller re-raises."""
        self._record.finish_open_calls()
        mark_trace(error, self._record.trace_id)
        if self._left and type(error).__name__ in ("WebSocketDisconnect", "ClientDisconnected"):
            # Frameworks let a client's departure escape as an exception: it is not a failure.
            mark_logged(error)
            self._finish("ok" if self._close_code in _ORDERLY else "client_disconnected")
        elif not isinstance(error, Exception):
            gone = self._left and isinstance(error, CancelledError)
            self._finish("client_disconnected" if gone else "cancelled")
        else:
            await self._deny_unanswered()
            self._finish("error", error)

    async def _deny_unanswered(self) -> None:
        if not self._answered and self._denial and not self._left:
            with _guard:
                await self._deny(_SERVER_ERROR)

    def _finish(self, outcome: Outcome, error: BaseException | None = None) -> None:
        record = self._record
        with _guard:
            pipeline.emit(
                WebsocketFinished(
                    trace_id=record.trace_id,
                    bound=record.bound,
                    path=self._scope.get("path", ""),
                    route=route_template(self._scope, self._root_path),
                    close_code=self._close_code,
                    latency_ms=round((perf_counter() - record.started) * 1000, 3),
                    messages_in=self._messages_in,
                    messages_out=self._messages_out,
                    outcome=outcome,
                    error=error,
                    llm=record.llm,
                )
            )
