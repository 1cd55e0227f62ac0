"""Litestar, in place, outside everything it adds, its answer to an unhandled error included.

Litestar answers such an error and raises it no further; its `after_exception` hooks report it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar.exceptions import (
    HTTPException,
    LitestarException,
    MethodNotAllowedException,
    WebSocketException,
)
from litestar.utils import normalize_path

from pantheon_obs.adapters.asgi import TraceIdMiddleware
from pantheon_obs.adapters.asgi_exchange import AsgiExchange
from pantheon_obs.core.chains import alone_in
from pantheon_obs.core.context import KEY, current_trace
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.core.failures import wrap
from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from litestar import Litestar

    from pantheon_obs.core.asgi_types import ASGIApp, ASGIWrapper, Message, Receive, Scope, Send
    from pantheon_obs.core.settings import Settings

_guard = Guard("litestar hook")


def install(
    app: Litestar, settings: Settings, on_startup: Callable[[], None], within: ASGIWrapper
) -> Litestar:
    """Instrument the app object itself, before its start-up or after it."""
    handler: Any = app.asgi_handler

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            return
        exchange = scope.get(KEY)
        if isinstance(exchange, AsgiExchange):
            exchange.served_by(scope["app"])
        try:
            await handler(scope, receive, send)
        except LitestarException as error:
            wrap(_root_of(error), error)
            raise

    served = within(serve)
    traced = TraceIdMiddleware(served, settings, on_startup=on_startup)
    app.asgi_handler = traced  # type: ignore[assignment]
    # Litestar keeps the lifespan to itself: these hooks pass it on to the code around the handler.
    app.on_startup.insert(0, _lifespan_hook(traced, "lifespan.startup"))
    app.on_shutdown.insert(0, _lifespan_hook(traced.lifespan, "lifespan.shutdown"))
    app.after_exception.append(_after_exception)
    return app


def is_installed(app: Litestar) -> bool:
    """Whether the app object was instrumented before."""
    return isinstance(app.asgi_handler, TraceIdMiddleware)


def mark_of(app: Litestar) -> object:
    """Return the middleware of an instrumented app: the app has no room for a weak reference."""
    return app.asgi_handler


def _lifespan_hook(app: ASGIApp, event: str) -> Callable[[], Awaitable[None]]:
    """Make a hook that sends one message of the lifespan."""

    async def receive() -> Message:
        return {"type": event}

    async def send(message: Message) -> None:
        """Ignore the answer."""

    async def hook() -> None:
        with _guard:
            await app({"type": "lifespan"}, receive, send)

    return hook


def _root_of(error: BaseException) -> BaseException:
    """Unwrap the exception of a response that had started from Litestar's exceptions."""
    while isinstance(error, LitestarException) and error.__cause__ is not None:
        error = alone_in(error.__cause__)
    return error


async def _after_exception(error: Exception, scope: Any) -> None:  # noqa: ANN401 - Litestar's scope
    """Note an exception before Litestar answers it."""
    with _guard:
        exchange = current_trace.get()
        if isinstance(exchange, Exchange) and not _is_handled(error, scope):
            exchange.note_unhandled(error)
        if isinstance(error, MethodNotAllowedException) and "path_template" not in scope:
            _leave_template(error, scope)


def _is_handled(error: Exception, scope: Any) -> bool:  # noqa: ANN401 - as above
    """Whether it is meant as an answer, or has its own handler, not the handler for all errors."""
    if isinstance(error, HTTPException | WebSocketException):
        return True
    route = scope.get("route_handler")
    handlers = route.resolve_exception_handlers() if route else scope["app"].exception_handlers
    own_kinds = type(error).__mro__[: -len(Exception.__mro__)]
    return scope["type"] == "http" and any(kind in handlers for kind in own_kinds)


def _leave_template(error: MethodNotAllowedException, scope: Any) -> None:  # noqa: ANN401 - as above
    """Put the template of a path that has matched where Litestar leaves it."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    allowed = str((error.headers or {})["allow"]).partition(",")[0]
    *_, template = scope["app"].asgi_router.handle_routing(
        path=normalize_path(path), method=allowed
    )
    scope["path_template"] = template
