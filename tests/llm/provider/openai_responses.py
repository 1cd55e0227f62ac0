"""OpenAI's Responses.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from itertools import count
from typing import Any

from tests.llm.provider.frames import Wire, named
from tests.llm.provider.openai_chat import MODEL, error

__all__ = ["answer", "error", "stream"]

USAGE = {
    "input_tokens": 1149,
    "input_tokens_details": {"cached_tokens": 1024},
    "output_tokens": 212,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 1361,
}
TOOL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "find"}
MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant"}


def answer(body: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """Make a complete response."""
    part: dict[str, Any] = {"type": "output_text", "text": "Paris.", "annotations": []}
    if "refusal" in words:
        part = {"type": "refusal", "refusal": "No."}
    item = MESSAGE | {"status": "completed", "content": [part]}
    if "tools" in words:
        item = TOOL | {"status": "completed", "arguments": '{"city": "Paris"}'}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1795000000,
        "model": MODEL,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": USAGE,
    }


def stream(body: dict[str, Any], words: list[str]) -> Wire:
    """Make the events: the created response, its parts, and the complete response."""
    whole = answer(body, words)
    [item] = whole["output"]
    begun = whole | {"status": "in_progress", "output": [], "usage": None}
    at: dict[str, Any] = {"output_index": 0, "item_id": item["id"]}
    if "tools" in words:
        empty = item | {"status": "in_progress", "arguments": ""}
        kind = "response.function_call_arguments"
        deltas = [{"type": f"{kind}.delta", **at, "delta": text} for text in ('{"city"', ': "P"}')]
        done = [{"type": f"{kind}.done", **at, "name": "find", "arguments": '{"city": "P"}'}]
    else:
        [part] = item["content"]
        empty = item | {"status": "in_progress", "content": []}
        at |= {"content_index": 0}
        field = "refusal" if "refusal" in words else "text"
        kind = "response.refusal" if "refusal" in words else "response.output_text"
        logprobs = {} if "refusal" in words else {"logprobs": []}
        start = {"type": "response.content_part.added", **at, "part": part | {field: ""}}
        deltas = [
            start,
            *({"type": f"{kind}.delta", **at, "delta": text, **logprobs} for text in ("Par", "is")),
        ]
        done = [
            {"type": f"{kind}.done", **at, field: part[field], **logprobs},
            {"type": "response.content_part.done", **at, "part": part},
        ]
    bodies: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": empty},
        *deltas,
        *done,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    number = count()
    frames = [named(event | {"sequence_number": next(number)}) for event in bodies]
    failure = {"type": "error", "code": "server_error", "message": "broken", "param": None}
    return Wire(frames, 5, named(failure | {"sequence_number": 5}))
