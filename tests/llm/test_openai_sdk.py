"""The real OpenAI clients, over HTTP: by the decorator, by `instrument_llm`, in a `with`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import instrument_llm, llm_call
from tests.llm.sdk import MESSAGES, answer, assert_streamed
from tests.llm.sdks import (
    CHAT,
    OPENAI,
    RESPONSE,
    WAYS,
    WITH_USAGE,
    chat,
    chat_stream,
    responses_stream,
)
from tests.support.garbage import collect_garbage

openai = pytest.importorskip("openai")

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]


@pytest.fixture(scope="module")
def client(clients: Callable[..., Any]) -> Any:
    """Return the client."""
    return clients(OPENAI)


@pytest.fixture(scope="module")
def aclient(clients: Callable[..., Any]) -> Any:
    """Return the async client."""
    return clients(OPENAI, is_async=True)


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

    @pytest.mark.parametrize("model", ["whole", "tools", "refusal"])
    def test_a_response(self, model: str, client: Any, events: Events) -> None:
        """Whatever the model answers, a response has its status for a reason."""
        with instrument_llm(client):
            client.responses.create(model=model, input="Hi")

        assert [("ok", RESPONSE)] == [(event.outcome, answer(event)) for event in events]


class TestStreams:
    """A stream is read to its end, in all ways."""

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


class TestEndings:
    """A stream may end in these other ways."""

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

        assert_streamed(events, WAYS[0])

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
