"""Flask, in place, around the whole `wsgi_app`, with the route and the error from inside it.

Flask answers an unhandled error by itself, and reports it by a signal only. Extensions that answer
errors in their own way send the signal for those as well that they have handled.
"""

from __future__ import annotations

from inspect import currentframe
from typing import TYPE_CHECKING, Any

from pantheon_obs.adapters.wsgi import TraceIdMiddleware
from pantheon_obs.core.context import KEY
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.core.override import override, own_method

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from flask import Flask

    from pantheon_obs.core.settings import Settings

_EXTENSION = "pantheon_obs"


def install(
    app: Flask,
    settings: Settings,
    on_startup: Callable[[], None],
    within: Callable[[WSGIApplication], WSGIApplication],
) -> Flask:
    """Instrument the app object itself, before its first request or after it."""
    from flask import got_request_exception  # noqa: PLC0415 - there is a Flask app, so it is there

    got_request_exception.connect(_note_unhandled, app)
    traced = TraceIdMiddleware(
        within(own_method(app, "wsgi_app")), settings, on_startup=on_startup, route_of=_route_of
    )

    def wsgi_app(_: Flask, environ: WSGIEnvironment, start_response: StartResponse) -> Any:  # noqa: ANN401 - a response
        return traced(environ, start_response)

    override(app, "wsgi_app", wsgi_app)
    app.extensions[_EXTENSION] = traced
    return app


def is_installed(app: Flask) -> bool:
    """Whether the app object was instrumented before, whatever stands around it by now."""
    return _EXTENSION in app.extensions


def _note_unhandled(_app: Flask, exception: BaseException, **_: object) -> None:
    from flask import request  # noqa: PLC0415 - as above

    exchange = request.environ.get(KEY)
    if isinstance(exchange, Exchange):
        exchange.note_unhandled(exception, may_be_handled=not _is_by_flask())


def _is_by_flask() -> bool:
    """Whether Flask itself sends the signal, which it does for a 500 only.

    Flask-RESTful and Flask-RESTX send it for every error that they answer, an `abort(404)` too.
    """
    from flask import Flask  # noqa: PLC0415 - as above

    own = getattr(Flask.handle_exception, "__code__", None)
    frame = currentframe()
    while frame is not None and frame.f_code is not own:
        frame = frame.f_back
    return frame is not None


def _route_of(environ: WSGIEnvironment) -> str | None:
    """Find the rule that was matched, by the path alone where the method was wrong."""
    from flask import current_app  # noqa: PLC0415 - as above

    request: Any = environ.get("werkzeug.request")
    rule = getattr(request, "url_rule", None)
    methods = getattr(getattr(request, "routing_exception", None), "valid_methods", None)
    if rule is None and methods:
        router: Any = current_app.create_url_adapter(request)
        rule, _ = router.match(method=methods[0], return_rule=True)
    return None if rule is None else str(rule.rule)
