"""The model's answers in the benchmark: real objects of the `openai` package, made once."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

from openai.types.chat import ChatCompletion, ChatCompletionChunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    Chunks = list[ChatCompletionChunk]

_USAGE = {
    "prompt_tokens": 1149,
    "completion_tokens": 212,
    "total_tokens": 1361,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 0},
}
_MODEL = "gpt-5-mini-2025-08-07"
_COMMON = {"id": "chatcmpl-1", "created": 1_795_000_000, "model": _MODEL}


def a_completion(model: str = _MODEL) -> ChatCompletion:
    """Make an answer in one piece."""
    message = {"role": "assistant", "content": "Paris."}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    kind = {"object": "chat.completion", "model": model}
    body = {**_COMMON, **kind, "choices": choices, "usage": _USAGE}
    return ChatCompletion.model_validate(body)


def _chunk(choices: list[dict[str, object]], usage: object = None) -> ChatCompletionChunk:
    body = {**_COMMON, "object": "chat.completion.chunk", "choices": choices, "usage": usage}
    return ChatCompletionChunk.model_validate(body)


def some_chunks(count: int) -> Chunks:
    """Make a stream as OpenAI sends it: role frame, text, finish reason, usage."""
    return [
        _chunk([{"index": 0, "delta": {"role": "assistant", "content": ""}}]),
        *repeat(_chunk([{"index": 0, "delta": {"content": "word "}}]), count - 3),
        _chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}]),
        _chunk([], _USAGE),
    ]


def stream(chunks: Chunks) -> Iterator[ChatCompletionChunk]:
    """Yield the chunks from a bare generator."""
    yield from chunks


async def astream(chunks: Chunks) -> AsyncIterator[ChatCompletionChunk]:
    """Yield the chunks from a bare async generator."""
    for chunk in chunks:
        yield chunk
