"""Anthropic's messages.

https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

from typing import Any

from tests.llm.provider.frames import Wire, named

# The input is the 1149 tokens minus the cached ones.
INPUT = {"input_tokens": 105, "cache_read_input_tokens": 1024, "cache_creation_input_tokens": 20}
USAGE = INPUT | {"output_tokens": 212, "output_tokens_details": {"thinking_tokens": 64}}
HEAD = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5-20260801",
    "stop_sequence": None,
}
TOOL = {"type": "tool_use", "id": "toolu_1", "name": "find"}


def error(status: int) -> dict[str, Any]:
    """The body of an error response."""
    return {"type": "error", "error": {"type": "api_error", "message": f"status {status}"}}


def _blocks(words: list[str]) -> tuple[list[dict[str, Any]], str]:
    """Return the blocks of the answer, and the reason why the model stopped."""
    if "tools" in words:
        return [TOOL | {"input": {"city": "Paris"}}], "tool_use"
    text = {"type": "text", "text": "Paris.", "citations": None}
    if "thinking" in words:
        return [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, text], "end_turn"
    return [text], "refusal" if "refusal" in words else "end_turn"


def answer(_: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """Make a message."""
    blocks, reason = _blocks(words)
    return HEAD | {"content": blocks, "stop_reason": reason, "usage": USAGE}


def _events_of(index: int, block: dict[str, Any]) -> list[dict[str, Any]]:
    match block["type"]:
        case "tool_use":
            empty = block | {"input": {}}
            parts = ('{"city"', ': "Paris"}')
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
        case "thinking":
            empty = block | {"thinking": "", "signature": ""}
            deltas = [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
        case _:
            empty = block | {"text": ""}
            deltas = [{"type": "text_delta", "text": part} for part in ("Par", "is.")]
    return [
        {"type": "content_block_start", "index": index, "content_block": empty},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def stream(_: dict[str, Any], words: list[str]) -> Wire:
    """Make the events; the number of output tokens at the start is a placeholder."""
    blocks, reason = _blocks(words)
    begun = HEAD | {"content": [], "stop_reason": None, "usage": INPUT | {"output_tokens": 1}}
    ended = {"stop_reason": reason, "stop_sequence": None}
    bodies: list[dict[str, Any]] = [
        {"type": "message_start", "message": begun},
        *(event for at, block in enumerate(blocks) for event in _events_of(at, block)),
        {"type": "message_delta", "delta": ended, "usage": USAGE},
        {"type": "message_stop"},
    ]
    frames = [named(body) for body in bodies]
    frames.insert(2, named({"type": "ping"}))
    return Wire(frames, 4, named(error(500)))
