"""LLM calls and streams observed by hand: the tightest plain code for OpenAI's shape alone."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import wraps
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING

import orjson

from bench.harness import STDOUT
from bench.llm_answers import astream, stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from openai.types.chat import ChatCompletion, ChatCompletionChunk

    from bench.llm_answers import Chunks

    Call = Callable[..., ChatCompletion]
    AsyncCall = Callable[..., Awaitable[ChatCompletion]]

MODEL = "fast"


def call_by_hand(call: Call, dollars: float | None = None) -> Call:
    """Time a call and write its line, with the cost at a price per million tokens, if any."""

    @wraps(call)
    def timed(model: str) -> ChatCompletion:
        started = perf_counter()
        completion = call(model)
        usage = completion.usage
        cost = {}
        if dollars is not None and usage is not None:
            cost["cost_usd"] = round(dollars * usage.total_tokens / 1e6, 9)
        _write(model, started, completion, completion.choices[0].finish_reason, cost)
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
    """Pass chunks on; read the finish reason and the usage from the last two."""
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
    """Pass the chunks of an async stream on, as `stream_by_hand`."""
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
