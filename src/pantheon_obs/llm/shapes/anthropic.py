"""Anthropic's messages, whole and as events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.llm import tokens
from pantheon_obs.llm.parts import HostValue, part, text

if TYPE_CHECKING:
    from pantheon_obs.llm.seen import Seen

_EVENTS = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    }
)
_CONTENT = ("text", "thinking", "partial_json", "signature", "citation")


def message(value: HostValue, seen: Seen) -> bool:
    """A message, whole.

    https://platform.claude.com/docs/en/api/messages/create
    """
    if part(value, "type") != "message":
        return False
    seen.content = True
    seen.model = text(part(value, "model")) or seen.model
    seen.finish_reason = text(part(value, "stop_reason")) or seen.finish_reason
    _usage(value, seen)
    return True


def event(value: HostValue, seen: Seen) -> bool:
    """The events of a message.

    `message_start` has the input tokens, and a placeholder for the output; `message_delta` has the
    output tokens so far, and perhaps the others once more.
    https://platform.claude.com/docs/en/build-with-claude/streaming#event-types
    """
    kind = text(part(value, "type"))
    if kind == "ping":
        return True  # it says nothing, not even that more is to come
    if kind not in _EVENTS:
        return False
    seen.finished = bool(seen.finished) or kind == "message_stop"
    if kind == "content_block_delta":
        delta = part(value, "delta")
        seen.content = seen.content or any(part(delta, name) for name in _CONTENT)
    elif kind == "message_start":
        start = part(value, "message")
        output = seen.output_tokens
        seen.model = text(part(start, "model")) or seen.model
        _usage(start, seen)
        seen.output_tokens = output
    elif kind == "message_delta":
        reason = text(part(part(value, "delta"), "stop_reason"))
        seen.finish_reason = reason or seen.finish_reason
        _usage(value, seen)
    return True


def _usage(value: HostValue, seen: Seen) -> None:
    tokens.anthropic(part(value, "usage"), seen)
