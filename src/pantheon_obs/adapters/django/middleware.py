"""The middleware: the id on every response, a clean context, one line per request.

https://docs.djangoproject.com/en/stable/topics/http/middleware/
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.apps import apps
from django.http.response import HttpResponseBase

from pantheon_obs.adapters.django import profile
from pantheon_obs.adapters.django.exchange import Exchange, template_of
from pantheon_obs.adapters.django.users import user_id_of
from pantheon_obs.adapters.routes import ROUTE
from pantheon_obs.adapters.wsgi_headers import RequestHeaders
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import begin
from pantheon_obs.core.guard import Guard, report
from pantheon_obs.core.identity import Identity
from pantheon_obs.core.request import carried_by, carry
from pantheon_obs.propagation.foreign import watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.http import HttpRequest

    from pantheon_obs.core.request import Request

_OURS = "pantheon_obs.record"
_ALLOW_ORIGIN = "Access-Control-Allow-Origin"
_EXPOSE = "Access-Control-Expose-Headers"

_guard = Guard("django start-up")


class TraceIdMiddleware:
    """Stands first in `MIDDLEWARE`; sync and async, without a hop between threads.

    Args:
        get_response: What comes next.

    Raises:
        ConfigError: `PANTHEON_OBS` is not accepted.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        settings = profile.load()
        watch()
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        self._id_of_scope = Identity(settings).of
        self._id_of_environ = RequestHeaders(settings).id_of
        self._put_id_on = ResponseHeaders(settings.response_headers).on
        self._quiet = settings.quiet
        self._bind_user_id = settings.bind_user_id
        self._started = False
        _serve()

    def __call__(self, request: HttpRequest) -> Any:  # noqa: ANN401 - a response, or one to await
        """Serve one request, as Django's documentation says."""
        if self._is_async:
            return self._serve(request)
        exchange = self._begin(request)
        if exchange is None:
            response = self.get_response(request)
            self._add_to_outer(request, response)
            return response
        try:
            response = self.get_response(request)
            self._answered(exchange, request, response)
        except BaseException as error:
            exchange.failed(error)
            raise
        finally:
            exchange.leave()
        return response

    async def _serve(self, request: HttpRequest) -> Any:  # noqa: ANN401 - as above
        exchange = self._begin(request)
        if exchange is None:
            response = await self.get_response(request)
            self._add_to_outer(request, response)
            return response
        try:
            response = await self.get_response(request)
            self._answered(exchange, request, response)
        except BaseException as error:
            exchange.failed(error)
            raise
        finally:
            exchange.leave()
        return response

    def _begin(self, request: Any) -> Exchange | None:  # noqa: ANN401 - Django has no types
        """Begin the request's trace; None if it has one, of an app or a middleware around us."""
        if not self._started:  # a server may have set up its loggers after it has loaded the app
            self._started = True
            _serve()
        carrier = _carrier_of(request)
        outer = carrier.get(_OURS) or carried_by(request)
        if outer is not None and not outer.ended:
            carry(request, outer)
            return None
        trace_id = (
            self._id_of_scope(carrier.get("headers") or ())
            if self._is_async
            else self._id_of_environ(carrier)
        )
        exchange = Exchange(trace_id, request)
        exchange.quiet = request.path_info in self._quiet  # whatever it is mounted under
        carry(request, exchange)
        begin(exchange)
        pipeline.started(exchange)
        return exchange

    def _answered(self, exchange: Exchange, request: HttpRequest, response: Any) -> None:  # noqa: ANN401 - as above
        """Add the id to the response, and wait for its end."""
        if not isinstance(response, HttpResponseBase):
            exchange.finish("no_response")  # of which Django will complain
            return
        try:
            self._put_id_on(response, exchange.trace_id)
            self._bind_user(exchange, request)
            exchange.answered(response, is_async=self._is_async)
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per request
            report("django response", error)
            exchange.finish("ok")

    def _add_to_outer(self, request: Any, response: Any) -> None:  # noqa: ANN401 - as above
        """Tell the trace around us what Django knows, and add the headers that it may lack."""
        try:
            exchange: Any = carried_by(request)
            template = template_of(request)
            if template is not None:
                if hasattr(exchange, "scope"):
                    exchange.scope[ROUTE] = template
                else:
                    exchange.route_of = lambda _environ: template
            self._put_id_on(response, exchange.trace_id)
            self._bind_user(exchange, request)
        except Exception as error:  # noqa: BLE001 - as above
            report("django within another trace", error)

    def _bind_user(self, exchange: Request, request: HttpRequest) -> None:
        if self._bind_user_id:
            user_id = user_id_of(request)
            if user_id is not None:
                exchange.bound.setdefault("user_id", user_id)


class ResponseHeaders:
    """Puts the id on a response: replaced, never doubled, and readable across origins.

    Args:
        names: The headers that carry the id.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)

    def on(self, response: HttpResponseBase, trace_id: str) -> None:
        """Set the headers."""
        headers = response.headers
        for name in self._names:
            headers[name] = trace_id
        if _ALLOW_ORIGIN in headers:
            # https://fetch.spec.whatwg.org/#http-access-control-expose-headers
            exposed = headers.get(_EXPOSE, "").strip()
            known = {part.strip().lower() for part in exposed.split(",")}
            # Appended to a wildcard too: it does not count for requests with credentials.
            added = [name.lower() for name in self._names if name.lower() not in known]
            headers[_EXPOSE] = ", ".join(filter(None, [exposed, *added]))


def _carrier_of(request: Any) -> Any:  # noqa: ANN401 - Django has no types
    """The scope or the environ of a request: what our adapters of these leave their record in."""
    scope = getattr(request, "scope", None)
    return request.META if scope is None else scope


def _serve() -> None:
    """Tell the app that requests come, where it is installed."""
    with _guard, suppress(LookupError):
        config: Any = apps.get_app_config("pantheon_obs")
        config.serve()
