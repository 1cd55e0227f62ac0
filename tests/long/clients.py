"""Clients and frameworks that are too heavy for the usual environment: one event for each call.

`sdk_clients.py` runs this file in environments of its own.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import instrument_llm, llm_call
from pantheon_obs.testing import capture_events
from tests.llm.scripted import scripted, sse

if TYPE_CHECKING:
    from collections.abc import Iterator

ASK: Any = [{"role": "user", "content": "The capital of France?"}]
USAGE = {"prompt_tokens": 512, "completion_tokens": 40, "total_tokens": 552}
USED = ("ok", 512, 40)


@pytest.fixture
def events() -> Iterator[list[Any]]:
    """Capture the events of the calls."""
    with capture_events() as lines:
        yield lines


def chat(**more: Any) -> dict[str, Any]:
    """Make a chat completion."""
    message = {"role": "assistant", "content": "Paris."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return body | {"usage": USAGE} | more


def stream() -> Any:
    """Make a stream of one."""
    body = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choice = {"index": 0, "delta": {"content": "Paris."}, "finish_reason": None}
    last = {"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}
    return sse(body | {"choices": [choice]}, body | {"choices": [last], "usage": USAGE})


def told(events: list[Any]) -> list[tuple[Any, ...]]:
    """Select the usage of each call."""
    return [
        (line["event"], line["outcome"], line["input_tokens"], line["output_tokens"])
        for line in events
        if line["event"].startswith("llm.")
    ]


@pytest.mark.parametrize("whole", ["client", "class", "module", "package"])
def test_mistral(whole: str, events: list[Any]) -> None:
    """Sync and async methods of one client, or of all."""
    sdk = pytest.importorskip("mistralai.client")
    vectors = {
        "id": "e",
        "object": "list",
        "model": "m",
        "data": [{"object": "embedding", "embedding": [0.1], "index": 0}],
        "usage": {"prompt_tokens": 512, "total_tokens": 512},
    }
    with scripted({"/chat": [chat(), stream(), chat()], "/embeddings": vectors}) as url:
        client = sdk.Mistral(api_key="none", server_url=url)
        package = pytest.importorskip("mistralai")
        subjects = {"client": client, "class": sdk.Mistral, "module": sdk, "package": package}
        with instrument_llm(subjects[whole]):
            client.chat.complete(model="m", messages=ASK)
            with client.chat.stream(model="m", messages=ASK) as chunks:
                list(chunks)
            asyncio.run(client.chat.complete_async(model="m", messages=ASK))
            client.embeddings.create(model="m", inputs=["x"])

    assert [*[("llm.chat", *USED)] * 3, ("llm.embeddings", "ok", 512, 0)] == told(events)


@pytest.mark.parametrize("whole", ["client", "class", "module"])
def test_cohere(whole: str, events: list[Any]) -> None:
    """Chats, streams and rankings of the second version, which the first one's client has, too."""
    cohere = pytest.importorskip("cohere")
    usage = {"tokens": {"input_tokens": 512, "output_tokens": 40}}
    message = {"role": "assistant", "content": [{"type": "text", "text": "Paris."}]}
    answer = {"id": "1", "finish_reason": "COMPLETE", "message": message, "usage": usage}
    end = {"finish_reason": "COMPLETE", "usage": usage}
    pieces = sse(
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "a"}}}},
        {"type": "message-end", "delta": end},
        named=True,
    )
    ranks = {"id": "1", "results": [], "meta": {"billed_units": {"search_units": 1}}}
    with scripted({"/chat": [answer, pieces, answer, pieces], "/rerank": ranks}) as url:
        for kind in (cohere.ClientV2, cohere.Client):
            client = kind(api_key="none", base_url=url)
            with instrument_llm({"client": client, "class": kind, "module": cohere}[whole]):
                second = client if kind is cohere.ClientV2 else client.v2
                second.chat(model="m", messages=ASK)
                list(second.chat_stream(model="m", messages=ASK))
                second.rerank(model="m", query="x", documents=["y"])

    assert [*[("llm.chat", *USED)] * 2, ("llm.rerank", "ok", None, None)] * 2 == told(events)


def test_together(events: list[Any]) -> None:
    """It has OpenAI's methods."""
    together = pytest.importorskip("together")
    with scripted({"/chat": [chat(), stream()]}) as url:
        client = together.Together(api_key="none", base_url=url, max_retries=0)
        instrument_llm(client)
        client.chat.completions.create(model="m", messages=ASK)
        list(client.chat.completions.create(model="m", messages=ASK, stream=True))

    assert [("llm.chat", *USED)] * 2 == told(events)


def test_xai(events: list[Any]) -> None:
    """A chat is made first; its methods call the model, over gRPC."""
    xai_sdk = pytest.importorskip("xai_sdk")
    grpc = pytest.importorskip("grpc")
    proto = pytest.importorskip("xai_sdk.proto")
    chat_pb2, chat_pb2_grpc = proto.chat_pb2, proto.chat_pb2_grpc
    sample_pb2, usage_pb2 = proto.sample_pb2, proto.usage_pb2
    usage = usage_pb2.SamplingUsage(
        prompt_tokens=512, completion_tokens=30, reasoning_tokens=10, cached_prompt_text_tokens=256
    )
    stop = sample_pb2.FinishReason.REASON_STOP

    class Service(chat_pb2_grpc.ChatServicer):
        def GetCompletion(self, *_: Any) -> Any:  # noqa: N802 - the service's name
            message = chat_pb2.CompletionMessage(content="Paris.", role="ROLE_ASSISTANT")
            output = chat_pb2.CompletionOutput(message=message, finish_reason=stop)
            return chat_pb2.GetChatCompletionResponse(model="m", outputs=[output], usage=usage)

        def GetCompletionChunk(self, *_: Any) -> Iterator[Any]:  # noqa: N802 - as above
            for content, reason, used in (("Paris", 0, None), (".", stop, usage)):
                delta = chat_pb2.Delta(content=content, role="ROLE_ASSISTANT")
                output = chat_pb2.CompletionOutputChunk(delta=delta, finish_reason=reason)
                yield chat_pb2.GetChatCompletionChunk(model="m", outputs=[output], usage=used)

    server = grpc.server(ThreadPoolExecutor(2))
    chat_pb2_grpc.add_ChatServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    client = xai_sdk.Client(api_key="none", api_host=f"127.0.0.1:{port}", use_insecure_channel=True)
    instrument_llm(client)
    messages = [xai_sdk.chat.user("x")]
    client.chat.create(model="m", messages=messages).sample()
    list(client.chat.create(model="m", messages=messages).stream())
    server.stop(None)

    assert [("llm.chat", *USED)] * 2 == told(events)
    assert [(256, 10, "REASON_STOP", None)] * 2 == [
        (
            line["cached_input_tokens"],
            line["reasoning_tokens"],
            line["finish_reason"],
            line.get("provider"),
        )
        for line in events
    ]


def test_langchain(events: list[Any]) -> None:
    """A function that returns its message, or streams its chunks."""
    openai = pytest.importorskip("langchain_openai")
    with scripted({"/chat": [chat(), stream()]}) as url:
        model = openai.ChatOpenAI(model="m", api_key="none", base_url=url, max_retries=0)
        llm_call(operation="chat")(lambda: model.invoke("x"))()
        list(llm_call(operation="chat")(lambda: model.stream("x"))())

    assert [("llm.chat", *USED)] * 2 == told(events)


def test_llama_index(events: list[Any]) -> None:
    """Its response has the model's own one in it."""
    openai = pytest.importorskip("llama_index.llms.openai")
    with scripted({"/chat": [chat(), stream()]}) as url:
        model = openai.OpenAI(model="gpt-4o", api_key="none", api_base=url, max_retries=0)
        llm_call(operation="chat")(lambda: model.complete("x"))()
        list(llm_call(operation="chat")(lambda: model.stream_complete("x"))())

    assert [("llm.chat", *USED)] * 2 == told(events)


def test_pydantic_ai(events: list[Any]) -> None:
    """The result of a run has the sum of its requests."""
    pydantic_ai = pytest.importorskip("pydantic_ai")
    models = pytest.importorskip("pydantic_ai.models.openai")
    providers = pytest.importorskip("pydantic_ai.providers.openai")
    with scripted({"/chat": chat()}) as url:
        provider = providers.OpenAIProvider(api_key="none", base_url=url)
        agent = pydantic_ai.Agent(models.OpenAIChatModel("m", provider=provider))
        llm_call(operation="agent")(lambda: agent.run_sync("x"))()

    assert [("llm.agent", *USED)] == told(events)


def test_claude_agent(events: list[Any]) -> None:  # noqa: C901 - its class is within
    """The function of the module; its program is replaced by a transport that has a script."""
    sdk = pytest.importorskip("claude_agent_sdk")
    result = {
        "type": "result",
        "subtype": "success",
        "duration_ms": 1,
        "duration_api_ms": 1,
        "is_error": False,
        "num_turns": 1,
        "session_id": "s",
        "total_cost_usd": 0.25,
        "usage": {"input_tokens": 512, "output_tokens": 40},
    }

    class Transport(sdk.Transport):
        def __init__(self) -> None:
            self.written: asyncio.Queue[str] = asyncio.Queue()

        async def connect(self) -> None:
            """Nothing to connect to."""

        async def write(self, data: str) -> None:
            await self.written.put(data)

        async def read_messages(self) -> Any:
            while True:
                message = json.loads(await self.written.get())
                if message.get("type") == "control_request":
                    answer = {"subtype": "success", "request_id": message["request_id"]}
                    yield {"type": "control_response", "response": answer | {"response": {}}}
                else:
                    yield result
                    return

        async def close(self) -> None:
            """Nothing to close."""

        async def end_input(self) -> None:
            """Nothing to end."""

        def is_ready(self) -> bool:
            return True

    async def ask() -> list[Any]:
        return [message async for message in sdk.query(prompt="x", transport=Transport())]

    with instrument_llm(sdk):
        assert 1 == len(asyncio.run(ask()))

    assert [("llm.agent", *USED)] == told(events)
    assert 0.25 == events[0]["cost_usd"]


def test_litellm(events: list[Any]) -> None:
    """Its functions, sync and async, by each of their names, and those of its router."""
    litellm = pytest.importorskip("litellm")
    main = pytest.importorskip("litellm.main")
    with scripted({"/chat": [chat(), stream(), chat()]}) as url:
        given: Any = {"messages": ASK, "api_base": url, "api_key": "none"}
        with instrument_llm(litellm):
            litellm.completion(model="openai/m", **given)
            more: Any = {"stream": True, "stream_options": {"include_usage": True}}
            list(litellm.completion(model="openai/m", **more, **given))
            asyncio.run(litellm.acompletion(model="openai/m", **given))
            main.completion(model="openai/m", **given)
            main.completion_with_retries(model="openai/m", **given)
            client = main.LiteLLM(api_key="none", base_url=url)
            client.chat.completions.create(model="openai/m", messages=ASK)
        parameters = {"model": "openai/m", "api_base": url, "api_key": "none"}
        router = litellm.Router(model_list=[{"model_name": "a", "litellm_params": parameters}])
        instrument_llm(router)
        router.completion(model="a", messages=ASK)

    outer = [event for event in events if not event.get("nested")]
    assert [("llm.chat", *USED)] * 7 == told(outer)


def test_litellm_holds_an_empty_answer_that_was_not_billed(events: list[Any]) -> None:
    """It makes the answer, with zeros, before it sends the request."""
    litellm = pytest.importorskip("litellm")
    nowhere = {"api_base": "http://127.0.0.1:1", "api_key": "none", "max_retries": 0}
    with instrument_llm(litellm), pytest.raises(litellm.exceptions.InternalServerError):
        litellm.completion(model="openai/m", messages=ASK, **nowhere)

    assert [("llm.chat", "error", None, None)] == told(events)
