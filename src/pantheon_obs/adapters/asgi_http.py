"""One HTTP exchange over ASGI: what is seen of it as its messages pass."""

from __future__ import annotations

from asyncio import CancelledError
from time import perf_counter
from typing import TYPE_CHECKING

from pantheon_obs.adapters.asgi_headers import with_trace_headers
from pantheon_obs.adapters.routes import route_template
from pantheon_obs.core.failures import mark_logged, mark_trace
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.request import Request

if TYPE_CHECKING:
    from pantheon_obs.adapters.asgi import Message, Receive, Scope, Send

_SERVER_ERROR = 500
_PLAIN_500 = b"Internal Server Error"

_guard = Guard("asgi http")


class HttpExchange(Request):
    """The record of one request, which stands between the server and the app.

    Args:
        trace_id: The request's id.
        names: Names of the response headers that carry the id, in lower case.
        scope: The connection's scope.
        receive: The server's receive.
        send: The server's send.
    """

    streaming = False
    disconnected = False
    send_error: OSError | None = None

    def __init__(  # noqa: PLR0913 - the four parts of an ASGI call
        self,
        trace_id: str,
        names: tuple[bytes, ...],
        scope: Scope,
        receive: Receive,
        send: Send,
        quiet: frozenset[str],
    ) -> None:
        path = scope.get("path", "")
        super().__init__(trace_id, scope.get("method", ""), path, quiet=path in quiet)
        self._names = names
        self._scope = scope
        self._root_path = scope.get("root_path", "")
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        """Pass a message on to the app, noticing that the client has gone."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on to the server, noticing where the response stands."""
        kind = message["type"]
        starts = kind == "http.response.start" and self.status_code is None
        if starts:
            message = with_trace_headers(message, self._names, self.trace_id)
        try:
            await self._send(message)
        except OSError as error:
            # ASGI 2.4: the server's way to say that the client has gone.
            self.send_error = error
            raise
        if starts:
            self.status_code = message["status"]
        elif kind == "http.response.body":
            if message.get("more_body", False):
                self.streaming = True
                if self.first_byte is None and message.get("body"):
                    self.first_byte = perf_counter()
            elif self.last_byte is None:
                self._complete()
        elif kind == "http.response.pathsend" and self.last_byte is None:
            self._complete()

    def _complete(self) -> None:
        self.last_byte = perf_counter()
        if self.streaming and self.first_byte is None:
            self.first_byte = self.last_byte
        # A 5xx waits for the app to return or raise: the error that caused it may follow.
        if (self.status_code or 0) < _SERVER_ERROR:
            self.finish("ok")

    def route(self) -> str | None:
        """The route's template, from what the router has left in the scope."""
        return route_template(self._scope, self._root_path)

    async def returned(self) -> None:
        """The app has returned."""
        self.finish_open_calls()
        if self.last_byte is not None:
            self.finish("ok")
        elif self.disconnected or self.send_error is not None:
            self.finish("client_disconnected")
        elif self.status_code is None:
            await self._send_plain_500()
            self.finish("no_response")
        else:
            self.finish("error")

    async def failed(self, error: BaseException) -> None:
        """The app has raised; the caller re-raises."""
        self.finish_open_calls()
        mark_trace(error, self.trace_id)
        if self._is_disconnect(error):
            mark_logged(error)
            self.finish("client_disconnected")
        elif not isinstance(error, Exception):
            self.finish("cancelled")
        elif self.reported:
            self.background_failed(error)
        else:
            if self.status_code is None:
                await self._send_plain_500()
            self.finish("error", error)

    def _is_disconnect(self, error: BaseException) -> bool:
        """Whether the app failed only because its client had gone."""
        if isinstance(error, CancelledError):
            return self.disconnected
        gone = self.send_error
        if gone is not None and (
            error is gone or error.__cause__ is gone or error.__context__ is gone
        ):
            return True
        return self.disconnected and type(error).__name__ == "ClientDisconnect"

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
