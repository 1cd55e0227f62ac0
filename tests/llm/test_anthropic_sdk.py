"""The real Anthropic clients, over HTTP: by the decorator, by `instrument_llm`, in a `with`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import instrument_llm
from tests.llm.sdk import (
    INSTRUMENT,
    Way,
    answer,
    anthropic_client,
    assert_timed,
    raised_by,
    stream_of,
)
from tests.llm.sdks import ANTHROPIC, ASKED, MESSAGE, WAYS, create, stream

anthropic = pytest.importorskip("anthropic")

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

each_way = pytest.mark.parametrize(
    "way", [way for way in WAYS if way.sdk is ANTHROPIC], ids=lambda way: way.name
)


@pytest.fixture(scope="module")
def client(clients: Callable[..., Any]) -> Any:
    """Return the client."""
    return clients(ANTHROPIC)


@pytest.fixture(scope="module")
def aclient(clients: Callable[..., Any]) -> Any:
    """Return the async client."""
    return clients(ANTHROPIC, is_async=True)


class TestAnswers:
    """An answer comes in one piece."""

    def test_a_message(self, client: Any, events: Events) -> None:
        """The input includes the cached tokens, which Anthropic counts separately."""
        with instrument_llm(client):
            message = client.messages.create(model="whole", **ASKED)
            client.beta.messages.create(model="whole", **ASKED)
            list(create(client, "whole"))
            with stream(client, "whole") as events_of_it:
                events_of_it.until_done()

        assert anthropic.types.Message is type(message)
        assert [("llm.messages", "ok", None, "whole", 20, MESSAGE)] * 4 == [
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

        assert [("ok", MESSAGE)] == [(event.outcome, answer(event)) for event in events]

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

        assert [("ok", MESSAGE)] * 3 == [(event.outcome, answer(event)) for event in events]

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

        assert [("ok", MESSAGE)] * 3 == [(event.outcome, answer(event)) for event in events]

    def test_the_sdks_own_spans_do_not_count(self, provider_url: str, events: Events) -> None:
        """The SDK can emit a span for each call; there is still one event with the same numbers."""
        trace = pytest.importorskip("opentelemetry.sdk.trace")
        export = pytest.importorskip("opentelemetry.sdk.trace.export")
        memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
        tracers, spans = trace.TracerProvider(), memory.InMemorySpanExporter()
        tracers.add_span_processor(export.SimpleSpanProcessor(spans))

        traced = {"tracer_provider": tracers}
        with anthropic_client(provider_url, open_telemetry=traced) as client:
            instrument_llm(client)
            client.messages.create(model="whole", **ASKED)
            list(create(client, "whole"))
            with stream(client, "whole") as events_of_it:
                list(events_of_it)

        tokens = [
            span.attributes["gen_ai.usage.output_tokens"] for span in spans.get_finished_spans()
        ]
        assert [212] * 3 == tokens
        assert [("ok", MESSAGE)] * 3 == [(event.outcome, answer(event)) for event in events]


class TestStreams:
    """A stream is read to its end, in all ways."""

    @pytest.mark.parametrize("model", ["thinking", "tools"])
    @each_way
    def test_thoughts_and_the_name_of_a_tool_are_content(
        self, way: Way, model: str, client: Any, events: Events
    ) -> None:
        """The name of a tool comes one chunk earlier than text."""
        stream_of(client, way, INSTRUMENT, f"{model}.first40.chunk30")

        [event] = events
        before, in_all = way.waits
        assert_timed(event, (before - (model == "tools"), in_all), 40, 30)

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

        assert [("ok", 9, MESSAGE)] * 3 + [("ok", 7, MESSAGE)] == [
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

        assert [("ok", MESSAGE)] * 2 == [(event.outcome, answer(event)) for event in events]


class TestEndings:
    """A stream may end in these other ways."""

    @pytest.mark.parametrize("model", ["cut", "short", "event", "broken"])
    @each_way
    def test_a_placeholder_for_a_count_is_left_out(
        self, way: Way, model: str, client: Any, events: Events
    ) -> None:
        """The first event has the input, and a number of output tokens that means nothing."""
        raised_by(lambda: stream_of(client, way, INSTRUMENT, model))

        assert [(None if model == "broken" else 1149, None)] == [
            (event.input_tokens, event.output_tokens) for event in events
        ]

    def test_the_text_stream_is_left(self, client: Any, events: Events) -> None:
        """The chunks that arrived are counted, as the SDK's events."""
        with instrument_llm(client), stream(client, "whole") as it:
            for _ in it.text_stream:
                break

        assert [("closed", "partial", 3)] == [
            (event.outcome, event.usage_status, event.chunks) for event in events
        ]
