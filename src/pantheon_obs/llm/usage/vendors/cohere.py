"""Cohere's chat: events, whole responses of the first version, and usage.

A whole response of the second version has no shape of its own: `any_vendor.response` reads it.
"""

from __future__ import annotations

from typing import Any

from pantheon_obs.llm.usage.answer import Reported, as_count, read_counts
from pantheon_obs.llm.usage.fields import any_of, as_text, either, field

_EVENTS = frozenset(
    f"{part}-{step}"
    for part in ("message", "content", "tool-plan", "tool-call", "citation")
    for step in ("start", "delta", "end")
)
_CONTENT = ("text", "thinking")
_TOOLS = ("tool_plan", "tool_calls")


def event(value: Any, reported: Reported) -> Any:
    """Read an event; the last one has the usage (https://docs.cohere.com/v2/docs/streaming)."""
    kind = as_text(field(value, "type"))
    if kind not in _EVENTS:
        return False
    delta = field(value, "delta")
    message = field(delta, "message")
    reported.note(
        finish_reason=field(delta, "finish_reason"),
        content=any_of(message, *_TOOLS) or any_of(field(message, "content"), *_CONTENT),
        finished=kind == "message-end",
    )
    return field(delta, "usage")


def first_version(value: Any, reported: Reported) -> Any:
    """Read a whole response of the first version (https://docs.cohere.com/v1/reference/chat)."""
    meta = field(value, "meta")
    if not _has_tokens(meta) and field(meta, "billed_units") is None:
        return False
    reported.note(finish_reason=field(value, "finish_reason"), content=True)
    return meta


def tokens(usage: Any, reported: Reported) -> bool:
    """Read a usage object: the tokens that were used. The billed tokens have the price.

    Embeddings and rankings only have the billed tokens; they generate no tokens.
    https://docs.cohere.com/v2/reference/chat#response.body.usage
    """
    used, billed = field(usage, "tokens"), field(usage, "billed_units")
    if billed is not None:
        for name in ("input_tokens", "output_tokens"):
            reported.details = {**reported.details, name: as_count(field(billed, name)) or 0}
        reported.details = {**reported.details, "cache_read_tokens": 0}
        reported.add_detail("rerank_searches", field(billed, "search_units"))
        reported.add_detail("billed_images", field(billed, "images"))
    if not _has_tokens(usage):
        used = billed
        if as_count(field(billed, "input_tokens")) is not None:
            reported.output_tokens = reported.output_tokens or 0
    cached = field(usage, "cached_tokens")
    reported.cached_input_tokens = as_count(cached, reported.cached_input_tokens)
    read_counts(used, reported, ("input_tokens", "output_tokens"))
    return _has_tokens(usage) or billed is not None


def _has_tokens(usage: Any) -> bool:
    return either(field(usage, "tokens"), "input_tokens", "output_tokens") is not None
