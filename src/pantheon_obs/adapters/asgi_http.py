"""One HTTP exchange over ASGI: what is seen of it as its messages pass."""

from __future__ import annotations

import sys
from asyncio import CancelledError
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING

from pantheon_obs.adapters.routes import route_template
from pantheon_obs.core.failures import (
    escape,
    is_logged,
    note,
    root_of,
    stems_from,
)
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.request import Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from pantheon_obs.adapters.asgi_headers import ResponseHeaders
    from pantheon_obs.core.asgi_types import Message, Receive, Scope, Send
    from pantheon_obs.core.events import Outcome

_BODY = frozenset({"http.response.body", "http.response.zerocopysend", "http.response.pathsend"})
_NOT_FOUND = 404
_SERVER_ERROR = 500
_PLAIN_500 = b"Internal Server Error"

_guard = Guard("asgi response body")


class HttpExchange(Request):
    """The record of one request, which stands between the server and the app.

    Args:
        trace_id: The request's id.
        headers: Puts the id on the response.
        scope: The connection's scope.
        receive: The server's receive.
        send: The server's send.

    Attributes:
        reported: Whether no line is owed: it has been written, or nobody watches.
        watched: Whether anyone wants to know of more than the id.
        enclosed: Whether a framework around us answers for the app.
        answered: Whether the response has started.
        streaming: Whether its body comes in parts.
        disconnected: Whether the app was told that the client has gone.
        send_error: The server's way to tell it, since ASGI 2.4.
        answered_error: The exception that was being handled as a 5xx started.
        ending: How the exchange ended when its last byte was handed over.
    """

    reported = True
    watched = False
    enclosed = False
    answered = False
    streaming = False
    disconnected = False
    send_error: OSError | None = None
    answered_error: BaseException | None = None
    ending: Outcome = "ok"
    _sent: Iterable[tuple[bytes, bytes]] = ()

    def __init__(
        self, trace_id: str, headers: ResponseHeaders, scope: Scope, receive: Receive, send: Send
    ) -> None:
        super().__init__(trace_id)
        self._headers = headers
        self.scope = scope
        self._receive = receive
        self._send = send

    def watch(self, quiet_paths: frozenset[str]) -> None:
        """Notice more than the id, for the request's line."""
        scope = self.scope
        self.watched = True
        self.reported = False
        self.method = scope.get("method", "")
        self.path = path = scope.get("path", "")
        self._root_path = root = scope.get("root_path", "")
        # Where a proxy strips a prefix, the probes' paths come without it, and with it.
        self.quiet = (path.removeprefix(root) if root else path) in quiet_paths

    async def receive(self) -> Message:
        """Pass a message on to the app, noticing that the client has gone."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.disconnected = True
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on to the server; looked at only where there is something to do."""
        if self.watched or message["type"] == "http.response.start":
            return self._hand_over(message)
        return self._send(message)

    async def _hand_over(self, message: Message) -> None:
        kind = message["type"]
        starts = kind == "http.response.start" and not self.answered
        if starts:
            message = self._headers.on(message, self.trace_id)
        try:
            await self._send(message)
        except OSError as error:
            self.send_error = error
            raise
        if starts:
            self.answered = True
            if self.watched:
                self._sent = message["headers"]
                self._start(message.get("status"))
        elif kind in _BODY and self.last_byte is None:
            if not message.get("more_body", False):
                self._complete()
            elif self.streaming or not self._is_whole(message.get("body")):
                self.streaming = True
                if self.first_byte is None and message.get("body"):
                    self.first_byte = perf_counter()

    def _is_whole(self, body: bytes | None) -> bool:
        """Whether the first part is all of the body: Quart sends an empty one after each."""
        with _guard:
            size = b"%d" % len(body or b"")
            return any(
                value == size and name.lower() == b"content-length" for name, value in self._sent
            )
        return False

    def _start(self, status: object) -> None:
        if isinstance(status, int):
            self.status_code = int(status)  # not an http.HTTPStatus
            if status >= _SERVER_ERROR:
                self.answered_error = sys.exc_info()[1]

    def _complete(self) -> None:
        self.last_byte = perf_counter()
        if self.streaming and self.first_byte is None:
            self.first_byte = self.last_byte
        if self._client_has_gone():
            self.ending = "client_disconnected"
        # A 5xx waits for the app to return or raise: the error that caused it may follow.
        if (self.status_code or 0) < _SERVER_ERROR:
            self.finish(self.ending)

    def _client_has_gone(self) -> bool:
        # uvicorn drops what nobody receives without an error, but its cycle knows.
        cycle = getattr(self._send, "__self__", None)
        return self.disconnected or getattr(cycle, "disconnected", False) is True

    def route(self) -> str | None:
        """The route's template, from what the router has left in the scope."""
        found = self.status_code != _NOT_FOUND
        return route_template(self.scope, self._root_path, self.path, found=found)

    async def returned(self) -> None:
        """The app has returned."""
        self.finish_open_calls()
        if self.last_byte is not None:
            self.finish(self.ending)
        elif self.send_error is not None or self._client_has_gone():
            self.finish("client_disconnected")
        elif self.answered:
            self.finish("error")
        else:
            await self._send_plain_500()
            self.finish("no_response")
        self._forget_errors()

    async def failed(self, error: BaseException) -> None:
        """The app has raised; the caller re-raises."""
        self.finish_open_calls()
        escape(error, self, covered=True)
        wrapper, error = error, root_of(error)
        if self._is_of_the_client(error):
            note(error).logged = True
            self.finish("client_disconnected")
        elif not isinstance(error, Exception):
            if isinstance(error, CancelledError):
                note(error).logged = True  # the line's outcome says it all
            self.finish("cancelled" if self.last_byte is None else self.ending)
        elif self._is_of_the_background(error):
            self.finish(self.ending)
            self.background_failed(error)
        else:
            try:
                await self._send_plain_500()
            finally:
                self.finish("error", error)
        if is_logged(error):
            note(wrapper).logged = True
        self._forget_errors()

    def _is_of_the_client(self, error: BaseException) -> bool:
        """Whether the app failed only because its client had gone."""
        if self.last_byte is not None:
            return False
        if isinstance(error, CancelledError):
            return self._client_has_gone()
        return stems_from(error, self.send_error) or (
            self.disconnected and type(error).__name__ == "ClientDisconnect"
        )

    def _is_of_the_background(self, error: BaseException) -> bool:
        """Whether the response was complete before, and was not the answer to this very error."""
        # Not by __context__: work that a handler's response brings along has one as well.
        answered = self.answered_error
        return self.last_byte is not None and (
            answered is None or (answered is not error and answered is not error.__cause__)
        )

    async def _send_plain_500(self) -> None:
        """Answer for an app that did not; a server that refuses the answer has its reason."""
        if self.answered or self.enclosed:
            return
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(_PLAIN_500)),
        ]
        with suppress(Exception):
            await self.send(
                {"type": "http.response.start", "status": _SERVER_ERROR, "headers": headers}
            )
            await self.send({"type": "http.response.body", "body": _PLAIN_500})

    def _forget_errors(self) -> None:
        """Leave no cycle of exception, traceback, frame and exchange to the garbage collector."""
        self.send_error = self.answered_error = self.unhandled = None
