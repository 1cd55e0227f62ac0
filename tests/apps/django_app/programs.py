"""Programs that use the project without a server; they log their results."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import threading
from typing import Any

import django

django.setup()

from asgiref.sync import iscoroutinefunction  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.cache import caches  # noqa: E402
from django.core.checks import run_checks  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.management.base import BaseCommand  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse  # noqa: E402
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory  # noqa: E402
from django.test.utils import override_settings  # noqa: E402

from pantheon_obs import (  # noqa: E402
    ConfigError,
    configure_logging,
    current_trace_id,
    instrument,
)
from pantheon_obs.adapters import django as adapter  # noqa: E402
from pantheon_obs.adapters.django import TraceIdMiddleware  # noqa: E402
from pantheon_obs.adapters.django.apps import trace_commands  # noqa: E402
from tests.support.garbage import collect_garbage  # noqa: E402

log = logging.getLogger("program")


def result(**fields: Any) -> None:
    """Log a result for the test."""
    log.info("result", extra=fields)


def request(path: str = "/ok", **headers: str) -> HttpRequest:
    """Make a request as a WSGI server makes it."""
    return RequestFactory().get(path, headers=headers)


def log_as_django() -> None:
    """Log through Django's own loggers, before and after Django is set up once more."""
    for logger in ("django", "django.request", "django.server", "django.db.backends"):
        logging.getLogger(logger).error("first")
    django.setup()
    for logger in ("django", "django.request", "django.server"):
        logging.getLogger(logger).error("second")
    logging.getLogger("django").debug("detail")
    logging.getLogger("django.server").info('"%s" %s %s', "GET /?token=secret", "200", "4")
    logging.getLogger("django.server").info("- Broken pipe from %s", "x", extra={"request": 1})
    result(
        handlers=[type(handler).__name__ for handler in logging.getLogger("django").handlers],
        root_level=logging.getLogger().level,
    )


def tell_settings() -> None:
    """Log the response headers that carry the id; the settings are in force."""
    response = Client().get("/ok", headers={"X-Trace-ID": "t-1"})
    result(headers=sorted(name for name, value in response.headers.items() if value == "t-1"))


def fail_in_debug() -> None:
    """Ask for Django's error pages for developers."""
    client = Client(raise_request_exception=False)
    for path in ("/boom", "/not-found", "/nowhere", "/suspicious"):
        response = client.get(path)
        result(status=response.status_code, page=b"<html" in response.content[:200])


def command_in_request() -> None:
    """Call a command in a view, whose request it is part of, and outside of one."""

    def view(_request: HttpRequest) -> HttpResponse:
        call_command("tell")
        return HttpResponse()

    response = TraceIdMiddleware(view)(request(**{"X-Trace-ID": "outer"}))
    response.close()
    call_command("tell", inner=True)
    result(now=current_trace_id.get())


def endings() -> None:
    """Return responses that are not closed, closed twice, cached, or no responses at all."""
    streaming = TraceIdMiddleware(lambda _: StreamingHttpResponse(iter(["a"])))
    for name, response in (
        ("dropped", TraceIdMiddleware(lambda _: HttpResponse())(request("/dropped"))),
        ("never-read", streaming(request("/never-read"))),
        ("head", streaming(RequestFactory().head("/head"))),
        ("read", streaming(request("/read"))),
        ("twice", TraceIdMiddleware(lambda _: HttpResponse())(request("/twice"))),
    ):
        if name in {"never-read", "head"}:
            response.close()
        if name == "read":
            list(response)
        if name == "twice":
            cached = pickle.dumps(response)
            response.close()
            response.close()
            pickle.loads(cached).close()  # noqa: S301 - our own
        del response
    collect_garbage()
    no_response: Any = TraceIdMiddleware(lambda _: "text")(request("/text"))
    listed_twice = TraceIdMiddleware(TraceIdMiddleware(lambda _: HttpResponse()))
    again = request("/again", **{"X-Trace-ID": "first"})
    listed_twice(again).close()
    again.META["HTTP_X_TRACE_ID"] = "second"
    listed_twice(again).close()
    broken = HttpResponse()
    broken._resource_closers = None  # noqa: SLF001 - as no version of Django has it
    TraceIdMiddleware(lambda _: broken)(request("/broken"))
    result(text=no_response, now=current_trace_id.get())


def failing_closer() -> None:
    """Close a generator that fails then, in the trace of its request."""

    def parts() -> Any:
        try:
            yield "a"
        finally:
            log.info("closing")
            raise LookupError

    response = TraceIdMiddleware(lambda _: StreamingHttpResponse(parts()))(request())
    iterator = iter(response)
    next(iterator)
    response.close()
    result(now=current_trace_id.get())


def cache_of_a_view() -> None:
    """Keep something in a cache of Django's, whose object the code around the request gets too."""
    seen = []

    def view(_request: HttpRequest) -> HttpResponse:
        seen.append(caches["default"])
        return HttpResponse()

    for _ in range(2):
        TraceIdMiddleware(view)(request()).close()
    seen.append(caches["default"])
    result(objects=len({id(each) for each in seen}), opened=len(caches.all(initialized_only=True)))


def odd_parts() -> None:
    """Close a response of the project's own kind, when the socket has failed."""

    class Response(HttpResponse):
        @property
        def _container(self) -> Any:
            return object()

        @_container.setter
        def _container(self, value: Any) -> None:
            pass

    response = TraceIdMiddleware(lambda _: Response())(request())
    try:
        raise BrokenPipeError  # noqa: TRY301 - as the write of a server does
    except BrokenPipeError:
        response.close()
    result(now=current_trace_id.get())


def raising() -> None:
    """Raise errors that Django does not answer: in its handlers, and other than `Exception`."""

    def raise_(error: BaseException) -> Any:
        def get_response(_request: HttpRequest) -> HttpResponse:
            raise error

        return get_response

    for error in (LookupError("x"), SystemExit(3), asyncio.CancelledError()):
        try:
            TraceIdMiddleware(raise_(error))(request(f"/{type(error).__name__}"))
        except BaseException as raised:  # noqa: BLE001 - they are the subject
            result(same=raised is error, now=current_trace_id.get())


def cancelling() -> None:
    """Cancel async requests: by Django, by the server, by the end of the loop."""

    async def wait(_request: HttpRequest) -> HttpResponse:
        await asyncio.Event().wait()
        return HttpResponse()

    async def give_up(_request: HttpRequest) -> HttpResponse:
        raise asyncio.CancelledError

    async def main() -> None:
        middleware = TraceIdMiddleware(wait)
        factory = AsyncRequestFactory()
        bystander = asyncio.create_task(asyncio.Event().wait())
        for path, message in (("/left", None), ("/stopped", "shutdown")):
            task = asyncio.ensure_future(middleware(factory.get(path)))
            await asyncio.sleep(0)
            task.cancel(message)
            await asyncio.wait([task])
        with_itself = asyncio.ensure_future(TraceIdMiddleware(give_up)(factory.get("/itself")))
        await asyncio.wait([with_itself])
        late = asyncio.ensure_future(middleware(factory.get("/late")))
        await asyncio.sleep(0)
        result(bystander=bystander.done(), late=late.done())

    asyncio.run(main())


def no_hop() -> None:
    """Serve an async stack, for which we need no other thread."""

    async def view(_request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    async def main() -> None:
        middleware = TraceIdMiddleware(view)
        response = await middleware(AsyncRequestFactory().get("/ok"))
        response.close()
        result(threads=threading.active_count(), is_async=iscoroutinefunction(middleware))

    asyncio.run(main())


def async_client() -> None:
    """Use Django's client for async tests, which leaves no trace behind."""

    async def main() -> None:
        response = await AsyncClient().get("/ok", **{"X-Trace-ID": "t-1"})
        stream = await AsyncClient().get("/llm-stream")
        result(id=response.headers["x-trace-id"], now=current_trace_id.get())
        del stream

    asyncio.run(main())
    collect_garbage()


def rest_framework() -> None:
    """Authenticate by Django REST framework."""
    from django.contrib.auth.models import User  # noqa: PLC0415 - where models are loaded
    from rest_framework.authentication import BaseAuthentication  # noqa: PLC0415
    from rest_framework.response import Response  # noqa: PLC0415
    from rest_framework.views import APIView  # noqa: PLC0415

    class Always(BaseAuthentication):
        def authenticate(self, request: Any) -> Any:
            return User(pk=7), None

    class Things(APIView):
        authentication_classes = (Always,)

        def get(self, request: Any) -> Response:
            return Response({})

    def view(incoming: HttpRequest) -> HttpResponse:
        response = Things.as_view()(incoming)
        response.render()
        return response

    TraceIdMiddleware(view)(request()).close()


def unreadable_user() -> None:
    """Answer with a user of the project's own that fails when it is asked."""

    class Unreadable:
        @property
        def is_authenticated(self) -> bool:
            raise ConnectionError

    def view(incoming: Any) -> HttpResponse:
        incoming.user = Unreadable()
        return HttpResponse("ok")

    TraceIdMiddleware(view)(request()).close()


def instrument_twice() -> None:
    """Instrument the same application twice."""
    application = instrument(get_wsgi_application())
    result(same=instrument(application) is application, installed=settings.LOGGING_CONFIG)


def without_middleware() -> None:
    """Fail without our middleware: Django's own line is then the only one."""
    with override_settings(MIDDLEWARE=[]):
        Client(raise_request_exception=False).get("/boom?token=secret")
    log.info("the project's own", extra={"request": "a text"})


def on_quiet_paths() -> None:
    """Fail where the request's line is not shown."""
    with override_settings(PANTHEON_OBS={"quiet_paths": "/boom"}):
        Client(raise_request_exception=False).get("/boom")


def second_time() -> None:
    """Set up again, which changes nothing."""
    execute = BaseCommand.execute
    trace_commands()
    try:
        _ = adapter.databse_check
    except AttributeError as error:
        result(same=execute is BaseCommand.execute, error=str(error))
    result(checks=[adapter.database_check.__name__, adapter.cache_check.__name__])


def mounted_in_starlette() -> None:
    """Be mounted in a Starlette application; the first request must have one id."""
    import httpx  # noqa: PLC0415 - for this program
    from asgiref.wsgi import WsgiToAsgi  # noqa: PLC0415 - as above
    from starlette.applications import Starlette  # noqa: PLC0415 - as above
    from starlette.routing import Mount  # noqa: PLC0415 - as above

    project = WsgiToAsgi(get_wsgi_application())
    app = instrument(Starlette(routes=[Mount("/in/{name}", project)]))

    async def ask() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            response = await client.get("/in/acme/tenants/acme/things/7")
            assert [response.json()["trace_id"]] == response.headers.get_list("x-trace-id")
            assert 500 == (await client.get("/in/acme/boom")).status_code

    asyncio.run(ask())


def outer_that_fails() -> None:
    """Serve within a foreign trace that cannot be written to."""
    incoming = request()
    incoming.META["pantheon_obs.trace"] = type("Outer", (), {"ended": False, "__slots__": ()})()
    result(status=TraceIdMiddleware(lambda _: HttpResponse(status=202))(incoming).status_code)


def find_problems() -> None:
    """Log the problems that the system checks find, and the error that a server would meet."""
    found = [problem for problem in run_checks() if str(problem.id).startswith("pantheon_obs")]
    result(problems=[f"{problem.id} {problem.msg}" for problem in found])
    try:
        get_wsgi_application()
    except ConfigError as error:
        result(raised=str(error))


def check_middleware() -> None:
    """Log the problems of other orders of the middleware."""
    ours = "pantheon_obs.adapters.django.TraceIdMiddleware"
    other = "tests.apps.django_app.middleware.Cors"
    own = "tests.apps.django_app.middleware.OwnTracing"
    of_asgi = "pantheon_obs.TraceIdMiddleware"
    for listed in (
        *([], [other], [other, ours], [ours, other]),
        *([own, other], [f"{ours[:-18]}.middleware{ours[-18:]}"], ["no.such.module"]),
        *([of_asgi], [ours, of_asgi], ["pantheon_obs.adapters.django"]),
    ):
        with override_settings(MIDDLEWARE=listed):
            result(problems=[str(problem.id) for problem in run_checks()])


def copies() -> None:
    """Copy and pickle a request below the middleware, and a response above it."""

    def audit(request: HttpRequest) -> StreamingHttpResponse:
        for each in (copy.deepcopy(request), pickle.loads(pickle.dumps(request))):  # noqa: S301 - our own
            again = TraceIdMiddleware(lambda _: HttpResponse())(each)
            again.close()
            result(again=again.headers["X-Trace-ID"])
        response = StreamingHttpResponse(iter([b"a", b"b"]))
        response._resource_closers.append(log_closing)  # noqa: SLF001 - as Django itself does
        return response

    response = TraceIdMiddleware(audit)(request("/audited", **{"X-Trace-ID": "t-1"}))
    for each in (copy.deepcopy(response), pickle.loads(pickle.dumps(response)), response):  # noqa: S301 - our own
        result(read=b"".join(each.streaming_content).decode())
        each.close()


def log_closing() -> None:
    """Log the trace in which a response is closed."""
    result(closing=current_trace_id.get())


def middleware_alone() -> None:
    """Configure logging, and serve a request without the Django app."""
    configure_logging(service="own")
    TraceIdMiddleware(lambda _: HttpResponse())(request("/ok")).close()
    result()


def fail_outside() -> None:
    """Fail in a middleware before ours in the list, when ours has ended."""
    ours = "pantheon_obs.adapters.django.TraceIdMiddleware"
    outside = "tests.apps.django_app.middleware.FailingOutside"
    with override_settings(MIDDLEWARE=[outside, ours]):
        result(status=Client(raise_request_exception=False).get("/ok").status_code)


def everything() -> None:
    """Run all programs that need no settings of their own."""
    for section in (
        no_hop,  # first: Django's own clients start threads
        endings,
        failing_closer,
        cache_of_a_view,
        odd_parts,
        raising,
        cancelling,
        async_client,
        command_in_request,
        rest_framework,
        unreadable_user,
        check_middleware,
        copies,
        fail_outside,
        instrument_twice,
        without_middleware,
        on_quiet_paths,
        second_time,
        outer_that_fails,
    ):
        log.info("section", extra={"section": section.__name__})
        section()
