"""Starlette and FastAPI: broken streams, cut uploads, other instrumentors, and the app object."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from starlette import applications
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from pantheon_obs import instrument
from pantheon_obs.testing import reset
from tests.adapters.messages import Server, endings
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

Events = list[dict[str, Any]]


async def tokens() -> AsyncIterator[bytes]:
    """Break after the first part."""
    yield b"Hello "
    msg = "the model's stream broke"
    raise ConnectionError(msg)


def sync_tokens() -> Iterator[bytes]:
    """Break after the first part, on a thread."""
    yield b"Hello "
    msg = "the model's stream broke"
    raise ConnectionError(msg)


async def nothing_at_all() -> AsyncIterator[bytes]:
    """Break before the first part."""
    if nothing_at_all is not None:
        msg = "the model's stream broke"
        raise ConnectionError(msg)
    yield b""


async def two_parts() -> AsyncIterator[bytes]:
    """End well."""
    yield b"Hello "
    yield b"there"


async def add_version(request: Request, call_next: Callable[..., Any]) -> Any:
    """Add a header, as most such middlewares do."""
    response = await call_next(request)
    response.headers["X-Version"] = "1"
    return response


def finished(events: Events) -> Events:
    """Return the lines of the library's own events."""
    return [event for event in events if event["logger"].startswith("pantheon_obs.")]


def starlette_app(
    content: Callable[[], Any], layers: list[Middleware], after: Callable[..., Any] | None = None
) -> Any:
    """Make a Starlette app that streams."""

    async def chat(request: Any) -> StreamingResponse:
        return StreamingResponse(content(), background=BackgroundTask(after) if after else None)

    return Starlette(routes=[Route("/chat", chat)], middleware=layers)


def fastapi_app(
    content: Callable[[], Any], layers: list[Middleware], after: Callable[..., Any] | None = None
) -> Any:
    """Make a FastAPI app that streams."""
    app = FastAPI(middleware=layers)

    @app.get("/chat")
    async def chat() -> StreamingResponse:
        return StreamingResponse(content(), background=BackgroundTask(after) if after else None)

    return app


def mounted_app(
    content: Callable[[], Any], layers: list[Middleware], after: Callable[..., Any] | None = None
) -> Any:
    """Make an app with the streaming one, and its middlewares, mounted in it."""
    return Starlette(routes=[Mount("/", app=starlette_app(content, layers, after))])


MAKERS = pytest.mark.parametrize("make", [starlette_app, fastapi_app, mounted_app])
RELAY = Middleware(BaseHTTPMiddleware, dispatch=add_version)


@MAKERS
@pytest.mark.parametrize("content", [tokens, sync_tokens, nothing_at_all])
@pytest.mark.parametrize(
    "layers",
    [
        pytest.param([], id="none"),
        pytest.param([RELAY], id="one"),
        pytest.param([RELAY, RELAY, RELAY], id="three"),
        pytest.param([RELAY, Middleware(GZipMiddleware), RELAY], id="with-others"),
        pytest.param([Middleware(GZipMiddleware), RELAY], id="within-others"),
    ],
)
def test_a_stream_that_breaks_is_an_error_whatever_middlewares_stand_between(
    events: Events, make: Callable[..., Any], content: Callable[[], Any], layers: list[Middleware]
) -> None:
    """The request's own line has the traceback, and no other line has."""
    app = instrument(make(content, layers))
    events.clear()

    TestClient(app, raise_server_exceptions=False).get("/chat")

    [line] = finished(events)
    assert ("request_finished", "error", "ConnectionError", "error") == (
        line["event"],
        line["outcome"],
        line["error_type"],
        line["level"],
    )
    assert "the model's stream broke" in line["exception"]


@MAKERS
def test_the_line_of_a_stream_comes_before_the_work_that_follows_it(
    events: Events, make: Callable[..., Any]
) -> None:
    """Without such a middleware there is nothing to wait for."""
    at_work: list[list[str]] = []
    app = instrument(make(two_parts, [], lambda: at_work.append([e["event"] for e in events])))
    events.clear()

    TestClient(app).get("/chat")

    assert [["request_finished"]] == at_work


@MAKERS
def test_a_stream_behind_such_a_middleware_that_ends_well_is_ok(
    events: Events, make: Callable[..., Any]
) -> None:
    """Its line waits for the work that follows."""
    app = instrument(make(two_parts, [RELAY, RELAY]))
    events.clear()

    assert "Hello there" == TestClient(app).get("/chat").text
    assert [("request_finished", "ok", 200)] == endings(events)


def test_failing_work_after_a_whole_response_behind_such_a_middleware_is_of_the_background(
    events: Events,
) -> None:
    """The body was whole by its length: the error comes from the work that follows."""

    def fails() -> None:
        raise LookupError

    async def whole(request: Any) -> JSONResponse:
        return JSONResponse({}, background=BackgroundTask(fails))

    app = instrument(Starlette(routes=[Route("/", whole)], middleware=[RELAY]))
    events.clear()

    TestClient(app, raise_server_exceptions=False).get("/")

    assert ["request_finished", "background_failed"] == [line["event"] for line in finished(events)]
    assert [("request_finished", "ok", 200)] == endings(events)


UPLOAD = (
    {"type": "http.request", "body": b"a part", "more_body": True},
    {"type": "http.disconnect"},
)


class UploadError(Exception):
    """An application's own exception."""


async def read(request: Request) -> PlainTextResponse:
    """Read the body."""
    await request.body()
    raise AssertionError


async def translate(request: Request) -> PlainTextResponse:
    """Raise an exception of its own for the client's departure."""
    try:
        return await read(request)
    except ClientDisconnect as error:
        raise UploadError from error


async def fail(request: Request) -> PlainTextResponse:
    """Fail for another reason after the client has left."""
    with contextlib.suppress(ClientDisconnect):
        await request.body()
    raise UploadError


@pytest.mark.parametrize("layers", [[], [RELAY]], ids=["alone", "behind-a-middleware"])
@pytest.mark.parametrize(
    ("upload", "outcome"),
    [
        pytest.param(read, "client_disconnected", id="read"),
        pytest.param(translate, "client_disconnected", id="translated"),
        pytest.param(fail, "error", id="fails-otherwise"),
    ],
)
@pytest.mark.parametrize("kind", [Starlette, FastAPI])
def test_a_client_that_leaves_during_its_upload(
    events: Events,
    kind: type[Starlette],
    upload: Callable[..., Any],
    outcome: str,
    layers: list[Middleware],
) -> None:
    """Nobody gets the framework's answer, so that the line has no status."""
    app = instrument(kind(routes=[Route("/", upload, methods=["POST"])], middleware=layers))
    events.clear()

    Server(app, *UPLOAD, method="POST", query_string=b"").serve()

    [line] = finished(events)
    assert (outcome, None) == (line["outcome"], line.get("status_code"))
    assert ("error" if outcome == "error" else "info") == line["level"]


def test_an_upload_that_fastapi_reads_itself(events: Events) -> None:
    """FastAPI answers with a 400, which nobody gets."""
    app = FastAPI()

    @app.post("/")
    async def order(item: dict[str, str]) -> None:
        """Take an order."""

    instrument(app)
    events.clear()

    headers = [(b"content-type", b"application/json")]
    Server(app, *UPLOAD, method="POST", query_string=b"", headers=headers).serve()

    assert [("request_finished", "client_disconnected", None)] == endings(events)


# Websockets in the application's own tests.


async def refuse(socket: WebSocket) -> None:
    """Refuse; or fail, or say nothing."""
    if socket.url.path == "/refuse":
        await socket.close(code=1008, reason="no token")
    if socket.url.path == "/fail":
        raise LookupError


@pytest.mark.parametrize("path", ["/refuse", "/fail", "/nowhere"])
def test_a_test_client_sees_of_a_refused_websocket_what_it_saw_before(
    events: Events, path: str
) -> None:
    """The close code and its reason, or the exception of the application."""

    def make() -> Starlette:
        return Starlette(routes=[WebSocketRoute(f"/{name}", refuse) for name in ("refuse", "fail")])

    seen = []
    for app in (make(), instrument(make())):
        with pytest.raises((WebSocketDisconnect, LookupError)) as raised:
            TestClient(app).websocket_connect(path).__enter__()
        details = vars(raised.value)
        seen.append((raised.type, details.get("code"), details.get("reason")))

    assert seen[0] == seen[1]


# Other instrumentors.


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Collect the spans of all instrumentors."""
    pytest.importorskip("opentelemetry.sdk.trace")
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - is not always installed
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415 - as above
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import (  # noqa: PLC0415 - as above
        InMemorySpanExporter,
    )

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    exporter.provider = provider  # type: ignore[attr-defined]
    return exporter


def by_opentelemetry(app: Any, spans: Any) -> Any:
    """Instrument an app with OpenTelemetry's own instrumentor."""
    if isinstance(app, FastAPI):
        module = pytest.importorskip("opentelemetry.instrumentation.fastapi")
        module.FastAPIInstrumentor.instrument_app(app, tracer_provider=spans.provider)
    else:
        module = pytest.importorskip("opentelemetry.instrumentation.starlette")
        module.StarletteInstrumentor.instrument_app(app, tracer_provider=spans.provider)


def by_logfire(app: Any, spans: Any) -> Any:
    """Instrument an app with logfire."""
    logfire = pytest.importorskip("logfire")
    pytest.importorskip("opentelemetry.instrumentation.fastapi")
    pytest.importorskip("opentelemetry.instrumentation.starlette")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415 - as above

    mine = logfire.configure(
        local=True,
        send_to_logfire=False,
        console=False,
        inspect_arguments=False,
        additional_span_processors=[SimpleSpanProcessor(spans)],
    )
    if isinstance(app, FastAPI):
        mine.instrument_fastapi(app)
    else:
        mine.instrument_starlette(app)


def boom(request: Request) -> PlainTextResponse:
    """Fail."""
    raise LookupError


@pytest.mark.parametrize("other", [by_opentelemetry, by_logfire])
@pytest.mark.parametrize("ours", ["first", "last"])
@pytest.mark.parametrize("kind", [Starlette, FastAPI])
def test_another_instrumentor_beside_the_library(
    events: Events, spans: Any, kind: type[Starlette], ours: str, other: Callable[..., Any]
) -> None:
    """Both work in either order, and a second `instrument` is a no-op."""
    app = kind(routes=[Route("/boom", boom)])
    steps: list[Callable[[], Any]] = [lambda: instrument(app), lambda: other(app, spans)]
    for step in steps if ours == "first" else reversed(steps):
        step()
    stack = app.build_middleware_stack
    instrument(app)
    events.clear()

    response = TestClient(app, raise_server_exceptions=False).get("/boom")

    [line] = finished(events)
    assert stack == app.build_middleware_stack
    assert (500, line["trace_id"]) == (response.status_code, response.headers["x-trace-id"])
    assert ("error", "LookupError") == (line["outcome"], line["error_type"])
    names = [span.name for span in spans.get_finished_spans()]
    assert 1 == names.count("GET /boom")
    if ours == "first" and kind is FastAPI:  # the span is outside, and the library adopts its id
        [span] = [each for each in spans.get_finished_spans() if each.name == "GET /boom"]
        assert f"{span.context.trace_id:032x}" == line["trace_id"]


@pytest.mark.parametrize("ours", ["first", "last"])
def test_another_instrumentor_that_is_taken_off_again(
    events: Events, spans: Any, ours: str
) -> None:
    """If it has taken the library off as well, `instrument` puts the library on again."""
    module = pytest.importorskip("opentelemetry.instrumentation.fastapi")
    app = FastAPI(routes=[Route("/boom", boom)])
    steps: list[Callable[[], Any]] = [
        lambda: instrument(app),
        lambda: by_opentelemetry(app, spans),
    ]
    for step in steps if ours == "first" else reversed(steps):
        step()
    module.FastAPIInstrumentor.uninstrument_app(app)
    instrument(app)
    events.clear()

    response = TestClient(app, raise_server_exceptions=False).get("/boom")

    assert [("request_finished", "error", 500)] == endings(events)
    assert 1 == len(response.headers.get_list("x-trace-id"))


def test_a_framework_whose_class_another_instrumentor_has_replaced(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apps of the class before are recognized, FastAPI's among them."""

    class Replaced(Starlette):
        """OpenTelemetry's instrumentors put such a subclass in Starlette's place."""

    monkeypatch.setattr(applications, "Starlette", Replaced)

    for kind in (Starlette, FastAPI, Replaced):
        app = kind(routes=[Route("/boom", boom)])
        assert app is instrument(app)


# The app object.


@pytest.mark.parametrize("served", [False, True], ids=["new", "served"])
def test_an_instrumented_app_is_freed_with_its_last_reference(*, served: bool) -> None:
    """The library adds no cycle to it."""

    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    async def send(message: Any) -> None:
        """Take a message."""

    app = instrument(Starlette(routes=[Route("/", answer)]))
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    collect_garbage()
    gc.disable()
    try:
        if served:
            asyncio.run(app(scope, asyncio.Event().wait, send))
            scope.clear()  # Starlette has left the app there
        freed = weakref.ref(app)
        del app
        assert freed() is None
    finally:
        gc.enable()
        reset()
