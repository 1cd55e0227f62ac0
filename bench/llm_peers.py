"""Libraries that observe LLM calls, each set up by its documentation and for the least cost.

All of them make OpenTelemetry spans, which are dropped. None records prompts or completions.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import langfuse
import logfire
from openinference import instrumentation as openinference
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from bench.cases import MisbehavedError
from bench.harness import drive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer

NOWHERE = "http://127.0.0.1:9"


class Nowhere(SpanExporter):
    """An exporter that counts and drops spans, to measure a span without sending it."""

    def __init__(self) -> None:
        self.taken = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Count and drop the spans."""
        self.taken += len(spans)
        return SpanExportResult.SUCCESS


@dataclass(frozen=True, slots=True)
class Peer:
    """One library, ready for use.

    Attributes:
        call: Decorates a function, synchronous or not.
        stream: Decorates a generator function.
        async_stream: Decorates an async generator function.
        exporter: The exporter that gets its spans.
        flush: Exports the spans that are still buffered.
        drive: Runs a coroutine that the library has made.
    """

    call: Callable[..., Any]
    stream: Callable[..., Any]
    async_stream: Callable[..., Any]
    exporter: Nowhere
    flush: Callable[[], object] = lambda: None
    drive: Callable[[Coroutine[Any, Any, None]], None] = drive

    def check(self, run: Callable[[int], object]) -> None:
        """Raise MisbehavedError unless one piece of work makes one span."""
        self.flush()
        before = self.exporter.taken
        run(1)
        self.flush()
        spans = self.exporter.taken - before
        if spans != 1:
            msg = f"{spans} spans for one piece of work"
            raise MisbehavedError(msg)


def opentelemetry() -> Peer:
    """Set up a span around the function, with no attributes."""
    exporter = Nowhere()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("bench.peer")
    return Peer(
        call=tracer.start_as_current_span("generate"),
        stream=lambda stream: _span_around(tracer, stream),
        async_stream=lambda stream: _span_around_async(tracer, stream),
        exporter=exporter,
    )


def _span_around(tracer: Tracer, stream: Callable[..., Iterator[Any]]) -> Callable[..., Any]:
    """Start and end the span by hand; a decorator would end it before the first chunk."""

    def observed(*args: object) -> Iterator[Any]:
        span = tracer.start_span("stream")
        try:
            yield from stream(*args)
        finally:
            span.end()

    return observed


def _span_around_async(
    tracer: Tracer, stream: Callable[..., AsyncIterator[Any]]
) -> Callable[..., Any]:
    async def observed(*args: object) -> AsyncIterator[Any]:
        span = tracer.start_span("stream")
        try:
            async for chunk in stream(*args):
                yield chunk
        finally:
            span.end()

    return observed


def others() -> dict[str, Peer]:
    """Set up Logfire, OpenInference and Langfuse."""
    return {
        "logfire": _logfire(),
        "openinference": _openinference(),
        "langfuse": _langfuse(),
    }


def _logfire() -> Peer:
    exporter = Nowhere()
    configured = logfire.configure(
        local=True,
        send_to_logfire=False,
        console=False,
        metrics=False,
        inspect_arguments=False,
        additional_span_processors=[SimpleSpanProcessor(exporter)],
    )
    decorate = configured.instrument("generate", extract_args=False, allow_generator=True)
    return Peer(decorate, decorate, decorate, exporter)


def _openinference() -> Peer:
    exporter = Nowhere()
    config = openinference.TraceConfig(hide_inputs=True, hide_outputs=True)
    provider = openinference.TracerProvider(config=config)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("bench.peer")
    # Otherwise it renders prompts and answers as JSON, even if it hides them afterwards.
    decorate = tracer.llm(process_input=lambda *_, **__: {}, process_output=lambda _: {})
    return Peer(decorate, decorate, decorate, exporter)


def _langfuse() -> Peer:
    exporter = Nowhere()
    client = langfuse.Langfuse(
        public_key="pk-lf-bench",
        secret_key="sk-lf-bench",  # noqa: S106 - nothing is sent
        base_url=NOWHERE,
        span_exporter=exporter,
        tracer_provider=TracerProvider(),
    )
    decorate = langfuse.observe(as_type="generation", capture_input=False, capture_output=False)
    loop = asyncio.new_event_loop()  # it makes a task of each chunk
    return Peer(decorate, decorate, decorate, exporter, client.flush, loop.run_until_complete)
