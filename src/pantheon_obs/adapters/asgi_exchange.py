"""One HTTP exchange over ASGI: its messages, translated into facts."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pantheon_obs.adapters.asgi_denials import ANSWER_500
from pantheon_obs.adapters.asgi_headers import headers_in_scope, with_id
from pantheon_obs.adapters.asgi_lifespan import is_stopping
from pantheon_obs.adapters.asgi_relays import is_relayed
from pantheon_obs.adapters.routes import NOT_FOUND, ROUTE, leaves_route, route_template
from pantheon_obs.core.asgi_types import type_of
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.core.guard import Guard, report
from pantheon_obs.core.outcome import must_answer
from pantheon_obs.products import PRODUCTS

if TYPE_CHECKING:
    from pantheon_obs.adapters.routes_mounts import Mounts
    from pantheon_obs.core.asgi_types import Message, Receive, Scope, Send
    from pantheon_obs.core.response_headers import ResponseHeaders

_START, _PART = "http.response.start", "http.response.body"
_BODY = frozenset({_PART, "http.response.zerocopysend", "http.response.pathsend"})

_guard = Guard("asgi exchange")


class AsgiExchange(Exchange):
    """An exchange that stands between an ASGI server and the application."""

    departures = frozenset(name for row in PRODUCTS for name in row.departures)
    accepted = True  # of a websocket's handshake
    _apps: tuple[object, ...] = ()

    def __init__(  # noqa: PLR0913, PLR0917 - by name they would take longer, for each request
        self,
        trace_id: str,
        headers: ResponseHeaders[bytes],
        mounts: Mounts,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        Exchange.__init__(self, trace_id)  # `super()` takes longer, for each request
        self._response_headers = headers
        self._mounts = mounts
        self.scope = scope
        self._receive, self._send = receive, send

    def served_by(self, app: object) -> None:
        """A further application serves the request, with mounts of its own."""
        self._apps += (app,)

    def routed(self, template: str) -> None:
        """A router has matched that leaves no template in the scope: leave it there."""
        self.scope[ROUTE] = template

    def route(self) -> str | None:
        """The route's template, as the router has left it in the scope."""
        scope = self.scope
        if "endpoint" not in scope and "path_template" not in scope and ROUTE not in scope:
            return None  # of a plain application, without the calls below
        found = self.accepted and self.status_code != NOT_FOUND
        return route_template(scope, self._mount, self.path, self._named, found=found)

    def request_headers(self) -> dict[str, str]:
        """The request's headers, by their names in an environ."""
        return headers_in_scope(self.scope)

    def _named(self, real: str) -> str:
        return self._mounts.template_of(real, self.scope.get("router"), *self._apps)

    def passed_on(self, scope: Scope) -> None:
        """The request reaches another instrumented application, perhaps in a copy of the scope."""
        # An application that asks itself for another path has its own route already, and keeps it.
        if self.path.endswith(scope.get("path", "")) or not leaves_route(self.scope):
            self.scope = scope


class AsgiHttp(AsgiExchange):
    """One HTTP exchange."""

    content_length = b"content-length"
    _cycle: Any  # uvicorn's object for the exchange, from the start of the response

    async def receive(self) -> Message:
        """Pass a message on to the application."""
        message = await self._receive()
        if type_of(message) == "http.disconnect":
            self.client_left()
        return message

    async def send(self, message: Message) -> None:  # noqa: C901 - in one piece: it runs per chunk
        """Pass a message on to the server; looked at only where there is something to note."""
        try:
            kind = message["type"]
        except Exception:  # noqa: BLE001 - as `type_of`, without its cost per message
            kind = None
        starts = kind == _START and not self.response_started
        send = self._send
        if starts:
            message = with_id(message, self._response_headers, self.trace_id)
        elif not self.event_pending:
            await send(message)
            return
        gone = self.client_gone  # a server may report the end while it takes the last part
        try:
            await send(message)
        except OSError as error:  # since ASGI 2.4
            self.send_failed(error)
            self._not_sent(message)
            raise
        try:
            if starts:
                if self.event_pending:
                    self._look_for_client()
                self.started(message.get("status"), message["headers"])
            elif self.streaming and self.first_byte and kind == _PART and message.get("more_body"):
                # The middle of a stream, where `part` changes nothing: 3,900 instructions for a
                # chunk, the application's included, in place of 5,800.
                if gone or (self._cycle is not None and self._cycle.disconnected):
                    self._sent(message, gone=gone)
            elif kind in _BODY and self.response_started and not self.response_complete:
                self._sent(message, gone=gone)
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per message
            report("asgi exchange", error)

    def _sent(self, message: Message, *, gone: bool) -> None:
        """A part of the body was handed to the server; the client may have been gone before."""
        body = message.get("body")
        gone = gone or (self._cycle is not None and self._cycle.disconnected)
        if gone and (body or message["type"] != _PART):
            self.part_lost()
        if message.get("more_body", False):
            self.part(len(body or b""))
        elif body and not self.streaming:  # the whole body in one message, as most are
            self.complete()
        else:
            self._end(gone=gone)

    def _not_sent(self, message: Message) -> None:
        with _guard:
            is_end = not (message.get("body") or message.get("more_body"))
            if is_end and self.response_started and message["type"] == _PART:
                self._end(gone=self.client_gone)  # nothing of it is lost

    def returned(self) -> None:
        """The application's call has returned, in the middle of its body if the server stops."""
        super().returned()
        if self.response_started and not self.response_complete and is_stopping():
            self._look_for_client()  # one that has left counts for more
            self.shut_down()

    def _end(self, *, gone: bool) -> None:
        """The last part is empty, or others have come before it."""
        if self.may_have_failed and is_relayed("pantheon_obs.adapters.asgi"):
            self.relayed_end(gone=gone)
        self.complete()

    def _look_for_client(self) -> None:
        # uvicorn drops messages that nobody receives without an error, but its cycle knows.
        cycle = getattr(self._send, "__self__", None)
        disconnected = None if cycle is None else getattr(cycle, "disconnected", None)
        self._cycle = cycle if isinstance(disconnected, bool) else None
        if disconnected is True:
            self.client_left()

    async def answer(self, *, others_do: bool) -> None:
        """Answer with a plain 500 if the application has not."""
        self._look_for_client()
        if must_answer(self, others_do=others_do):
            self.answered_by_us()
            with suppress(Exception):  # a server that refuses the answer has its reason
                for message in ANSWER_500:
                    await self.send(message)
