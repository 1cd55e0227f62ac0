"""The example service runs as a real process, with the local provider and a real client."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import httpx
import pytest

from examples.processes import Server, start_app, start_provider
from tests.support.examples import (
    CACHED_TOKENS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    QUESTION,
    SECONDS_TO_WAIT,
    ask,
    client_of,
    events_of,
    iter_until_data,
    lines_until,
    story_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("fastapi")


@pytest.fixture(scope="module")
def provider() -> Iterator[Server]:
    """Run the local provider."""
    with start_provider() as server:
        yield server


@pytest.fixture(scope="module")
def service(provider: Server) -> Iterator[Server]:
    """Run the example service with the local provider."""
    with start_app(provider.url) as server:
        yield server


@pytest.fixture(scope="module")
def client(service: Server) -> Iterator[httpx.Client]:
    """Open a client of the service."""
    with client_of(service) as client:
        yield client


def test_a_chat_is_one_llm_event_and_the_request_has_its_tokens(
    service: Server, client: httpx.Client
) -> None:
    """The gateway's `generate` is one event, and `request_finished` counts it."""
    response = client.post("/api/v1/chat", json=ask("local"), headers={"X-Trace-ID": "json-chat"})

    assert response.json()["answer"] == QUESTION
    call, finished = story_of(service, "json-chat")
    assert call["event"] == "llm.generate"
    assert call["model_alias"] == "local"
    assert call["usage_status"] == "reported"
    assert call["outcome"] == "ok"
    assert (call["input_tokens"], call["output_tokens"]) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert call["cached_input_tokens"] == CACHED_TOKENS
    assert finished["route"] == "/api/v1/chat"
    assert finished["llm_calls"] == 1
    assert finished["llm_input_tokens"] == INPUT_TOKENS
    assert finished["llm_output_tokens"] == OUTPUT_TOKENS


def test_a_stream_is_counted_after_its_last_piece(service: Server, client: httpx.Client) -> None:
    """The gateway's `stream` is one event with the usage of its future, before the request's."""
    body = ask("local?chunk_ms=20")
    response = client.post("/api/v1/chat/stream", json=body, headers={"X-Trace-ID": "sse-chat"})

    assert response.text.count("event: piece") == len(QUESTION.split())
    assert response.text.count("event: done") == 1
    call, finished = story_of(service, "sse-chat")
    assert call["event"] == "llm.stream"
    assert call["outcome"] == "ok"
    assert call["stream"] is True
    assert call["chunks"] == len(QUESTION.split())
    assert (call["input_tokens"], call["output_tokens"]) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert finished["outcome"] == "ok"
    assert finished["llm_input_tokens"] == INPUT_TOKENS
    assert finished["llm_output_tokens"] == OUTPUT_TOKENS
    assert finished["ttfb_ms"] < finished["latency_ms"]


def test_the_first_piece_arrives_before_the_second_exists(
    service: Server, client: httpx.Client
) -> None:
    """A piece is sent at once; a client that then disconnects is recorded."""
    body = ask("local?chunk_ms=600000")
    headers = {"X-Trace-ID": "unbuffered"}
    with client.stream("POST", "/api/v1/chat/stream", json=body, headers=headers) as response:
        data = [line for line in iter_until_data(response) if line.startswith("data:")]

    assert data == ['data: {"text": "one"}']
    call, finished = story_of(service, "unbuffered")
    assert call["event"] == "llm.stream"
    assert call["outcome"] in ("cancelled", "closed")
    assert call["chunks"] == 1
    assert finished["outcome"] == "client_disconnected"


@pytest.mark.parametrize("path", ["/api/v1/chat", "/api/v1/chat/stream"])
def test_a_provider_that_fails_is_an_error_of_the_call_and_a_handled_502(
    service: Server, client: httpx.Client, path: str
) -> None:
    """The failing call is an ERROR event; the request that handles it is `ok`."""
    trace_id = "fails" + path.replace("/", "-")
    headers = {"X-Trace-ID": trace_id}
    response = client.post(path, json=ask("local?fail=500"), headers=headers)

    assert response.status_code == 502
    call, finished = story_of(service, trace_id)
    assert (call["level"], call["outcome"]) == ("error", "error")
    assert call["error_type"] == "InternalServerError"
    assert call["input_tokens"] is None
    assert (finished["level"], finished["outcome"]) == ("error", "ok")
    assert finished["llm_errors"] == 1
    assert "exception" not in call | finished


def test_a_provider_that_cuts_the_stream_is_an_error_of_the_call(
    service: Server, client: httpx.Client
) -> None:
    """The service sends an error event to its client, and the call's event is an error."""
    headers = {"X-Trace-ID": "cut-stream"}
    response = client.post("/api/v1/chat/stream", json=ask("local?fail=cut"), headers=headers)

    assert response.text.count("event: piece") == len(QUESTION.split()) // 2
    assert response.text.count("event: error") == 1
    call, finished = story_of(service, "cut-stream")
    assert call["outcome"] == "error"
    assert call["chunks"] == len(QUESTION.split()) // 2
    assert finished["llm_errors"] == 1


def test_a_retry_of_the_client_is_one_call(service: Server, client: httpx.Client) -> None:
    """A rate limit that the provider's client retries is part of one call."""
    headers = {"X-Trace-ID": "rate-limited"}
    response = client.post("/api/v1/chat", json=ask("local?fail=429"), headers=headers)

    assert response.status_code == 200
    assert events_of(service, "rate-limited")[-1]["llm_calls"] == 1


def test_a_line_from_an_endpoints_thread_carries_the_trace_id(
    service: Server, client: httpx.Client
) -> None:
    """A sync endpoint that reads SQLite logs with its request's id."""
    client.post("/api/v1/chat", json=ask("local"))
    headers = {"X-Trace-ID": "sqlite"}
    response = client.get("/api/v1/conversations/about-local", headers=headers)

    assert {"question": QUESTION, "answer": QUESTION} in response.json()["messages"]
    events = events_of(service, "sqlite")
    assert [event["event"] for event in events] == ["conversation_read", "request_finished"]
    assert events[-1]["route"] == "/api/v1/conversations/{conversation_id}"


def test_the_fake_gateway_leaves_no_llm_event() -> None:
    """Without a key the fake gateway answers, which is not instrumented."""
    with start_app() as fake, client_of(fake) as client:
        whole = client.post("/api/v1/chat", json=ask("fast"), headers={"X-Trace-ID": "whole"})
        body = ask("fast")
        pieces = client.post("/api/v1/chat/stream", json=body, headers={"X-Trace-ID": "pieces"})
        events = [*events_of(fake, "whole"), *events_of(fake, "pieces")]

    assert whole.json()["answer"] == f"You said: {QUESTION}"
    assert pieces.text.count("event: done") == 1
    names = [event["event"] for event in events]
    assert names == ["chat_answered", "request_finished", "request_finished"]
    assert not any("llm_calls" in event for event in events)


def test_the_text_format_matches_the_seed(provider: Server) -> None:
    """The text line of a call begins as in the seed, with an integer latency."""
    env = {"PANTHEON_OBS_LOG_FORMAT": "text"}
    with start_app(provider.url, env=env) as service, client_of(service) as client:
        client.post("/api/v1/chat", json=ask("local"), headers={"X-Trace-ID": "my-custom-id"})
        client.post("/api/v1/chat/stream", json=ask("local"), headers={"X-Trace-ID": "last"})
        lines = lines_until(service, lambda line: "[last] request_finished " in line)

    beginning = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO     pantheon_obs\.llm "
    fields = r"model=local latency_ms=\d+ input_tokens=4 output_tokens=6( |$)"
    generate, stream = [line for line in lines if " llm." in line]
    assert re.match(rf"{beginning}\[my-custom-id\] llm\.generate {fields}", generate)
    assert re.match(rf"{beginning}\[last\] llm\.stream {fields}", stream)


def test_the_provider_streams_as_openai_does(provider: Server) -> None:
    """The stream has an empty role frame, content, finish reason, usage and end marker."""
    body = {
        "model": "local",
        "messages": [{"role": "user", "content": "one two"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    url = f"{provider.url}/chat/completions"
    text = httpx.post(url, json=body, timeout=SECONDS_TO_WAIT, trust_env=False).text

    data = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert data.pop() == "[DONE]"
    role, first, second, finish, usage = (json.loads(chunk) for chunk in data)
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert first["choices"][0]["delta"] == {"content": "one"}
    assert second["choices"][0]["delta"] == {"content": " two"}
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert [chunk["usage"] for chunk in (role, first, second, finish)] == [None] * 4
    assert usage["choices"] == []
    assert usage["usage"]["prompt_tokens_details"] == {"cached_tokens": 1}
    assert usage["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}


def test_the_provider_sends_no_usage_in_a_stream_that_did_not_ask(provider: Server) -> None:
    """Without `include_usage` no chunk has the key `usage`."""
    body = {"model": "local", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    url = f"{provider.url}/chat/completions"
    text = httpx.post(url, json=body, timeout=SECONDS_TO_WAIT, trust_env=False).text

    assert "[DONE]" in text
    assert "usage" not in text
