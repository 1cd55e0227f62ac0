"""The real OpenAI clients, over HTTP, behind a decorated gateway."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion

from pantheon_obs import llm_call
from tests.llm.provider import provider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

MESSAGES: Any = [{"role": "user", "content": "The capital of France?"}]
ANSWER = (1149, 212, 1024, 64, "gpt-5-mini-2026-08-07", "stop")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A provider that runs."""
    with provider() as base_url:
        yield base_url


class Gateway:
    """Returns what the client returns."""

    def __init__(self, client: OpenAI) -> None:
        self._client = client

    @llm_call
    def generate(self, model: str) -> ChatCompletion:
        """Answer at once."""
        return self._client.chat.completions.create(model=model, messages=MESSAGES)

    @llm_call
    def stream(self, model: str) -> Any:
        """Answer in pieces."""
        return self._client.chat.completions.create(
            model=model, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )


class AsyncGateway:
    """The same, async."""

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client

    @llm_call
    async def generate(self, model: str) -> ChatCompletion:
        """Answer at once."""
        return await self._client.chat.completions.create(model=model, messages=MESSAGES)

    @llm_call
    async def stream(self, model: str) -> Any:
        """Answer in pieces."""
        return await self._client.chat.completions.create(
            model=model, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )


@pytest.fixture
def gateway(url: str) -> Iterator[Gateway]:
    """A gateway over the real client."""
    with OpenAI(api_key="none", base_url=url, max_retries=0) as client:
        yield Gateway(client)


def with_async_gateway(url: str, act: Callable[[AsyncGateway], Any]) -> Any:
    """Do something with an async gateway over the real client."""

    async def main() -> Any:
        async with AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client:
            return await act(AsyncGateway(client))

    return asyncio.run(main())


def answer(event: LlmCallFinished) -> tuple[Any, ...]:
    """What an event says of the answer."""
    return (
        event.input_tokens,
        event.output_tokens,
        event.cached_input_tokens,
        event.reasoning_tokens,
        event.model,
        event.finish_reason,
    )


def test_an_answer(gateway: Gateway, events: Events) -> None:
    """Usage, model and finish reason are found."""
    completion = gateway.generate("whole")

    assert ChatCompletion is type(completion)
    [event] = events
    assert ANSWER == answer(event)
    assert ("ok", "whole", None) == (event.outcome, event.model_alias, event.stream)


def test_an_async_answer(url: str, events: Events) -> None:
    """Usage, model and finish reason are found."""
    with_async_gateway(url, lambda gateway: gateway.generate("whole"))

    [event] = events
    assert ANSWER == answer(event)
    assert ("ok", "whole") == (event.outcome, event.model_alias)


def test_a_clients_own_method(url: str, events: Events) -> None:
    """The async client's method is a plain function that returns a coroutine."""

    async def main() -> None:
        async with AsyncOpenAI(api_key="none", base_url=url) as client:
            create: Any = llm_call(client.chat.completions.create)
            await create(model="whole", messages=MESSAGES)

    asyncio.run(main())

    [event] = events
    assert ("llm.create", "ok", "whole") == (event.event, event.outcome, event.model_alias)
    assert ANSWER == answer(event)


def test_an_error(gateway: Gateway, events: Events) -> None:
    """The SDK's own exception comes out."""
    with pytest.raises(openai.InternalServerError):
        gateway.generate("broken")
    with pytest.raises(openai.InternalServerError):
        gateway.stream("broken")

    assert [("error", "InternalServerError")] * 2 == [
        (event.outcome, event.error_type) for event in events
    ]


def test_a_stream(gateway: Gateway, events: Events) -> None:
    """It is the SDK's stream, and what it says is found."""
    stream = gateway.stream("whole")

    assert isinstance(stream, openai.Stream)
    assert 200 == stream.response.status_code
    assert 5 == len(list(stream))
    [event] = events
    assert ANSWER == answer(event)
    assert ("ok", 5, True) == (event.outcome, event.chunks, event.stream)
    assert event.ttfc_ms is not None
    assert event.ttft_ms is not None
    assert event.ttfc_ms < event.ttft_ms


def test_an_async_stream(url: str, events: Events) -> None:
    """The same."""

    async def act(gateway: AsyncGateway) -> int:
        stream = await gateway.stream("whole")
        assert isinstance(stream, openai.AsyncStream)
        return len([chunk async for chunk in stream])

    assert 5 == with_async_gateway(url, act)
    [event] = events
    assert ANSWER == answer(event)
    assert ("ok", 5) == (event.outcome, event.chunks)


def test_a_stream_read_in_all_ways_at_once(gateway: Gateway, events: Events) -> None:
    """`next`, a loop that is left, and a loop: one call."""
    stream = gateway.stream("whole")
    next(stream)
    for _ in stream:
        break
    rest = list(stream)

    assert 3 == len(rest)
    assert [("ok", 5)] == [(event.outcome, event.chunks) for event in events]


def leave(stream: Any) -> None:
    """Read one chunk, and let go."""
    for _ in stream:
        break


def close(stream: Any) -> None:
    """Read one chunk, and close."""
    next(stream)
    stream.close()


def leave_with(stream: Any) -> None:
    """Read one chunk in a `with`."""
    with stream:
        next(stream)


@pytest.mark.parametrize("way", [leave, close, leave_with])
def test_a_stream_that_is_left(
    way: Callable[[Any], None], gateway: Gateway, events: Events
) -> None:
    """However it is left, it is closed, and its usage is unknown."""
    way(gateway.stream("whole"))
    gc.collect()

    assert [("closed", "missing", 1)] == [
        (event.outcome, event.usage_status, event.chunks) for event in events
    ]


@pytest.mark.parametrize("close", ["close", "aclose"])
def test_an_async_stream_that_is_closed(close: str, url: str, events: Events) -> None:
    """By either name."""

    async def act(gateway: AsyncGateway) -> None:
        stream = await gateway.stream("whole")
        await anext(stream)
        if not hasattr(stream, close):
            pytest.skip(f"this version's streams have no {close}()")
        await getattr(stream, close)()

    with_async_gateway(url, act)

    assert [("closed", 1)] == [(event.outcome, event.chunks) for event in events]


def test_a_stream_that_nobody_reads(gateway: Gateway, events: Events) -> None:
    """Closed or let go."""
    gateway.stream("whole").close()
    gateway.stream("whole")
    gc.collect()

    assert [("not_consumed", 0)] * 2 == [(event.outcome, event.chunks) for event in events]


def test_a_stream_that_ends_too_early(gateway: Gateway, events: Events) -> None:
    """The SDK sees nothing wrong; we do."""
    assert 2 == len(list(gateway.stream("short")))

    assert [("error", "IncompleteStream")] == [
        (event.outcome, event.error_type) for event in events
    ]


def test_a_stream_whose_connection_breaks(gateway: Gateway, events: Events) -> None:
    """Whatever the SDK raises, the call is an error of that name."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - versions of the SDK differ
        list(gateway.stream("cut"))

    assert [("error", type(caught.value).__name__, 2)] == [
        (event.outcome, event.error_type, event.chunks) for event in events
    ]


def test_a_raw_response_is_honest(url: str, events: Events) -> None:
    """What is not parsed is not read: the usage is missing, never nought."""
    with OpenAI(api_key="none", base_url=url) as client:
        create: Any = llm_call(client.chat.completions.with_raw_response.create)
        raw = create(model="whole", messages=MESSAGES)

    assert ChatCompletion is type(raw.parse())
    assert [("ok", "missing", None)] == [
        (event.outcome, event.usage_status, event.input_tokens) for event in events
    ]
