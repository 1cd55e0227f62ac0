"""A chunk's usage counts wherever it is in a stream, however many chunks follow."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import llm_call
from pantheon_obs.llm.cost.price_list_loader import loader
from tests.llm.test_usage import ENDED, MADE_OF, load, says

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

MANY = 40
OFFSETS = {"check_offset": 0, "start_offset": 0, "end_offset": 3}
TAILS = {
    "Azure's annotation": {
        "object": "",
        "choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": OFFSETS}],
    },
    "a gateway's status": {"object": "status", "progress": 1},
    "a gateway's event": {"type": "status", "progress": 1},
    "a chunk without choices": {"object": "chat.completion.chunk", "choices": []},
    "text": "",
}


def read(chunks: list[Any]) -> None:
    """Read a stream of these chunks; only the vendor gives a cost."""

    @llm_call(prices=lambda _: None)
    def stream() -> Iterator[Any]:
        yield from chunks

    assert len(chunks) == sum(1 for _ in stream())


def piece(delta: Any = None, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """Make a chunk of a chat."""
    delta = {"content": "a"} if delta is None else delta
    return {"model": "m", "choices": [{"delta": delta, "finish_reason": reason}], **more}


@pytest.mark.parametrize("name", ENDED)
@pytest.mark.parametrize("make", MADE_OF)
def test_a_stream_may_go_on_after_its_terminal_chunk(
    name: str, make: Callable[[Any], Any], events: Events
) -> None:
    """A filter's annotations and a gateway's own objects change nothing of the event."""
    fixture = load(name)
    for tail in TAILS.values():
        read([make(chunk) for chunk in fixture["chunks"]] + [make(tail)] * MANY)

    assert dict.fromkeys(TAILS, ("ok", fixture["says"])) == {
        tail: (event.outcome, says(event)) for tail, event in zip(TAILS, events, strict=True)
    }


USED = {"usage": {"prompt_tokens": 9, "completion_tokens": 4}}
TEXT = {"type": "content_block_delta", "delta": {"text": "a"}}
CONVERSE = {"contentBlockDelta": {"delta": {"text": "a"}}}
# Pieces of an answer, a chunk with the usage, the terminal chunk.
MIDDLES: dict[str, tuple[Any, Any, Any]] = {
    "chat": (piece(), piece(**USED), piece({}, "stop")),
    "chat, with a field for it": (
        piece(usage=None),
        piece(**USED),
        piece({}, "stop", usage=None),
    ),
    "chat, its own chunk": (piece(), {"choices": [], **USED}, piece({}, "stop")),
    "Anthropic": (
        TEXT,
        {"type": "message_delta", "delta": {}, "usage": {"input_tokens": 9, "output_tokens": 4}},
        {"type": "message_stop"},
    ),
    "Bedrock": (
        CONVERSE,
        {"metadata": {"usage": {"inputTokens": 9, "outputTokens": 4}}},
        {"messageStop": {"stopReason": "stop"}},
    ),
}


@pytest.mark.parametrize("kind", MIDDLES)
@pytest.mark.parametrize("make", MADE_OF)
@pytest.mark.parametrize("prices", [None, SimpleNamespace(price=lambda *_: None)])
def test_a_usage_in_the_middle_of_a_stream_counts(
    kind: str, make: Callable[[Any], Any], prices: Any, events: Events, monkeypatch: Any
) -> None:
    """It may be on a chunk with content, whichever that is, with a price list and without."""
    monkeypatch.setattr(loader, "load", lambda: None)
    monkeypatch.setattr(loader, "prices", prices)
    one, used, end = map(make, MIDDLES[kind])
    for place in range(MANY, MANY + 20):
        read([*[one] * place, used, *[one] * MANY, end])

    assert [(9, 4, "ok")] * 20 == [
        (event.input_tokens, event.output_tokens, event.outcome) for event in events
    ]


def test_a_usage_in_the_middle_of_an_async_stream_counts(events: Events) -> None:
    """The chunks of an async generator are looked at as those of any other stream."""
    one, used, end = MIDDLES["chat"]

    @llm_call
    async def stream() -> AsyncIterator[Any]:
        for chunk in [*[one] * MANY, used, *[one] * MANY, end]:
            yield chunk

    async def consume() -> int:
        return len([chunk async for chunk in stream()])

    assert 2 * MANY + 2 == asyncio.run(consume())
    assert [(9, 4, "ok")] == [
        (event.input_tokens, event.output_tokens, event.outcome) for event in events
    ]


@pytest.mark.parametrize("delta", [{"reasoning": "a"}, {"tool_calls": [{"index": 0}]}])
def test_each_kind_of_content_goes_on(delta: Any, events: Events) -> None:
    """Reasoning and tool calls are pieces of an answer as well."""
    read([*[piece(delta)] * MANY, piece({}, "tool_calls"), *[TAILS["Azure's annotation"]] * MANY])

    [event] = events
    assert ("tool_calls", "ok") == (event.finish_reason, event.outcome)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ([], ("error", "partial", None)),
        ([ZeroDivisionError], ("error", "partial", None)),
        ([KeyboardInterrupt], ("cancelled", "partial", None)),
        ([piece({}, "stop", **USED)], ("ok", "reported", 0.00017)),
    ],
    ids=["cut", "failed", "interrupted", "whole"],
)
def test_counts_amid_a_stream_are_partial(end: Any, expected: Any, events: Events) -> None:
    """Some providers count with each chunk: more may be billed than was counted so far."""
    chunks = [piece(**USED)] * MANY

    @llm_call(prices={"m": (10.0, 20.0)})
    def stream() -> Iterator[Any]:
        for chunk in [*chunks, *end]:
            if isinstance(chunk, type):
                raise chunk
            yield chunk

    with suppress(ZeroDivisionError, KeyboardInterrupt):
        list(stream())

    [event] = events
    assert expected == (event.outcome, event.usage_status, event.cost_usd)
    assert (9, 4) == (event.input_tokens, event.output_tokens)


def test_a_stream_without_its_terminal_chunk_is_incomplete(events: Events) -> None:
    """However long it is."""
    read([piece()] * MANY)

    [event] = events
    assert ("error", "IncompleteStream") == (event.outcome, event.error_type)


@pytest.mark.parametrize("choices", [[None], ["a"], [{}], [{"finish_reason": None}], 7])
def test_a_strange_chunk_in_the_middle_is_nothing(choices: object, events: Events) -> None:
    """It is no reason not to read the others."""
    read([*[piece()] * MANY, *[{"choices": choices}] * MANY, piece({}, "stop")])

    [event] = events
    assert ("stop", "ok") == (event.finish_reason, event.outcome)


def test_many_chunks_may_come_before_the_first_content(events: Events) -> None:
    """Each of them is read, in a generator and in an async one."""
    chunks = [*[piece({"role": "assistant"})] * MANY, piece({}, "stop", **USED)]

    @llm_call
    async def astream() -> AsyncIterator[Any]:
        for chunk in chunks:
            yield chunk

    async def read_all() -> None:
        assert len(chunks) == len([chunk async for chunk in astream()])

    read(chunks)
    asyncio.run(read_all())

    ends = [(event.outcome, event.chunks, event.ttft_ms, event.input_tokens) for event in events]
    assert [("ok", MANY + 1, None, 9)] * 2 == ends


def test_each_chunk_counts_once(events: Events) -> None:
    """LangChain's counts are added up, also those of an answer without any content."""
    shape = {"content": "", "response_metadata": {}, "tool_call_chunks": []}
    read(
        [
            {**shape, "usage_metadata": {"input_tokens": 9, "output_tokens": 1}},
            {**shape, "usage_metadata": {"input_tokens": 0, "output_tokens": 3}},
        ]
    )

    [event] = events
    assert (9, 4) == (event.input_tokens, event.output_tokens)
