"""Quart, in place, outside its own answer to an unhandled error.

Quart answers such an error and raises it no further. Its signals report it, and the route.
https://quart.palletsprojects.com/en/latest/reference/source/quart.signals.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quart import Quart, request, signals, websocket
from werkzeug.exceptions import MethodNotAllowed

from pantheon_obs.adapters import asgi
from pantheon_obs.adapters.asgi_exchange import AsgiExchange
from pantheon_obs.adapters.asgi_websocket import AsgiWebsocket
from pantheon_obs.adapters.routes import ROUTE
from pantheon_obs.core.chains import alone_in
from pantheon_obs.core.context import current_trace
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.core.failures import wrap
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.override import override, own_method

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.asgi_types import ASGIWrapper, Receive, Scope, Send
    from pantheon_obs.core.settings import Settings

_EXTENSION = "pantheon_obs"

_guard = Guard("quart signal")


def install(
    app: Quart, settings: Settings, on_startup: Callable[[], None], within: ASGIWrapper
) -> Quart:
    """Instrument the app object itself, before its start-up or after it."""
    inner = own_method(app, "asgi_app")

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await inner(scope, receive, send)
        except BaseExceptionGroup as group:  # since 0.23 Quart serves in a task group
            wrap(alone_in(group), group)
            raise

    traced = asgi.install(serve, settings, on_startup, within)

    async def asgi_app(_: Quart, scope: Scope, receive: Receive, send: Send) -> None:
        await traced(scope, receive, send)

    override(app, "asgi_app", asgi_app)
    app.extensions[_EXTENSION] = traced
    signals.request_started.connect(_request_started, app)
    signals.websocket_started.connect(_websocket_started, app)
    signals.got_request_exception.connect(_unhandled, app)
    signals.got_websocket_exception.connect(_unhandled, app)
    signals.got_background_exception.connect(_background_failed, app)
    return app


def is_installed(app: Quart) -> bool:
    """Whether the app object was instrumented before, whatever stands around it by now."""
    return _EXTENSION in app.extensions


# The receivers are coroutine functions: Quart runs others in a thread.


async def _request_started(app: Quart, **_: object) -> None:
    with _guard:
        _leave_route(app, request)


async def _websocket_started(app: Quart, **_: object) -> None:
    with _guard:
        _leave_route(app, websocket)


def _leave_route(app: Quart, connection: Any) -> None:  # noqa: ANN401 - Quart's proxy
    """Leave the template of a request or websocket in its scope, for `route_template`."""
    exchange = current_trace.get()
    if not isinstance(exchange, Exchange):
        return
    rule = connection.url_rule
    error = connection.routing_exception
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        # The path has matched all the same.
        matching: Any = app.create_url_adapter(connection)
        rule, _ = matching.match(method=next(iter(error.valid_methods)), return_rule=True)
    if rule is not None:
        connection.scope[ROUTE] = rule.rule
        if isinstance(exchange, AsgiExchange):
            exchange.passed_on(connection.scope)  # a dispatcher may have made a copy


async def _unhandled(_app: Quart, exception: BaseException, **_: object) -> None:
    with _guard:
        exchange = current_trace.get()
        if isinstance(exchange, Exchange):
            exchange.note_unhandled(exception)


async def _background_failed(_app: Quart, exception: BaseException, **_: object) -> None:
    with _guard:
        exchange = current_trace.get()
        if isinstance(exchange, Exchange) and not isinstance(exchange, AsgiWebsocket):
            exchange.background_failed(exception)
