"""Put Sentry's own middleware around an application that no integration of Sentry's wraps.

It stands between our trace and the application. An error comes with its request, and each request
has a scope of its own, which we claim for our trace.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import current_trace
from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType

    from pantheon_obs.core.asgi_types import ASGIApp, Receive, Scope, Send

    WSGIApp = Callable[[dict[str, Any], Any], Any]

_MECHANISM = "pantheon_obs"
_SCOPE = "pantheon_obs.scope"
_CAUSE = "pantheon_obs.cause"
_RESPONSE = "pantheon_obs.response"

_guard = Guard("sentry around an app")


class _Around:
    """An application, with Sentry's middleware around it if Sentry is on by the first request."""

    _wrap: Callable[[Any, ModuleType], Callable[..., Any]]

    def __init__(self, app: Any, sdk: Callable[[], ModuleType | None]) -> None:  # noqa: ANN401 - of either protocol
        self._app = app
        self._sdk = sdk
        self._serve: Callable[..., Any] | None = None  # no method of its own, which were a cycle

    def _decide(self, *call: Any) -> Any:  # noqa: ANN401 - as above
        """Serve the first request."""
        serve = self._app
        sdk = self._sdk()
        if sdk is not None:
            with _guard:
                serve = self._wrap(serve, sdk)
        self._serve = serve
        return serve(*call)


class AsgiApp(_Around):
    """An ASGI application."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection; the lifespan belongs to no request."""
        serve = self._app if scope["type"] == "lifespan" else self._serve or self._decide
        answer: Awaitable[None] = serve(scope, receive, send)
        return answer

    def _wrap(self, app: ASGIApp, sdk: ModuleType) -> ASGIApp:
        from pantheon_obs.sinks.sentry_scope import claim, event_of  # noqa: PLC0415 - with the SDK

        async def within(scope: Scope, receive: Receive, send: Send) -> None:
            trace: Any = current_trace.get()
            of_sentry, scope = scope, scope[_SCOPE]
            with _guard:
                claim(sdk, trace)
            try:
                await app(scope, receive, send)
            except Exception as error:
                of_sentry[_CAUSE] = error.__cause__, error.__suppress_context__
                raise
            unhandled = getattr(trace, "unhandled", None)
            if unhandled is not None:  # the framework has answered it and does not raise it
                with _guard:
                    event, hint = event_of(sdk, unhandled, {"type": _MECHANISM, "handled": False})
                    sdk.capture_event(event, hint=hint)

        # With its default mechanism the middleware lists all installed packages.
        sentry: ASGIApp = import_module("sentry_sdk.integrations.asgi").SentryAsgiMiddleware(
            within, mechanism_type=_MECHANISM
        )

        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            # A copy: a router may change the path in the application's own before the error comes.
            # The specification lets a server leave the headers out, and Sentry does not.
            copy: Scope = {"headers": (), **scope, _SCOPE: scope}
            try:
                await sentry(copy, receive, send)
            except Exception as error:
                # Sentry raises it again `from None`.
                cause = copy.get(_CAUSE, (error.__cause__, error.__suppress_context__))
                error.__cause__, error.__suppress_context__ = cause
                raise

        return wrapped


class WsgiApp(_Around):
    """A WSGI application."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:  # noqa: ANN401 - WSGI's
        """Serve one request."""
        return (self._serve or self._decide)(environ, start_response)

    def _wrap(self, app: WSGIApp, sdk: ModuleType) -> WSGIApp:
        from pantheon_obs.sinks.sentry_scope import claim  # noqa: PLC0415 - with the SDK

        def within(environ: dict[str, Any], start_response: Any) -> Any:  # noqa: ANN401 - as above
            trace: Any = current_trace.get()
            with _guard:
                claim(sdk, trace)
            response = app(environ, start_response)
            if not _runs_while_read(response, environ):
                environ[_RESPONSE] = response
            return response

        sentry: WSGIApp = import_module("sentry_sdk.integrations.wsgi").SentryWsgiMiddleware(within)

        def wrapped(environ: dict[str, Any], start_response: Any) -> Any:  # noqa: ANN401 - as above
            response = sentry(environ, start_response)
            # Sentry's own response hides the length or file that a server looks for.
            return environ.pop(_RESPONSE, response)

        return wrapped


def _runs_while_read(response: Any, environ: dict[str, Any]) -> bool:  # noqa: ANN401 - as above
    """Whether the application's code runs while the server reads its response."""
    wrapper = environ.get("wsgi.file_wrapper")
    is_file = isinstance(wrapper, type) and isinstance(response, wrapper)
    return not (is_file or hasattr(type(response), "__len__") or hasattr(response, "fileno"))
