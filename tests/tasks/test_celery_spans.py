"""Messages carry the span of their sender, and an id that OpenTelemetry shares."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pantheon_obs import extract, trace_context
from pantheon_obs.adapters.celery import instrument_celery
from pantheon_obs.testing import capture_events
from tests.support.lines import validate_line

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
UNSAMPLED = f"00-{TRACE}-00f067aa0ba902b7-00"


@pytest.fixture
def app() -> Iterator[Celery]:
    """An instrumented app with a broker in memory."""
    made = Celery("spans", broker="memory://spans", backend="cache+memory://", set_as_current=False)
    made.conf.task_default_queue = "unread"

    @made.task(name="shop.add", shared=False)
    def add(a: int, b: int) -> int:
        return a + b

    yield instrument_celery(made)
    with made.connection_for_read() as connection:
        connection.default_channel.queue_purge("unread")


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Instrument Celery with OpenTelemetry, and keep its spans."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = CeleryInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield exporter
    instrumentor.uninstrument()


def run(app: Celery) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the oldest message's task as a worker does; return its headers and its line."""
    with app.connection_for_read() as connection:
        message = app.amqp.queues["unread"](connection.default_channel).get(no_ack=True)
    headers: dict[str, Any] = dict(message.headers)
    from celery.app.trace import build_tracer  # noqa: PLC0415 - it is replaced by then

    with capture_events() as lines:
        build_tracer("shop.add", app.tasks["shop.add"], app=app)(headers["id"], (1, 2), {}, headers)
    [line] = [line for line in lines if line["event"] == "task_finished"]
    validate_line(line)
    return headers, line


def test_the_span_of_the_sender_is_the_tasks_parent(app: Celery) -> None:
    """Its flags and its state go on, and an id of another form does as well."""
    received = extract({"traceparent": UNSAMPLED, "tracestate": "congo=t61"})
    with trace_context(received):
        app.send_task("shop.add", (1, 2))
    headers, line = run(app)
    assert (TRACE, headers["x-trace-span"]) == (line["trace_id"], line["parent_span_id"])
    assert f"00-{TRACE}-{line['parent_span_id']}-00" == headers["traceparent"]
    assert "congo=t61" == headers["tracestate"]

    with trace_context("order-7"):
        app.send_task("shop.add", (1, 2))
    headers, line = run(app)
    assert ("order-7", headers["x-trace-span"]) == (line["trace_id"], line["parent_span_id"])
    assert "traceparent" not in headers


def test_a_message_from_outside_a_trace_has_no_parent(app: Celery) -> None:
    """Nobody has the span of its `traceparent`, which tells other tracers the id."""
    app.send_task("shop.add", (1, 2))

    headers, line = run(app)

    assert headers["x-trace-id"] == line["trace_id"]
    assert headers["traceparent"].split("-")[1] == line["trace_id"].replace("-", "")
    assert "parent_span_id" not in line


def test_another_senders_traceparent_is_the_parent(app: Celery) -> None:
    """It comes without our headers; invalid headers are left out."""
    for headers in (
        {"x-trace-id": "mine", "traceparent": UNSAMPLED},
        {"x-trace-id": "mine", "traceparent": 7, "x-trace-span": "nonsense"},
    ):
        app.send_task("shop.add", (1, 2), headers=headers)

    assert UNSAMPLED.split("-")[2] == run(app)[1]["parent_span_id"]
    assert "parent_span_id" not in run(app)[1]


def test_opentelemetry_and_ours_agree_on_the_id_of_a_message_outside_a_trace(
    app: Celery, spans: InMemorySpanExporter
) -> None:
    """Beat sends such messages; the instrumentor's producer span begins their trace."""
    app.send_task("shop.add", (1, 2))

    _, line = run(app)

    ids = {f"{span.context.trace_id:032x}" for span in spans.get_finished_spans() if span.context}
    assert {line["trace_id"]} == ids
    [sent] = [span for span in spans.get_finished_spans() if "apply_async" in span.name]
    assert sent.context
    assert f"{sent.context.span_id:016x}" == line["parent_span_id"]
    assert re.fullmatch("[0-9a-f]{32}", line["trace_id"])
