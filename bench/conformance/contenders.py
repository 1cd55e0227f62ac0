"""The libraries, each set up as its documentation says; their records are kept in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.conformance import records

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.conformance.records import Record

SDKS = ("openai==3.57.0", "anthropic==2.14.0")
_OTEL = "opentelemetry-sdk==1.45.2"


@dataclass(frozen=True)
class Contender:
    """A library.

    Attributes:
        packages: Its packages, besides the SDKs.
        set_up: Sets it up, and returns a function that takes the records since it was called last.
        claims: How it is set up, and what it does not claim to do, for the page.
        has_cost: Whether it claims to record a cost.
        interfaces: The interfaces that it claims to observe.
    """

    packages: tuple[str, ...]
    set_up: Callable[[], Callable[[], list[Record]]]
    claims: str
    has_cost: bool = False
    interfaces: tuple[str, ...] = ("chat", "responses", "embeddings", "messages")


def _in_memory(read: Callable[[Any], list[Record]] = records.of_spans) -> tuple[Any, Any, Any]:
    """Return an exporter, its processor, and a function that takes its records."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import (  # noqa: PLC0415
        InMemorySpanExporter,
    )

    exporter = InMemorySpanExporter()

    def take() -> list[Record]:
        spans = exporter.get_finished_spans()
        exporter.clear()
        return read(spans)

    return exporter, SimpleSpanProcessor(exporter), take


def _instrumented(
    *instrumentors: Any,  # noqa: ANN401 - classes of several packages
) -> Callable[[], list[Record]]:
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    _, processor, take = _in_memory()
    provider = TracerProvider()
    provider.add_span_processor(processor)
    for instrumentor in instrumentors:
        instrumentor().instrument(tracer_provider=provider)
    return take


def _ours() -> Callable[[], list[Record]]:
    import anthropic  # noqa: PLC0415
    import openai  # noqa: PLC0415

    from pantheon_obs import instrument_llm  # noqa: PLC0415
    from pantheon_obs.llm.cost.price_list_loader import loader  # noqa: PLC0415
    from pantheon_obs.testing import capture_events  # noqa: PLC0415

    instrument_llm(openai)
    instrument_llm(anthropic)
    loader.load()
    loader.wait()  # a service has it when it has started
    capture = capture_events()
    events = capture.__enter__()

    def take() -> list[Record]:
        calls = [event for event in events if event["event"].startswith("llm.")]
        events.clear()
        return [records.of_event(event) for event in calls]

    take.capture = capture  # type: ignore[attr-defined]  # it would end when it is collected
    return take


def _logfire() -> Callable[[], list[Record]]:
    import logfire  # noqa: PLC0415

    _, processor, take = _in_memory(records.of_logfire)
    logfire.configure(
        send_to_logfire=False,
        console=False,
        metrics=False,
        additional_span_processors=[processor],
    )
    logfire.instrument_openai()
    logfire.instrument_anthropic()
    return take


def _langfuse() -> Callable[[], list[Record]]:
    from langfuse import Langfuse  # noqa: PLC0415
    from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    exporter, _, take = _in_memory()
    provider = TracerProvider()
    client = Langfuse(
        public_key="pk-lf-conformance",
        secret_key="sk-lf-conformance",  # noqa: S106 - nothing is sent
        base_url="http://127.0.0.1:9",
        span_exporter=exporter,
        tracer_provider=provider,
    )
    import langfuse.openai  # noqa: F401, PLC0415 - observes every client

    AnthropicInstrumentor().instrument(tracer_provider=provider)

    def flushed() -> list[Record]:
        client.flush()
        return take()

    return flushed


def _openllmetry() -> Callable[[], list[Record]]:
    from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor  # noqa: PLC0415
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor  # noqa: PLC0415

    return _instrumented(OpenAIInstrumentor, AnthropicInstrumentor)


def _openinference() -> Callable[[], list[Record]]:
    from openinference.instrumentation.anthropic import AnthropicInstrumentor  # noqa: PLC0415
    from openinference.instrumentation.openai import OpenAIInstrumentor  # noqa: PLC0415

    return _instrumented(OpenAIInstrumentor, AnthropicInstrumentor)


def _genai() -> Callable[[], list[Record]]:
    from opentelemetry.instrumentation.genai.anthropic import (  # noqa: PLC0415
        AnthropicInstrumentor,
    )
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor  # noqa: PLC0415

    return _instrumented(OpenAIInstrumentor, AnthropicInstrumentor)


def _openai_v2() -> Callable[[], list[Record]]:
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor  # noqa: PLC0415

    return _instrumented(OpenAIInstrumentor)


_BACKEND = "It records no cost and leaves it to its back-end"
OURS = "pantheon-obs"
CONTENDERS = {
    OURS: Contender(
        ("genai-prices==0.2.3",),
        _ours,
        "`instrument_llm(openai)`, `instrument_llm(anthropic)`, with the extra `prices`.",
        has_cost=True,
    ),
    "logfire": Contender(
        ("logfire==5.4.0", "genai-prices==0.2.3"),
        _logfire,
        "`instrument_openai()`, `instrument_anthropic()`, with genai-prices. A stream has two "
        "records by its documentation, which are counted as one here.",
        has_cost=True,
    ),
    "langfuse": Contender(
        ("langfuse==5.0.4", "opentelemetry-instrumentation-anthropic==0.62.4"),
        _langfuse,
        "`langfuse.openai`. The package has nothing of its own for Anthropic: OpenLLMetry's "
        f"instrumentation sends to it here. {_BACKEND}.",
    ),
    "openllmetry": Contender(
        (
            _OTEL,
            "opentelemetry-instrumentation-openai==0.62.4",
            "opentelemetry-instrumentation-anthropic==0.62.4",
        ),
        _openllmetry,
        f"`OpenAIInstrumentor`, `AnthropicInstrumentor`. {_BACKEND}.",
    ),
    "openinference": Contender(
        (
            _OTEL,
            "openinference-instrumentation-openai==0.1.66",
            "openinference-instrumentation-anthropic==3.1.0",
        ),
        _openinference,
        f"`OpenAIInstrumentor`, `AnthropicInstrumentor`. {_BACKEND}.",
    ),
    "otel-genai": Contender(
        (
            _OTEL,
            "opentelemetry-instrumentation-genai-openai==1.3b0",
            "opentelemetry-instrumentation-genai-anthropic==1.3b0",
        ),
        _genai,
        "OpenTelemetry's own `OpenAIInstrumentor`, `AnthropicInstrumentor`. It claims no cost.",
    ),
    "otel-openai-v2": Contender(
        (
            _OTEL,
            "opentelemetry-instrumentation-openai-v2==2.4b0",
            "opentelemetry-util-genai==1.0b0",
            "httpx==0.28.1",
        ),
        _openai_v2,
        "OpenTelemetry's older `OpenAIInstrumentor`. It claims neither a cost nor "
        "Responses nor Anthropic. It does not run with the newest "
        "opentelemetry-util-genai, nor without httpx, which it does not require.",
        interfaces=("chat", "embeddings"),
    ),
}
