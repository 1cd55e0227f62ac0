"""`instrument`: the apps that it accepts and leaves unchanged, and the times to call it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from pantheon_obs import (
    ConfigError,
    Settings,
    TraceIdMiddleware,
    current_trace_id,
    instrument,
    trace_context,
)
from pantheon_obs.adapters.wsgi import TraceIdMiddleware as WsgiMiddleware
from pantheon_obs.testing import capture_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request


async def ok(request: Request) -> JSONResponse:
    """Answer with the id of the trace."""
    return JSONResponse({"trace_id": current_trace_id.get()})


async def boom(request: Request) -> JSONResponse:
    """Fail unhandled."""
    raise ZeroDivisionError


def starlette_app(**options: Any) -> Starlette:
    """Make a small application."""
    return Starlette(routes=[Route("/ok", ok), Route("/boom", boom)], **options)


def client(app: Any) -> TestClient:
    """Make a client that gets the responses that a server would send."""
    return TestClient(app, raise_server_exceptions=False)


def finished(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Select the requests' lines."""
    return [event for event in events if event["event"] == "request_finished"]


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """A plain ASGI callable."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


async def anything(*arguments: Any) -> None:
    """A callable without a definite signature."""
    await plain(*arguments)


class Instance:
    """An object that is an ASGI callable."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve."""
        await plain(scope, receive, send)

    async def method(self, scope: Any, receive: Any, send: Any, more: Any = None) -> None:
        """Serve, with a parameter that the server does not use."""
        await plain(scope, receive, send)


class PerRequest:
    """A class whose instances serve one request each, as Starlette's HTTPEndpoint."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.serving = plain(scope, receive, send)

    def __await__(self) -> Any:
        """Serve."""
        return self.serving.__await__()


class AnyPerRequest(PerRequest):
    """A class per request without a definite signature."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)


def answer_wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """A plain WSGI callable."""
    start_response("204 No Content", [])
    return []


class AnyWsgi:
    """A WSGI app without a definite signature, as of a middleware."""

    def __call__(self, *arguments: Any) -> list[bytes]:
        """Serve."""
        return answer_wsgi(*arguments)


class WsgiPerRequest:
    """A class whose instances are the bodies of one response each."""

    def __init__(self, *arguments: Any) -> None:
        self.body = answer_wsgi(*arguments)

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over its parts."""
        return iter(self.body)


@pytest.mark.parametrize(
    "app",
    [
        pytest.param(answer_wsgi, id="function"),
        pytest.param(AnyWsgi(), id="any-arguments"),
        pytest.param(WsgiPerRequest, id="any-arguments-class"),
    ],
)
def test_a_wsgi_callable_is_wrapped(app: Any) -> None:
    """A callable with environ and start_response gets one wrapper."""
    wrapped = instrument(app)
    started: list[Any] = []
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)

    body = wrapped(environ, lambda *arguments: started.append(arguments))

    assert wrapped is instrument(wrapped)
    assert [] == list(body)
    [(status, headers)] = started
    assert ("204 No Content", 36) == (status, len(dict(headers)["X-Trace-ID"]))


def test_a_framework_app_is_instrumented_in_place() -> None:
    """The object itself is returned; its routes, middleware and handlers are unchanged."""

    def answer(request: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse("mine", 500)

    app = starlette_app(
        exception_handlers={500: answer},
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=pass_on)],
    )
    routes, middleware, handlers = [*app.routes], [*app.user_middleware], {**app.exception_handlers}

    assert instrument(app) is app
    response = client(app).get("/boom")

    assert (routes, middleware, handlers) == (
        app.routes,
        app.user_middleware,
        app.exception_handlers,
    )
    assert (500, "mine") == (response.status_code, response.text)
    assert 36 == len(response.headers["x-trace-id"])


async def pass_on(request: Request, call_next: Callable[[Request], Any]) -> Any:
    """A middleware of the application."""
    return await call_next(request)


def test_a_bare_statement_is_enough_for_a_framework_app() -> None:
    """`instrument(app)` without using its result works too."""
    app = starlette_app()

    instrument(app)

    assert "x-trace-id" in client(app).get("/ok").headers


@pytest.mark.parametrize(
    "app",
    [
        pytest.param(plain, id="function"),
        pytest.param(Instance(), id="instance"),
        pytest.param(Instance().method, id="method"),
        pytest.param(PerRequest, id="class-per-request"),
        pytest.param(functools.partial(plain), id="partial"),
        pytest.param(anything, id="any-arguments"),
        pytest.param(AnyPerRequest, id="any-arguments-class"),
    ],
)
def test_an_asgi_callable_is_wrapped(app: Any) -> None:
    """A callable with scope, receive and send gets one wrapper."""
    wrapped = instrument(app)

    assert isinstance(wrapped, TraceIdMiddleware)
    assert wrapped is instrument(wrapped)
    assert (204, 36) == (
        (response := client(wrapped).get("/")).status_code,
        len(response.headers["x-trace-id"]),
    )


class Hostile:
    """No app, and with a broken `__repr__`."""

    def __repr__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(None, id="none"),
        pytest.param("app", id="string"),
        pytest.param(len, id="builtin"),
        pytest.param(Hostile(), id="hostile"),
    ],
)
def test_other_objects_than_apps_are_refused(wrong: Any) -> None:
    """The error names the accepted values."""
    with pytest.raises(ConfigError, match=r"use an app object \(Starlette.*\), an ASGI callable"):
        instrument(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(Instance, id="the-class-of-an-app"),
        pytest.param(type("Three", (), {"__init__": lambda self, a, b, c: None}), id="any-class"),
    ],
)
def test_a_class_that_serves_no_requests_is_refused(wrong: Any) -> None:
    """Its objects may do so."""
    with pytest.raises(ConfigError, match=rf"an app object, {wrong.__name__}\(\), and not its c"):
        instrument(wrong)


@pytest.mark.parametrize(
    ("settings", "overrides", "message"),
    [
        pytest.param(None, {"log_lvl": "INFO"}, "'log_lvl' is not a setting", id="unknown"),
        pytest.param(None, {"log_level": "LOUD"}, "log_level='LOUD' is not accepted", id="value"),
        pytest.param({"log_level": "INFO"}, {}, "settings={'log_level'", id="no-settings"),
    ],
)
@pytest.mark.parametrize("again", [False, True], ids=["first-call", "second-call"])
def test_a_wrong_setting_is_refused(
    settings: Any, overrides: dict[str, Any], message: str, *, again: bool
) -> None:
    """The error names it, on a second call, too, and the app is unchanged."""
    app = instrument(starlette_app()) if again else starlette_app()

    with pytest.raises(ConfigError) as refused:
        instrument(app, settings, **overrides)

    assert message in str(refused.value)
    assert again == ("x-trace-id" in client(app).get("/ok").headers)


def test_instrumenting_twice_changes_nothing() -> None:
    """There is one header, one line per request, and one `observability_configured`."""
    app = starlette_app()
    with capture_events() as events:
        instrument(app, log_level="INFO")
        instrument(app, log_level="DEBUG")
        response = client(app).get("/ok")

    assert 1 == len(response.headers.get_list("x-trace-id"))
    assert 1 == len(finished(events))
    [configured] = [event for event in events if event["event"] == "observability_configured"]
    assert ("starlette", "INFO", "off: no DSN") == (
        configured["adapter"],
        configured["log_level"],
        configured["sentry"],
    )


def test_an_app_that_is_running_can_be_instrumented() -> None:
    """The next request is traced after start-up or after earlier requests, errors included."""
    app = starlette_app()
    with client(app) as running:
        before = running.get("/ok")
        with capture_events() as events:
            instrument(app)
            ok_after, boom_after = running.get("/ok"), running.get("/boom")

    assert "x-trace-id" not in before.headers
    assert ok_after.headers["x-trace-id"] == ok_after.json()["trace_id"]
    assert 36 == len(boom_after.headers["x-trace-id"])
    assert [200, 500] == [event["status_code"] for event in finished(events)]


def test_the_middleware_added_by_hand_traces_the_requests_that_reach_it() -> None:
    """It runs inside the framework's 500 handler, whose response has no header."""

    def answer(request: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse("mine", 500)

    app = starlette_app(exception_handlers={500: answer})
    app.add_middleware(TraceIdMiddleware)

    response = client(app).get("/ok", headers={"X-Trace-ID": "my-id"})
    failure = client(app).get("/boom")

    assert "my-id" == response.headers["x-trace-id"]
    assert ("mine", None) == (failure.text, failure.headers.get("x-trace-id"))


def test_the_middleware_as_a_function_for_requests_says_what_to_write() -> None:
    """`app.middleware("http")` takes a function of a request; the first request says so."""
    fastapi = pytest.importorskip("fastapi")
    app = fastapi.FastAPI()
    app.middleware("http")(TraceIdMiddleware)

    with pytest.raises(ConfigError, match=r"use an ASGI app.*: app\.add_middleware\(TraceIdM"):
        TestClient(app).get("/")


def test_the_middleware_of_wsgi_refuses_what_is_no_app() -> None:
    """The message has the line to write."""
    with pytest.raises(ConfigError, match=r"use a WSGI application: app\.wsgi_app = TraceIdM"):
        WsgiMiddleware("app")  # type: ignore[arg-type]


def test_the_middleware_by_hand_and_instrument_give_one_line() -> None:
    """Both together give one header and one line."""
    app = starlette_app()
    app.add_middleware(TraceIdMiddleware)
    with capture_events() as events:
        instrument(app)
        response = client(app).get("/ok")

    assert 1 == len(response.headers.get_list("x-trace-id"))
    assert 1 == len(finished(events))


def test_a_callable_wrapped_by_hand_can_be_instrumented() -> None:
    """The middleware alone sets up only the id, so `instrument` still sets up the rest."""
    with capture_events() as events:
        app = instrument(TraceIdMiddleware(plain))
        response = client(app).get("/")

    assert 1 == len(response.headers.get_list("x-trace-id"))
    assert 1 == len(finished(events))


def test_a_test_client_inside_a_trace_leaves_it_as_it_was() -> None:
    """A request in the same process has its own id; the outer one is back afterwards."""
    app = instrument(starlette_app())

    with trace_context("outer"):
        inner = client(app).get("/ok").json()["trace_id"]
        after = current_trace_id.get()

    assert "outer" == after != inner
    assert "" == current_trace_id.get()


def test_settings_are_taken_as_a_value_and_as_overrides() -> None:
    """Overrides win over the settings that are given."""
    settings = Settings(response_headers=("X-One",), id_generator=lambda: "fixed")
    app = instrument(starlette_app(), settings, response_headers="X-Two")

    headers = client(app).get("/ok").headers

    assert ("fixed", None) == (headers["x-two"], headers.get("x-one"))


def test_inbound_ids_can_be_distrusted() -> None:
    """With `trust_inbound=False` each request gets a fresh id, and one DEBUG line says so."""
    with capture_events() as events:
        app = instrument(starlette_app(), trust_inbound=False, log_level="DEBUG")
        headers = client(app).get("/ok", headers={"X-Trace-ID": "theirs"}).headers

    assert 36 == len(headers["x-trace-id"])
    [refusal] = [event for event in events if event["event"] == "trace_id_refused"]
    assert ("debug", "x-trace-id") == (refusal["level"], refusal["source"])
    assert "theirs" not in str(events)


@pytest.mark.parametrize("level", ["INFO", "TRACE", "15"])
def test_each_accepted_level_is_announced(level: str, lines: list[dict[str, Any]]) -> None:
    """Whatever level `log_level` accepts, the line that names it fits the schema."""
    instrument(starlette_app(), log_level=level)

    [configured] = [line for line in lines if line["event"] == "observability_configured"]
    assert level == configured["log_level"]


def test_a_quiet_path_has_its_line_at_debug() -> None:
    """The requests of probes are not in the log at INFO."""
    with capture_events() as events:
        app = instrument(starlette_app(), health=True, quiet_paths="/ok", log_level="DEBUG")
        client(app).get("/ok")
        client(app).get("/health/live")
        client(app).get("/nowhere")

    assert ["debug", "debug", "warning"] == [event["level"] for event in finished(events)]
