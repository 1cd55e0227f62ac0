"""Put Sentry's own middleware around an application that no integration of Sentry's wraps.

It stands between our trace and the application. An error comes with its request, and each request
has a scope of its own, which we claim for our trace.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

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

_App = TypeVar("_App", bound="Callable[..., Any]")

_guard = Guard("sentry around an app")


# Functions, and not objects that are called, which would take 900 more instructions per request.


def asgi_app(app: ASGIApp, sdk: Callable[[], ModuleType | None]) -> ASGIApp:
    """Put Sentry's middleware around an ASGI application, if Sentry is on by its first request."""
    decided: ASGIApp | None = None

    def serve(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        nonlocal decided
        if scope["type"] == "lifespan":  # it belongs to no request
            return app(scope, receive, send)
        if decided is None:
            decided = _decide(app, sdk, _asgi_with_sentry)
        return decided(scope, receive, send)

    return serve


def wsgi_app(app: WSGIApp, sdk: Callable[[], ModuleType | None]) -> WSGIApp:
    """Put Sentry's middleware around a WSGI application, as `asgi_app` does."""
    decided: WSGIApp | None = None

    def serve(environ: dict[str, Any], start_response: Any) -> Any:  # noqa: ANN401 - WSGI's
        nonlocal decided
        if decided is None:
            decided = _decide(app, sdk, _wsgi_with_sentry)
        return decided(environ, start_response)

    return serve


def _decide(
    app: _App, sdk: Callable[[], ModuleType | None], wrap: Callable[[_App, ModuleType], _App]
) -> _App:
    module = sdk()
    if module is not None:
        with _guard:
            return wrap(app, module)
    return app


def _asgi_with_sentry(app: ASGIApp, sdk: ModuleType) -> ASGIApp:
    from pantheon_obs.sinks.sentry.scope import claim, event_of  # noqa: PLC0415 - with the SDK

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


def _wsgi_with_sentry(app: WSGIApp, sdk: ModuleType) -> WSGIApp:
    from pantheon_obs.sinks.sentry.scope import claim  # noqa: PLC0415 - with the SDK

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
