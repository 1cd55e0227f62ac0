"""Sentry's own middleware around an app that none of its integrations stands around.

Between our trace and the app: an error comes with its request, each request has a scope of its own,
and Sentry's trace is ours, as its middleware reads a `sentry-trace` that the app never sees.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import trace_id as ids
from pantheon_obs.core.context import current_trace, current_trace_id
from pantheon_obs.core.failures import note, root_of
from pantheon_obs.core.guard import Guard
from pantheon_obs.sinks.sentry_scope import TRACE_HEADER, claim, trace_header

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from types import ModuleType

    Scope = MutableMapping[str, Any]
    ASGIApp = Callable[[Scope, Any, Any], Awaitable[None]]
    WSGIApp = Callable[[dict[str, Any], Any], Any]

_MECHANISM = "pantheon_obs"
_HEADER = TRACE_HEADER.encode()
_VARIABLE = "HTTP_SENTRY_TRACE"
_SCOPE = "pantheon_obs.scope"
_CAUSE = "pantheon_obs.cause"
_ADDED = "pantheon_obs.sentry_trace"
_RESPONSE = "pantheon_obs.response"

_guard = Guard("sentry around an app")


class AsgiApp:
    """An ASGI app, with Sentry's middleware around it if Sentry is on by the first request.

    Args:
        app: The app.
        sdk: Gives the module `sentry_sdk`, if Sentry is on.
    """

    def __init__(self, app: ASGIApp, sdk: Callable[[], ModuleType | None]) -> None:
        self._app = app
        self._sdk = sdk
        self._serve: ASGIApp = self._decide

    def __call__(self, scope: Scope, receive: Any, send: Any) -> Awaitable[None]:  # noqa: ANN401 - ASGI's
        """Serve one connection; an app's start-up and its end are none of a request."""
        serve = self._app if scope["type"] == "lifespan" else self._serve
        return serve(scope, receive, send)

    def _decide(self, scope: Scope, receive: Any, send: Any) -> Awaitable[None]:  # noqa: ANN401 - as above
        self._serve = self._app
        sdk = self._sdk()
        if sdk is not None:
            with _guard:
                self._serve = _watched_asgi(self._app, sdk)
        return self._serve(scope, receive, send)


def _watched_asgi(app: ASGIApp, sdk: ModuleType) -> ASGIApp:
    async def within(scope: Scope, receive: Any, send: Any) -> None:  # noqa: ANN401 - as above
        record: Any = current_trace.get()
        sentrys, scope = scope, scope[_SCOPE]
        with _guard:
            claim(sdk, record)
        try:
            await app(scope, receive, send)
        except Exception as error:
            sentrys[_CAUSE] = error.__cause__, error.__suppress_context__
            root = root_of(error)
            if root is not error:
                with _guard:
                    _capture(sdk, root)
                    note(error).sent = True
            raise
        unhandled = getattr(record, "unhandled", None)
        if unhandled is not None:  # and answered by the framework, which raises it no further
            with _guard:
                _capture(sdk, unhandled)

    middleware: Any = import_module("sentry_sdk.integrations.asgi").SentryAsgiMiddleware
    # With the default mechanism it asks for the names of all packages that are installed.
    sentry: ASGIApp = middleware(within, mechanism_type=_MECHANISM)

    async def watched(scope: Scope, receive: Any, send: Any) -> None:  # noqa: ANN401 - as above
        # A copy: the app's own may get another path from a router before the error comes.
        copy = {**scope, _SCOPE: scope}
        headers = scope["headers"]
        digits = ids.to_hex(current_trace_id.get())
        if digits is not None and not any(name == _HEADER for name, _ in headers):
            copy["headers"] = [*headers, (_HEADER, trace_header(digits).encode())]
        try:
            await sentry(copy, receive, send)
        except Exception as error:
            # Sentry raises it again `from None`.
            cause = copy.get(_CAUSE, (error.__cause__, error.__suppress_context__))
            error.__cause__, error.__suppress_context__ = cause
            raise

    return watched


class WsgiApp:
    """A WSGI app, with Sentry's middleware around it if Sentry is on by the first request.

    Args:
        app: The app.
        sdk: Gives the module `sentry_sdk`, if Sentry is on.
    """

    def __init__(self, app: WSGIApp, sdk: Callable[[], ModuleType | None]) -> None:
        self._app = app
        self._sdk = sdk
        self._serve: WSGIApp = self._decide

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:  # noqa: ANN401 - WSGI's
        """Serve one request."""
        return self._serve(environ, start_response)

    def _decide(self, environ: dict[str, Any], start_response: Any) -> Any:  # noqa: ANN401 - as above
        self._serve = self._app
        sdk = self._sdk()
        if sdk is not None:
            with _guard:
                self._serve = _watched_wsgi(self._app, sdk)
        return self._serve(environ, start_response)


def _watched_wsgi(app: WSGIApp, sdk: ModuleType) -> WSGIApp:
    def within(environ: dict[str, Any], start_response: Any) -> Any:  # noqa: ANN401 - as above
        record: Any = current_trace.get()
        if environ.pop(_ADDED, False):
            del environ[_VARIABLE]
        with _guard:
            claim(sdk, record)
        response = app(environ, start_response)
        if not _is_made_while_read(response, environ):
            environ[_RESPONSE] = response
        return response

    sentry: WSGIApp = import_module("sentry_sdk.integrations.wsgi").SentryWsgiMiddleware(within)

    def watched(environ: dict[str, Any], start_response: Any) -> Any:  # noqa: ANN401 - as above
        digits = ids.to_hex(current_trace_id.get())
        if digits is not None and _VARIABLE not in environ:
            environ[_VARIABLE] = trace_header(digits)
            environ[_ADDED] = True
        response = sentry(environ, start_response)
        # Sentry's own response hides what a server looks for.
        return environ.pop(_RESPONSE, response)

    return watched


def _is_made_while_read(response: Any, environ: dict[str, Any]) -> bool:  # noqa: ANN401 - as above
    """Whether the app's code runs while the server reads its response."""
    wrapper = environ.get("wsgi.file_wrapper")
    is_file = isinstance(wrapper, type) and isinstance(response, wrapper)
    return not (is_file or hasattr(type(response), "__len__") or hasattr(response, "fileno"))


def _capture(sdk: ModuleType, error: BaseException) -> None:
    event, hint = sdk.utils.event_from_exception(
        error,
        client_options=sdk.get_client().options,
        mechanism={"type": _MECHANISM, "handled": False},
    )
    sdk.capture_event(event, hint=hint)
