"""OpenAI's, Anthropic's and Google's SDK, and all their ways to stream an answer."""

from __future__ import annotations

from functools import partial
from types import AsyncGeneratorType, GeneratorType
from typing import Any

import pytest

from tests.llm.sdk import (
    MESSAGES,
    Sdk,
    Way,
    anthropic_client,
    genai_client,
    openai_client,
)

openai = pytest.importorskip("openai")
streaming_chat = pytest.importorskip("openai.lib.streaming.chat")
streaming_responses = pytest.importorskip("openai.lib.streaming.responses")
anthropic = pytest.importorskip("anthropic")
pytest.importorskip("google.genai")

WITH_USAGE = {"include_usage": True}
ASKED: Any = {"max_tokens": 512, "messages": MESSAGES}
CONTENTS = "The capital of France?"


def complete(client: Any, model: str) -> Any:
    """Ask OpenAI for a chat completion."""
    return client.chat.completions.create(model=model, messages=MESSAGES)


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
    return client.responses.create(model=model, input=CONTENTS, stream=True)


def responses_stream(client: Any, model: str) -> Any:
    """Stream a response with the SDK's own events."""
    return client.responses.stream(model=model, input=CONTENTS)


def write(client: Any, model: str) -> Any:
    """Ask Anthropic for a message."""
    return client.messages.create(model=model, **ASKED)


def create(client: Any, model: str) -> Any:
    """Stream a message."""
    return client.messages.create(model=model, stream=True, **ASKED)


def stream(client: Any, model: str) -> Any:
    """Stream a message with the SDK's own events."""
    return client.messages.stream(model=model, **ASKED)


def beta_stream(client: Any, model: str) -> Any:
    """Stream a message of the beta API."""
    return client.beta.messages.stream(model=model, **ASKED)


def generate(client: Any, model: str) -> Any:
    """Ask Google for an answer."""
    return client.models.generate_content(model=model, contents=CONTENTS)


def generate_stream(client: Any, model: str) -> Any:
    """Stream an answer."""
    return client.models.generate_content_stream(model=model, contents=CONTENTS)


def generate_async_stream(client: Any, model: str) -> Any:
    """Stream an answer with the async client."""
    return client.aio.models.generate_content_stream(model=model, contents=CONTENTS)


OPENAI = Sdk(
    "openai",
    openai_client,
    partial(openai_client, kind=openai.AsyncOpenAI),
    {"max_retries": 2},
    {"cut": "APIConnectionError", "event": "APIError", "broken": "InternalServerError"},
    {},
    ("missing", None),
    complete,
    {"whole": "stop", "tools": "tool_calls", "refusal": "stop"},
)
ANTHROPIC = Sdk(
    "anthropic",
    anthropic_client,
    partial(anthropic_client, kind=anthropic.AsyncAnthropic),
    {"max_retries": 2},
    {"cut": "RemoteProtocolError", "event": "APIStatusError", "broken": "InternalServerError"},
    {},
    ("partial", 1149),
    write,
    {"whole": "end_turn", "thinking": "end_turn", "tools": "tool_use", "refusal": "refusal"},
)
GENAI = Sdk(
    "genai",
    genai_client,
    None,
    {"retry_options": {"attempts": 2, "initial_delay": 0.01}},
    {"cut": "RemoteProtocolError", "event": "ServerError", "broken": "ServerError"},
    {"cut": "ClientPayloadError"},  # of its other transport
    ("partial", 1149),
    generate,
    {"whole": "STOP", "thinking": "STOP", "tools": "STOP", "refusal": "SAFETY"},
)
SDKS = (OPENAI, ANTHROPIC, GENAI)

COUNTS = (1149, 212, 1024, 64)
CHAT = (*COUNTS, "gpt-5-mini-2026-08-07", "stop")
RESPONSE = (*COUNTS, "gpt-5-mini-2026-08-07", "completed")
MESSAGE = (*COUNTS, "claude-sonnet-5-20260801", "end_turn")
ANSWER = (*COUNTS, "gemini-3-flash", "STOP")

RAW = (openai.Stream, openai.AsyncStream)
CHAT_EVENTS = (streaming_chat.ChatCompletionStream, streaming_chat.AsyncChatCompletionStream)
RESPONSE_EVENTS = (streaming_responses.ResponseStream, streaming_responses.AsyncResponseStream)
MESSAGE_RAW = (anthropic.Stream, anthropic.AsyncStream)
MESSAGE_EVENTS = (anthropic.MessageStream, anthropic.AsyncMessageStream)
BETA_EVENTS = (anthropic.BetaMessageStream, anthropic.BetaAsyncMessageStream)
GENERATORS = (GeneratorType, AsyncGeneratorType)
UNRAISED = {"event": "server_error"}  # the SDK does not raise on an error event of Responses

WAYS = [
    Way(OPENAI, "chat", chat, RAW, 5, CHAT, (1, 4)),
    Way(OPENAI, "chat.stream", chat_stream, CHAT_EVENTS, 9, CHAT, (1, 4), entered=True),
    Way(OPENAI, "responses", responses, RAW, 10, RESPONSE, (4, 9), errors=UNRAISED),
    Way(
        OPENAI, "responses.stream", responses_stream, RESPONSE_EVENTS, 10, RESPONSE, (4, 9),
        entered=True, errors=UNRAISED,
    ),
    Way(ANTHROPIC, "create", create, MESSAGE_RAW, 7, MESSAGE, (2, 7)),
    Way(ANTHROPIC, "stream", stream, MESSAGE_EVENTS, 9, MESSAGE, (2, 7), entered=True),
    Way(ANTHROPIC, "beta.stream", beta_stream, BETA_EVENTS, 9, MESSAGE, (2, 7), entered=True),
    Way(
        GENAI, "generate", generate_stream, GENERATORS, 3, ANSWER, (0, 2),
        opens_async=generate_async_stream,
    ),
]  # fmt: skip
