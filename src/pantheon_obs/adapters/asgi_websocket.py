"""One websocket over ASGI: the id on its handshake, one line at its end."""

from __future__ import annotations

from asyncio import CancelledError
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING

from pantheon_obs.adapters.routes import route_template
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import Trace
from pantheon_obs.core.events import WebsocketFinished
from pantheon_obs.core.failures import escape, note, stems_from
from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from pantheon_obs.adapters.asgi_headers import ResponseHeaders
    from pantheon_obs.core.asgi_types import Message, Receive, Scope, Send
    from pantheon_obs.core.events import Outcome

_DENIAL = "websocket.http.response"
_HANDSHAKE = frozenset({"websocket.accept", f"{_DENIAL}.start"})
# RFC 6455, section 7.4.1: normal closure, going away (a page left), no status received.
_ORDERLY = frozenset({1000, 1001, 1005})
_NO_STATUS = 1005
_ABNORMAL = 1006
_SERVER_RESTARTS = 1012  # https://www.iana.org/assignments/websocket/websocket.xhtml
_FORBIDDEN = 403
_SERVER_ERROR = 500
_DISCONNECTED = frozenset({"WebSocketDisconnect", "ClientDisconnected"})  # Starlette's, uvicorn's

_guard = Guard("websocket_finished")


class WebsocketExchange(Trace):
    """The record of one websocket, which stands between the server and the app.

    Args:
        trace_id: The connection's id.
        headers: Puts the id on the handshake's answer.
        scope: The connection's scope.
        receive: The server's receive.
        send: The server's send.

    Attributes:
        path: The path without its query string.
        quiet: Whether its line is at DEBUG.
        reported: Whether no line is owed: it has been written, or nobody watches.
        enclosed: Whether a framework around us answers for the app.
        answered: Whether the handshake has been accepted or refused.
        accepted: Whether it has been accepted.
        left: Whether the other side has gone first.
        send_error: The server's way to tell it, since ASGI 2.4.
        unhandled: What nobody handled and the framework has answered, instead of raising it.
        close_code: Of whichever side closed first.
        messages_in: Messages received by the app.
        messages_out: Messages sent by the app.
    """

    path = ""
    quiet = False
    reported = True
    enclosed = False
    answered = False
    accepted = False
    left = False
    send_error: OSError | None = None
    unhandled: BaseException | None = None
    close_code: int | None = None
    messages_in = 0
    messages_out = 0

    def __init__(
        self, trace_id: str, headers: ResponseHeaders, scope: Scope, receive: Receive, send: Send
    ) -> None:
        super().__init__(trace_id)
        self._headers = headers
        self.scope = scope
        self._receive = receive
        self._send = send
        self._can_deny = _DENIAL in (scope.get("extensions") or ())

    def watch(self, quiet_paths: frozenset[str]) -> None:
        """Prepare for the websocket's line."""
        scope = self.scope
        self.reported = False
        self.path = path = scope.get("path", "")
        self._root_path = root = scope.get("root_path", "")
        # Where a proxy strips a prefix, the probes' paths come without it, and with it.
        self.quiet = (path.removeprefix(root) if root else path) in quiet_paths

    async def receive(self) -> Message:
        """Pass a message on to the app."""
        message = await self._receive()
        if message["type"] == "websocket.receive":
            self.messages_in += 1
        elif message["type"] == "websocket.disconnect" and not self._is_refused():
            self._leave(message.get("code"))
        return message

    def _is_refused(self) -> bool:
        return self.answered and not self.accepted

    def _leave(self, code: int | None) -> None:
        if self.close_code is None:
            self.left = True
            self.close_code = _NO_STATUS if code is None else code

    async def send(self, message: Message) -> None:
        """Pass a message on to the server; the handshake's answer gets the id."""
        kind = message["type"]
        if kind == "websocket.close":
            failed = self.unhandled is not None and not self.answered
            if self.close_code is None and not failed:
                self.close_code = message.get("code", 1000)
            if self._can_deny and not self.answered:
                # Refused: a response can carry headers, as a bare close cannot.
                await self._deny(_SERVER_ERROR if failed else _FORBIDDEN)
                return
        if kind in _HANDSHAKE:
            message = self._headers.on(message, self.trace_id)
        try:
            await self._send(message)
        except OSError as error:
            self.send_error = error
            self._leave(_ABNORMAL)
            raise
        if kind == "websocket.send":
            self.messages_out += 1
        else:
            self.answered = True
            self.accepted = self.accepted or kind == "websocket.accept"

    async def _deny(self, status: int) -> None:
        await self.send({"type": f"{_DENIAL}.start", "status": status, "headers": []})
        await self.send({"type": f"{_DENIAL}.body", "body": b""})

    def note_unhandled(self, error: BaseException) -> None:
        """The framework will answer an error that nobody handled, and not raise it."""
        if self.left and self._is_of_the_client(error):
            return
        self.unhandled = error
        escape(error, self, covered=not (self.reported or self.quiet))

    async def returned(self) -> None:
        """The app has returned."""
        self.finish_open_calls()
        if self.left:
            self._finish(self._outcome_of_leaving())
        elif self.answered:
            self._finish("ok")
        else:
            await self._deny_unanswered()
            self._finish("no_response")

    async def failed(self, error: BaseException) -> None:
        """The app has raised; the caller re-raises."""
        self.finish_open_calls()
        escape(error, self, covered=True)
        if self.left and self._is_of_the_client(error):
            # Frameworks let a client's departure escape as an exception: it is not a failure.
            note(error).logged = True
            self._finish(self._outcome_of_leaving())
        elif not isinstance(error, Exception):
            if isinstance(error, CancelledError):
                note(error).logged = True  # the line's outcome says it all
            self._finish("cancelled")
        else:
            try:
                await self._deny_unanswered()
            finally:
                self._finish("error", error)

    def _is_of_the_client(self, error: BaseException) -> bool:
        """Whether it says no more than that the client has gone."""
        return (
            isinstance(error, CancelledError)
            or type(error).__name__ in _DISCONNECTED
            or stems_from(error, self.send_error)
        )

    def _route(self) -> str | None:
        return route_template(self.scope, self._root_path, self.path, found=self.accepted)

    def _outcome_of_leaving(self) -> Outcome:
        if self.close_code == _SERVER_RESTARTS:
            return "cancelled"
        return "ok" if self.close_code in _ORDERLY else "client_disconnected"

    async def _deny_unanswered(self) -> None:
        """Answer for an app that did not; a server that refuses the answer has its reason."""
        if self._can_deny and not (self.answered or self.enclosed or self.left):
            with suppress(Exception):
                await self._deny(_SERVER_ERROR)

    def _finish(self, outcome: Outcome, error: BaseException | None = None) -> None:
        if error is None and self.unhandled is not None:
            outcome, error = "error", self.unhandled
        # Leaves no cycle of exception, traceback, frame and exchange.
        self.send_error = self.unhandled = None
        if self.reported:
            return
        self.reported = True
        with _guard:
            pipeline.emit(
                WebsocketFinished(
                    trace_id=self.trace_id,
                    bound=self.bound,
                    path=self.path,
                    route=self._route(),
                    close_code=self.close_code,
                    latency_ms=round((perf_counter() - self.started) * 1000, 3),
                    messages_in=self.messages_in,
                    messages_out=self.messages_out,
                    outcome=outcome,
                    error=error,
                    llm=self.llm,
                    quiet=self.quiet,
                )
            )
