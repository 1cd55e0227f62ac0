"""One HTTP exchange over ASGI: what is seen of it as its messages pass."""

from __future__ import annotations

from asyncio import CancelledError
from time import perf_counter
from typing import TYPE_CHECKING

from pantheon_obs.adapters.asgi_headers import with_trace_headers
from pantheon_obs.adapters.routes import route_template
from pantheon_obs.core.failures import mark_logged, mark_trace
from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from pantheon_obs.adapters.asgi import Message, Receive, Scope, Send
    from pantheon_obs.core.events import Outcome
    from pantheon_obs.core.request import Request

_SERVER_ERROR = 500
_PLAIN_500 = b"Internal Server Error"

_guard = Guard("asgi http")


class HttpExchange:
    """Stands between the server and the app for one request.

    Args:
        request: The request's record.
        names: Names of the response headers that carry the id, in lower case.
        scope: The connection's scope.
        receive: The server's receive.
        send: The server's send.
    """

    __slots__ = (
        "_disconnected",
        "_names",
        "_receive",
        "_request",
        "_root_path",
        "_scope",
        "_send",
        "_send_error",
        "_streaming",
    )

    def __init__(
        self, request: Request, names: tuple[bytes, ...], scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._request = request
        self._names = names
        self._scope = scope
        self._root_path = scope.get("root_path", "")
        self._receive = receive
        self._send = send
        self._streaming = False
        self._disconnected = False
        self._send_error: OSError | None = None

    async def receive(self) -> Message:
        """Pass a message on to the app, noticing that the client has gone."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on to the server, noticing where the response stands."""
        request = self._request
        kind = message["type"]
        if kind == "http.response.start" and request.status_code is None:
            await self._hand_over(with_trace_headers(message, self._names, request.trace_id))
            request.status_code = message["status"]
            return
        await self._hand_over(message)
        if kind == "http.response.body":
            if message.get("more_body", False):
                self._streaming = True
                if request.first_byte is None and message.get("body"):
                    request.first_byte = perf_counter()
                return
        elif kind != "http.response.pathsend":
            return
        self._complete()

    async def _hand_over(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError as error:
            # ASGI 2.4: the server's way to say that the client has gone.
            self._send_error = error
            raise

    def _complete(self) -> None:
        request = self._request
        if request.last_byte is not None:
            return
        request.last_byte = perf_counter()
        if self._streaming and request.first_byte is None:
            request.first_byte = request.last_byte
        # A 5xx waits for the app to return or raise: the error that caused it may follow.
        if (request.status_code or 0) < _SERVER_ERROR:
            self._finish("ok")

    def _finish(self, outcome: Outcome, error: BaseException | None = None) -> None:
        if not self._request.reported:
            self._request.finish(
                outcome,
                error=error,
                route=lambda: route_template(self._scope, self._root_path),
            )

    async def returned(self) -> None:
        """The app has returned."""
        request = self._request
        request.finish_open_calls()
        if request.last_byte is not None:
            self._finish("ok")
        elif self._disconnected or self._send_error is not None:
            self._finish("client_disconnected")
        elif request.status_code is None:
            await self._send_plain_500()
            self._finish("no_response")
        else:
            self._finish("error")

    async def failed(self, error: BaseException) -> None:
        """The app has raised; the caller re-raises."""
        request = self._request
        request.finish_open_calls()
        mark_trace(error, request.trace_id)
        if self._is_disconnect(error):
            mark_logged(error)
            self._finish("client_disconnected")
        elif not isinstance(error, Exception):
            self._finish("cancelled")
        elif request.reported:
            request.background_failed(error)
        else:
            if request.status_code is None:
                await self._send_plain_500()
            self._finish("error", error)

    def _is_disconnect(self, error: BaseException) -> bool:
        """Whether the app failed only because its client had gone."""
        if isinstance(error, CancelledError):
            return self._disconnected
        gone = self._send_error
        return (gone is not None and gone in (error, error.__cause__, error.__context__)) or (
            self._disconnected and type(error).__name__ == "ClientDisconnect"
        )

    async def _send_plain_500(self) -> None:
        """Answer for an app that did not; a server that refuses the answer has its reason."""
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(_PLAIN_500)),
        ]
        with _guard:
            await self.send(
                {"type": "http.response.start", "status": _SERVER_ERROR, "headers": headers}
            )
            await self.send({"type": "http.response.body", "body": _PLAIN_500})
