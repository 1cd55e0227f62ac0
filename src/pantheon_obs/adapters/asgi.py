"""Any ASGI application: the id on every response, a clean context, one event per request.

Pure ASGI, nothing buffered: each message goes on as soon as it comes. https://asgi.readthedocs.io
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.adapters.asgi_exchange import AsgiExchange, AsgiHttp
from pantheon_obs.adapters.asgi_headers import headers_in_scope, read_once
from pantheon_obs.adapters.asgi_lifespan import FAILURES, send_failed
from pantheon_obs.adapters.asgi_websocket import AsgiWebsocket
from pantheon_obs.adapters.routes import noting_route
from pantheon_obs.adapters.routes_mounts import Mounts
from pantheon_obs.core import pipeline
from pantheon_obs.core.asgi_types import type_of
from pantheon_obs.core.context import KEY, begin, current_trace, end
from pantheon_obs.core.enclosing import enclosing
from pantheon_obs.core.errors import refuse
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.identity import Identity
from pantheon_obs.core.mistakes import warn_of_problems
from pantheon_obs.core.response_headers import ResponseHeaders
from pantheon_obs.core.settings import resolve
from pantheon_obs.core.signatures import cannot_take
from pantheon_obs.core.spans import attach
from pantheon_obs.core.switch import turned_off
from pantheon_obs.products import PRODUCTS
from pantheon_obs.propagation.prepare import prepare_loop, prepare_process
from pantheon_obs.time.watchdog import watch_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.asgi_types import ASGIApp, ASGIWrapper, Message, Receive, Scope, Send
    from pantheon_obs.core.settings import Settings

_EXCHANGES: dict[str, type[AsgiHttp | AsgiWebsocket]] = {
    "http": AsgiHttp,
    "websocket": AsgiWebsocket,
}

_LIFESPAN_ERRORS = {row.lifespan_error for row in PRODUCTS if row.lifespan_error}
_ACCEPTED = (
    "an ASGI application: app.add_middleware(TraceIdMiddleware); for WSGI it is "
    "'pantheon_obs.adapters.wsgi.TraceIdMiddleware', and in Django's MIDDLEWARE "
    "'pantheon_obs.adapters.django.TraceIdMiddleware'"
)

_trace_here = current_trace.get  # as in `core.serving`
_guard = Guard("asgi start-up")


class TraceIdMiddleware:
    """Pure ASGI middleware; `instrument` puts it outside everything the framework adds.

    Args:
        app: The ASGI application.
        settings: The settings; None reads the environment.
        on_startup: Called when the server starts the application's lifespan; at the first
            connection where the server does not.

    Raises:
        ConfigError: `app` is no ASGI application, or `settings` is not a `Settings`.

    Example:
        >>> from pantheon_obs import TraceIdMiddleware
        >>> async def app(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 204, "headers": []})
        ...     await send({"type": "http.response.body"})
        >>> app = TraceIdMiddleware(app)
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings | None = None,
        *,
        on_startup: Callable[[], None] | None = None,
    ) -> None:
        if cannot_take(app, "scope", "receive", "send"):
            refuse("app", app, _ACCEPTED)
        settings = resolve(settings, {})
        self._is_off = turned_off(settings)
        warn_of_problems(settings)
        prepare_process()
        self.app = app
        self._mounts = Mounts(app)
        self.on_startup = on_startup
        self._identity = Identity(settings)
        self._response_headers = ResponseHeaders(settings.response_headers, _lower_bytes)
        self._quiet = settings.quiet
        self._llm = settings.llm
        self._slow_loop_ms = settings.slow_loop_ms
        # Empty until it has started, so that no later connection pays for asking.
        self._exchanges = _EXCHANGES if on_startup is None and not self._is_off else {}
        self._open: set[AsgiHttp | AsgiWebsocket] = set()  # whose event is to come

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as the ASGI specification says."""
        exchange_class = self._exchanges.get(scope.get("type", ""))
        if (
            exchange_class is None
            # None: it was unpickled. A copy may outlive its request.
            or ((outer := scope.get(KEY)) is not None and not outer.ended)
            or (_trace_here() is not None and self._is_within(scope))
        ):
            await self._pass_through(scope, receive, send)
            return
        headers = scope.get("headers") or ()
        if type(headers) is not list and type(headers) is not tuple:
            headers = read_once(scope, headers)
        trace_id, upstream = self._identity.read(headers)
        exchange = exchange_class(
            trace_id, self._response_headers, self._mounts, scope, receive, send
        )
        if upstream is not None:
            attach(exchange, upstream)
        # Not on a copy: code around us reads there the values that the framework's router has left.
        scope[KEY] = exchange
        begin(exchange)
        try:
            if pipeline.sinks:
                exchange.watch(
                    scope.get("method", ""),
                    scope.get("path", ""),
                    scope.get("root_path", ""),
                    self._quiet,
                )
                receive = exchange.receive
                self._open.add(exchange)
                if pipeline.listening:
                    pipeline.started(exchange)
            app = self.app
            await app(scope, receive, exchange.send)
            if exchange.event_pending or not exchange.response_started:
                exchange.returned()
                await exchange.answer(others_do=self._is_inner(scope))
                exchange.finish()
        except BaseException as error:
            exchange.escaped(error)
            try:
                await exchange.answer(others_do=self._is_inner(scope))
            finally:
                exchange.finish()
            raise
        finally:
            scope.pop(KEY, None)
            self._open.discard(exchange)
            end(exchange)

    def _is_inner(self, scope: Scope) -> bool:
        """Whether it was added by hand within a framework, which answers an error by itself."""
        return self.on_startup is None and "app" in scope

    async def _pass_through(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a connection on; within an outer trace of ours there is nothing to add."""
        app: ASGIApp = self.app
        if self._is_off:
            await app(scope, receive, send)
            return
        is_lifespan = scope.get("type") == "lifespan"
        is_first = not self._exchanges  # of all that a server sends
        if is_first or is_lifespan:
            self._start(serves=not is_lifespan)
        outer = scope.get(KEY)
        if isinstance(outer, AsgiExchange):
            outer.passed_on(scope)
        elif outer is not None:
            try:
                await app(scope, receive, noting_route(outer, scope, send, self._mounts))
            except Exception as error:  # the code that translates the protocol may not raise it
                outer.note_unhandled(error)
                raise
            return
        elif is_lifespan:
            app = self.lifespan
        elif is_first:
            app = self
        await app(scope, receive, send)

    async def lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the lifespan on; at its end, end the exchanges that the server has left open."""

        async def lifespan_receive() -> Message:
            message = await receive()
            if type_of(message) == "lifespan.shutdown":
                # Not every server lets the application's calls end before its process does.
                for exchange in tuple(self._open):
                    exchange.shut_down()
            return message

        async def lifespan_send(message: Message) -> None:
            kind = type_of(message)
            if kind == "lifespan.startup.complete":
                self._start(again=self._llm)  # logging may have been configured, SDKs be imported
            if kind in FAILURES:
                await send_failed(message, send)
            else:
                await send(message)

        try:
            await self.app(scope, lifespan_receive, lifespan_send)
        except ValueError as error:
            if str(error) not in _LIFESPAN_ERRORS:
                raise
            # It has none; a server reports its shutdown only to applications that have one.
            for _ in ("startup", "shutdown"):
                message = await lifespan_receive()
                await lifespan_send({"type": f"{message['type']}.complete"})

    def _is_within(self, scope: Scope) -> bool:
        """Whether the request has a trace in another protocol, which then stands in the scope."""
        outer = enclosing(AsgiExchange, scope.get("path", ""), headers_in_scope, scope)
        if outer is not None:
            scope[KEY] = outer
        return outer is not None

    def _start(self, *, again: bool = False, serves: bool = True) -> None:
        self._exchanges = {} if again else _EXCHANGES
        prepare_loop()
        watch_loop(self._slow_loop_ms if serves else 0)
        if self.on_startup is not None:
            with _guard:
                self.on_startup()


def _lower_bytes(text: str) -> bytes:
    return text.lower().encode("ascii")


def install(
    app: ASGIApp, settings: Settings, on_startup: Callable[[], None], within: ASGIWrapper
) -> ASGIApp:
    """Wrap a plain ASGI callable; `within` adds the health endpoints."""
    return TraceIdMiddleware(within(app), settings, on_startup=on_startup)


def is_installed(app: ASGIApp) -> bool:
    """Whether the callable comes from `install`; one wrapped by hand has no start-up of ours."""
    return isinstance(app, TraceIdMiddleware) and app.on_startup is not None
