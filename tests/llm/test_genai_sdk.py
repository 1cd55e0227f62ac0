"""Google's real client, over HTTP: by the decorator, by `instrument_llm`, in a `with`."""

from __future__ import annotations

import asyncio
import json
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import instrument_llm
from tests.llm.scripted import Raw, scripted
from tests.llm.sdk import (
    INSTRUMENT,
    ROADS,
    WITH,
    Ending,
    Way,
    answer,
    assert_ended,
    assert_streamed,
    async_stream_of,
    observed,
    raised_by,
    stream_of,
)
from tests.support.garbage import collect_garbage

genai = pytest.importorskip("google.genai")

# The client's own warning if aiohttp is installed.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

ANSWER = (1149, 212, 1024, 64, "gemini-3-flash", "STOP")
CONTENTS = "The capital of France?"


def generate(client: Any, model: str) -> Any:
    """Stream an answer."""
    return client.models.generate_content_stream(model=model, contents=CONTENTS)


def generate_async(client: Any, model: str) -> Any:
    """Stream an answer with the async client."""
    return client.aio.models.generate_content_stream(model=model, contents=CONTENTS)


SYNC = Way("sync", generate, GeneratorType, 3, ANSWER)
ASYNC = Way("async", generate_async, AsyncGeneratorType, 3, ANSWER)


@pytest.fixture(scope="module")
def client(provider_url: str, loop: asyncio.Runner) -> Iterator[Any]:
    """Make a client."""
    client = genai.Client(api_key="none", http_options={"base_url": provider_url})
    yield client
    loop.run(client.aio.aclose())
    client.close()


@pytest.mark.parametrize(
    ("model", "reason"),
    [("whole", "STOP"), ("thinking", "STOP"), ("tools", "STOP"), ("refusal", "SAFETY")],
)
def test_an_answer(model: str, reason: str, client: Any, events: Events) -> None:
    """The output includes the thoughts, which Gemini counts separately."""
    with instrument_llm(client):
        response = client.models.generate_content(model=model, contents=CONTENTS)
        list(generate(client, model))

    assert genai.types.GenerateContentResponse is type(response)
    expected = (*ANSWER[:-1], reason)
    assert [("llm.generate_content", "ok", None, model, expected)] * 2 == [
        (event.event, event.outcome, event.provider, event.model_alias, answer(event))
        for event in events
    ]


def test_an_async_answer(client: Any, loop: asyncio.Runner, events: Events) -> None:
    """The async client behaves the same."""
    with instrument_llm(client):
        loop.run(client.aio.models.generate_content(model="whole", contents=CONTENTS))

    assert [("ok", ANSWER)] == [(event.outcome, answer(event)) for event in events]


def test_a_chat(client: Any, loop: asyncio.Runner, events: Events) -> None:
    """A chat uses the same methods of the client."""

    async def main() -> None:
        chat = client.aio.chats.create(model="whole")
        await chat.send_message(CONTENTS)
        assert 3 == len([part async for part in await chat.send_message_stream(CONTENTS)])

    with instrument_llm(client):
        chat = client.chats.create(model="whole")
        chat.send_message(CONTENTS)
        assert 3 == len(list(chat.send_message_stream(CONTENTS)))
        loop.run(main())

    assert [("ok", ANSWER)] * 4 == [(event.outcome, answer(event)) for event in events]


def test_the_tier_that_has_served(request: pytest.FixtureRequest, events: Events) -> None:
    """The client drops it from the usage; a header of the response has it."""
    request.getfixturevalue("genai")  # not by its name here, which is the client's module
    usage = {"promptTokenCount": 3000, "candidatesTokenCount": 200}
    body = {
        "candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}],
        "modelVersion": "gemini-2.5-flash",
        "usageMetadata": usage | {"serviceTier": "flex"},
    }
    headers = (("X-Gemini-Service-Tier", "flex"),)
    begun, ended = (json.dumps(each).encode() for each in (body | {"candidates": []}, body))
    whole = Raw(ended, "application/json", headers)
    stream = Raw(b"data: %b\n\ndata: %b\n\n" % (begun, ended), "text/event-stream", headers)
    with (
        scripted({":generateContent": whole, ":stream": stream}) as url,
        genai.Client(api_key="none", http_options={"base_url": url}) as client,
    ):
        instrument_llm(client, provider="gcp.gemini")
        client.models.generate_content(model="gemini-2.5-flash", contents=CONTENTS)
        list(client.models.generate_content_stream(model="gemini-2.5-flash", contents=CONTENTS))

    assert [("ok", 3000, None)] * 2 == [
        (event.outcome, event.input_tokens, event.cost_usd) for event in events
    ]


def test_embeddings(client: Any, loop: asyncio.Runner, events: Events) -> None:
    """Gemini sends no usage for embeddings."""
    with instrument_llm(client):
        client.models.embed_content(model="whole", contents=CONTENTS)
        loop.run(client.aio.models.embed_content(model="whole", contents=CONTENTS))

    assert [("llm.embeddings", "ok", "missing", None)] * 2 == [
        (event.event, event.outcome, event.usage_status, event.input_tokens) for event in events
    ]


def test_retries_are_one_call(provider_url: str, events: Events) -> None:
    """The SDK's retries count in the latency, but not as calls."""
    retry = {"attempts": 2, "initial_delay": 0.01}
    options = {"base_url": provider_url, "retry_options": retry}
    with genai.Client(api_key="none", http_options=options) as client:
        instrument_llm(client)
        client.models.generate_content(model="retry", contents=CONTENTS)

    assert [("ok", "retry", ANSWER)] == [
        (event.outcome, event.model_alias, answer(event)) for event in events
    ]


@pytest.mark.parametrize("road", ROADS)
def test_a_stream(road: str, client: Any, events: Events) -> None:
    """A generator is returned, and its data is on the event."""
    assert 3 == len(stream_of(client, SYNC, road, "whole"))
    assert_streamed(events, SYNC)


@pytest.mark.parametrize("road", ROADS)
def test_an_async_stream(road: str, client: Any, loop: asyncio.Runner, events: Events) -> None:
    """An async generator is returned."""
    assert 3 == len(loop.run(async_stream_of(client, ASYNC, road, "whole")))
    assert_streamed(events, ASYNC)


def test_the_delays_of_the_provider(client: Any, events: Events) -> None:
    """The first chunk already has content, so both times are the same delay."""
    stream_of(client, SYNC, INSTRUMENT, "whole.first60.chunk30")

    [event] = events
    assert event.ttfc_ms is not None
    assert 60 <= event.ttfc_ms == event.ttft_ms
    assert 60 + 2 * 30 <= event.latency_ms


BAD = [
    Ending("cut", "error", "RemoteProtocolError"),
    Ending("short", "error", "IncompleteStream"),
    Ending("event", "error", "ServerError"),
    Ending("broken", "error", "ServerError"),
]


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("ending", BAD, ids=lambda ending: ending.model)
def test_something_goes_wrong(ending: Ending, road: str, client: Any, events: Events) -> None:
    """An exception is the error of the call."""
    raised = raised_by(lambda: stream_of(client, SYNC, road, ending.model))

    assert ending.raised == raised
    if ending.model == "short" and road == WITH:
        # Whether the stream was left or ended is not known within a `with`.
        ending = ending._replace(outcome="closed", error_type=None)

    assert_ended(events, ending)


@pytest.mark.parametrize("ending", BAD, ids=lambda ending: ending.model)
def test_something_goes_wrong_async(
    ending: Ending, client: Any, loop: asyncio.Runner, events: Events
) -> None:
    """The async transport raises exceptions with other names."""
    raised = raised_by(lambda: loop.run(async_stream_of(client, ASYNC, INSTRUMENT, ending.model)))

    assert (ending.model == "short") == (raised is None)
    assert_ended(events, ending._replace(error_type=raised or "IncompleteStream"))


@pytest.mark.parametrize("road", ROADS[:2])
def test_the_consumer_leaves(road: str, client: Any, events: Events) -> None:
    """The consumer leaves by `break`, or closes the generator."""
    with observed(road, client, SYNC) as opens:
        for _ in opens("whole"):
            break
        stream = opens("whole")
        next(stream)
        stream.close()
    collect_garbage()

    assert [("closed", 1149, 1)] * 2 == [
        (event.outcome, event.input_tokens, event.chunks) for event in events
    ]


def test_a_stream_that_nobody_starts(client: Any, events: Events) -> None:
    """The client's method is a generator function, which has sent nothing: there is no call.

    Sentry's wrapper, which other tests may have left in this process, sends it at once.
    """
    is_wrapped = hasattr(type(client.models).generate_content_stream, "__wrapped__")
    with instrument_llm(client):
        generate(client, "whole")
    collect_garbage()

    assert (["not_consumed"] if is_wrapped else []) == [event.outcome for event in events]


def test_the_task_is_cancelled(client: Any, loop: asyncio.Runner, events: Events) -> None:
    """The task is cancelled while the provider is silent."""

    async def main() -> None:
        task = asyncio.ensure_future(async_stream_of(client, ASYNC, INSTRUMENT, "hang"))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(task, 0.2)

    loop.run(main())

    assert [("cancelled", "CancelledError")] == [
        (event.outcome, event.error_type) for event in events
    ]
