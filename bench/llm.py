"""Measure one LLM call with its JSON line, one chunk of a stream, and the memory of a stream."""

from __future__ import annotations

import sys
import tracemalloc
from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING, Any

from bench.cases import Case, Contender, Row, Target
from bench.harness import compare_all, drive, own
from bench.llm_answers import a_completion, astream, some_chunks, stream
from bench.llm_by_hand import (
    MODEL,
    astream_by_hand,
    async_call_by_hand,
    call_by_hand,
    stream_by_hand,
)
from bench.llm_peers import opentelemetry, others
from pantheon_obs import configure_logging, llm_call
from pantheon_obs.llm.cost.price_list_loader import loader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from openai.types.chat import ChatCompletion, ChatCompletionChunk

    from bench.cases import Effort
    from bench.llm_answers import Chunks
    from bench.llm_by_hand import AsyncCall, Call
    from bench.llm_peers import Peer

    Stream = Callable[[Chunks], Iterator[ChatCompletionChunk]]
    AsyncStream = Callable[[Chunks], AsyncIterator[ChatCompletionChunk]]

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


def call_rows(effort: Effort) -> list[Row]:
    """Measure one call, sync and async: the decorator on a function that answers at once."""
    _without_prices()
    configure_logging(log_format="json")
    completion = a_completion()

    def generate(model: str) -> ChatCompletion:
        return completion

    async def agenerate(model: str) -> ChatCompletion:
        return completion

    span, peers = opentelemetry(), others()
    target = Target(micros=15, peer=1)
    sync = Case(
        work="LLM call, sync",
        bare=_calls(generate),
        hand=_calls(call_by_hand(generate), CALL),
        peer=_calls(span.call(generate), peer=span),
        ours=_calls(llm_call(generate), CALL),
        target=target,
        others={name: _calls(peer.call(generate), peer=peer) for name, peer in peers.items()},
    )
    asynchronous = Case(
        work="LLM call, async",
        bare=_async_calls(agenerate),
        hand=_async_calls(async_call_by_hand(agenerate), CALL),
        peer=_async_calls(span.call(agenerate), peer=span),
        ours=_async_calls(llm_call(agenerate), CALL),
        target=target,
        others={
            name: _async_calls(peer.call(agenerate), peer=peer) for name, peer in peers.items()
        },
    )
    return [*compare_all(sync, effort), *compare_all(asynchronous, effort)]


def priced_rows(effort: Effort) -> list[Row]:
    """Measure one call where genai-prices is installed, of a model that it lists and of another."""
    configure_logging(log_format="json")
    loader.load()
    loader.wait()  # a service has it when it has started
    return [
        *_priced("LLM call, listed model", a_completion(), CALL | {"cost_usd"}, 2.0, effort),
        *_priced("LLM call, unlisted model", a_completion("in-house-70b"), CALL, None, effort),
    ]


def _priced(
    work: str,
    completion: ChatCompletion,
    line: frozenset[str],
    dollars: float | None,
    effort: Effort,
) -> list[Row]:
    def generate(model: str) -> ChatCompletion:
        return completion

    span = opentelemetry()
    case = Case(
        work=work,
        bare=_calls(generate),
        hand=_calls(call_by_hand(generate, dollars), line),
        peer=_calls(span.call(generate), peer=span),
        ours=_calls(llm_call(provider="openai")(generate), line),
        target=Target(micros=15, peer=1),
    )
    return compare_all(case, effort)


def stream_rows(effort: Effort) -> list[Row]:
    """Measure one chunk, sync and async, of a stream with usage, first token and finish reason."""
    _without_prices()
    configure_logging(log_format="json")
    count = CHUNKS_PER_STREAM
    chunks = some_chunks(count)
    span, peers = opentelemetry(), others()
    sync = Case(
        work="LLM chunk, sync",
        bare=_streams(stream, chunks),
        hand=_streams(stream_by_hand, chunks, STREAM),
        peer=_streams(span.stream(stream), chunks, peer=span),
        ours=_streams(llm_call(model=MODEL)(stream), chunks, STREAM),
        target=Target(micros=0.35),
        parts=count,
        others={
            name: _streams(peer.stream(stream), chunks, peer=peer) for name, peer in peers.items()
        },
    )
    asynchronous = Case(
        work="LLM chunk, async",
        bare=_async_streams(astream, chunks),
        hand=_async_streams(astream_by_hand, chunks, STREAM),
        peer=_async_streams(span.async_stream(astream), chunks, peer=span),
        ours=_async_streams(llm_call(model=MODEL)(astream), chunks, STREAM),
        target=Target(micros=0.5),
        parts=count,
        others={
            name: _async_streams(peer.async_stream(astream), chunks, peer=peer)
            for name, peer in peers.items()
        },
    )
    return [*compare_all(sync, effort), *compare_all(asynchronous, effort)]


def memory_rows(effort: Effort) -> list[Row]:
    """Measure the growth of memory between the beginning and the end of a long stream."""
    _without_prices()
    configure_logging(log_format="json")
    count = effort.stream_chunks
    bare = _growth(endless, count)
    ours = _growth(llm_call(model=MODEL)(endless), count) - bare
    row = Row(
        work=f"memory, {count:,} chunks",
        hand="0 kB",
        ours=f"{ours / 1000:.0f} kB",
        target="0 kB",
        met=ours < NOISE_BYTES,
    )
    fewer = count // 10  # some contenders keep all chunks
    return [row, *(_memory_row(name, peer, fewer) for name, peer in others().items())]


def _memory_row(name: str, peer: Peer, count: int) -> Row:
    theirs = _growth(peer.stream(endless), count) - _growth(endless, count)
    return Row(work=f"  beside {name}, {count:,}", peer=f"{round(theirs / 1000):,} kB")


def _growth(stream: Callable[[], Iterator[dict[str, Any]]], count: int) -> int:
    """Return the growth in bytes from chunk 100 to chunk `count` of an open stream."""
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
    """Yield chunks without end, each a new object in OpenAI's shape."""
    while True:
        yield {"choices": [{"index": 0, "delta": {"content": "word "}}], "usage": None}


def _without_prices() -> None:
    """Hide genai-prices: no other contender looks up a price, and it loads in the background."""
    sys.modules["genai_prices"] = None  # type: ignore[assignment]


# Running a contender: only the calls, and an event loop only if a contender needs it.


def _calls(
    call: Call, line: frozenset[str] = frozenset(), *, peer: Peer | None = None
) -> Contender:
    def run(pieces: int) -> None:
        for _ in repeat(None, pieces):
            call(model=MODEL)

    return _contender(own(run), line, peer)


def _async_calls(
    call: AsyncCall, line: frozenset[str] = frozenset(), *, peer: Peer | None = None
) -> Contender:
    async def run(pieces: int) -> None:
        for _ in repeat(None, pieces):
            await call(model=MODEL)

    mine = own(run)
    return _contender(lambda pieces: drive(mine(pieces)), line, peer)


def _streams(
    stream: Stream, chunks: Chunks, line: frozenset[str] = frozenset(), *, peer: Peer | None = None
) -> Contender:
    def run(pieces: int) -> None:
        for _ in repeat(None, pieces):
            deque(stream(chunks), maxlen=0)

    return _contender(own(run), line, peer)


def _async_streams(
    stream: AsyncStream,
    chunks: Chunks,
    line: frozenset[str] = frozenset(),
    *,
    peer: Peer | None = None,
) -> Contender:
    async def run(pieces: int) -> None:
        for _ in repeat(None, pieces):
            async for _chunk in stream(chunks):
                pass

    mine, finish = own(run), peer.drive if peer else drive
    return _contender(lambda pieces: finish(mine(pieces)), line, peer)


def _contender(run: Callable[[int], object], line: frozenset[str], peer: Peer | None) -> Contender:
    if peer is None:
        return Contender(run=run, line=line)
    return Contender(run=run, line=line, check=lambda: peer.check(run))
