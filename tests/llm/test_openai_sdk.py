"""The real OpenAI clients, over HTTP: by the decorator, by `instrument_llm`, in a `with`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import instrument_llm, llm_call
from tests.llm.sdk import (
    INSTRUMENT,
    MESSAGES,
    ROADS,
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

openai = pytest.importorskip("openai")
streaming_chat = pytest.importorskip("openai.lib.streaming.chat")
streaming_responses = pytest.importorskip("openai.lib.streaming.responses")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

MODEL = "gpt-5-mini-2026-08-07"
CHAT = (1149, 212, 1024, 64, MODEL, "stop")
RESPONSE = (1149, 212, 1024, 64, MODEL, "completed")
WITH_USAGE = {"include_usage": True}


def chat(client: Any, model: str) -> Any:
    """Stream a chat completion."""
    return client.chat.completions.create(
        model=model, messages=MESSAGES, stream=True, stream_options=WITH_USAGE
    )


def chat_stream(client: Any, model: str) -> Any:
    """Stream a chat completion with the SDK's own events."""
    return client.chat.completions.stream(model=model, messages=MESSAGES, stream_options=WITH_USAGE)


def responses(client: Any, model: str) -> Any:
    """Stream a response."""
    return client.responses.create(model=model, input="The capital of France?", stream=True)


def responses_stream(client: Any, model: str) -> Any:
    """Stream a response with the SDK's own events."""
    return client.responses.stream(model=model, input="The capital of France?")


def ways(chat_events: Any, response_events: Any, stream: Any) -> list[Any]:
    """Return all ways to stream."""
    table = [
        Way("chat", chat, stream, 5, CHAT),
        Way("chat.stream", chat_stream, chat_events, 9, CHAT, entered=True),
        Way("responses", responses, stream, 10, RESPONSE),
        Way("responses.stream", responses_stream, response_events, 10, RESPONSE, entered=True),
    ]
    return [pytest.param(way, id=way.name) for way in table]


SYNC = ways(streaming_chat.ChatCompletionStream, streaming_responses.ResponseStream, openai.Stream)
ASYNC = ways(
    streaming_chat.AsyncChatCompletionStream,
    streaming_responses.AsyncResponseStream,
    openai.AsyncStream,
)


@pytest.fixture(scope="module")
def url(provider_url: str) -> str:
    """Return the base URL of the OpenAI clients."""
    return f"{provider_url}/v1"


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Any]:
    """Make a client."""
    with openai.OpenAI(api_key="none", base_url=url, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def aclient(url: str, loop: asyncio.Runner) -> Iterator[Any]:
    """Make an async client."""
    client = openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0)
    yield client
    loop.run(client.close())


class TestAnswers:
    """An answer comes in one piece."""

    def test_a_chat_completion(self, client: Any, events: Events) -> None:
        """Usage, model and finish reason are found, and the SDK's own object is returned."""
        create = llm_call(operation="generate")(client.chat.completions.create)

        completion = create(model="whole", messages=MESSAGES)

        assert "ChatCompletion" == type(completion).__name__
        [event] = events
        assert CHAT == answer(event)
        assert ("ok", "whole", None) == (event.outcome, event.model_alias, event.stream)

    def test_an_async_clients_own_method(
        self, aclient: Any, loop: asyncio.Runner, events: Events
    ) -> None:
        """It is a plain function that returns a coroutine."""

        async def main() -> None:
            create: Any = llm_call(aclient.chat.completions.create)
            await create(model="whole", messages=MESSAGES)

        loop.run(main())

        [event] = events
        assert ("llm.create", "ok", "whole") == (event.event, event.outcome, event.model_alias)
        assert CHAT == answer(event)

    @pytest.mark.parametrize(
        ("model", "reason"), [("tools", "tool_calls"), ("refusal", "stop"), ("whole", "stop")]
    )
    def test_why_the_model_stopped(
        self, model: str, reason: str, client: Any, events: Events
    ) -> None:
        """Tool calls and refusals are answers, whole or in chunks."""
        with instrument_llm(client):
            client.chat.completions.create(model=model, messages=MESSAGES)
            list(chat(client, model))
            with chat_stream(client, model) as stream:
                stream.until_done()
            client.responses.create(model=model, input="Hi")
            list(responses(client, model))

        assert [("ok", reason)] * 3 + [("ok", "completed")] * 2 == [
            (event.outcome, event.finish_reason) for event in events
        ]
        assert {(1149, 212)} == {(event.input_tokens, event.output_tokens) for event in events}

    def test_retries_are_one_call(self, url: str, events: Events) -> None:
        """The SDK's retries count in the latency, but not as calls."""
        with openai.OpenAI(api_key="none", base_url=url, max_retries=2) as client:
            instrument_llm(client)
            client.chat.completions.create(model="retry", messages=MESSAGES)
            list(chat(client, "retry.stream"))

        assert [("ok", "retry", CHAT), ("ok", "retry.stream", CHAT)] == [
            (event.outcome, event.model_alias, answer(event)) for event in events
        ]


class TestStreams:
    """A stream is read to its end, in all ways."""

    @pytest.mark.parametrize("road", ROADS)
    @pytest.mark.parametrize("way", SYNC)
    def test_a_stream(
        self,
        way: Way,
        road: str,
        client: Any,
        events: Events,
    ) -> None:
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

    @pytest.mark.parametrize("way", SYNC)
    def test_the_empty_frames_are_not_the_first_token(
        self, way: Way, client: Any, events: Events
    ) -> None:
        """The role and the created response are no content; the time runs until there is some."""
        stream_of(client, way, INSTRUMENT, "whole.first60.chunk40")

        [event] = events
        assert event.ttfc_ms is not None
        assert event.ttft_ms is not None
        assert 60 <= event.ttfc_ms < event.ttft_ms
        assert 60 + 40 <= event.ttft_ms
        assert event.ttft_ms < event.latency_ms
        assert 60 + 4 * 40 <= event.latency_ms

    def test_without_include_usage_the_usage_is_missing(self, client: Any, events: Events) -> None:
        """OpenAI sends no usage then, so the counts are null and not 0."""
        with instrument_llm(client):
            list(client.chat.completions.create(model="whole", messages=MESSAGES, stream=True))
            with client.chat.completions.stream(model="whole", messages=MESSAGES) as stream:
                list(stream)

        assert [("ok", "missing", None, None, "stop")] * 2 == [
            (
                event.outcome,
                event.usage_status,
                event.input_tokens,
                event.output_tokens,
                event.finish_reason,
            )
            for event in events
        ]

    def test_the_streams_own_members(self, client: Any, events: Events) -> None:
        """The other members of a stream still work."""
        with instrument_llm(client):
            with chat(client, "whole") as stream:
                assert 200 == stream.response.status_code
                next(stream)
                for _ in stream:
                    break
                assert 3 == len(list(stream))
            assert openai.Stream is type(stream)
            with chat_stream(client, "whole") as stream:
                assert "Paris." == stream.get_final_completion().choices[0].message.content
                assert stream.current_completion_snapshot.id == "chatcmpl-1"
            with responses_stream(client, "whole") as stream:
                assert "Paris." == stream.until_done().get_final_response().output_text

        assert [(5, CHAT), (9, CHAT), (10, RESPONSE)] == [
            (event.chunks, answer(event)) for event in events
        ]

    def test_an_async_streams_own_members(
        self, aclient: Any, loop: asyncio.Runner, events: Events
    ) -> None:
        """The async client behaves the same."""

        async def main() -> None:
            async with chat_stream(aclient, "whole") as stream:
                final = await stream.get_final_completion()
                assert "Paris." == final.choices[0].message.content
            async with responses_stream(aclient, "whole") as stream:
                await stream.until_done()
                assert "Paris." == (await stream.get_final_response()).output_text

        with instrument_llm(aclient):
            loop.run(main())

        assert [CHAT, RESPONSE] == [answer(event) for event in events]


BAD = [
    Ending("cut", "error", "APIConnectionError"),
    Ending("short", "error", "IncompleteStream"),
    Ending("event", "error", "APIError"),
    Ending("broken", "error", "InternalServerError"),
]


def as_seen(way: Way, ending: Ending) -> Ending:
    """Adapt to the SDK, which does not raise on an error event of Responses."""
    if way.name.startswith("responses") and ending.model == "event":
        return ending._replace(error_type="server_error")
    return ending


class TestEndings:
    """A stream may end in these other ways."""

    @pytest.mark.parametrize("road", ROADS)
    @pytest.mark.parametrize("ending", BAD, ids=lambda ending: ending.model)
    @pytest.mark.parametrize("way", SYNC)
    def test_something_goes_wrong(
        self,
        way: Way,
        ending: Ending,
        road: str,
        client: Any,
        events: Events,
    ) -> None:
        """An exception of the SDK passes, and is the error of the call."""
        ending = as_seen(way, ending)

        raised = raised_by(lambda: stream_of(client, way, road, ending.model))

        assert ending.raised == raised
        if ending.error_type == "IncompleteStream" and road == "with":
            # Whether the stream was left or ended is not known within a `with`.
            ending = ending._replace(outcome="closed", error_type=None)

        assert_ended(events, ending)

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
        ending = as_seen(way, ending)

        raised = raised_by(
            lambda: loop.run(async_stream_of(aclient, way, INSTRUMENT, ending.model))
        )

        assert ending.raised == raised

        assert_ended(events, ending)

    @pytest.mark.parametrize("road", ROADS[:2])
    @pytest.mark.parametrize("way", SYNC)
    def test_the_consumer_leaves(self, way: Way, road: str, client: Any, events: Events) -> None:
        """The consumer leaves by `break` in a `with` statement, or by an exception."""
        with observed(road, client, way) as opens:
            with opens("whole") as stream:
                for _ in stream:
                    break
            with pytest.raises(LookupError), opens("whole") as stream:
                raise_at(next(stream))

        assert [("closed", "missing", 1, None)] * 2 == [
            (event.outcome, event.usage_status, event.chunks, event.error_type) for event in events
        ]

    def test_the_consumer_drops_the_stream(self, client: Any, events: Events) -> None:
        """The consumer drops the stream: after a chunk, unread, or closed."""
        with instrument_llm(client):
            for _ in chat(client, "whole"):
                break
            chat(client, "whole")
            chat(client, "whole").close()
        collect_garbage()

        assert [("closed", 1), ("not_consumed", 0), ("not_consumed", 0)] == sorted(
            (event.outcome, event.chunks) for event in events
        )

    def test_the_consumer_has_heard_the_terminal_chunk(self, client: Any, events: Events) -> None:
        """The call is ok, even if the consumer leaves before the usage."""
        with instrument_llm(client), chat(client, "whole") as stream:
            for chunk in stream:
                if chunk.choices[0].finish_reason:
                    break

        assert [("ok", "missing", "stop")] == [
            (event.outcome, event.usage_status, event.finish_reason) for event in events
        ]

    @pytest.mark.parametrize("method", ["close", "aclose"])
    def test_an_async_stream_is_closed(
        self, method: str, aclient: Any, loop: asyncio.Runner, events: Events
    ) -> None:
        """Both names of the method close the stream."""

        async def main() -> None:
            stream = await chat(aclient, "whole")
            await anext(stream)
            if not hasattr(stream, method):
                pytest.skip(f"this version's streams have no {method}()")
            await getattr(stream, method)()

        with instrument_llm(aclient):
            loop.run(main())

        assert [("closed", 1)] == [(event.outcome, event.chunks) for event in events]

    @pytest.mark.parametrize("way", ASYNC)
    def test_the_task_is_cancelled(
        self,
        way: Way,
        aclient: Any,
        loop: asyncio.Runner,
        events: Events,
    ) -> None:
        """The task is cancelled while the provider is silent."""

        async def main() -> None:
            task = asyncio.ensure_future(async_stream_of(aclient, way, INSTRUMENT, "hang"))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(task, 0.2)

        loop.run(main())

        assert [("cancelled", "CancelledError")] == [
            (event.outcome, event.error_type) for event in events
        ]

    def test_a_manager_that_nobody_enters(self, client: Any, events: Events) -> None:
        """It has sent no request, so the call is not consumed."""
        with instrument_llm(client):
            chat_stream(client, "whole")

        assert [("not_consumed", "missing")] == [
            (event.outcome, event.usage_status) for event in events
        ]


class TestRawResponses:
    """The SDK gives access to the HTTP response."""

    def test_of_an_answer(self, client: Any, events: Events) -> None:
        """The tokens are those in the body, whether or not it is parsed."""
        with instrument_llm(client):
            raw = client.chat.completions.with_raw_response.create(model="whole", messages=MESSAGES)
            client.with_raw_response.responses.create(model="whole", input="Hi")

        assert "chatcmpl-1" == raw.parse().id
        assert [("llm.chat", "ok", CHAT), ("llm.responses", "ok", RESPONSE)] == [
            (event.event, event.outcome, answer(event)) for event in events
        ]

    def test_of_a_stream(self, client: Any, events: Events) -> None:
        """It is observed when it is parsed."""
        with instrument_llm(client):
            raw = client.chat.completions.with_raw_response.create(
                model="whole", messages=MESSAGES, stream=True, stream_options=WITH_USAGE
            )
            assert [] == events
            assert "text/event-stream" == raw.headers["content-type"]
            assert 5 == len(list(raw.parse()))

        assert_streamed(events, SYNC[0].values[0])

    def test_of_a_stream_that_is_not_parsed(self, client: Any, events: Events) -> None:
        """A raw response that is dropped unparsed ends its call."""
        with instrument_llm(client):
            raw = client.chat.completions.with_raw_response.create(
                model="whole", messages=MESSAGES, stream=True
            )
            raw.http_response.close()
            del raw
        collect_garbage()

        assert [("missing", None)] == [
            (event.usage_status, event.output_tokens) for event in events
        ]

    @pytest.mark.parametrize(
        ("use", "expected"),
        [
            (lambda raw: raw.parse(), ("ok", "reported", 1149)),
            (lambda raw: raw.json(), ("ok", "reported", 1149)),
            (lambda raw: list(raw.iter_lines()), ("ok", "missing", None)),
            (lambda raw: raw.headers, ("closed", "missing", None)),
        ],
        ids=["parse", "json", "iter_lines", "unread"],
    )
    def test_with_streaming_response(
        self, use: Callable[[Any], Any], expected: Any, client: Any, events: Events
    ) -> None:
        """The tokens are correct, or missing if we have not seen the body."""
        with (
            instrument_llm(client),
            client.chat.completions.with_streaming_response.create(
                model="whole", messages=MESSAGES
            ) as raw,
        ):
            use(raw)

        assert [expected] == [
            (event.outcome, event.usage_status, event.input_tokens) for event in events
        ]

    @pytest.mark.parametrize("streaming", [False, True])
    def test_async(
        self, *, streaming: bool, aclient: Any, loop: asyncio.Runner, events: Events
    ) -> None:
        """The async client behaves the same."""

        async def main() -> None:
            completions = aclient.chat.completions
            raw = await completions.with_raw_response.create(model="whole", messages=MESSAGES)
            assert "chatcmpl-1" == raw.parse().id
            async with completions.with_streaming_response.create(
                model="whole", messages=MESSAGES, stream=streaming, stream_options=WITH_USAGE
            ) as raw:
                parsed = await raw.parse()
                if streaming:
                    assert 5 == len([chunk async for chunk in parsed])
            async with completions.with_streaming_response.create(
                model="whole", messages=MESSAGES
            ) as raw:
                await raw.json()

        with instrument_llm(aclient):
            loop.run(main())

        assert [("ok", CHAT)] * 3 == [(event.outcome, answer(event)) for event in events]

    def test_a_body_that_is_no_json(self, client: Any, events: Events) -> None:
        """The application reads it to its end, and the usage is missing."""
        with (
            instrument_llm(client),
            client.chat.completions.with_streaming_response.create(
                model="whole", messages=MESSAGES, stream=True
            ) as raw,
        ):
            raw.read()

        assert [("ok", "missing")] == [(event.outcome, event.usage_status) for event in events]

    def test_that_cannot_be_parsed(self, client: Any, events: Events) -> None:
        """The SDK's own exception passes, and is the error of the call."""
        with (
            instrument_llm(client),
            client.chat.completions.with_streaming_response.create(
                model="whole", messages=MESSAGES
            ) as raw,
            pytest.raises(RuntimeError, match="Unsupported type"),
        ):
            raw.parse(to=complex)

        assert [("error", "RuntimeError")] == [
            (event.outcome, event.error_type) for event in events
        ]


def test_the_embeddings_of_a_text(client: Any, events: Events) -> None:
    """They have an input and no output."""
    with instrument_llm(client):
        client.embeddings.create(model="whole", input="Paris")

    assert [("llm.embeddings", "ok", 8)] == [
        (event.event, event.outcome, event.input_tokens) for event in events
    ]
