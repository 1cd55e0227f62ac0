"""Beside OpenTelemetry: its trace id is adopted, and its spans are unchanged."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from contextvars import copy_context
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple
from wsgiref.util import setup_testing_defaults

import pytest

from pantheon_obs import instrument, instrument_llm, trace_context
from pantheon_obs.propagation import TracedThreadPoolExecutor, carry, extract, inject, opentelemetry
from pantheon_obs.testing import capture_events
from tests.llm.provider import provider
from tests.support.lines import parse_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

otel = pytest.importorskip("opentelemetry.trace")
sdk = pytest.importorskip("opentelemetry.sdk.trace")
export = pytest.importorskip("opentelemetry.sdk.trace.export")
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
context_api = pytest.importorskip("opentelemetry.context")
w3c = pytest.importorskip("opentelemetry.trace.propagation.tracecontext")

log = logging.getLogger("shop")
TRACE = "0af7651916cd43dd8448eb211c80319c"
TIMES = {"gen_ai.response.time_to_first_chunk"}
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


class Numbers(sdk.IdGenerator):  # type: ignore[misc, name-defined]
    """Ids that are the same in every run, if only OpenTelemetry asks for them."""

    def __init__(self) -> None:
        self._next = count(1)

    def generate_span_id(self) -> int:
        """Return the next trace id."""
        return next(self._next)

    def generate_trace_id(self) -> int:
        """Return the next span id."""
        return 0xABC0000000000000 + next(self._next)


class Application:
    """An application with a span around each request, as OpenTelemetry's middlewares make it.

    Args:
        place: Where `instrument` stands: inside of that middleware, outside, or nowhere.
        sampled: Whether the spans are recorded.
    """

    def __init__(self, place: str | None = "inside", *, sampled: bool = True) -> None:
        self.exporter = memory.InMemorySpanExporter()
        sampler = sdk.sampling.ALWAYS_ON if sampled else sdk.sampling.ALWAYS_OFF
        self.tracers = sdk.TracerProvider(sampler=sampler, id_generator=Numbers())
        self.tracers.add_span_processor(export.SimpleSpanProcessor(self.exporter))
        self.tracer = self.tracers.get_tracer("app")
        self.inside = instrument if place == "inside" else (lambda app: app)
        self.outside = instrument if place == "outside" else (lambda app: app)

    @contextmanager
    def span(self, headers: dict[str, str]) -> Iterator[None]:
        """Make a span around a request until its body is sent; its parent is the caller's."""
        parent = w3c.TraceContextTextMapPropagator().extract(headers)
        attributes = {"http.request.method": "GET"}
        with self.tracer.start_as_current_span(
            "GET /", context=parent, kind=otel.SpanKind.SERVER, attributes=attributes
        ) as span:
            yield
            span.set_attribute("http.response.status_code", 200)

    def work(self, *, fails: bool) -> None:
        """Work in spans, one of them on another thread."""
        with self.tracer.start_as_current_span("read", attributes={"rows": 7}) as span:
            log.info("reading")
            span.add_event("read", {"row": 1})
        with TracedThreadPoolExecutor(1) as pool:
            pool.submit(self.elsewhere).result()
        if fails:
            raise LookupError

    def elsewhere(self) -> None:
        """Work on another thread."""
        with self.tracer.start_as_current_span("write"):
            log.info("writing")

    def asgi(self, headers: dict[str, str], *, fails: bool = False) -> str | None:
        """Send a request to an ASGI app; return the id on its response."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            self.work(fails=fails)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"all"})

        inner = self.inside(app)

        async def traced(scope: Any, receive: Any, send: Any) -> None:
            with self.span(headers):
                await inner(scope, receive, send)

        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": "GET", "path": "/", "headers": raw}
        with suppress(LookupError):
            asyncio.run(self.outside(traced)(scope, None, send))
        return dict(sent[0]["headers"]).get(b"x-trace-id", b"").decode() if sent else None

    def wsgi(self, headers: dict[str, str], *, fails: bool = False) -> str | None:
        """Send a request to a WSGI app; return the id on its response."""

        def app(environ: Any, start_response: Any) -> Iterator[bytes]:
            self.work(fails=fails)
            start_response("200 OK", [])
            yield b"all"

        inner = self.inside(app)

        def traced(environ: Any, start_response: Any) -> Any:
            with self.span(headers), closing(inner(environ, start_response)) as body:
                return list(body)

        sent: list[Any] = []

        def start_response(status: str, headers: Any, error: Any = None) -> Any:
            sent.extend(headers)

        environ: dict[str, Any] = {
            f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()
        }
        setup_testing_defaults(environ)
        with suppress(LookupError):
            body: Any = self.outside(traced)(environ, start_response)
            try:
                list(body)
            finally:
                getattr(body, "close", int)()
        return dict(sent).get("X-Trace-ID") if sent else None

    @property
    def spans(self) -> list[Span]:
        """Describe the exported spans."""
        return [_span(span) for span in self.exporter.get_finished_spans()]


class Span(NamedTuple):
    """Describe a span without its times and the places in its tracebacks."""

    name: str
    trace: str
    span: int
    parent: int | None
    kind: Any
    status: Any
    attributes: dict[str, Any]
    events: list[Any]
    links: list[Any]


def _span(span: Any) -> Span:
    return Span(
        span.name,
        f"{span.context.trace_id:032x}",
        span.context.span_id,
        span.parent and span.parent.span_id,
        span.kind,
        (span.status.status_code, span.status.description),
        {name: None if name in TIMES else value for name, value in span.attributes.items()},
        [(event.name, {**event.attributes, "exception.stacktrace": None}) for event in span.events],
        list(span.links),
    )


PROTOCOLS = ["asgi", "wsgi"]


# --- the trace id


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_id_of_the_active_span_is_the_requests(protocol: str, *, sampled: bool) -> None:
    """The id is on the response and on every line, whether the span is recorded or not."""
    app = Application(sampled=sampled)
    with capture_events() as lines:
        trace_id = getattr(app, protocol)({})

    requested = [line for line in lines if "trace_id" in line]
    assert ["reading", "writing", "request_finished"] == [line["event"] for line in requested]
    assert {trace_id} == {line["trace_id"] for line in requested}
    assert 32 == len(trace_id)
    assert ({trace_id} if sampled else set()) == {span.trace for span in app.spans}


@pytest.mark.parametrize("place", ["inside", "outside"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_traceparent_is_read_alike(protocol: str, place: str) -> None:
    """The library and OpenTelemetry read the same id, in either order."""
    app = Application(place)

    assert TRACE == getattr(app, protocol)({"traceparent": PARENT})
    assert {TRACE} == {span.trace for span in app.spans}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_inbound_id_wins(protocol: str) -> None:
    """An inbound id is kept as it was sent; the spans keep their own."""
    app = Application()

    assert "theirs" == getattr(app, protocol)({"X-Trace-ID": "theirs"})
    assert {32} == {len(span.trace) for span in app.spans}


def test_a_job_within_a_span_has_its_id() -> None:
    """A job that brings an id keeps it."""
    app = Application()
    with app.tracer.start_as_current_span("job") as span:
        with trace_context() as trace_id:
            assert f"{span.get_span_context().trace_id:032x}" == trace_id
        with trace_context("job-1") as trace_id:
            assert "job-1" == trace_id


def test_a_span_that_has_ended_gives_no_id() -> None:
    """An event loop may run a connection's next request in the context of the previous one."""
    app = Application()
    with app.tracer.start_as_current_span("GET /"):
        inherited = copy_context()

    def next_request() -> str:
        with trace_context() as trace_id:
            return trace_id

    assert 36 == len(inherited.run(next_request))


def test_the_next_process_continues_a_span() -> None:
    """`inject` sends its id and span; the next process has the same id."""
    app = Application()
    with app.tracer.start_as_current_span("ask") as span, trace_context() as trace_id:
        carrier = inject({})

    there = otel.get_current_span(w3c.TraceContextTextMapPropagator().extract(carrier))
    assert (trace_id, trace_id) == (carrier["X-Trace-ID"], extract(carrier))
    assert span.get_span_context().span_id == there.get_span_context().span_id


# --- the spans


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("headers", [{}, {"traceparent": PARENT}], ids=["root", "child"])
@pytest.mark.parametrize("place", ["inside", "outside"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_spans_are_the_same_with_and_without_the_library(
    protocol: str, place: str, headers: dict[str, str], *, fails: bool
) -> None:
    """Names, parents, ids, attributes, status and events are the same, also in a failure."""
    alone, together = Application(None), Application(place)
    for app in (alone, together):
        getattr(app, protocol)(headers, fails=fails)

    assert 3 == len(alone.spans)
    assert alone.spans == together.spans


def test_a_carried_functions_spans_have_the_callers_span_for_parent() -> None:
    """A plain pool would lose the parent."""
    app = Application()
    with ThreadPoolExecutor(1) as pool, app.tracer.start_as_current_span("request"):
        pool.submit(carry(app.elsewhere)).result()

    write, request = app.spans
    assert ("write", request.span) == (write.name, write.parent)


def test_the_spans_of_anthropics_client_are_unchanged() -> None:
    """They are the same for a response and a stream; the event of the call has the span's id."""
    anthropic = pytest.importorskip("anthropic")
    asked: Any = {"max_tokens": 9, "messages": [{"role": "user", "content": "Paris?"}]}

    def ask(url: str, *, instrumented: bool) -> tuple[list[Span], list[dict[str, Any]]]:
        app = Application()
        options = {"tracer_provider": app.tracers}
        with (
            anthropic.Anthropic(
                api_key="none", base_url=url, max_retries=0, open_telemetry=options
            ) as client,
            capture_events() as lines,
            app.tracer.start_as_current_span("request"),
            trace_context(),
        ):
            if instrumented:
                instrument_llm(client)
            client.messages.create(model="whole", **asked)
            list(client.messages.create(model="whole", stream=True, **asked))
            with client.messages.stream(model="whole", **asked) as stream:
                list(stream)
            with suppress(anthropic.APIError):
                client.messages.create(model="broken", **asked)
        return app.spans, lines

    with provider() as url:
        alone, _ = ask(url, instrumented=False)
        together, lines = ask(url, instrumented=True)

    assert 5 == len(alone)
    assert alone == together
    assert ["llm.messages"] * 4 == [line["event"] for line in lines]
    assert {span.trace for span in together} == {line["trace_id"] for line in lines}


PLAIN = """
import sys
from threading import Thread
from wsgiref.util import setup_testing_defaults
from pantheon_obs import instrument, trace_context
from pantheon_obs.propagation import carry, extract, inject

def app(environ, start_response):
    thread = Thread(target=carry(lambda: inject({})))
    thread.start()
    thread.join()
    start_response("204 No Content", [])
    return []

environ = {}
setup_testing_defaults(environ)
instrument(app)(environ, lambda *_: None).close()
with trace_context(extract({})):
    pass
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""


def test_opentelemetry_is_not_imported_by_the_library() -> None:
    """It is installed here, but not imported."""
    run = subprocess.run(
        [sys.executable, "-c", PLAIN], capture_output=True, timeout=60, check=False
    )

    assert (0, b"") == (run.returncode, run.stderr)
    assert "request_finished" == parse_lines(run.stdout)[-1]["event"]


def test_without_opentelemetry_there_is_no_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not imported to look for one."""
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")

    assert None is opentelemetry.span_context()
    assert "opentelemetry.trace" not in sys.modules
