"""Any WSGI application: the id on every response, a clean context, one event per request.

PEP 3333, nothing buffered: each part of a body goes on as soon as it comes, and a server finds on a
response the attributes that the application has put there (`close`, `len`, `wsgi.file_wrapper`).
https://peps.python.org/pep-3333/
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pantheon_obs.adapters.routes_mounts import Mounts
from pantheon_obs.adapters.wsgi_body import Body, body_of
from pantheon_obs.adapters.wsgi_environ import (
    EnvironIdentity,
    headers_in_environ,
    path_of,
    route_in,
)
from pantheon_obs.adapters.wsgi_exchange import WsgiExchange
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import KEY, begin, current_trace, end, suspend
from pantheon_obs.core.enclosing import enclosing
from pantheon_obs.core.errors import refuse
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.mistakes import warn_of_problems
from pantheon_obs.core.response_headers import ResponseHeaders
from pantheon_obs.core.settings import resolve
from pantheon_obs.core.signatures import cannot_take
from pantheon_obs.core.spans import attach
from pantheon_obs.core.switch import turned_off
from pantheon_obs.propagation.prepare import prepare_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from pantheon_obs.adapters.wsgi_environ import RouteOf
    from pantheon_obs.core.exchange import Exchange
    from pantheon_obs.core.settings import Settings

_ACCEPTED = (
    "a WSGI application: app.wsgi_app = TraceIdMiddleware(app.wsgi_app); for ASGI it is "
    "'pantheon_obs.TraceIdMiddleware', and in Django's MIDDLEWARE "
    "'pantheon_obs.adapters.django.TraceIdMiddleware'"
)

_guard = Guard("wsgi start-up")


class TraceIdMiddleware:
    """WSGI middleware; `instrument` puts it outside everything the framework adds.

    Args:
        app: The WSGI application.
        settings: The settings; None reads the environment.
        on_startup: Called once, before the first request: WSGI knows no earlier moment.
        route_of: Finds the route's template from a request's environ, as its response starts.

    Raises:
        ConfigError: `app` is no WSGI application, or `settings` is not a `Settings`.

    Example:
        >>> from pantheon_obs.adapters.wsgi import TraceIdMiddleware
        >>> def app(environ, start_response):
        ...     start_response("204 No Content", [])
        ...     return []
        >>> app = TraceIdMiddleware(app)
    """

    def __init__(
        self,
        app: WSGIApplication,
        settings: Settings | None = None,
        *,
        on_startup: Callable[[], None] | None = None,
        route_of: Callable[[WSGIEnvironment], str | None] | None = None,
    ) -> None:
        if cannot_take(app, "environ", "start_response"):
            refuse("app", app, _ACCEPTED)
        settings = resolve(settings, {})
        self._is_off = turned_off(settings)
        warn_of_problems(settings)
        prepare_process()
        self.app = app
        self.on_startup = on_startup
        self.route_of = route_of
        self._mounts = Mounts(app)
        # Never empty if all is off, so that no other request pays for asking.
        self._to_start = [on_startup] if on_startup is not None or self._is_off else []
        self._read = EnvironIdentity(settings).read
        self._response_headers = ResponseHeaders(settings.response_headers, str)
        self._quiet = settings.quiet

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request, as PEP 3333 says."""
        if self._to_start and not self._start():
            return self.app(environ, start_response)
        outer = self._outer(environ)
        if outer is not None:
            if self.route_of is not None and not isinstance(outer, WsgiExchange):
                start_response = self._noting(outer, environ, start_response, self.route_of)
            return self.app(environ, start_response)
        trace_id, upstream = self._read(environ)
        exchange = environ[KEY] = WsgiExchange(
            trace_id, self._response_headers, environ, start_response
        )
        if upstream is not None:
            attach(exchange, upstream)
        begin(exchange)
        try:
            if pipeline.sinks:
                exchange.watch_environ(self._quiet, self._mounts, self.route_of)
                pipeline.started(exchange)
            try:
                # No variable refers to the body: any traceback of the application keeps this frame.
                return body_of(  # type: ignore[no-any-return]  # whatever the application returns
                    self.app(environ, exchange.start_response), exchange, environ
                )
            except Exception as error:
                exchange.escaped(error)
                answer = exchange.answer(error)
                if answer is None:
                    raise
                return Body(answer, exchange)
        except BaseException as error:
            exchange.escaped(error)
            exchange.closed()
            raise
        finally:
            if exchange.is_closed:
                end(exchange)
            else:
                suspend(exchange)

    def _outer(self, environ: WSGIEnvironment) -> Exchange | None:
        """An outer trace of ours, to which there is only the route to add."""
        outer: Exchange | None = environ.get(KEY)
        if outer is not None and outer.ended:  # a copy of an environ may outlive its request
            outer = None
        if outer is None and current_trace.get() is not None:
            outer = enclosing(WsgiExchange, path_of(environ), headers_in_environ, environ)
            if outer is not None:
                environ[KEY] = outer
        if isinstance(outer, WsgiExchange):
            outer.passed_on(environ, self.route_of)
        return outer

    def _noting(
        self,
        outer: Exchange,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        route_of: RouteOf,
    ) -> StartResponse:
        """Have the route noted on a trace of another protocol when the response starts."""
        script = environ.get("SCRIPT_NAME", "")

        def noting(*start: Any) -> Any:  # noqa: ANN401 - WSGI's
            template = route_in(environ, script, route_of, self._mounts)
            if template is not None:
                outer.routed(template)
            return start_response(*start)

        return noting

    def _start(self) -> bool:
        """Run the start-up, unless the library is off; return whether it is on."""
        if self._is_off:
            return False
        with suppress(IndexError):  # of several first requests at once, one starts
            on_startup: Any = self._to_start.pop()
            with _guard:
                on_startup()
        return True


def install(
    app: WSGIApplication,
    settings: Settings,
    on_startup: Callable[[], None],
    within: Callable[[WSGIApplication], WSGIApplication],
) -> WSGIApplication:
    """Wrap a plain WSGI callable; the arguments are as for `asgi.install`."""
    return TraceIdMiddleware(within(app), settings, on_startup=on_startup)


def is_installed(app: WSGIApplication) -> bool:
    """Whether the callable comes from `install`; one wrapped by hand has no start-up of ours."""
    return isinstance(app, TraceIdMiddleware) and app.on_startup is not None
