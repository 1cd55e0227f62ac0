"""The middleware: the id on every response, a clean context, one event per request.

https://docs.djangoproject.com/en/stable/topics/http/middleware/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import MiddlewareNotUsed
from django.http.response import HttpResponseBase
from django.http.response import ResponseHeaders as DjangoHeaders

from pantheon_obs import _setup
from pantheon_obs.adapters.django.exchange import Closer, DjangoExchange, template_of
from pantheon_obs.adapters.django.metrics import in_front
from pantheon_obs.adapters.django.profile import load
from pantheon_obs.adapters.django.start import process
from pantheon_obs.adapters.django.streams import follow
from pantheon_obs.adapters.django.users import bind_user, bind_user_early
from pantheon_obs.adapters.wsgi_environ import EnvironIdentity, headers_in_environ
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import ATTRIBUTE, KEY, begin, current_trace, leave_on, trace_on
from pantheon_obs.core.enclosing import enclosing
from pantheon_obs.core.guard import Guard, report
from pantheon_obs.core.identity import Identity
from pantheon_obs.core.response_headers import ResponseHeaders
from pantheon_obs.core.spans import attach
from pantheon_obs.core.switch import turned_off
from pantheon_obs.propagation.prepare import prepare_loop, prepare_process

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

_OFF = "pantheon-obs is disabled"

_trace_here = current_trace.get  # as in `core.serving`
_guard = Guard("django start-up")


class TraceIdMiddleware:
    """Stands first in `MIDDLEWARE`; sync and async, without a hop between threads.

    Args:
        get_response: The next middleware, or the view.

    Raises:
        ConfigError: `PANTHEON_OBS` is not accepted.
        MiddlewareNotUsed: The library is `disabled`; Django leaves the middleware out.
    """

    # Django's `wraps` makes a dict of a middleware's attributes, which Python 3.11 reads ten times
    # as slowly as slots: 2,500 instructions for each request.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_bind_user_id",
        "_is_async",
        "_of_environ",
        "_of_scope",
        "_quiet",
        "_response_headers",
        "_started",
        "get_response",
    )
    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        settings = load()
        if turned_off(settings):
            raise MiddlewareNotUsed(_OFF)
        prepare_process()
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        self._of_scope = Identity(settings)
        self._of_environ = EnvironIdentity(settings)
        self._response_headers = ResponseHeaders(settings.response_headers, str)
        self._quiet = settings.quiet
        self._bind_user_id = settings.bind_user_id
        self._started = False
        _serve()
        if settings.metrics_path is not None and _setup.metrics_status() == "on":
            self.get_response = in_front(
                get_response, settings.metrics_path, is_async=self._is_async
            )

    def __call__(self, request: HttpRequest) -> Any:  # noqa: ANN401 - a response, or one to await
        """Serve one request, as Django's documentation says."""
        if self._is_async:
            return self._serve(request)
        exchange = self._begin(request)
        if exchange is None:
            return self._add_to_outer(request, self.get_response(request))
        begin(exchange)
        try:
            if pipeline.listening:
                pipeline.started(exchange)
            return self._answered(exchange, request, self.get_response(request))
        except BaseException as error:
            exchange.failed(error)
            raise
        finally:
            exchange.leave()

    async def _serve(self, request: HttpRequest) -> Any:  # noqa: ANN401 - as above
        if not self._started:
            prepare_loop()
        exchange = self._begin(request)
        if exchange is None:
            return self._add_to_outer(request, await self.get_response(request))
        begin(exchange)
        try:
            if pipeline.listening:
                pipeline.started(exchange)
            return self._answered(exchange, request, await self.get_response(request))
        except BaseException as error:
            exchange.failed(error)
            raise
        finally:
            exchange.leave()

    def _begin(self, request: Any) -> DjangoExchange | None:  # noqa: ANN401 - Django has no types
        """Begin the request's trace; None if code around us has done so."""
        if not self._started:  # a server may have set up its loggers after it has loaded the app
            self._started = True
            _serve()
        scope = getattr(request, "scope", None)
        carrier = request.META if scope is None else scope
        outer = carrier.get(KEY) or getattr(request, ATTRIBUTE, None)
        if outer is None and _trace_here() is not None:
            outer = enclosing(DjangoExchange, request.path, headers_in_environ, request.META)
        if outer is not None and not outer.ended:
            leave_on(request, outer)
            if self._bind_user_id:
                bind_user_early(outer, request)
            return None
        trace_id, upstream = (
            self._of_environ.read(carrier)
            if scope is None
            else self._of_scope.read(carrier.get("headers") or ())
        )
        exchange = DjangoExchange(trace_id, request)
        if upstream is not None:
            attach(exchange, upstream)
        path = request.path
        mount = path.removesuffix(request.path_info)
        exchange.watch(request.method, path, mount, self._quiet)
        if self._bind_user_id:
            bind_user_early(exchange, request)
        request._pantheon_obs_trace = exchange  # noqa: SLF001 - `leave_on` would take 1,700 more
        return exchange

    def _answered(self, exchange: DjangoExchange, request: HttpRequest, response: Any) -> Any:  # noqa: ANN401 - as above
        """Add the id to the response; the event is due when the server closes it."""
        if not isinstance(response, HttpResponseBase):
            exchange.finish()  # without a response, of which Django will complain
            return response
        try:
            exchange.started(response.status_code)
            self._put_id_on(response, exchange.trace_id)
            if self._bind_user_id:
                bind_user(exchange, request)
            if getattr(response, "streaming", False):
                follow(response, exchange)
            else:
                exchange.parts = getattr(response, "_container", ())  # `content` copies it
            # Django's handlers use this list too, to close the request with its response.
            response._resource_closers.append(Closer(exchange))  # noqa: SLF001
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per request
            report("django response", error)
            exchange.complete()
            exchange.finish()
        return response

    def _add_to_outer(self, request: Any, response: Any) -> Any:  # noqa: ANN401 - as above
        """Put Django's facts on the trace around us, and add the headers that it may lack."""
        try:
            exchange: Any = trace_on(request)
            template = template_of(request)
            if template is not None:
                exchange.routed(template)
            self._put_id_on(response, exchange.trace_id)
            if self._bind_user_id:
                bind_user(exchange, request)
        except Exception as error:  # noqa: BLE001 - as above
            report("django within another trace", error)
        return response

    def _put_id_on(self, response: HttpResponseBase, trace_id: str) -> None:
        headers = response.headers
        if type(headers) is DjangoHeaders:
            # Past Django's examination of each name and value: ours are known to be right. It would
            # take 150 bytecode instructions more, a tenth of this library's cost per request.
            self._response_headers.put_in(headers._store, trace_id)  # noqa: SLF001 - see above
        else:
            given = list(headers.items())  # a class of the project's may have several of one name
            for pair in self._response_headers.on(given, trace_id):
                if pair not in given:
                    headers[pair[0]] = pair[1]


def _serve() -> None:
    """Note that requests come; without the app the process is set up now."""
    with _guard:
        process.serve()
