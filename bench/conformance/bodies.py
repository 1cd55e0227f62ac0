"""The provider's answers, whole and streamed, in the formats of OpenAI and Anthropic."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench.conformance.kinds import LENGTH, MODELS, TOOL
from bench.conformance.provider import ID

if TYPE_CHECKING:
    from bench.conformance.kinds import Kind

Body = dict[str, Any]

CALL = {"name": "find", "arguments": '{"city": "Paris"}'}


def body_of(kind: Kind) -> Body:
    """Make the body of an answer in one piece."""
    return {"chat": _chat, "responses": _response, "messages": _message, "embeddings": _vectors}[
        kind.interface
    ](kind)


def events_of(kind: Kind) -> list[Body]:
    """Make the events of a streamed answer, the last one of which is the terminal one."""
    return {"chat": _chat_chunks, "responses": _response_events, "messages": _message_events}[
        kind.interface
    ](kind)


def as_sse(event: Body) -> bytes:
    """Render a server-sent event; one with a type is named by it."""
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


def _head(kind: Kind) -> Body:
    return {"id": json.loads(ID), "model": MODELS[kind.interface][1]}


def _vectors(kind: Kind) -> Body:
    vector = {"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}
    return _head(kind) | {"object": "list", "data": [vector], "usage": kind.usage}


def _chat(kind: Kind) -> Body:
    message: Body = {"role": "assistant", "content": "Paris."}
    reason = "length" if kind.content == LENGTH else "stop"
    if kind.content == TOOL:
        call = {"id": "call_1", "type": "function", "function": CALL}
        message, reason = {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    choice = {"index": 0, "message": message, "finish_reason": reason}
    object_ = {"object": "chat.completion", "created": 1795000000}
    return _head(kind) | object_ | {"choices": [choice], "usage": kind.usage}


def _chat_chunks(kind: Kind) -> list[Body]:
    head = _head(kind) | {"object": "chat.completion.chunk", "created": 1795000000}

    def chunk(delta: Body, reason: str | None = None) -> Body:
        return head | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    deltas: list[Body] = [{"content": "Par"}, {"content": "is."}]
    if kind.content == TOOL:
        call = {"index": 0, "id": "call_1", "type": "function", "function": CALL}
        deltas = [{"tool_calls": [call]}]
    return [
        chunk({"role": "assistant", "content": ""}),
        *map(chunk, deltas),
        chunk({}, "tool_calls" if kind.content == TOOL else "stop"),
        head | {"choices": [], "usage": kind.usage},
    ]


def _item(kind: Kind) -> Body:
    if kind.content == TOOL:
        return {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "status": "completed",
        } | CALL
    part = {"type": "output_text", "text": "Paris.", "annotations": []}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    return message | {"content": [part]}


def _response(kind: Kind) -> Body:
    rest = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    state = {"object": "response", "created_at": 1795000000, "status": "completed", "error": None}
    return _head(kind) | state | rest | {"output": [_item(kind)], "usage": kind.usage}


def _response_events(kind: Kind) -> list[Body]:
    whole, item = _response(kind), _item(kind)
    begun = whole | {"status": "in_progress", "output": [], "usage": None}
    at = {"output_index": 0, "item_id": item["id"]}
    if kind.content == TOOL:
        empty = item | {"status": "in_progress", "arguments": ""}
        delta = {"type": "response.function_call_arguments.delta", "delta": CALL["arguments"]}
        middle = [delta | at]
    else:
        empty = item | {"status": "in_progress", "content": []}
        at |= {"content_index": 0}
        part = item["content"][0] | {"text": ""}
        delta = {"type": "response.output_text.delta", "delta": "Paris.", "logprobs": []}
        middle = [{"type": "response.content_part.added", "part": part} | at, delta | at]
    events = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": empty},
        *middle,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


def _block(kind: Kind) -> Body:
    if kind.content == TOOL:
        return {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {"city": "Paris"}}
    return {"type": "text", "text": "Paris."}


def _message(kind: Kind) -> Body:
    reason = "tool_use" if kind.content == TOOL else "end_turn"
    head = {"type": "message", "role": "assistant", "stop_sequence": None, "stop_reason": reason}
    return _head(kind) | head | {"content": [_block(kind)], "usage": kind.usage}


def _message_events(kind: Kind) -> list[Body]:
    whole, block = _message(kind), _block(kind)
    begun = whole | {"content": [], "stop_reason": None, "usage": kind.usage | {"output_tokens": 1}}
    if kind.content == TOOL:
        empty: Body = block | {"input": {}}
        delta = {"type": "input_json_delta", "partial_json": CALL["arguments"]}
    else:
        empty = block | {"text": ""}
        delta = {"type": "text_delta", "text": "Paris."}
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    return [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ended, "usage": kind.usage},
        {"type": "message_stop"},
    ]
