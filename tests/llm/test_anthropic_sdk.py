"""The real Anthropic clients, over HTTP: by the decorator, by `instrument_llm`, in a `with`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import instrument_llm
from tests.llm.sdk import (
    INSTRUMENT,
    MESSAGES,
    ROADS,
    WITH,
    Ending,
    Way,
    answer,
    assert_ended,
    assert_streamed,
    async_stream_of,
    observed,
    raise_at,
    raised_by,
    stream_of,
)
from tests.support.garbage import collect_garbage

anthropic = pytest.importorskip("anthropic")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

MODEL = "claude-sonnet-5-20260801"
ANSWER = (1149, 212, 1024, 64, MODEL, "end_turn")
ASKED: Any = {"max_tokens": 512, "messages": MESSAGES}


def create(client: Any, model: str) -> Any:
    """Stream a message."""
    return client.messages.create(model=model, stream=True, **ASKED)


def stream(client: Any, model: str) -> Any:
    """Stream a message with the SDK's own events."""
    return client.messages.stream(model=model, **ASKED)


def beta_stream(client: Any, model: str) -> Any:
    """Stream a message of the beta API."""
    return client.beta.messages.stream(model=model, **ASKED)


def ways(stream_class: Any, message_stream: Any, beta_message_stream: Any) -> list[Any]:
    """Return all ways to stream."""
    table = [
        Way("create", create, stream_class, 7, ANSWER),
        Way("stream", stream, message_stream, 9, ANSWER, entered=True),
        Way("beta.stream", beta_stream, beta_message_stream, 9, ANSWER, entered=True),
    ]
    return [pytest.param(way, id=way.name) for way in table]


SYNC = ways(anthropic.Stream, anthropic.MessageStream, anthropic.BetaMessageStream)
ASYNC = ways(anthropic.AsyncStream, anthropic.AsyncMessageStream, anthropic.BetaAsyncMessageStream)


@pytest.fixture(scope="module")
def client(provider_url: str) -> Iterator[Any]:
    """Make a client."""
    with anthropic.Anthropic(api_key="none", base_url=provider_url, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def aclient(provider_url: str, loop: asyncio.Runner) -> Iterator[Any]:
    """Make an async client."""
    client = anthropic.AsyncAnthropic(api_key="none", base_url=provider_url, max_retries=0)
    yield client
    loop.run(client.close())


class TestAnswers:
    """An answer comes in one piece."""

    @pytest.mark.parametrize(
        ("model", "reason"),
        [
            ("whole", "end_turn"),
            ("thinking", "end_turn"),
            ("tools", "tool_use"),
            ("refusal", "refusal"),
        ],
    )
    def test_a_message(self, model: str, reason: str, client: Any, events: Events) -> None:
        """The input includes the cached tokens, which Anthropic counts separately."""
        with instrument_llm(client):
            message = client.messages.create(model=model, **ASKED)
            client.beta.messages.create(model=model, **ASKED)
            list(create(client, model))
            with stream(client, model) as events_of_it:
                events_of_it.until_done()

        assert anthropic.types.Message is type(message)
        expected = (*ANSWER[:-1], reason)
        assert [("llm.messages", "ok", None, model, 20, expected)] * 4 == [
            (
                event.event,
                event.outcome,
                event.provider,
                event.model_alias,
                event.cache_write_tokens,
                answer(event),
            )
            for event in events
        ]

    def test_an_async_message(self, aclient: Any, loop: asyncio.Runner, events: Events) -> None:
        """The async client behaves the same."""
        with instrument_llm(aclient):
            loop.run(aclient.messages.create(model="whole", **ASKED))

        assert [("ok", ANSWER)] == [(event.outcome, answer(event)) for event in events]

    def test_retries_are_one_call(self, provider_url: str, events: Events) -> None:
        """The SDK's retries count in the latency, but not as calls."""
        with anthropic.Anthropic(api_key="none", base_url=provider_url, max_retries=2) as client:
            instrument_llm(client)
            client.messages.create(model="retry", **ASKED)
            list(create(client, "retry.stream"))

        assert [("ok", "retry", ANSWER), ("ok", "retry.stream", ANSWER)] == [
            (event.outcome, event.model_alias, answer(event)) for event in events
        ]

    def test_raw_responses(self, client: Any, events: Events) -> None:
        """The tokens are read from the body, or from the stream that it is parsed into."""
        with instrument_llm(client):
            messages = client.messages
            raw = messages.with_raw_response.create(model="whole", **ASKED)
            assert "msg_1" == raw.parse().id
            raw = messages.with_raw_response.create(model="whole", stream=True, **ASKED)
            assert 7 == len(list(raw.parse()))
            with messages.with_streaming_response.create(model="whole", **ASKED) as raw:
                raw.parse()

        assert [("ok", ANSWER)] * 3 == [(event.outcome, answer(event)) for event in events]

    def test_async_raw_responses(self, aclient: Any, loop: asyncio.Runner, events: Events) -> None:
        """The async client behaves the same."""

        async def main() -> None:
            messages = aclient.messages
            raw = await messages.with_raw_response.create(model="whole", **ASKED)
            assert "msg_1" == (await raw.parse()).id
            raw = await messages.with_raw_response.create(model="whole", stream=True, **ASKED)
            assert 7 == len([event async for event in await raw.parse()])
            async with messages.with_streaming_response.create(model="whole", **ASKED) as raw:
                await raw.parse()

        with instrument_llm(aclient):
            loop.run(main())

        assert [("ok", ANSWER)] * 3 == [(event.outcome, answer(event)) for event in events]

    def test_the_sdks_own_spans_do_not_count(self, provider_url: str, events: Events) -> None:
        """The SDK can emit a span for each call; there is still one event with the same numbers."""
        trace = pytest.importorskip("opentelemetry.sdk.trace")
        export = pytest.importorskip("opentelemetry.sdk.trace.export")
        memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
        tracers, spans = trace.TracerProvider(), memory.InMemorySpanExporter()
        tracers.add_span_processor(export.SimpleSpanProcessor(spans))

        with anthropic.Anthropic(
            api_key="none", base_url=provider_url, open_telemetry={"tracer_provider": tracers}
        ) as client:
            instrument_llm(client)
            client.messages.create(model="whole", **ASKED)
            list(create(client, "whole"))
            with stream(client, "whole") as events_of_it:
                list(events_of_it)

        tokens = [
            span.attributes["gen_ai.usage.output_tokens"] for span in spans.get_finished_spans()
        ]
        assert [212] * 3 == tokens
        assert [("ok", ANSWER)] * 3 == [(event.outcome, answer(event)) for event in events]


class TestStreams:
    """A stream is read to its end, in all ways."""

    @pytest.mark.parametrize("road", ROADS)
    @pytest.mark.parametrize("way", SYNC)
    def test_a_stream(self, way: Way, road: str, client: Any, events: Events) -> None:
        """The SDK's own stream is returned, and its data is on the event."""
        assert way.chunks == len(stream_of(client, way, road, "whole"))
        assert_streamed(events, way)

    @pytest.mark.parametrize("road", ROADS)
    @pytest.mark.parametrize("way", ASYNC)
    def test_an_async_stream(
        self,
        way: Way,
        road: str,
        aclient: Any,
        loop: asyncio.Runner,
        events: Events,
    ) -> None:
        """The async client behaves the same."""
        assert way.chunks == len(loop.run(async_stream_of(aclient, way, road, "whole")))
        assert_streamed(events, way)

    @pytest.mark.parametrize("model", ["whole", "thinking", "tools"])
    @pytest.mark.parametrize("way", SYNC)
    def test_the_empty_frames_are_not_the_first_token(
        self, way: Way, model: str, client: Any, events: Events
    ) -> None:
        """The start of a message or text is no content; the time runs until the first delta.

        The name of a tool is content, and comes one chunk earlier.
        """
        stream_of(client, way, INSTRUMENT, f"{model}.first40.chunk30")

        [event] = events
        assert event.ttfc_ms is not None
        assert event.ttft_ms is not None
        assert 40 <= event.ttfc_ms < event.ttft_ms
        chunks = 1 if model == "tools" else 2
        assert 40 + chunks * 30 <= event.ttft_ms < event.latency_ms

    def test_the_streams_own_members(self, client: Any, events: Events) -> None:
        """The other members of a stream still work."""
        with instrument_llm(client):
            with stream(client, "whole") as it:
                assert 200 == it.response.status_code
                assert ["Par", "is."] == list(it.text_stream)
                assert "Paris." == it.get_final_text()
            with stream(client, "whole") as it:
                it.until_done()
                assert "msg_1" == it.current_message_snapshot.id
            with stream(client, "whole") as it:
                assert 212 == it.get_final_message().usage.output_tokens
            with create(client, "whole") as it:
                assert 200 == it.response.status_code
                next(it)
                assert 6 == len(list(it))

        assert [("ok", 9, ANSWER)] * 3 + [("ok", 7, ANSWER)] == [
            (event.outcome, event.chunks, answer(event)) for event in events
        ]
        assert anthropic.Stream is type(it)

    def test_an_async_streams_own_members(
        self, aclient: Any, loop: asyncio.Runner, events: Events
    ) -> None:
        """The async client behaves the same."""

        async def main() -> None:
            async with stream(aclient, "whole") as it:
                assert ["Par", "is."] == [text async for text in it.text_stream]
                assert "Paris." == await it.get_final_text()
            async with stream(aclient, "whole") as it:
                await it.until_done()
                assert "msg_1" == (await it.get_final_message()).id

        with instrument_llm(aclient):
            loop.run(main())

        assert [("ok", ANSWER)] * 2 == [(event.outcome, answer(event)) for event in events]


BAD = [
    Ending("cut", "error", "RemoteProtocolError"),
    Ending("short", "error", "IncompleteStream"),
    Ending("event", "error", "APIStatusError"),
    Ending("broken", "error", "InternalServerError"),
]


class TestEndings:
    """A stream may end in these other ways."""

    @pytest.mark.parametrize("road", ROADS)
    @pytest.mark.parametrize("ending", BAD, ids=lambda ending: ending.model)
    @pytest.mark.parametrize("way", SYNC)
    def test_something_goes_wrong(
        self, way: Way, ending: Ending, road: str, client: Any, events: Events
    ) -> None:
        """An exception is the error of the call; a placeholder for a count is left out."""
        raised = raised_by(lambda: stream_of(client, way, road, ending.model))

        assert ending.raised == raised
        if ending.model == "short" and road == WITH:
            # Whether the stream was left or ended is not known within a `with`.
            ending = ending._replace(outcome="closed", error_type=None)

        assert_ended(events, ending)
        assert events[0].output_tokens is None
        assert events[0].input_tokens in (1149, None)

    @pytest.mark.parametrize("ending", BAD, ids=lambda ending: ending.model)
    @pytest.mark.parametrize("way", ASYNC)
    def test_something_goes_wrong_async(
        self,
        way: Way,
        ending: Ending,
        aclient: Any,
        loop: asyncio.Runner,
        events: Events,
    ) -> None:
        """The async client behaves the same."""
        raised = raised_by(
            lambda: loop.run(async_stream_of(aclient, way, INSTRUMENT, ending.model))
        )

        assert ending.raised == raised

        assert_ended(events, ending)

    @pytest.mark.parametrize("road", ROADS[:2])
    @pytest.mark.parametrize("way", SYNC)
    def test_the_consumer_leaves(self, way: Way, road: str, client: Any, events: Events) -> None:
        """The event has the input, which the first event of the stream has, and no output."""
        with observed(road, client, way) as opens:
            with opens("whole") as it:
                for _ in it:
                    break
            with pytest.raises(LookupError), opens("whole") as it:
                raise_at(next(it))

        assert [("closed", "partial", 1149, None, 1)] * 2 == [
            (
                event.outcome,
                event.usage_status,
                event.input_tokens,
                event.output_tokens,
                event.chunks,
            )
            for event in events
        ]

    def test_the_text_stream_is_left(self, client: Any, events: Events) -> None:
        """The chunks that arrived are counted, as the SDK's events."""
        with instrument_llm(client), stream(client, "whole") as it:
            for _ in it.text_stream:
                break

        assert [("closed", "partial", 3)] == [
            (event.outcome, event.usage_status, event.chunks) for event in events
        ]

    def test_the_consumer_drops_the_stream(self, client: Any, events: Events) -> None:
        """The consumer drops the stream: after an event, unread, closed, or not entered."""
        with instrument_llm(client):
            for _ in create(client, "whole"):
                break
            create(client, "whole")
            create(client, "whole").close()
            stream(client, "whole")
        collect_garbage()

        assert ["closed"] + ["not_consumed"] * 3 == sorted(event.outcome for event in events)
        assert 1 == sum(event.chunks or 0 for event in events)

    @pytest.mark.parametrize("way", ASYNC)
    def test_the_task_is_cancelled(
        self, way: Way, aclient: Any, loop: asyncio.Runner, events: Events
    ) -> None:
        """The task is cancelled while the provider is silent."""

        async def main() -> None:
            task = asyncio.ensure_future(async_stream_of(aclient, way, INSTRUMENT, "hang"))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(task, 0.2)

        loop.run(main())

        assert [("cancelled", "CancelledError", 1149)] == [
            (event.outcome, event.error_type, event.input_tokens) for event in events
        ]
