"""Anthropic's messages, events and usage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.llm.usage.fields import count, field, text

if TYPE_CHECKING:
    from pantheon_obs.llm.usage.fields import Reported

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


def message(value: Any, reported: Reported) -> Any:
    """Read a whole message.

    https://platform.claude.com/docs/en/api/messages/create
    """
    if field(value, "type") != "message":
        return False
    reported.content = True
    reported.model = text(field(value, "model")) or reported.model
    reported.finish_reason = text(field(value, "stop_reason")) or reported.finish_reason
    tokens(field(value, "usage"), reported)
    return None


def event(value: Any, reported: Reported) -> Any:
    """Read an event of a message.

    `message_start` has the input tokens, and a placeholder for the output; `message_delta` has the
    output tokens so far, and may repeat the others.
    https://platform.claude.com/docs/en/build-with-claude/streaming#event-types
    """
    kind = text(field(value, "type"))
    if kind == "ping":
        return None  # reports nothing, not even that more will follow
    if kind not in _EVENTS:
        return False
    reported.finished = bool(reported.finished) or kind == "message_stop"
    if kind == "content_block_delta":
        delta = field(value, "delta")
        reported.content = reported.content or any(field(delta, name) for name in _CONTENT)
    elif kind == "message_start":
        start = field(value, "message")
        output = reported.output_tokens
        reported.model = text(field(start, "model")) or reported.model
        tokens(field(start, "usage"), reported)
        reported.output_tokens = output
    elif kind == "message_delta":
        reason = text(field(field(value, "delta"), "stop_reason"))
        reported.finish_reason = reason or reported.finish_reason
        tokens(field(value, "usage"), reported)
    return None


def tokens(usage: Any, reported: Reported) -> bool:
    """Read a usage object: cache reads and writes are not part of its input tokens.

    https://platform.claude.com/docs/en/build-with-claude/prompt-caching#tracking-cache-performance
    """
    add_cache(
        reported,
        fresh=count(field(usage, "input_tokens")),
        cached=count(field(usage, "cache_read_input_tokens")),
        written=count(field(usage, "cache_creation_input_tokens")),
    )
    thinking = field(field(usage, "output_tokens_details"), "thinking_tokens")
    reported.output_tokens = count(field(usage, "output_tokens"), reported.output_tokens)
    reported.reasoning_tokens = count(thinking, reported.reasoning_tokens)
    return True


def add_cache(
    reported: Reported, *, fresh: int | None, cached: int | None, written: int | None
) -> None:
    """Set the whole input from counts that do not include the cache.

    Args:
        reported: Where to put the counts.
        fresh: Input tokens without the cache; None if this usage object does not repeat them.
        cached: Tokens read from the cache.
        written: Tokens written to the cache.
    """
    if fresh is None and reported.input_tokens is not None:
        known = (reported.cached_input_tokens or 0) + (reported.cache_write_tokens or 0)
        fresh = reported.input_tokens - known
    reported.cached_input_tokens = cached = count(cached, reported.cached_input_tokens)
    reported.cache_write_tokens = written = count(written, reported.cache_write_tokens)
    if fresh is not None:
        reported.input_tokens = fresh + (cached or 0) + (written or 0)
