"""The real clients of SDKs, over HTTP: by the decorator, by `instrument_llm`, in a `with`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import instrument_llm
from tests.llm.sdk import (
    INSTRUMENT,
    ROADS,
    SHORT,
    SILENT,
    WITH,
    Sdk,
    Way,
    answer,
    assert_ended,
    assert_streamed,
    assert_timed,
    async_stream_of,
    observed,
    raise_at,
    raised_by,
    stream_of,
)
from tests.llm.sdks import GENAI, RESPONSE, SDKS, WAYS
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.events import LlmCallFinished

    Clients = Callable[..., Any]
    Events = list[LlmCallFinished]

# The client's own warning if aiohttp is installed.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


def name_of(way: Way) -> str:
    """Name a test after the SDK and its way."""
    return f"{way.sdk.name}.{way.name}"


each_road = pytest.mark.parametrize("road", ROADS)
each_way = pytest.mark.parametrize("way", WAYS, ids=name_of)
# The generators of Google's have tests of their own.
OBJECTS = [way for way in WAYS if way.sdk is not GENAI]
each_failure = pytest.mark.parametrize("model", ["cut", "short", "event", "broken"])


@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.name)
def test_retries_are_one_call(sdk: Sdk, provider_url: str, events: Events) -> None:
    """The SDK's retries count in the latency, but not as calls."""
    way = next(way for way in WAYS if way.sdk is sdk)
    with sdk.client(provider_url, **sdk.retrying) as client:
        instrument_llm(client)
        sdk.whole(client, "retry")
        list(way.opens(client, "retry.stream"))

    assert [("ok", "retry", way.answer), ("ok", "retry.stream", way.answer)] == [
        (event.outcome, event.model_alias, answer(event)) for event in events
    ]


@pytest.mark.parametrize(
    ("sdk", "model"),
    [pytest.param(sdk, model, id=f"{sdk.name}-{model}") for sdk in SDKS for model in sdk.reasons],
)
def test_why_the_model_stopped(sdk: Sdk, model: str, clients: Clients, events: Events) -> None:
    """Thoughts, tool calls and refusals are answers, whole or in chunks."""
    client, ways = clients(sdk), [way for way in WAYS if way.sdk is sdk]
    with instrument_llm(client):
        sdk.whole(client, model)
    for way in ways:
        stream_of(client, way, INSTRUMENT, model)

    # A response has a status in place of a reason.
    assert [
        ("ok", model, expected if expected is RESPONSE else (*expected[:-1], sdk.reasons[model]))
        for expected in [ways[0].answer, *(way.answer for way in ways)]
    ] == [(event.outcome, event.model_alias, answer(event)) for event in events]


@each_road
@each_way
def test_a_stream(way: Way, road: str, clients: Clients, events: Events) -> None:
    """The SDK's own stream is returned, and its data is on the event."""
    assert way.chunks == len(stream_of(clients(way.sdk), way, road, "whole"))
    assert_streamed(events, way)


@each_road
@each_way
def test_an_async_stream(
    way: Way, road: str, clients: Clients, loop: asyncio.Runner, events: Events
) -> None:
    """The async client behaves the same."""
    client = clients(way.sdk, is_async=True)
    assert way.chunks == len(loop.run(async_stream_of(client, way, road, "whole")))
    assert_streamed(events, way)


@each_way
def test_the_empty_frames_are_not_the_first_token(
    way: Way, clients: Clients, events: Events
) -> None:
    """A role, and the start of an answer or text, are no content; the time runs until there is."""
    stream_of(clients(way.sdk), way, INSTRUMENT, "whole.first40.chunk30")

    [event] = events
    assert_timed(event, way.waits, 40, 30)


@each_road
@each_failure
@each_way
def test_something_goes_wrong(
    way: Way, model: str, road: str, clients: Clients, events: Events
) -> None:
    """An exception of the SDK passes, and is the error of the call."""
    error = way.error(model)

    raised = raised_by(lambda: stream_of(clients(way.sdk), way, road, model))

    assert (None if error in SILENT else error) == raised
    if error == SHORT and road == WITH:
        # Whether the stream was left or ended is not known within a `with`.
        assert_ended(events, "closed", None, model)
    else:
        assert_ended(events, "error", error, model)


@each_failure
@each_way
def test_something_goes_wrong_async(
    way: Way, model: str, clients: Clients, loop: asyncio.Runner, events: Events
) -> None:
    """The async client behaves the same; its transport may have other exceptions."""
    error = way.async_error(model)
    client = clients(way.sdk, is_async=True)

    raised = raised_by(lambda: loop.run(async_stream_of(client, way, INSTRUMENT, model)))

    assert (None if error in SILENT else error) == raised
    assert_ended(events, "error", error, model)


@pytest.mark.parametrize("road", ROADS[:2])
@pytest.mark.parametrize("way", OBJECTS, ids=name_of)
def test_the_consumer_leaves(way: Way, road: str, clients: Clients, events: Events) -> None:
    """The consumer leaves by `break` in a `with` statement, or by an exception."""
    with observed(road, clients(way.sdk), way) as opens:
        with opens("whole") as stream:
            for _ in stream:
                break
        with pytest.raises(LookupError), opens("whole") as stream:
            raise_at(next(stream))

    assert [("closed", *way.sdk.left, None, 1, None)] * 2 == [
        (
            event.outcome,
            event.usage_status,
            event.input_tokens,
            event.output_tokens,
            event.chunks,
            event.error_type,
        )
        for event in events
    ]


@pytest.mark.parametrize("way", [way for way in OBJECTS if not way.entered], ids=name_of)
def test_the_consumer_drops_the_stream(way: Way, clients: Clients, events: Events) -> None:
    """The consumer drops the stream: after a chunk, unread, or closed."""
    client = clients(way.sdk)
    with instrument_llm(client):
        for _ in way.opens(client, "whole"):
            break
        way.opens(client, "whole")
        way.opens(client, "whole").close()
    collect_garbage()

    assert [("closed", 1), ("not_consumed", 0), ("not_consumed", 0)] == sorted(
        (event.outcome, event.chunks) for event in events
    )


@pytest.mark.parametrize("way", [way for way in OBJECTS if way.entered], ids=name_of)
def test_a_manager_that_nobody_enters(way: Way, clients: Clients, events: Events) -> None:
    """It has sent no request, so the call is not consumed."""
    client = clients(way.sdk)
    with instrument_llm(client):
        way.opens(client, "whole")
    collect_garbage()

    assert [("not_consumed", "missing")] == [
        (event.outcome, event.usage_status) for event in events
    ]


@each_way
def test_the_task_is_cancelled(
    way: Way, clients: Clients, loop: asyncio.Runner, events: Events
) -> None:
    """The task is cancelled while the provider is silent."""

    async def main() -> None:
        begun, client = asyncio.Event(), clients(way.sdk, is_async=True)
        reading = async_stream_of(client, way, INSTRUMENT, "hang", lambda _: begun.set())
        task = asyncio.ensure_future(reading)
        await begun.wait()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(task, 0.05)

    loop.run(main())

    assert [("cancelled", "CancelledError", way.sdk.left[1])] == [
        (event.outcome, event.error_type, event.input_tokens) for event in events
    ]
