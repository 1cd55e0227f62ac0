"""Cohere's chat: events, whole responses of the first version, and usage.

A whole response of the second version has no shape of its own: `gateways.response` reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.llm.usage.fields import count, either, field, text

if TYPE_CHECKING:
    from pantheon_obs.llm.usage.fields import Reported

_EVENTS = frozenset(
    {
        "message-start",
        "content-start",
        "content-delta",
        "content-end",
        "tool-plan-delta",
        "tool-call-start",
        "tool-call-delta",
        "tool-call-end",
        "citation-start",
        "citation-end",
        "message-end",
    }
)
_CONTENT = ("text", "thinking")


def event(value: Any, reported: Reported) -> Any:
    """Read an event of a response; the last one has usage and finish reason.

    https://docs.cohere.com/v2/docs/streaming
    """
    kind = text(field(value, "type"))
    if kind not in _EVENTS:
        return False
    delta = field(value, "delta")
    message = field(delta, "message")
    content = field(message, "content")
    tools = (field(message, "tool_plan"), field(message, "tool_calls"))
    reported.content = (
        reported.content or any(tools) or any(field(content, name) for name in _CONTENT)
    )
    reported.finished = bool(reported.finished) or kind == "message-end"
    reported.finish_reason = text(field(delta, "finish_reason")) or reported.finish_reason
    return field(delta, "usage")


def first_version(value: Any, reported: Reported) -> Any:
    """Read a whole response of the first version.

    https://docs.cohere.com/v1/reference/chat
    """
    meta = field(value, "meta")
    if not _has_tokens(meta):
        return False
    reported.content = True
    reported.finish_reason = text(field(value, "finish_reason")) or reported.finish_reason
    return meta


def tokens(usage: Any, reported: Reported) -> bool:
    """Read a usage object: the tokens that were used, which are not those that were billed.

    https://docs.cohere.com/v2/reference/chat#response.body.usage
    """
    if not _has_tokens(usage):
        return False
    used = field(usage, "tokens")
    reported.input_tokens = count(field(used, "input_tokens"), reported.input_tokens)
    reported.output_tokens = count(field(used, "output_tokens"), reported.output_tokens)
    cached = field(usage, "cached_tokens")
    reported.cached_input_tokens = count(cached, reported.cached_input_tokens)
    return True


def _has_tokens(usage: Any) -> bool:
    return either(field(usage, "tokens"), "input_tokens", "output_tokens") is not None
