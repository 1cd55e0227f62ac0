"""Shapes that fixtures cannot have: protocol buffers, bytes, headers, streams within mappings."""

from __future__ import annotations

import asyncio
import json
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import instrument_llm, llm_call
from pantheon_obs.llm.usage import answer as background
from pantheon_obs.llm.usage.answer import Reported
from pantheon_obs.llm.usage.shapes import read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

USED = {"prompt_tokens": 512, "completion_tokens": 40}


def counts(value: Any) -> tuple[int | None, int | None]:
    """Return the counts that a value has."""
    reported = Reported()
    read(value, reported)
    return reported.input_tokens, reported.output_tokens


class TestUnified:
    """A usage object with the names of several vendors, some of them None."""

    @pytest.mark.parametrize(
        "usage",
        [
            {"prompt_tokens": None, "completion_tokens": None} | {"input_tokens": 512},
            {"prompt_tokens": 512, "completion_tokens": None} | {"input_tokens": None},
            {"prompt_token_count": None, "inputTokens": 512},
        ],
    )
    def test_each_count_is_found_under_the_name_that_has_it(self, usage: Any) -> None:
        """Whichever row comes first."""
        assert (512, 40) == counts({"usage": {**usage, "output_tokens": 40}})


@pytest.fixture
def grok() -> Any:
    """Return a function that makes an answer of xAI's client, with real protocol buffers."""
    pytest.importorskip("google.protobuf")
    from google.protobuf import (  # noqa: PLC0415 - installed with an SDK
        descriptor_pb2,
        descriptor_pool,
        message_factory,
    )

    file = descriptor_pb2.FileDescriptorProto(name="grok.proto", package="grok", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    reasons = file.enum_type.add(name="Reason")
    reasons.value.add(name="REASON_INVALID", number=0)
    reasons.value.add(name="REASON_STOP", number=2)
    message = file.message_type.add(name="Message")
    message.field.add(name="content", number=1, type=kinds.TYPE_STRING, label=1)
    output = file.message_type.add(name="Output")
    output.field.add(name="message", number=1, type=11, label=1, type_name=".grok.Message")
    output.field.add(name="finish_reason", number=2, type=14, label=1, type_name=".grok.Reason")
    usage = file.message_type.add(name="Usage")
    for number, name in enumerate(("prompt_tokens", "completion_tokens", "reasoning_tokens"), 1):
        usage.field.add(name=name, number=number, type=kinds.TYPE_INT32, label=1)
    usage.field.add(name="cost_in_usd_ticks", number=5, type=kinds.TYPE_INT64, label=1)
    answer = file.message_type.add(name="Answer")
    answer.field.add(name="model", number=1, type=kinds.TYPE_STRING, label=1)
    answer.field.add(name="outputs", number=2, type=11, label=3, type_name=".grok.Output")
    answer.field.add(name="usage", number=3, type=11, label=1, type_name=".grok.Usage")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    make = message_factory.GetMessageClass(pool.FindMessageTypeByName("grok.Answer"))

    class Answer:
        def __init__(self, **fields: Any) -> None:
            self._proto = make(**fields)

    return Answer


class TestProtocolBuffers:
    """The answers of xAI's client."""

    def test_fields_of_a_message_are_read(self, grok: Any, events: Events) -> None:
        """A field that is not sent is 0 there."""
        usage = {"prompt_tokens": 512, "completion_tokens": 30, "reasoning_tokens": 10}
        output = {"message": {"content": "Paris."}, "finish_reason": 2}
        llm_call(lambda: grok(model="grok-4", outputs=[output], usage=usage))()

        [event] = events
        assert (512, 40, 10, None) == (
            event.input_tokens,
            event.output_tokens,
            event.reasoning_tokens,
            event.cached_input_tokens,
        )
        assert ("grok-4", "REASON_STOP", "reported") == (
            event.model,
            event.finish_reason,
            event.usage_status,
        )

    def test_pairs_of_answer_and_chunk_are_chunks(self, grok: Any, events: Events) -> None:
        """All but the last have no usage, and it may come long before the end of the stream."""
        usage = {"prompt_tokens": 512, "completion_tokens": 40, "cost_in_usd_ticks": 50}
        piece = grok(model="grok-4", outputs=[{"message": {"content": "a"}}])
        last = grok(model="grok-4", outputs=[{"finish_reason": 2}], usage=usage)

        @llm_call
        def stream() -> Iterator[Any]:
            yield piece, None
            yield last, None
            yield from [(piece, None)] * 40

        assert 42 == sum(1 for _ in stream())
        [event] = events
        assert ("ok", 512, 40, 5e-9) == (
            event.outcome,
            event.input_tokens,
            event.output_tokens,
            event.cost_usd,
        )

    @pytest.mark.usefixtures("genai")
    def test_an_answer_without_xais_own_figure_has_no_price(
        self, grok: Any, events: Events
    ) -> None:
        """The client does not tell whose host it calls."""
        usage = {"prompt_tokens": 512, "completion_tokens": 40}
        llm_call(provider="x_ai")(lambda: grok(model="grok-4-0709", usage=usage))()

        assert [(None, 1)] == [(event.cost_usd, event.unpriced) for event in events]


class TestMappings:
    """A stream within a mapping."""

    def test_an_async_stream_is_put_in_its_place(self, events: Events) -> None:
        """The mapping stays the same object."""

        async def chunks() -> AsyncIterator[Any]:
            yield {"contentBlockDelta": {"delta": {"text": "a"}}}
            yield {"messageStop": {"stopReason": "end_turn"}}

        answer = {"name": "x", "stream": chunks()}
        assert answer is llm_call(lambda: answer)()

        async def consume() -> int:
            return len([chunk async for chunk in answer["stream"]])  # type: ignore[attr-defined]

        import asyncio  # noqa: PLC0415 - for this test

        assert 2 == asyncio.run(consume())
        [event] = events
        assert ("ok", 2) == (event.outcome, event.chunks)
        assert event.ttft_ms is not None

    def test_a_stream_beside_the_usage_is_not_the_answer(self, events: Events) -> None:
        """The call ends when it returns."""
        llm_call(lambda: {"usage": {"input_tokens": 1, "output_tokens": 2}, "rows": iter("ab")})()

        [event] = events
        assert (1, 2, None) == (event.input_tokens, event.output_tokens, event.stream)


class TestBodies:
    """Bodies of Bedrock, as bytes and JSON."""

    def test_a_part_that_is_no_json_is_nothing(self) -> None:
        """A part that is not bytes is nothing either."""
        assert (None, None) == counts({"chunk": {"bytes": b"data: x"}})
        assert (None, None) == counts({"chunk": {"bytes": "{}"}})

    def test_metrics_have_the_counts(self) -> None:
        """The last part of a stream has them, whichever model it is of."""
        metrics = {"inputTokenCount": 500, "outputTokenCount": 40, "cacheReadInputTokenCount": 12}
        part = json.dumps({"outputs": [], "amazon-bedrock-invocationMetrics": metrics}).encode()

        assert (512, 40) == counts({"chunk": {"bytes": part}})

    def test_headers_without_counts_are_nothing(self) -> None:
        """Headers of other operations have none."""
        for number in ("many", "9" * 5000):
            headers = {"x-amzn-bedrock-input-token-count": number}
            assert (None, None) == counts({"ResponseMetadata": {"HTTPHeaders": headers}})

    def test_a_part_of_an_answer_without_counts_has_none(self) -> None:
        """Its own count comes with the last one."""
        assert (None, None) == counts({"inputTextTokenCount": None, "outputText": "a"})


class TestFrameworks:
    """Parts of messages that are not in the fixtures."""

    def test_details_of_chunks_are_added_up(self) -> None:
        """LangChain adds its messages up in the same way."""
        reported = Reported()
        for number in (3, 4):
            usage = {
                "input_tokens": 9,
                "output_tokens": 1,
                "input_token_details": {"audio": number},
            }
            read(
                {"usage_metadata": usage, "response_metadata": {}, "tool_call_chunks": []}, reported
            )

        assert (18, 2, {"input_audio_tokens": 7}) == (
            reported.input_tokens,
            reported.output_tokens,
            dict(reported.details),
        )

    def test_another_value_with_such_a_field_is_none(self) -> None:
        """The fields beside it make the shape."""
        assert (None, None) == counts({"response_metadata": {}, "raw": 1, "event_type": "x"})
        assert (None, None) == counts({"raw": None, "additional_kwargs": {}, "text": "x"})

    def test_an_older_message_has_its_usage_in_the_metadata(self) -> None:
        """Under OpenAI's names."""
        message = {"usage_metadata": None, "response_metadata": {"token_usage": USED}}
        assert (512, 40) == counts(message)


REALTIME: list[dict[str, Any]] = [
    {"type": "session.created", "session": {"model": "gpt-realtime"}},
    {"type": "response.created", "response": {"object": "realtime.response", "usage": None}},
    {"type": "response.output_audio.delta", "delta": "UGFyaXM="},
    {
        "type": "response.done",
        "response": {
            "object": "realtime.response",
            "status": "completed",
            "usage": {
                "input_tokens": 1000,
                "output_tokens": 500,
                "input_token_details": {"audio_tokens": 800, "cached_tokens": 300},
                "output_token_details": {"audio_tokens": 400},
            },
        },
    },
]


def test_a_turn_of_the_realtime_api(events: Events) -> None:
    """OpenAI's events, or the last of them; the methods of the client make no call of a turn."""
    with llm_call(model="gpt-realtime") as turn:
        for each in REALTIME:
            turn.chunk(each)
    with llm_call(model="gpt-realtime") as turn:
        turn.result(REALTIME[-1])

    assert [("ok", "completed", 1000, 500, 300)] * 2 == [
        (
            event.outcome,
            event.finish_reason,
            event.input_tokens,
            event.output_tokens,
            event.cached_input_tokens,
        )
        for event in events
    ]


@pytest.mark.parametrize(
    ("status", "details", "expected"),
    [
        ("incomplete", {"reason": "max_output_tokens"}, ("ok", "max_output_tokens", None)),
        ("failed", {"error": {"type": "server_error"}}, ("error", "failed", "server_error")),
    ],
)
def test_a_turn_of_the_realtime_api_has_the_reason_of_its_end(
    status: str, details: dict[str, Any], expected: tuple[str, str, str | None], events: Events
) -> None:
    """It stands in the details of the status."""
    answer = {"object": "realtime.response", "status": status, "status_details": details}
    with llm_call(model="gpt-realtime") as turn:
        turn.result(answer)

    (event,) = events
    assert expected == (event.outcome, event.finish_reason, event.error_type)


def hop(status: str) -> tuple[dict[str, Any], ...]:
    """Make the events of an interaction."""
    usage = {"total_input_tokens": 700, "total_output_tokens": 40, "total_tokens": 740}
    delta = {"type": "text", "text": "Paris."}
    return (
        {"event_type": "interaction.created", "interaction": {"id": "i", "status": "in_progress"}},
        {"event_type": "step.delta", "delta": delta, "metadata": {"total_usage": usage}},
        {
            "event_type": "interaction.completed",
            "interaction": {"id": "i", "status": status, "usage": usage},
        },
    )


FLASH, PRO = "gemini-2.5-flash", "gemini-2.5-pro"
HOP, LAST_HOP = hop("requires_continuation"), hop("completed")


def iter_of(*chunks: Any) -> Iterator[Any]:
    """Stream chunks."""
    yield from chunks


class TestInteractions:
    """Parts of Gemini's interactions."""

    def test_a_failed_one_is_an_error(self, events: Events) -> None:
        """With the first of its errors."""
        body = {"id": "i", "status": "failed", "steps": [], "errors": [{"code": "overloaded"}]}
        llm_call(lambda: body)()
        llm_call(lambda: body | {"errors": None})()

        assert [("error", "overloaded"), ("error", "ProviderError")] == [
            (event.outcome, event.error_type) for event in events
        ]

    def test_those_that_the_client_continues_are_added_up(self, genai: Any, events: Events) -> None:
        """Each has its own usage, and its price."""
        list(llm_call(model=FLASH, provider="gcp.gemini")(lambda: iter_of(*HOP, *LAST_HOP))())

        [event] = events
        used = genai.Usage(input_tokens=700, output_tokens=40)
        cost = 2 * float(genai.calc_price(used, FLASH, provider_id="google").total_price)
        assert ("ok", "reported", 1400, 80, "completed", pytest.approx(cost)) == (
            event.outcome,
            event.usage_status,
            event.input_tokens,
            event.output_tokens,
            event.finish_reason,
            event.cost_usd,
        )

    @pytest.mark.parametrize(
        ("chunks", "outcome", "status"),
        [(HOP, "ok", "reported"), ((*HOP, *LAST_HOP[:2]), "error", "partial")],
        ids=["not continued", "cut"],
    )
    def test_a_part_of_them_has_its_tokens(
        self, chunks: Any, outcome: str, status: str, events: Events
    ) -> None:
        """The application may not want the client to continue."""
        list(llm_call(lambda: iter_of(*chunks))())

        [event] = events
        assert (outcome, status, 700, 40) == (
            event.outcome,
            event.usage_status,
            event.input_tokens,
            event.output_tokens,
        )

    def test_the_sum_of_them_may_have_no_price(self, genai: Any, events: Events) -> None:
        """The client adds up whole answers; a price that rises with the prompt fits no sum."""
        body = {**LAST_HOP[-1]["interaction"], "continuation_ids": ["i", "j"], "steps": []}
        for model in (PRO, FLASH):
            llm_call(model=model, provider="gcp.gemini")(lambda: body)()

        assert [False, True] == [event.cost_usd is not None for event in events]

    def test_searches_have_no_price(self) -> None:
        """Their billing depends on the model."""
        reported = Reported()
        usage = {"total_input_tokens": None, "grounding_tool_count": [{"count": 1}]}
        read({"status": "completed", "usage": usage}, reported)

        assert {"other": 1} == dict(reported.details)

    def test_embeddings_without_counts_have_none(self) -> None:
        """The Gemini API may count nothing."""
        assert (None, None) == counts({"embeddings": [{"values": [0.1], "statistics": None}]})


@pytest.mark.parametrize(
    ("host", "vendor"),
    [("api.x.ai", "x_ai"), ("api.x.ai:443", "x_ai"), ("gateway.internal", None), (None, None)],
)
@pytest.mark.parametrize("way", ["plain", "intercepted", "aio"])
def test_a_method_may_make_the_object_that_calls_the_model(
    way: str, host: str | None, vendor: str | None, events: Events
) -> None:
    """The chat that xAI's client makes. The host of its channel tells the vendor."""
    grpc = pytest.importorskip("grpc")

    class Interceptor(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
        def intercept_unary_unary(self, proceed: Any, details: Any, request: Any) -> Any:
            """Intercept nothing here."""

    class Chat:
        def __init__(self, channel: Any) -> None:
            self._stub = channel and SimpleNamespace(GetCompletion=channel.unary_unary("/a/b"))

        def sample(self) -> Any:
            return {"usage": USED}

    class Chats:
        def __init__(self, channel: Any) -> None:
            self.create = lambda: Chat(channel)

    class Client:
        def __init__(self, channel: Any) -> None:
            self._api_channel = channel
            self.chat = Chats(channel)

    async def ask() -> None:
        channel = (grpc.aio if way == "aio" else grpc).insecure_channel(host) if host else None
        inner = channel
        if channel and way == "intercepted":
            channel = grpc.intercept_channel(channel, Interceptor(), Interceptor())
        client = Client(channel)
        with instrument_llm(client):
            client.chat.create().sample()
        client.chat.create().sample()
        closing = inner.close() if inner else None
        if closing is not None:
            await closing

    Client.__module__ = "xai_sdk.sync.client"
    asyncio.run(ask())

    assert [("chat", 512, 40, vendor)] == [
        (event.operation, event.input_tokens, event.output_tokens, event.provider)
        for event in events
    ]


def test_a_module_without_functions_that_call_a_model_is_an_object(
    monkeypatch: pytest.MonkeyPatch, events: Events
) -> None:
    """A module of the application's has the default methods."""
    module = ModuleType("gateway")
    vars(module)["generate"] = lambda: {"usage": USED}
    monkeypatch.setitem(sys.modules, "gateway", module)
    with instrument_llm(module):
        module.generate()

    assert ["generate"] == [event.operation for event in events]


def test_answers_in_the_background_are_forgotten_at_last() -> None:
    """The oldest go first."""
    reported = Reported()
    reported.in_background = True
    for number in range(10_001):
        reported.job = str(number)
        assert background.is_due(reported, retrieved=False)
    reported.input_tokens = reported.output_tokens = 1
    reported.in_background = False

    told = {}
    for job in ("0", "1"):
        reported.job = job
        told[job] = background.is_due(reported, retrieved=True)
    background.reset()
    assert {"0": False, "1": True} == told
