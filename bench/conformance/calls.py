"""Make a call of a scenario with the real SDKs."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import openai
import pydantic

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from bench.conformance.provider import Script
    from bench.conformance.scenarios import Scenario

MESSAGES = [{"role": "user", "content": "The capital of France?"}]


class ConsumerError(Exception):
    """The exception of a consumer."""


class City(pydantic.BaseModel):
    """An object that an answer is parsed into."""

    name: str


class _Detour(httpx2.BaseTransport):
    """Brings requests for the vendor's own address to the scripted provider.

    The libraries see the vendor's address, which tells some of them who bills the call.
    """

    def __init__(self, url: str) -> None:
        self.url = httpx2.URL(url)
        self.transport = httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request to the provider."""
        return self.transport.handle_request(_detoured(request, self.url))

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()


class _AsyncDetour(httpx2.AsyncBaseTransport):
    def __init__(self, url: str) -> None:
        self.url = httpx2.URL(url)
        self.transport = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request to the provider."""
        return await self.transport.handle_async_request(_detoured(request, self.url))

    async def aclose(self) -> None:
        """Close the connections."""
        await self.transport.aclose()


def _detoured(request: httpx2.Request, url: httpx2.URL) -> httpx2.Request:
    request.url = request.url.copy_with(scheme=url.scheme, host=url.host, port=url.port)
    return request


def make(scenario: Scenario, script: Script) -> str | None:
    """Make the call, and return the name of the exception that its caller gets, if any."""
    raised = None
    with script.giving(scenario.answer):
        try:
            if scenario.is_async:
                asyncio.run(_make_async(scenario, script))
            else:
                _make_sync(scenario, script)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever it is
            raised = type(error).__name__
    gc.collect()  # ends a stream that its consumer has dropped
    return raised


def _make_sync(scenario: Scenario, script: Script) -> None:
    client = openai.OpenAI if scenario.kind.interface != "messages" else anthropic.Anthropic
    with httpx2.Client(transport=_Detour(script.url)) as http:
        answer = _request(client(api_key="none", max_retries=0, http_client=http), scenario)
        if scenario.streamed:
            _consume(answer, scenario)
            del answer
            gc.collect()


def _consume(stream: Iterator[Any], scenario: Scenario) -> None:
    for _ in stream:
        if scenario.consumer == "raises":
            raise ConsumerError
        if scenario.consumer == "breaks":
            break


async def _make_async(scenario: Scenario, script: Script) -> None:
    client: Any = openai.AsyncOpenAI
    if scenario.kind.interface == "messages":
        client = anthropic.AsyncAnthropic
    async with httpx2.AsyncClient(transport=_AsyncDetour(script.url)) as http:
        begun = asyncio.Event()
        call = _call(client(api_key="none", max_retries=0, http_client=http), scenario, begun)
        if scenario.consumer == "cancelled":
            await _cancel(call, scenario, script, begun)
        else:
            await call
        gc.collect()
        await asyncio.sleep(0)  # lets the event loop close the generators


async def _call(
    client: Any,  # noqa: ANN401 - of either SDK
    scenario: Scenario,
    begun: asyncio.Event,
) -> None:
    answer = await _request(client, scenario)
    if not scenario.streamed:
        return
    async for _ in answer:
        if scenario.consumer == "raises":
            raise ConsumerError
        if scenario.consumer == "breaks":
            break
        begun.set()


async def _cancel(
    call: Coroutine[Any, Any, None], scenario: Scenario, script: Script, begun: asyncio.Event
) -> None:
    task = asyncio.create_task(call)
    await asyncio.to_thread(script.asked.wait)
    if scenario.streamed:
        await begun.wait()
    await asyncio.sleep(0)
    task.cancel()
    await task


def _request(client: Any, scenario: Scenario) -> Any:  # noqa: ANN401 - of either SDK
    model: Any = {"model": scenario.kind.model}
    if scenario.streamed:
        model["stream"] = True
    match scenario.kind.interface:
        case "embeddings":
            return client.embeddings.create(**model, input="Paris", encoding_format="float")
        case "responses":
            return client.responses.create(**model, input="The capital of France?")
        case "messages":
            return client.messages.create(**model, messages=MESSAGES, max_tokens=1000)
    completions = client.chat.completions
    if scenario.consumer == "parses":
        return completions.parse(**model, messages=MESSAGES, response_format=City)
    options = {"stream_options": {"include_usage": True}} if scenario.streamed else {}
    return completions.create(**model, **options, messages=MESSAGES)
