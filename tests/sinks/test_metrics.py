"""The metrics count each fact once, and no client can make the number of series grow."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from itertools import product
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pantheon_obs import ConfigError, Health, Settings, instrument, llm_call, testing
from pantheon_obs.core import finalizers, guard, pipeline
from pantheon_obs.core.context import end
from pantheon_obs.core.events import (
    BackgroundFailed,
    LlmCallFinished,
    RequestFinished,
    TaskFinished,
    WebsocketFinished,
)
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.core.finalizers import apart
from pantheon_obs.core.measurements import LinesDropped, Operation
from pantheon_obs.sinks.metrics.labels import keep_small
from pantheon_obs.sinks.metrics.sink import MetricsSink
from pantheon_obs.testing import capture_events
from tests.support.events import request_finished
from tests.support.garbage import collect_garbage

REQUESTS = "http_server_request_duration_seconds_count"
DATABASE = "db_client_operation_duration_seconds_count"
OUTGOING = "http_client_request_duration_seconds_count"
ACTIVE = "http_server_active_requests"
MESSAGES = {"http.response.start": {"status": 200, "headers": []}, "http.response.body": {}}


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer with an empty body."""
    for kind, message in MESSAGES.items():
        await send({"type": kind, **message})


class App:
    """An instrumented ASGI application with a registry of its own."""

    def __init__(self, app: Any = answer, **options: Any) -> None:
        self.registry = CollectorRegistry()
        self.app = instrument(
            app,
            metrics_path="/metrics",
            metrics_registry=self.registry,
            log_format="json",
            **options,
        )

    def serve(self, path: str = "/", method: str = "GET", **scope: Any) -> list[Any]:
        """Serve one request, and return the sent messages."""
        return asyncio.run(self.aserve(path, method, **scope))

    async def aserve(self, path: str, method: str, **scope: Any) -> list[Any]:
        """Serve one request of several."""
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request"}

        connection = {"type": "http", "method": method, "path": path, "headers": [], **scope}
        await self.app(connection, receive, send)
        return sent

    def value(self, name: str, **labels: str) -> float | None:
        """The value of a series."""
        return self.registry.get_sample_value(name, labels)

    def series(self) -> int:
        """The number of series."""
        return sum(len(metric.samples) for metric in self.registry.collect())


def labels_of(status: str = "200", method: str = "GET", error: str = "") -> dict[str, str]:
    """The labels of a request that has matched no route."""
    return {
        "http_request_method": method,
        "http_route": "",
        "http_response_status_code": status,
        "error_type": error,
    }


def exemplars_of(app: App) -> list[str]:
    """The trace ids of all exemplars of its page."""
    page = generate_openmetrics(app.registry).decode()
    return [
        sample.exemplar.labels["trace_id"]
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.exemplar is not None
    ]


def finished(**fields: Any) -> RequestFinished:
    """The fact of a request."""
    return request_finished(**{"trace_id": "trace-1", "latency_ms": 20.0} | fields)


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        pytest.param({}, labels_of(), id="answered"),
        pytest.param({"status_code": 404}, labels_of("404"), id="unmatched"),
        pytest.param({"method": "BREW"}, labels_of(method="_OTHER"), id="unknown-method"),
        pytest.param(
            {"outcome": "error", "error": KeyError("x"), "status_code": 500},
            labels_of("500", error="KeyError"),
            id="unhandled",
        ),
        pytest.param(
            {"outcome": "error", "error": KeyError("x"), "status_code": 200},
            labels_of("200", error="KeyError"),
            id="broken-stream",
        ),
        pytest.param(
            {"outcome": "error", "error": KeyError("x"), "status_code": None},
            labels_of("500", error="KeyError"),
            id="unhandled-without-status",
        ),
        pytest.param(
            {"outcome": "client_disconnected", "status_code": None}, labels_of(""), id="left"
        ),
    ],
)
def test_a_request_is_observed_once(fields: dict[str, Any], labels: dict[str, str]) -> None:
    """Its labels are bounded; without a status of its own an unhandled error counts as 500."""
    app = App()

    pipeline.emit(finished(**fields))

    assert 1 == app.value(REQUESTS, **labels)
    assert 0.02 == app.value(REQUESTS.replace("count", "sum"), **labels)


def test_a_quiet_request_is_in_no_metric() -> None:
    """Probes and scrapes would hide the users' figures."""
    app = App()
    before = app.series()

    app.serve("/health/live")
    app.serve("/metrics")

    assert before == app.series()


@pytest.mark.parametrize("paths", [(), ("/internal",)])
def test_a_scrape_is_quiet_whatever_the_quiet_paths_are(paths: tuple[str, ...]) -> None:
    """They are added to the page of the metrics."""
    app = App(quiet_paths=paths)
    before = app.series()

    with capture_events() as events:
        app.serve("/metrics")
        app.serve("/metrics/")

    assert [] == events
    assert before == app.series()


def test_the_first_byte_is_observed_of_streams_only() -> None:
    """In other responses the first byte is the last one."""
    app = App()
    labels = {"http_request_method": "GET", "http_route": "/a"}

    pipeline.emit(finished(route="/a"))
    pipeline.emit(finished(route="/a", ttfb_ms=5.0))

    assert 1 == app.value("http_server_time_to_first_byte_seconds_count", **labels)


@pytest.mark.parametrize(
    ("code", "label"),
    [(None, ""), (1000, "1000"), (1015, "1015"), (3001, "3xxx"), (4999, "4xxx"), (77, "_OTHER")],
)
def test_a_websocket_is_observed_by_its_close_code(code: int | None, label: str) -> None:
    """Codes of libraries and of applications are one label each."""
    app = App()

    pipeline.emit(
        WebsocketFinished(
            trace_id="1",
            bound={},
            path="/ws",
            latency_ms=1.0,
            messages_in=0,
            messages_out=0,
            outcome="ok",
            close_code=code,
        )
    )

    name = "http_server_websocket_duration_seconds_count"
    assert 1 == app.value(name, http_route="", close_code=label)


CLOSES: dict[str, Any] = {"type": "websocket.close", "code": 4003}
ACCEPTS: dict[str, Any] = {"type": "websocket.accept"}
DENIES: dict[str, Any] = {"type": "websocket.http.response.start", "status": 401, "headers": []}


@pytest.mark.parametrize("server", [{}, {"asgi": {"version": "3.0"}}])
@pytest.mark.parametrize(
    ("messages", "label"),
    [([CLOSES], ""), ([DENIES], ""), ([], ""), ([ACCEPTS, CLOSES], "4xxx"), ([ACCEPTS], "")],
)
def test_a_refused_websocket_has_no_close_code(
    server: dict[str, Any], messages: list[dict[str, Any]], label: str
) -> None:
    """The client gets a response, however the application has said so."""

    async def talk(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    app = App(talk)

    app.serve(type="websocket", extensions={"websocket.http.response": {}}, **server)

    name = "http_server_websocket_duration_seconds_count"
    assert 1 == app.value(name, http_route="", close_code=label)


def test_the_gauge_counts_the_requests_that_are_being_served() -> None:
    """Requests that become quiet or are cancelled are counted as well."""
    seen: list[float | None] = []

    async def watching(scope: Any, receive: Any, send: Any) -> None:
        seen.append(app.value(ACTIVE, http_request_method="GET"))
        scope["pantheon_obs.trace"].quiet = scope["path"] == "/quiet"
        if scope["path"] == "/cancelled":
            raise asyncio.CancelledError
        await answer(scope, receive, send)

    app = App(watching)

    app.serve("/")
    app.serve("/quiet")
    with pytest.raises(asyncio.CancelledError):
        app.serve("/cancelled")

    assert [1, 1, 1] == seen
    assert 0 == app.value(ACTIVE, http_request_method="GET")


def fastapi_app() -> Any:
    """Routers in a router, and an application with a mount."""
    fastapi = pytest.importorskip("fastapi")
    app, inner, router = fastapi.FastAPI(), fastapi.FastAPI(), fastapi.APIRouter(prefix="/b")
    router.get("/{one}")(lambda one: one)
    app.include_router(router, prefix="/a/{tenant}")
    inner.include_router(router, prefix="/c")
    app.mount("/c/{tenant}", inner)
    return app


def litestar_app() -> Any:
    """A controller's routes."""
    litestar = pytest.importorskip("litestar")

    @litestar.get(["/a/{tenant:str}/b/{one:str}", "/b/{one:str}"])
    async def item() -> str:
        return "ok"

    return litestar.Litestar([item], openapi_config=None)


def flask_app() -> Any:
    """A blueprint's routes."""
    flask = pytest.importorskip("flask")
    things = flask.Blueprint("things", __name__, url_prefix="/a/<tenant>")
    things.add_url_rule("/b/<one>", view_func=lambda tenant, one: one)
    app = flask.Flask(__name__, static_folder=None)
    app.add_url_rule("/b/<one>", view_func=lambda one: one)
    app.register_blueprint(things)
    return app


def plain_app() -> Any:
    """No routes."""
    return answer


@pytest.mark.parametrize("build", [plain_app, fastapi_app, litestar_app, flask_app])
def test_a_scanner_does_not_make_the_number_of_series_grow(build: Any) -> None:
    """Paths, methods and hosts come from anyone; model names from configuration or users."""
    app = App(build(), log_level="CRITICAL")
    numbers = random.Random(7)  # noqa: S311 - no secret
    forms = ("/a/{}/b/{}", "/c/{}/c/b/{}", "/b/{}", "/{}/{}")
    kinds = [*product(forms, ["GET", "POST", "HEAD", "X" * 300, "get"])]

    def word() -> str:
        return "".join(numbers.choices("xyz.%é$<{}", k=6))

    async def scan(times: int) -> None:
        for number in range(times):
            with llm_call(model=f"model-{word()}", operation="chat"):
                pass
            form, method = kinds[number % len(kinds)]
            path, host = form.format(word(), word()), f"{numbers.random()}"
            if build is flask_app:
                environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path}
                environ |= {"HTTP_HOST": host, "SERVER_NAME": "a", "SERVER_PORT": "80"}
                app.app({**environ, "wsgi.url_scheme": "http"}, lambda *_: lambda _: None).close()
            else:
                about = {"query_string": b"", "root_path": "", "raw_path": path.encode()}
                await app.aserve(path, method, headers=[(b"host", host.encode())], **about)

    asyncio.run(scan(300))
    before = app.series()

    asyncio.run(scan(5_000))

    assert before == app.series()


def test_the_first_model_that_is_too_many_is_one_warning() -> None:
    """Two hundred names are kept; later ones count as `_OTHER`."""
    app = App()
    with capture_events() as events:
        for number in range(203):
            with llm_call(model=f"model-{number}", operation="chat"):
                pass

    warnings = [event for event in events if event["event"] == "metrics_labels_full"]
    assert [("gen_ai_request_model", 200)] == [(w["label"], w["limit"]) for w in warnings]
    call = {"gen_ai_operation_name": "chat", "gen_ai_provider_name": "", "outcome": "ok"}
    assert 3 == app.value("pantheon_llm_calls_total", **call, gen_ai_request_model="_OTHER")


def test_an_llm_call_is_counted_with_its_tokens() -> None:
    """Nested calls are in no metric: the outer one has their tokens."""
    app = App()
    usage = {"prompt_tokens": 10, "completion_tokens": 4}
    usage_details = {
        "prompt_tokens_details": {"cached_tokens": 6},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }

    @llm_call(model="fast", operation="chat", provider="openai", prices={"fast": (1.0, 2.0)})
    def inner() -> Any:
        return {"object": "chat.completion", "usage": {**usage, **usage_details}}

    @llm_call(model="fast", operation="chat", provider="openai")
    def outer() -> None:
        inner()

    inner()
    outer()
    call = {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "openai",
        "gen_ai_request_model": "fast",
    }
    counted = {
        kind: app.value(f"gen_ai_client_inference_usage_{kind}_tokens_total", **call)
        for kind in ("input", "output", "cache_read_input", "cache_write_input", "reasoning_output")
    }
    assert 2 == app.value("pantheon_llm_calls_total", **call, outcome="ok")
    assert {"input": 20, "output": 8, "cache_read_input": 12, "reasoning_output": 6} == {
        kind: value for kind, value in counted.items() if value is not None
    }


def test_statements_and_outgoing_requests_are_observed() -> None:
    """For other measured times the line has only the sums."""
    app = App()
    before = app.series()
    pipeline.timed(Operation(name="cache", seconds=0.1))
    pipeline.timed(Operation(name="checkout", seconds=0.1))
    assert before == app.series()

    pipeline.timed(Operation(name="db", seconds=0.02, system="postgresql"))
    http: dict[str, Any] = {"method": "GET", "server_address": "bank.example"}
    pipeline.timed(Operation(name="http", seconds=0.3, status_code=200, **http))
    pipeline.timed(Operation(name="http", seconds=0.3, error_type="ConnectError", **http))
    apart(pipeline.timed, Operation(name="db", seconds=0.02, system="postgresql"))
    assert 1 == app.value(DATABASE, db_system_name="postgresql")
    pipeline.timed(Operation(name="db", seconds=0.02, system="postgresql"))

    assert 3 == app.value(DATABASE, db_system_name="postgresql")
    for status in ("200", ""):
        labels = {"http_request_method": "GET", "http_response_status_code": status}
        assert 1 == app.value(OUTGOING, **labels, server_address="bank.example")


def test_two_hundred_hosts_are_kept_apart() -> None:
    """An application may call whichever hosts its users name."""
    app = App()

    for number in range(202):
        pipeline.timed(
            Operation(name="http", seconds=0.1, method="GET", server_address=f"{number}.example")
        )

    labels = {"http_request_method": "GET", "http_response_status_code": ""}
    assert 1 == app.value(OUTGOING, **labels, server_address="199.example")
    assert 2 == app.value(OUTGOING, **labels, server_address="_OTHER")


def test_a_try_of_a_task_is_observed() -> None:
    """One that never started has no duration."""
    app = App()
    facts: dict[str, Any] = {"bound": {}, "queue": "q", "retries": 0, "task_id": "1"}

    for latency in (30.0, None):
        pipeline.emit(
            TaskFinished(trace_id="1", task="pay", state="RETRY", latency_ms=latency, **facts)
        )

    assert 1 == app.value("pantheon_tasks_duration_seconds_count", task="pay", state="RETRY")


def test_checks_dropped_lines_and_failures_are_counted() -> None:
    """They make a log line once at most, and a metric each time."""
    app = App(log_delivery="queue")

    def broken() -> None:
        raise ZeroDivisionError

    Health(good=lambda: None, bad=broken).report()
    guard.report("somewhere", ZeroDivisionError())
    guard.report("somewhere", ZeroDivisionError())

    assert 1 == app.value("pantheon_health_check_status", check="good")
    assert 0 == app.value("pantheon_health_check_status", check="bad")
    assert 1 == app.value("pantheon_health_check_duration_seconds_count", check="bad")
    assert 2 == app.value("pantheon_telemetry_failures_total", site="somewhere")


def test_a_name_that_is_no_valid_text_does_not_break_the_page() -> None:
    """A lone surrogate cannot be encoded, and would make each later scrape fail."""
    app = App()
    with llm_call(model="\ud800", operation="x" * 999):
        pass

    page = generate_latest(app.registry).decode()

    assert 'gen_ai_request_model="?"' in page
    assert "x" * 201 not in page


def test_an_exemplar_has_the_trace_id_unless_it_is_too_long() -> None:
    """OpenMetrics allows 128 characters for the names and values of its labels."""
    app = App()

    pipeline.emit(finished(trace_id="a" * 120))
    pipeline.emit(finished(trace_id="b" * 121, route="/long"))

    assert ["a" * 120] == exemplars_of(app)
    assert 1 == app.value(REQUESTS, **{**labels_of(), "http_route": "/long"})


def test_an_exemplar_leads_to_a_line_that_is_written() -> None:
    """Below the level of the log a request and a call have none."""
    app = App(log_level="WARNING")

    pipeline.emit(finished(trace_id="ok"))
    pipeline.emit(finished(trace_id="failed", status_code=503, ttfb_ms=1.0))
    call: dict[str, Any] = {"model_alias": "m", "latency_ms": 9.0, "usage_status": "missing"}
    for trace_id, outcome in (("answered", "ok"), ("refused", "error")):
        pipeline.emit(
            LlmCallFinished(
                trace_id=trace_id, bound={}, operation=trace_id, outcome=outcome, **call
            )
        )

    assert ["failed", "failed", "refused"] == sorted(exemplars_of(app))


def test_a_finalizer_waits_for_no_lock() -> None:
    """It may run in the middle of an observation; its fact is counted with the next one."""
    app = App()
    pipeline.emit(finished())
    [child] = app.registry._names_to_collectors[REQUESTS]._metrics.values()  # type: ignore[attr-defined] # noqa: SLF001 - the lock of an observation in progress

    with child._sum._lock:  # noqa: SLF001 - as above
        apart(pipeline.emit, finished())

    assert 1 == app.value(REQUESTS, **labels_of())
    pipeline.emit(finished())
    assert 3 == app.value(REQUESTS, **labels_of())


def test_a_finalizer_of_the_application_waits_for_no_lock() -> None:
    """The collector runs it in the middle of anything, and it may end a call of its own."""
    app = App()

    class Closing:
        """Refers to itself, so that only the collector frees it."""

        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            with llm_call(model="fast", operation="chat"):
                pass

    with llm_call(model="fast", operation="chat"):
        pass
    Closing()
    name = "pantheon_llm_calls"
    [child] = app.registry._names_to_collectors[name]._metrics.values()  # type: ignore[attr-defined] # noqa: SLF001 - the lock of an observation in progress
    with child._value._lock:  # noqa: SLF001 - as above
        collect_garbage()

    app.serve("/metrics")
    call = {"gen_ai_operation_name": "chat", "gen_ai_provider_name": "", "outcome": "ok"}
    assert 2 == app.value(f"{name}_total", **call, gen_ai_request_model="fast")


def test_a_collection_in_another_thread_delays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds no lock of this one."""
    app = App()
    monkeypatch.setattr(finalizers, "_collecting", -1)

    pipeline.emit(finished())

    assert 1 == app.value(REQUESTS, **labels_of())


def test_a_request_that_a_finalizer_ends_leaves_the_gauge_later() -> None:
    """The gauge has a lock as well."""
    app = App()
    exchange = Exchange("trace-1")
    exchange.watch("GET", "/", "", frozenset())
    pipeline.started(exchange)

    apart(lambda: end(exchange, suspended=True))

    assert 1 == app.value(ACTIVE, http_request_method="GET")
    pipeline.emit(finished())
    assert 0 == app.value(ACTIVE, http_request_method="GET")


def test_two_threads_may_count_what_finalizers_have_left() -> None:
    """The first one to take it does."""

    class Taken(deque[Any]):
        """Another thread takes the last one after the look whether there is one."""

        def __bool__(self) -> bool:
            return True

    app = App()
    [sink] = [sink for sink in pipeline.sinks if isinstance(sink, MetricsSink)]
    sink._waiting = Taken()  # noqa: SLF001 - a race

    pipeline.emit(finished())

    assert 1 == app.value(REQUESTS, **labels_of())


def test_other_facts_are_in_no_metric() -> None:
    """Background work that fails has a line only, and quiet websockets not even that."""
    app = App()
    before = app.series()
    socket: dict[str, Any] = {"latency_ms": 1.0, "messages_in": 0, "messages_out": 0}

    pipeline.emit(BackgroundFailed(trace_id="1", bound={}, error=KeyError()))
    pipeline.emit(
        WebsocketFinished(trace_id="1", bound={}, path="/", outcome="ok", quiet=True, **socket)
    )

    assert before == app.series()


def test_the_first_chunk_of_a_stream_is_observed() -> None:
    """Calls that are not streams have none."""
    app = App()

    @llm_call(model="fast", operation="stream")
    def stream() -> Any:
        yield from ("a", "b")

    list(stream())
    call = {"gen_ai_operation_name": "stream", "gen_ai_provider_name": ""}

    name = "gen_ai_client_inference_time_to_first_chunk_seconds_count"
    assert 1 == app.value(name, **call, gen_ai_request_model="fast")


def test_dropped_lines_are_counted_by_level() -> None:
    """As the line that reports them has them."""
    app = App()

    pipeline.emit_measurement(LinesDropped(levels={"info": 3, "debug": 1}))

    assert 3 == app.value("pantheon_log_lines_dropped_total", level="info")


def test_what_is_remembered_of_clients_is_bounded() -> None:
    """Clients may send any text."""
    full, small = dict.fromkeys(range(1001)), dict.fromkeys(range(1000))

    keep_small(full)
    keep_small(small)

    assert (0, 1000) == (len(full), len(small))


def test_the_page_of_an_application_answers_after_a_reset() -> None:
    """A test may reset the library while its application lives on."""
    app = App()

    testing.reset()

    assert 200 == app.serve("/metrics")[0]["status"]


def test_the_page_shows_what_finalizers_have_left() -> None:
    """The last fact of a process may be one of a finalizer."""
    app = App()

    apart(pipeline.emit, finished())
    app.serve("/metrics")

    assert 1 == app.value(REQUESTS, **labels_of())


def test_applications_of_one_process_share_their_metrics() -> None:
    """A second start adds nothing; the registry is that of the first."""
    first, second = App(), App()

    second.serve()

    assert 1 == first.value(REQUESTS, **labels_of())
    assert 0 == second.series()


@pytest.mark.parametrize("value", ["registry", 3])
def test_what_is_no_registry_is_refused(value: object) -> None:
    """The message names the accepted values."""
    with pytest.raises(ConfigError, match=r"with register\(\) and collect\(\), or None"):
        Settings(metrics_registry=value)


def test_a_sink_that_fails_to_count_a_failure_is_left_alone() -> None:
    """A report of it would be counted again, for ever."""

    class Broken:
        """A sink that cannot measure."""

        name = "broken"
        handle = lambda self, event: None  # noqa: E731 - a sink's method

        def measure(self, measurement: object) -> None:
            """Raise."""
            raise ZeroDivisionError

    pipeline.add_sink(Broken())
    with capture_events() as events:
        Health(good=lambda: None).report()
        logging.getLogger("x").info("on")

    assert ["sink broken"] == [event["site"] for event in events if "site" in event]
