"""One LLM call with its JSON line, one chunk of a stream, and what a long stream leaves behind."""

from __future__ import annotations

import os
import tracemalloc
from collections import deque
from datetime import UTC, datetime
from functools import wraps
from itertools import repeat
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from bench.harness import STDOUT, Case, Contender, Row, Target, compare, drive, own
from pantheon_obs import configure_logging, llm_call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from bench.harness import Effort

    Call = Callable[..., ChatCompletion]
    AsyncCall = Callable[..., Awaitable[ChatCompletion]]
    Chunks = list[ChatCompletionChunk]
    Stream = Callable[[Chunks], Iterator[ChatCompletionChunk]]
    AsyncStream = Callable[[Chunks], AsyncIterator[ChatCompletionChunk]]

MODEL = "fast"
CHUNKS_PER_STREAM = 2000
NOISE_BYTES = 20_000
CALL = frozenset(
    {
        "timestamp",
        "level",
        "event",
        "logger",
        "model_alias",
        "latency_ms",
        "input_tokens",
        "output_tokens",
        "usage_status",
        "outcome",
        "model",
        "cached_input_tokens",
        "finish_reason",
    }
)
STREAM = CALL | {"stream", "ttfc_ms", "ttft_ms", "producer_ms", "chunks"}

_USAGE = {
    "prompt_tokens": 1149,
    "completion_tokens": 212,
    "total_tokens": 1361,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 0},
}
_COMMON = {"id": "chatcmpl-1", "created": 1_795_000_000, "model": "gpt-5-mini-2026-08-07"}


def call_rows(effort: Effort) -> list[Row]:
    """One call, sync and async: the seed's decorator on a function that answers at once."""
    configure_logging(log_format="json")
    completion = _completion()

    def generate(model: str) -> ChatCompletion:
        return completion

    async def agenerate(model: str) -> ChatCompletion:
        return completion

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Nowhere()))
    tracer = provider.get_tracer("bench.peer")
    target = Target(micros=15, peer=1)
    sync = Case(
        work="LLM call, sync",
        bare=_calls(generate),
        hand=_calls(call_by_hand(generate), CALL),
        peer=_calls(tracer.start_as_current_span("generate")(generate)),
        ours=_calls(llm_call(generate), CALL),
        target=target,
    )
    asynchronous = Case(
        work="LLM call, async",
        bare=_async_calls(agenerate),
        hand=_async_calls(async_call_by_hand(agenerate), CALL),
        peer=_async_calls(tracer.start_as_current_span("generate")(agenerate)),
        ours=_async_calls(llm_call(agenerate), CALL),
        target=target,
    )
    return [compare(sync, effort), compare(asynchronous, effort)]


def stream_rows(effort: Effort) -> list[Row]:
    """One chunk, sync and async, of a stream with usage, first token and finish reason to find."""
    configure_logging(log_format="json")
    count = CHUNKS_PER_STREAM
    chunks = _chunks(count)
    sync = Case(
        work="LLM chunk, sync",
        bare=_streams(stream, chunks),
        hand=_streams(stream_by_hand, chunks, STREAM),
        ours=_streams(llm_call(model=MODEL)(stream), chunks, STREAM),
        target=Target(micros=0.35),
        parts=count,
    )
    asynchronous = Case(
        work="LLM chunk, async",
        bare=_async_streams(astream, chunks),
        hand=_async_streams(astream_by_hand, chunks, STREAM),
        ours=_async_streams(llm_call(model=MODEL)(astream), chunks, STREAM),
        target=Target(micros=0.5),
        parts=count,
    )
    return [compare(sync, effort), compare(asynchronous, effort)]


def memory_rows(effort: Effort) -> list[Row]:
    """What is held more after the last chunk of a long stream than near its beginning."""
    configure_logging(log_format="json")
    count = effort.stream_chunks
    bare = _growth(endless, count)
    ours = _growth(llm_call(model=MODEL)(endless), count) - bare
    row = Row(
        work=f"memory, {count:,} chunks",
        hand="0 kB",
        peer="",
        ours=f"{ours / 1000:.0f} kB",
        hand_ratio="",
        peer_ratio="",
        target="0 kB",
        met=ours < NOISE_BYTES,
    )
    return [row]


def _growth(stream: Callable[[], Iterator[dict[str, Any]]], count: int) -> int:
    """Bytes more in use after `count` chunks than after a hundred; the stream is still open."""
    chunks = stream()
    tracemalloc.start()
    for _ in repeat(None, 100):
        next(chunks)
    before, _ = tracemalloc.get_traced_memory()
    for _ in repeat(None, count - 100):
        next(chunks)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    chunks.close()  # type: ignore[attr-defined]
    return after - before


def endless() -> Iterator[dict[str, Any]]:
    """Chunks without end, each a new object in OpenAI's shape."""
    while True:
        yield {"choices": [{"index": 0, "delta": {"content": "word "}}], "usage": None}


def _completion() -> ChatCompletion:
    message = {"role": "assistant", "content": "Paris."}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    body = {**_COMMON, "object": "chat.completion", "choices": choices, "usage": _USAGE}
    return ChatCompletion.model_validate(body)


def _chunk(choices: list[dict[str, object]], usage: object = None) -> ChatCompletionChunk:
    body = {**_COMMON, "object": "chat.completion.chunk", "choices": choices, "usage": usage}
    return ChatCompletionChunk.model_validate(body)


def _chunks(count: int) -> Chunks:
    """A stream as OpenAI sends it: a role frame, text, the finish reason, then the usage."""
    return [
        _chunk([{"index": 0, "delta": {"role": "assistant", "content": ""}}]),
        *repeat(_chunk([{"index": 0, "delta": {"content": "word "}}]), count - 3),
        _chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}]),
        _chunk([], _USAGE),
    ]


def stream(chunks: Chunks) -> Iterator[ChatCompletionChunk]:
    """The bare generator."""
    yield from chunks


async def astream(chunks: Chunks) -> AsyncIterator[ChatCompletionChunk]:
    """The bare async generator."""
    for chunk in chunks:
        yield chunk


# Running a contender: no event loop, nothing between the calls.


def _calls(call: Call, line: frozenset[str] = frozenset()) -> Contender:
    def run(pieces: int) -> None:
        for _ in repeat(None, pieces):
            call(model=MODEL)

    return Contender(run=own(run), line=line)


def _async_calls(call: AsyncCall, line: frozenset[str] = frozenset()) -> Contender:
    async def run(pieces: int) -> None:
        for _ in repeat(None, pieces):
            await call(model=MODEL)

    mine = own(run)
    return Contender(run=lambda pieces: drive(mine(pieces)), line=line)


def _streams(stream: Stream, chunks: Chunks, line: frozenset[str] = frozenset()) -> Contender:
    def run(pieces: int) -> None:
        for _ in repeat(None, pieces):
            deque(stream(chunks), maxlen=0)

    return Contender(run=own(run), line=line)


def _async_streams(
    stream: AsyncStream, chunks: Chunks, line: frozenset[str] = frozenset()
) -> Contender:
    async def run(pieces: int) -> None:
        for _ in repeat(None, pieces):
            async for _chunk in stream(chunks):
                pass

    mine = own(run)
    return Contender(run=lambda pieces: drive(mine(pieces)), line=line)


# By hand: the tightest plain code for OpenAI's shape alone.


def call_by_hand(call: Call) -> Call:
    """Time a call and write its line."""

    @wraps(call)
    def timed(model: str) -> ChatCompletion:
        started = perf_counter()
        completion = call(model)
        _write(model, started, completion, completion.choices[0].finish_reason)
        return completion

    return timed


def async_call_by_hand(call: AsyncCall) -> AsyncCall:
    """Time an async call and write its line."""

    @wraps(call)
    async def timed(model: str) -> ChatCompletion:
        started = perf_counter()
        completion = await call(model)
        _write(model, started, completion, completion.choices[0].finish_reason)
        return completion

    return timed


def stream_by_hand(chunks: Chunks) -> Iterator[ChatCompletionChunk]:
    """Pass chunks on; the finish reason and the usage are read off the last two."""
    started = before = perf_counter()
    producer = first = first_token = 0.0
    count = 0
    previous = last = None
    try:
        for chunk in stream(chunks):
            now = perf_counter()
            producer += now - before
            count += 1
            previous, last = last, chunk
            if not first_token:
                first = first or now
                if chunk.choices and chunk.choices[0].delta.content:
                    first_token = now
            yield chunk
            before = perf_counter()
    finally:
        _write_stream(started, (first, first_token), (producer, count), (previous, last))


async def astream_by_hand(chunks: Chunks) -> AsyncIterator[ChatCompletionChunk]:
    """The same for an async stream."""
    started = before = perf_counter()
    producer = first = first_token = 0.0
    count = 0
    previous = last = None
    try:
        async for chunk in astream(chunks):
            now = perf_counter()
            producer += now - before
            count += 1
            previous, last = last, chunk
            if not first_token:
                first = first or now
                if chunk.choices and chunk.choices[0].delta.content:
                    first_token = now
            yield chunk
            before = perf_counter()
    finally:
        _write_stream(started, (first, first_token), (producer, count), (previous, last))


def _write_stream(
    started: float,
    firsts: tuple[float, float],
    produced: tuple[float, int],
    end: tuple[ChatCompletionChunk | None, ChatCompletionChunk | None],
) -> None:
    first, first_token = firsts
    producer, count = produced
    previous, last = end
    if previous is None or last is None:
        return
    fields = {
        "stream": True,
        "ttfc_ms": round((first - started) * 1000, 3),
        "ttft_ms": round((first_token - started) * 1000, 3),
        "producer_ms": round(producer * 1000, 3),
        "chunks": count,
    }
    _write(MODEL, started, last, previous.choices[0].finish_reason, fields)


def _write(
    alias: str,
    started: float,
    answer: ChatCompletion | ChatCompletionChunk,
    finish_reason: str | None,
    more: Mapping[str, object] = MappingProxyType({}),
) -> None:
    usage = answer.usage
    details = usage.prompt_tokens_details if usage else None
    line = {
        "timestamp": datetime.now(UTC),
        "level": "info",
        "event": "llm.generate",
        "logger": "by_hand.llm",
        "model_alias": alias,
        "latency_ms": round((perf_counter() - started) * 1000, 3),
        "input_tokens": usage.prompt_tokens if usage else None,
        "output_tokens": usage.completion_tokens if usage else None,
        "usage_status": "reported" if usage else "missing",
        "outcome": "ok",
        "model": answer.model,
        "cached_input_tokens": details.cached_tokens if details else None,
        "finish_reason": finish_reason,
        **more,
    }
    os.write(STDOUT, orjson.dumps(line, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE))


# The peer: OpenTelemetry's span around the function, as it is, exported to nowhere.


class Nowhere(SpanExporter):
    """Takes spans and drops them: what a span costs before anything is sent."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Drop them."""
        return SpanExportResult.SUCCESS
