"""OpenAI's chat completions and embeddings.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from typing import Any

from tests.llm.provider.frames import Wire, data

USAGE = {
    "prompt_tokens": 1149,
    "completion_tokens": 212,
    "total_tokens": 1361,
    "prompt_tokens_details": {"cached_tokens": 1024},
    "completion_tokens_details": {"reasoning_tokens": 64},
}
MODEL = "gpt-5-mini-2026-08-07"
HEAD = {"id": "chatcmpl-1", "created": 1795000000, "model": MODEL}
CALL = {"id": "call_1", "type": "function"}


def error(status: int) -> dict[str, Any]:
    """The body of an error response."""
    return {"error": {"message": f"status {status}", "type": "server_error", "code": None}}


def answer(body: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """A chat completion, or an embedding where there is something to embed."""
    if "input" in body:
        vector = {"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}
        usage = {"prompt_tokens": 8, "total_tokens": 8}
        model = "text-embedding-3-small"
        return {"object": "list", "data": [vector], "model": model, "usage": usage}
    message: dict[str, Any] = {"role": "assistant", "content": "Paris.", "refusal": None}
    reason = "stop"
    if "tools" in words:
        function = {"name": "find", "arguments": '{"city": "Paris"}'}
        message |= {"content": None, "tool_calls": [CALL | {"function": function}]}
        reason = "tool_calls"
    elif "refusal" in words:
        message |= {"content": None, "refusal": "No."}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return HEAD | {"object": "chat.completion", "choices": [choice], "usage": USAGE}


def stream(body: dict[str, Any], words: list[str]) -> Wire:
    """A completion in chunks; the first one has a role and no content."""
    deltas: list[dict[str, Any]] = [{"content": "Par"}, {"content": "is."}]
    reason = "stop"
    if "tools" in words:
        named = CALL | {"index": 0, "function": {"name": "find", "arguments": ""}}
        rest = {"index": 0, "function": {"arguments": '{"city": "Paris"}'}}
        deltas = [{"tool_calls": [named]}, {"tool_calls": [rest]}]
        reason = "tool_calls"
    elif "refusal" in words:
        deltas = [{"refusal": "No"}, {"refusal": "."}]

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage = {"usage": None} if with_usage else {}
        return data(HEAD | {"object": "chat.completion.chunk", "choices": [choice]} | usage)

    with_usage = (body.get("stream_options") or {}).get("include_usage")
    first = chunk({"role": "assistant", "content": "", "refusal": None})
    frames = [first, *map(chunk, deltas), chunk({}, reason)]
    if with_usage:
        last = {"object": "chat.completion.chunk", "choices": [], "usage": USAGE}
        frames.append(data(HEAD | last))
    return Wire([*frames, b"data: [DONE]\n\n"], 2, data(error(500)))
