"""The service's gateway to a language model: a protocol, a fake and the real gateway."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from openai import AsyncOpenAI

from pantheon_obs import llm_call

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from openai import AsyncStream
    from openai.types import CompletionUsage
    from openai.types.chat import ChatCompletionChunk

    from pantheon_obs.core.events import LlmCallFinished

OPENROUTER_URL = "https://openrouter.ai/api/v1"

# The service's alias of a model -> the provider's name. Any other name is passed on unchanged.
MODELS = {"fast": "openai/gpt-4.1-mini", "smart": "openai/gpt-4.1"}
# US dollars per million input and output tokens; "local" stands for the local provider of the demo.
PRICES = {"fast": (0.4, 1.6), "smart": (2.0, 8.0), "local": (0.4, 1.6)}


@dataclass(frozen=True, slots=True)
class LlmRequest:
    """One question to a model."""

    model_alias: str
    prompt: str


@dataclass(frozen=True, slots=True)
class LlmUsage:
    """Tokens of one call; the prompt's tokens are split into fresh and cached ones."""

    input_tokens_fresh: int
    input_tokens_cached: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class LlmResponse:
    """A whole answer."""

    text: str
    usage: LlmUsage | None


class LlmStream:
    """An answer piece by piece; `usage_future` is resolved after the last piece."""

    def __init__(
        self,
        pieces: AsyncGenerator[str, None],
        usage_future: asyncio.Future[LlmUsage | None],
    ) -> None:
        self._pieces = pieces
        self.usage_future = usage_future

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """Stop before the end and close the connection."""
        await self._pieces.aclose()


class LlmGateway(Protocol):
    """The protocol of a model gateway."""

    async def generate(self, request: LlmRequest) -> LlmResponse:
        """Answer at once."""
        ...

    async def stream(self, request: LlmRequest) -> LlmStream:
        """Answer piece by piece."""
        ...


class FakeLlmGateway:
    """A gateway that answers without a provider, for tests and first steps."""

    async def generate(self, request: LlmRequest) -> LlmResponse:
        """Repeat the question."""
        return LlmResponse(f"You said: {request.prompt}", LlmUsage(3, 0, 3))

    async def stream(self, request: LlmRequest) -> LlmStream:
        """Repeat the question in two pieces."""
        usage_future = asyncio.get_running_loop().create_future()
        return LlmStream(self._pieces(request, usage_future), usage_future)

    async def _pieces(
        self, request: LlmRequest, usage_future: asyncio.Future[LlmUsage | None]
    ) -> AsyncGenerator[str, None]:
        yield "You said: "
        yield request.prompt
        usage_future.set_result(LlmUsage(3, 0, 3))


def price(call: LlmCallFinished) -> float | None:
    """Return the price of a call in US dollars; the local provider's alias may have options."""
    alias = (call.model_alias or "").partition("?")[0]
    if alias not in PRICES or call.input_tokens is None or call.output_tokens is None:
        return None
    for_input, for_output = PRICES[alias]
    return (call.input_tokens * for_input + call.output_tokens * for_output) / 1_000_000


class OpenRouterLlmGateway:
    """A gateway to OpenRouter, or to any other provider with an OpenAI-compatible API."""

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client

    @llm_call(prices=price)
    async def generate(self, request: LlmRequest) -> LlmResponse:
        """Ask for the whole answer."""
        completion = await self._client.chat.completions.create(
            model=MODELS.get(request.model_alias, request.model_alias),
            messages=[{"role": "user", "content": request.prompt}],
        )
        return LlmResponse(completion.choices[0].message.content or "", _usage(completion.usage))

    @llm_call(prices=price)
    async def stream(self, request: LlmRequest) -> LlmStream:
        """Ask for the answer as a stream."""
        chunks = await self._client.chat.completions.create(
            model=MODELS.get(request.model_alias, request.model_alias),
            messages=[{"role": "user", "content": request.prompt}],
            stream=True,
            stream_options={"include_usage": True},
        )
        usage_future = asyncio.get_running_loop().create_future()
        return LlmStream(_pieces(chunks, usage_future), usage_future)


async def _pieces(
    chunks: AsyncStream[ChatCompletionChunk], usage_future: asyncio.Future[LlmUsage | None]
) -> AsyncGenerator[str, None]:
    usage = None
    try:
        async with chunks:
            async for chunk in chunks:
                usage = _usage(chunk.usage) or usage
                if chunk.choices and chunk.choices[0].delta.content:
                    yield chunk.choices[0].delta.content
    finally:
        usage_future.set_result(usage)


def _usage(usage: CompletionUsage | None) -> LlmUsage | None:
    if usage is None:
        return None
    details = usage.prompt_tokens_details
    cached = (details.cached_tokens or 0) if details else 0
    return LlmUsage(usage.prompt_tokens - cached, cached, usage.completion_tokens)


@asynccontextmanager
async def open_gateway() -> AsyncGenerator[LlmGateway, None]:
    """Open the real gateway if `OPENAI_API_KEY` is set, else the fake one.

    `OPENAI_BASE_URL` selects the provider; the default is OpenRouter.
    """
    api_key = os.getenv("OPENAI_API_KEY")
    if not api_key:
        yield FakeLlmGateway()
        return
    base_url = os.getenv("OPENAI_BASE_URL") or OPENROUTER_URL
    async with AsyncOpenAI(api_key=api_key, base_url=base_url) as client:
        yield OpenRouterLlmGateway(client)
