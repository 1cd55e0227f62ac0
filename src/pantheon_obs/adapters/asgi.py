"""Any ASGI app: the id on every response, a clean context, one line per request.

Pure ASGI, nothing buffered: each message goes on as soon as it comes. https://asgi.readthedocs.io
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.adapters.asgi_http import HttpExchange
from pantheon_obs.adapters.asgi_websocket import WebsocketExchange
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import Record, begin, end
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.identity import Identity
from pantheon_obs.core.request import Request
from pantheon_obs.core.settings import resolve, warn_of_problems

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from pantheon_obs.core.settings import Settings

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_OURS = "pantheon_obs.record"

_guard = Guard("asgi start-up")


class TraceIdMiddleware:
    """Pure ASGI middleware; `instrument` puts it outside everything the framework adds.

    Args:
        app: The ASGI app.
        settings: The settings; None reads the environment.
        on_startup: Called once, when the server starts the app's lifespan.

    Raises:
        ConfigError: `settings` is not a `Settings`.

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
        settings = resolve(settings, {})
        warn_of_problems(settings)
        self.app = app
        self._on_startup = on_startup
        self._identity = Identity(settings)
        self._response_names = tuple(
            name.lower().encode("ascii") for name in settings.response_headers
        )
        self._quiet = settings.quiet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as the ASGI specification says."""
        if scope["type"] != "http" or _OURS in scope:
            await self._other(scope, receive, send)
            return
        exchange = HttpExchange(
            self._identity.of(scope.get("headers", ())),
            self._response_names,
            scope,
            receive,
            send,
            self._quiet,
        )
        # The scope itself is marked, not a copy: what stands outside of us reads what the
        # framework's router leaves in it.
        scope[_OURS] = exchange
        begin(exchange)
        try:
            if pipeline.sinks:
                pipeline.started(exchange)
            await self.app(scope, exchange.receive, exchange.send)
            if not exchange.reported:
                await exchange.returned()
        except BaseException as error:
            await exchange.failed(error)
            raise
        finally:
            scope.pop(_OURS, None)
            end(exchange)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "websocket" and _OURS not in scope:
            await self._websocket(scope, receive, send)
            return
        if kind == "lifespan" and self._on_startup is not None:
            receive = _noticing_startup(receive, self._on_startup)
        # Within an outer trace of ours (a mounted sub-app) there is nothing to add.
        await self.app(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        record = Record(self._identity.of(scope.get("headers", ())))
        exchange = WebsocketExchange(record, self._response_names, scope, receive, send)
        self._begin(scope, record)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            await exchange.failed(error)
            raise
        else:
            await exchange.returned()
        finally:
            del scope[_OURS]
            end(record)

    @staticmethod
    def _begin(scope: Scope, record: Record) -> None:
        # The scope itself is marked, not a copy: what stands outside of us reads what the
        # framework's router leaves in it.
        scope[_OURS] = record
        begin(record)
        pipeline.started(record)


def _noticing_startup(receive: Receive, on_startup: Callable[[], None]) -> Receive:
    async def receive_and_notice() -> Message:
        message = await receive()
        if message["type"] == "lifespan.startup":
            with _guard:
                on_startup()
        return message

    return receive_and_notice


def install(app: ASGIApp, settings: Settings, on_startup: Callable[[], None]) -> ASGIApp:
    """Wrap a plain ASGI callable.

    Args:
        app: The callable.
        settings: The settings.
        on_startup: Called once, when the server starts the app's lifespan.

    Returns:
        The callable to serve.
    """
    return TraceIdMiddleware(app, settings, on_startup=on_startup)


def is_installed(app: ASGIApp) -> bool:
    """Whether the callable is one of ours already."""
    return isinstance(app, TraceIdMiddleware)
