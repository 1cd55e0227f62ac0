"""The clients of more SDKs, over real HTTP: one event for each call of a model."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import closing
from dataclasses import make_dataclass
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import ConfigError, instrument, instrument_llm, llm_call, trace_context
from pantheon_obs.llm.hosts import vendor_of
from pantheon_obs.llm.sdks import SDKS
from pantheon_obs.testing import reset
from tests.llm.provider import provider
from tests.llm.scripted import Raw, aws_events, json_lines, scripted, sse
from tests.llm.sdk import MESSAGES, anthropic_client, genai_client, openai_client
from tests.support.server import run_python

if TYPE_CHECKING:
    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

CHAT_USAGE = {"prompt_tokens": 512, "completion_tokens": 40, "total_tokens": 552}
RESPONSE_USAGE = {
    "input_tokens": 512,
    "output_tokens": 40,
    "total_tokens": 552,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}

MESSAGE: dict[str, Any] = {
    "type": "message",
    "model": "claude",
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 512, "output_tokens": 40, "cache_read_input_tokens": 0},
}
CONVERSED: dict[str, Any] = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Paris."}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 512, "outputTokens": 40, "totalTokens": 552},
}
HEADERS = (
    ("x-amzn-bedrock-input-token-count", "512"),
    ("x-amzn-bedrock-output-token-count", "40"),
)
OLLAMA: dict[str, Any] = {
    "model": "m",
    "created_at": "2026-11-29T00:00:00Z",
    "done": True,
    "done_reason": "stop",
    "message": {"role": "assistant", "content": "Paris."},
    "prompt_eval_count": 512,
    "eval_count": 40,
}
INTERACTION_USAGE: dict[str, Any] = {"total_input_tokens": 512, "total_output_tokens": 40}
INTERACTION: dict[str, Any] = {
    "id": "i",
    "status": "completed",
    "model": "m",
    "usage": INTERACTION_USAGE,
}


INTERACTIONS = """
import asyncio
import sys

from google import genai

from pantheon_obs import configure_logging, instrument_llm
from pantheon_obs.llm import every_client
from pantheon_obs.testing import reset

instrument_llm(genai).undo()
assert [] == every_client._waiting
instrument_llm(genai)
reset()
found = instrument_llm(genai)
assert "google.genai._gaos.google_genai" not in sys.modules
configure_logging()
client = genai.Client(api_key="none", http_options={{"base_url": "{url}"}})
client.interactions.create(model="m", input="x")
assert 1 == len(every_client._waiting)
asyncio.run(client.aio.interactions.create(model="m", input="x"))
found.undo()
client.interactions.create(model="m", input="x")
"""


async def bare_app(*_: Any) -> None:
    """Serve nothing."""


def chat(**more: Any) -> dict[str, Any]:
    """Make a chat completion."""
    message = {"role": "assistant", "content": "Paris."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return body | {"usage": CHAT_USAGE} | more


def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
    """Make a chunk of one."""
    choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
    body = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return body | {"choices": choices} | more


def response(status: str = "completed", **more: Any) -> dict[str, Any]:
    """Make a response of the Responses API."""
    body = {"id": "r", "object": "response", "created_at": 1, "model": "m", "status": status}
    usage = RESPONSE_USAGE if status == "completed" else None
    rest = {"output": [], "tools": [], "tool_choice": "auto", "parallel_tool_calls": True}
    return body | rest | {"usage": usage} | more


def told(events: Events) -> list[tuple[str, int | None, int | None, str]]:
    """Select the usage of each call."""
    return [
        (event.operation, event.input_tokens, event.output_tokens, event.outcome)
        for event in events
    ]


class TestOpenAI:
    """Its other methods that call a model."""

    @pytest.mark.parametrize(
        ("path", "arguments", "body", "expected"),
        [
            ("beta.chat.completions.parse", {"messages": MESSAGES}, chat(), ("chat", 512, 40)),
            ("beta.chat.completions.create", {"messages": MESSAGES}, chat(), ("chat", 512, 40)),
            ("beta.responses.create", {"input": "x"}, response(), ("responses", 512, 40)),
            (
                "responses.compact",
                {"input": "x"},
                response(object="response.compaction"),
                ("responses", 512, 40),
            ),
            (
                "completions.create",
                {"prompt": "x"},
                chat(choices=[{"index": 0, "text": "Paris.", "finish_reason": "stop"}]),
                ("completions", 512, 40),
            ),
            (
                "images.generate",
                {"prompt": "x"},
                {"created": 1, "data": [{"b64_json": "eA=="}], "usage": RESPONSE_USAGE},
                ("images", 512, 40),
            ),
            (
                "moderations.create",
                {"input": "x"},
                {"id": "m", "model": "m", "results": []},
                ("moderations", None, None),
            ),
            (
                "audio.speech.create",
                {"input": "x", "voice": "alloy"},
                Raw(b"sound", "audio/mpeg"),
                ("speech", None, None),
            ),
            (
                "audio.transcriptions.create",
                {"file": ("a.wav", b"sound")},
                {
                    "text": "Paris.",
                    "usage": {
                        "type": "tokens",
                        "input_tokens": 512,
                        "output_tokens": 40,
                        "total_tokens": 552,
                        "input_token_details": {"audio_tokens": 500, "text_tokens": 12},
                    },
                },
                ("transcriptions", 512, 40),
            ),
        ],
    )
    def test_each_method_that_calls_a_model_makes_an_event(
        self, path: str, arguments: Any, body: Any, expected: Any, events: Events
    ) -> None:
        """One with the usage that the answer has, else timed only."""
        with scripted({"/": body}) as url, openai_client(url) as client:
            instrument_llm(client)
            method = client
            for name in path.split("."):
                method = getattr(method, name)
            method(model="m", **arguments)

        assert [(*expected, "ok")] == told(events)

    def test_an_answer_made_in_the_background_counts_once(self, events: Events) -> None:
        """Asking whether it is there makes no event; the first to get it brings the tokens."""
        answers = [response("queued"), response("in_progress"), response(), response()]
        with scripted({"/responses": answers}) as url, openai_client(url) as client:
            instrument_llm(client)
            client.responses.create(model="m", input="x", background=True)
            with trace_context("order-7"):
                for _ in range(3):
                    client.responses.retrieve("r")

        assert [("responses", None, None, "ok"), ("retrieve", 512, 40, "ok")] == told(events)

    def test_a_failure_in_the_background_counts_once(self, events: Events) -> None:
        """The call has ended well before; the first to hear of the failure reports it."""
        openai = pytest.importorskip("openai")
        error = {"code": "server_error", "message": "a private message"}
        answers = [response("queued"), response("in_progress"), response("failed", error=error)]
        with scripted({"/responses": answers}) as url:
            client = openai.OpenAI(api_key="none", base_url=url, max_retries=0)
            instrument_llm(client)
            client.responses.create(model="m", input="x", background=True)
            for _ in range(3):
                client.responses.retrieve("r")
            client.close()

        expected = [("responses", None, None, "ok"), ("retrieve", None, None, "error")]
        assert expected == told(events)
        assert "server_error" == events[-1].error_type

    def test_another_process_may_retrieve_it(self, events: Events) -> None:
        """The answer itself says that it was made in the background."""
        with (
            scripted({"/responses": response(background=True)}) as url,
            openai_client(url) as client,
        ):
            instrument_llm(client)
            for _ in range(2):
                client.responses.retrieve("r")

        assert [("retrieve", 512, 40, "ok")] == told(events)

    def test_a_stored_answer_is_not_counted_again(self, events: Events) -> None:
        """It was counted when it was made, as was one whose stream had the usage."""
        done = {"type": "response.completed", "sequence_number": 1}
        stream = sse(done | {"response": response(id="s", background=True)}, named=True)
        answers = [response(), response(), stream, response(id="s", background=True)]
        with scripted({"/responses": answers}) as url, openai_client(url) as client:
            instrument_llm(client)
            client.responses.create(model="m", input="x")
            client.responses.retrieve("r")
            list(client.responses.create(model="m", input="x", background=True, stream=True))
            client.responses.retrieve("s")

        assert [("responses", 512, 40, "ok")] * 2 == told(events)

    def test_a_retrieval_that_fails_is_no_call(self, events: Events) -> None:
        """No model was called."""
        openai = pytest.importorskip("openai")
        with openai_client("http://127.0.0.1:9") as client:
            instrument_llm(client)
            with pytest.raises(openai.APIConnectionError):
                client.responses.retrieve("r")

        assert [] == events


class TestLm15:
    """The clients of lm15, of which dspy has a copy: sync, async, streams and errors."""

    CHAT = sse(
        chunk({"content": "Paris."}),
        chunk({}, "stop"),
        chunk({}, choices=[], usage=CHAT_USAGE),
    )
    ANTHROPIC = sse(
        {"type": "message_start", "message": {**MESSAGE, "id": "1"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"input_tokens": 500, "output_tokens": 40, "cache_read_input_tokens": 12},
        },
        {"type": "message_stop"},
        named=True,
    )

    @staticmethod
    def request(lm15: Any) -> Any:
        """Make a request."""
        return lm15.Request(model="m", messages=(lm15.Message.user("x"),))

    @pytest.mark.parametrize("whole", ["package", "class"])
    def test_each_call_is_one_event(self, whole: str, events: Events) -> None:
        """The vendor's own body counts, whatever lm15 makes of its usage."""
        lm15 = pytest.importorskip("lm15")
        with scripted({"/chat": [chat(), self.CHAT, chat()], "/messages": self.ANTHROPIC}) as url:
            subjects = (lm15,) if whole == "package" else (lm15.OpenAIChatLM, lm15.AnthropicLM)
            for subject in subjects:
                instrument_llm(subject)
            with lm15.OpenAIChatLM(api_key="none", base_url=url) as client:
                client.complete(self.request(lm15))
                list(client.stream(self.request(lm15)))
            with lm15.AnthropicLM(api_key="none", base_url=url) as client:
                list(client.stream(self.request(lm15)))
            if whole == "package":
                asyncio.run(self.ask(lm15, url))

        assert [("chat", 512, 40, "ok")] * (4 if whole == "package" else 3) == told(events)
        expected = [("m", "stop", None), ("m", "stop", None), ("claude", "end_turn", 12)]
        assert expected == [(e.model, e.finish_reason, e.cached_input_tokens) for e in events[:3]]
        assert all(event.ttft_ms for event in events if event.stream)

    async def ask(self, lm15: Any, url: str) -> None:
        """Ask by the asynchronous client."""
        async with lm15.AsyncOpenAIChatLM(api_key="none", base_url=url) as client:
            await client.complete(self.request(lm15))

    def test_its_own_counts_are_partial(self, events: Events) -> None:
        """They may include the cache or not; only the vendor's body tells."""
        usage = {"input_tokens": 512, "output_tokens": 40, "cache_read_tokens": 12}
        answer: Any = make_dataclass("Response", ["provider_data", "usage"], slots=True)
        for counts in (usage | {"input_audio_tokens": None}, usage):  # the second is another's
            llm_call(operation="chat")(partial(answer, {"judgments": 2}, counts))()

        assert [("chat", 512, 40, "ok")] * 2 == told(events)
        assert ["partial", "reported"] == [event.usage_status for event in events]

    def test_an_error_has_the_code_of_the_vendor(self, events: Events) -> None:
        """And its status."""
        lm15 = pytest.importorskip("lm15")
        instrument_llm(lm15)
        with (
            provider() as url,
            lm15.OpenAIChatLM(api_key="none", base_url=f"{url}/v1") as client,
            pytest.raises(lm15.ServerError),
        ):
            client.complete(lm15.Request(model="broken", messages=(lm15.Message.user("x"),)))

        (event,) = events
        assert ("error", "ServerError") == (event.outcome, event.error_type)
        assert (500, "server_error") == (event.error_status, event.error_code)


def test_a_model_of_pydantic_1_is_a_whole_answer(events: Events) -> None:
    """It can be iterated over, as a stream can; LlamaIndex had such answers."""
    pydantic = pytest.importorskip("pydantic.v1")

    class Answer(pydantic.BaseModel):  # type: ignore[name-defined, misc]
        text: str
        usage: dict[str, int]

    llm_call(operation="chat")(lambda: Answer(text="Paris.", usage=CHAT_USAGE))()

    assert [("chat", 512, 40, "ok")] == told(events)


MISTRAL = """
class Chat:
    def __init__(self, configuration):
        self.sdk_configuration = configuration

    def complete(self, *, model):
        return {"usage": {"prompt_tokens": 512, "completion_tokens": 40}}

class Mistral:
    def __init__(self):
        self.sdk_configuration = None

    def __getattr__(self, name):
        if name != "chat":
            raise AttributeError(name)
        return Chat(self.sdk_configuration)
"""


def test_classes_in_a_module_of_the_package_that_make_their_resources_when_asked(
    monkeypatch: pytest.MonkeyPatch, events: Events
) -> None:
    """mistralai is such a package since 2.0; this one stands in for it."""
    package, inner = ModuleType("mistralai"), ModuleType("mistralai.client")
    exec(MISTRAL, vars(inner))  # noqa: S102 - a module
    monkeypatch.setitem(sys.modules, "mistralai.client", inner)
    client = inner.Mistral()
    for subject in (package, inner, inner.Mistral):
        with instrument_llm(subject):
            client.chat.complete(model="m")
    client.chat.complete(model="m")

    assert [("chat", 512, 40, "ok")] * 3 == told(events)
    assert {"mistral_ai"} == {event.provider for event in events}


AIOBOTOCORE = """
class BedrockRuntime:
    async def converse(self, *, modelId):
        return {"usage": {"inputTokens": 512, "outputTokens": 40}}

class AioClientCreator:
    async def create_client(self):
        return BedrockRuntime()
"""


class TestBedrock:
    """boto3's client: streams and bodies within mappings."""

    @staticmethod
    def client(url: str | None, service: str = "bedrock-runtime") -> Any:
        """Make a client."""
        boto3 = pytest.importorskip("boto3")
        keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
        return boto3.client(service, region_name="us-east-1", endpoint_url=url, **keys)

    def test_converse(self, events: Events) -> None:
        """The usage is in the response."""
        with scripted({"/converse": CONVERSED}) as url, closing(self.client(url)) as client:
            instrument_llm(client)
            client.converse(modelId="anthropic.claude-haiku-4-5-20251001-v1:0", messages=[])

        assert [("converse", 512, 40, "ok")] == told(events)
        assert "anthropic.claude-haiku-4-5-20251001-v1:0" == events[0].model_alias

    @pytest.mark.parametrize("whole", ["boto3", "botocore", "botocore.client", "llm=True"])
    def test_all_clients(self, whole: str, events: Events) -> None:
        """The methods are made with each client: those that are made from now on are observed."""
        with scripted({"/converse": [CONVERSED] * 4}) as url:
            with closing(self.client(url)) as before:
                if whole == "llm=True":
                    instrument(bare_app, llm=True)
                    undo = reset
                else:
                    undo = instrument_llm(sys.modules[whole]).undo
                before.converse(modelId="m", messages=[])
            assert [] == events
            with closing(self.client(url)) as client:
                client.converse(modelId="m", messages=[])
                with instrument_llm(client, provider="mine"):  # its options count
                    client.converse(modelId="m", messages=[])
            with closing(self.client(url)) as client:
                undo()
                client.converse(modelId="m", messages=[])

        assert [("converse", 512, 40, "ok")] * 2 == told(events)
        assert [None, "mine"] == [event.provider for event in events]

    def test_all_clients_that_are_made_by_a_coroutine(
        self, monkeypatch: pytest.MonkeyPatch, events: Events
    ) -> None:
        """aiobotocore's factory is one; this one stands in for it."""
        module = ModuleType("aiobotocore.client")
        exec(AIOBOTOCORE, vars(module))  # noqa: S102 - a module
        monkeypatch.setitem(sys.modules, "aiobotocore.client", module)

        async def main() -> None:
            with instrument_llm(module):
                client = await module.AioClientCreator().create_client()
                await client.converse(modelId="m")

        asyncio.run(main())

        assert [("converse", 512, 40, "ok")] == told(events)

    def test_a_package_that_is_not_imported_makes_no_clients(self) -> None:
        """There is nothing to observe."""
        with pytest.raises(ConfigError, match="the module aioboto3 has no method"):
            instrument_llm(ModuleType("aioboto3"))

    def test_clients_of_other_services_stay_as_they_are(self) -> None:
        """They call no model."""
        boto3 = pytest.importorskip("boto3")
        with instrument_llm(boto3):
            client = self.client(None, "sts")
        assert not [name for name in vars(client) if "pantheon" in name]
        client.close()

    def test_clients_stay_as_they_are_while_the_library_is_off(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`instrument_llm` changes nothing then."""
        boto3 = pytest.importorskip("boto3")
        monkeypatch.setenv("PANTHEON_OBS_DISABLED", "1")
        with instrument_llm(boto3), closing(self.client(None)) as client:
            assert not [name for name in vars(client) if "pantheon" in name]

    def test_converse_stream(self, events: Events) -> None:
        """The call ends with its stream."""
        body = aws_events(
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Paris."}}},
            {"messageStop": {"stopReason": "end_turn"}},
            {"metadata": {"usage": CONVERSED["usage"], "metrics": {"latencyMs": 3}}},
        )
        with scripted({"/converse-stream": body}) as url, closing(self.client(url)) as client:
            instrument_llm(client)
            answer = client.converse_stream(modelId="m", messages=[])
            assert [] == events
            assert 4 == len(list(answer["stream"]))

        assert [("converse", 512, 40, "ok")] == told(events)
        assert (4, "end_turn") == (events[0].chunks, events[0].finish_reason)

    @pytest.mark.parametrize("headers", [HEADERS, ()])
    def test_invoke_model_with_its_body(self, headers: Any, events: Events) -> None:
        """The body has more than the headers."""
        data = json.dumps(MESSAGE).encode()
        with (
            scripted({"/invoke": Raw(data, "application/json", headers)}) as url,
            closing(self.client(url)) as client,
        ):
            instrument_llm(client)
            answer = client.invoke_model(modelId="m", body=b"{}")
            assert [] == events
            assert data == answer["body"].read()

        assert [("invoke_model", 512, 40, "ok")] == told(events)
        assert ("claude", "end_turn") == (events[0].model, events[0].finish_reason)

    @pytest.mark.parametrize("leave", ["pieces", "close", "with", "drop"])
    def test_invoke_model_by_its_headers(self, leave: str, events: Events) -> None:
        """They suffice if the body is read in pieces, or not at all."""
        data = b"x" * 5000
        with (
            scripted({"/invoke": Raw(data, "application/json", HEADERS)}) as url,
            closing(self.client(url)) as client,
        ):
            instrument_llm(client)
            body = client.invoke_model(modelId="m", body=b"{}")["body"]
            if leave == "pieces":
                assert data == b"".join(body.iter_chunks())
            elif leave == "close":
                body.close()
            elif leave == "with":
                with body:
                    pass
            del body

        assert [("invoke_model", 512, 40, "ok")] == told(events)

    def test_invoke_model_with_response_stream(self, events: Events) -> None:
        """Each event has a piece of JSON in it."""
        import base64  # noqa: PLC0415 - for this test

        pieces = [
            {"generation": "Paris.", "prompt_token_count": 512, "generation_token_count": 1},
            {"generation": "", "generation_token_count": 40, "stop_reason": "stop"},
        ]
        body = aws_events(
            *(
                {"chunk": {"bytes": base64.b64encode(json.dumps(piece).encode()).decode()}}
                for piece in pieces
            )
        )
        with (
            scripted({"/invoke-with-response-stream": body}) as url,
            closing(self.client(url)) as client,
        ):
            instrument_llm(client)
            answer = client.invoke_model_with_response_stream(modelId="m", body=b"{}")
            assert 2 == len(list(answer["body"]))

        assert [("invoke_model", 512, 40, "ok")] == told(events)
        assert "stop" == events[0].finish_reason


class TestGroq:
    """Its streams have the usage in `x_groq`."""

    def test_a_chat_and_its_stream(self, events: Events) -> None:
        """The client has OpenAI's methods."""
        groq = pytest.importorskip("groq")
        stream = sse(
            chunk({"role": "assistant", "content": ""}, x_groq={"id": "q"}),
            chunk({"content": "Paris."}),
            chunk({}, "stop", x_groq={"id": "q", "usage": CHAT_USAGE}),
        )
        with (
            scripted({"/chat/completions": [chat(), stream]}) as url,
            groq.Groq(api_key="none", base_url=url, max_retries=0) as client,
        ):
            instrument_llm(client)
            client.chat.completions.create(model="m", messages=MESSAGES)
            list(client.chat.completions.create(model="m", messages=MESSAGES, stream=True))

        assert [("chat", 512, 40, "ok")] * 2 == told(events)

    def test_a_client_without_a_url_of_its_own_is_groqs(self) -> None:
        """The host tells the vendor."""
        groq = pytest.importorskip("groq")
        with groq.Groq(api_key="none") as client:
            [sdk] = [sdk for sdk in SDKS if sdk.package == "groq"]
            assert "groq" == vendor_of(client, sdk)


class TestOllama:
    """Its client, and the functions of its module."""

    def test_a_chat_and_its_stream(self, events: Events) -> None:
        """A model at home has no vendor's price."""
        ollama = pytest.importorskip("ollama")
        first = {key: OLLAMA[key] for key in ("model", "created_at", "message")}
        stream = json_lines(first | {"done": False}, OLLAMA)
        with (
            scripted({"/api/chat": [OLLAMA, stream]}) as url,
            ollama.Client(host=url) as client,
        ):
            instrument_llm(client)
            client.chat(model="m", messages=MESSAGES)
            list(client.chat(model="m", messages=MESSAGES, stream=True))

        assert [("chat", 512, 40, "ok")] * 2 == told(events)
        assert {None} == {event.cost_usd for event in events}

    def test_the_functions_of_the_module(self, events: Events) -> None:
        """They belong to a client of the module's own."""
        ollama = pytest.importorskip("ollama")
        with scripted({"/api/chat": OLLAMA}) as url:
            own = ollama.chat.__self__._client  # noqa: SLF001 - it cannot be told its host
            before, own.base_url = own.base_url, url
            try:
                with instrument_llm(ollama):
                    ollama.chat(model="m", messages=MESSAGES)
            finally:
                own.base_url = before
                own._transport.close()  # noqa: SLF001 - it stays usable

        assert [("chat", 512, 40, "ok")] == told(events)


class TestGoogle:
    """Interactions and embeddings of its client."""

    @pytest.mark.parametrize("whole", ["client", "class", "module"])
    def test_an_interaction_and_its_stream(self, whole: str, events: Events) -> None:
        """The last event has the usage."""
        genai = pytest.importorskip("google.genai")
        delta = {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "a"}}
        stream = sse(delta, {"event_type": "interaction.completed", "interaction": INTERACTION})
        answers = {"/interactions": [INTERACTION, stream, INTERACTION]}
        with scripted(answers) as url, genai_client(url) as client:
            if not hasattr(client, "interactions"):
                pytest.skip("this release has no interactions")
            with instrument_llm({"client": client, "class": genai.Client, "module": genai}[whole]):
                client.interactions.create(model="m", input="x")
                list(client.interactions.create(model="m", input="x", stream=True))
            client.interactions.create(model="m", input="x")

        assert [("interactions", 512, 40, "ok")] * 2 == told(events)

    @pytest.mark.filterwarnings("ignore:Decisions usage is experimental")
    def test_a_decision(self, events: Events) -> None:
        """Its usage is that of an interaction."""
        genai = pytest.importorskip("google.genai")
        if not hasattr(genai.Client, "decisions"):
            pytest.skip("this release has no decisions")
        body = {"answers": {}, "usage": INTERACTION_USAGE}
        question = {"type": "noul", "instructions": "Is it a question?"}
        with (
            scripted({"/decisions": body}) as url,
            genai_client(url) as client,
            instrument_llm(client),
            instrument_llm(genai),
        ):
            client.decisions.create(model="m", input="x", questions={"q": question})

        assert [("decisions", 512, 40, "ok")] == told(events)

    def test_the_first_interaction_imports_their_module(self) -> None:
        """It takes a second, so the module of google-genai does not import it by itself."""
        genai = pytest.importorskip("google.genai")
        if not hasattr(genai.Client, "interactions"):
            pytest.skip("this release has no interactions")
        with scripted({"/interactions": INTERACTION}) as url:
            printed = run_python(INTERACTIONS.format(url=url)).stdout

        assert 2 == printed.count('"llm.interactions"')

    def test_embeddings(self, events: Events) -> None:
        """The Gemini API counts all of them."""
        body = {
            "embeddings": [{"values": [0.1]}],
            "usageMetadata": {"promptTokenCount": 512},
        }
        with scripted({"/models": body}) as url, genai_client(url) as client:
            instrument_llm(client)
            client.models.embed_content(model="gemini-embedding-001", contents="x")

        assert ["embeddings"] == [event.operation for event in events]


class TestAnthropic:
    """A client of Bedrock's newer interface."""

    def test_bedrocks_mantle(self, events: Events) -> None:
        """Its host tells the vendor; here the host is another one."""
        anthropic = pytest.importorskip("anthropic")
        if not hasattr(anthropic, "AnthropicBedrockMantle"):
            pytest.skip("this release has no such client")
        body = MESSAGE | {"id": "1", "role": "assistant", "content": []}
        with (
            scripted({"/messages": body}) as url,
            anthropic_client(
                url, anthropic.AnthropicBedrockMantle, aws_region="us-east-1"
            ) as client,
        ):
            instrument_llm(client)
            client.messages.create(model="m", max_tokens=9, messages=MESSAGES)

        assert [("messages", 512, 40, "ok")] == told(events)
