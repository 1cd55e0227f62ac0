"""Anthropic's messages, events and usage, and the results of its agents."""

from __future__ import annotations

from copy import copy
from typing import Any

from pantheon_obs.llm.usage.answer import Reported, as_amount, as_count
from pantheon_obs.llm.usage.billed_items import CACHE_LIVES, add_other_counts, add_tools
from pantheon_obs.llm.usage.errors import set_error
from pantheon_obs.llm.usage.fields import any_of, as_text, field, field_at, has, items_of
from pantheon_obs.llm.usage.vendors.any_vendor import cost

_EVENTS = frozenset(
    f"{part}_{step}" for part in ("message", "content_block") for step in ("start", "delta", "stop")
)
# Items billed beside the tokens, by their names in the price list. Fetches of web pages cost
# nothing.
_TOOLS = {"web_search_requests": "web_searches", "code_execution_requests": "code_executions"}
_BESIDE_TOTALS = frozenset({"compaction", "advisor_message"})
_BEGUN = ("name", "data", "text", "thinking", "content")
_CONTENT = ("text", "thinking", "partial_json", "signature", "citation")


def message(value: Any, reported: Reported) -> Any:
    """Read a whole message (https://platform.claude.com/docs/en/api/messages/create)."""
    if field(value, "type") != "message":
        return False
    reported.note(
        model=field(value, "model"), finish_reason=field(value, "stop_reason"), content=True
    )
    add_tools(field(value, "content"), reported)
    _read(field(value, "usage"), reported)
    return None


def _read(usage: Any, reported: Reported) -> None:
    """Read a usage object, and a gateway's own figure beside the tokens."""
    tokens(usage, reported)
    cost(usage, reported)
    add_other_counts(usage, reported)


def event(value: Any, reported: Reported) -> Any:
    """Read an event of a message.

    `message_start` has the input tokens, and a placeholder for the output; `message_delta` has the
    output tokens so far, and may repeat the others.
    https://platform.claude.com/docs/en/build-with-claude/streaming#event-types
    """
    kind = as_text(field(value, "type"))
    if kind == "ping":
        return None  # reports nothing, not even that more will follow
    if kind not in _EVENTS:
        return False
    delta = field(value, "delta")
    reported.note(finished=kind == "message_stop")
    if kind == "content_block_delta":
        reported.note(content=any_of(delta, *_CONTENT))
    elif kind == "content_block_start":  # the name of a tool comes long before its arguments
        block = field(value, "content_block")
        add_tools(block, reported)
        reported.note(content=any_of(block, *_BEGUN))
    elif kind == "message_start":
        start = field(value, "message")
        output = reported.output_tokens
        reported.note(model=field(start, "model"))
        _read(field(start, "usage"), reported)
        reported.output_tokens = output
    elif kind == "message_delta":
        reported.note(finish_reason=field(delta, "stop_reason"))
        _read(field(value, "usage"), reported)
    return None


def agent_result(value: Any, reported: Reported) -> Any:
    """Read the last message of claude-agent-sdk's `query()`, which has the sums of its calls."""
    failed = field(value, "is_error")
    if type(failed) is not bool or not has(value, "total_cost_usd"):
        return False
    reported.note(finish_reason=field(value, "subtype"), content=True, finished=True)
    if failed:
        set_error({"type": reported.finish_reason}, reported)
    reported.keep_cost(as_amount(field(value, "total_cost_usd")))
    return field(value, "usage")


def tokens(usage: Any, reported: Reported) -> bool:
    """Read a usage object: cache reads and writes are not part of its input tokens.

    https://platform.claude.com/docs/en/build-with-claude/prompt-caching#tracking-cache-performance
    """
    main = reported.parts[0] if reported.parts else reported
    _take_in(usage, main)
    main.add_details(field(usage, "server_tool_use"), _TOOLS)
    credit = field_at(usage, "fallback_credit", "status", "type")
    if credit == "redeemed":  # billed as another model would have been
        reported.set_served("fallback_credit", credit)
    # Compactions and advisors are billed, but are not in the totals.
    # https://platform.claude.com/docs/en/build-with-claude/compaction#understanding-usage
    iterations = items_of(field(usage, "iterations"))
    others = [_part(one) for one in iterations if as_text(field(one, "type")) in _BESIDE_TOTALS]
    if others:
        reported.take_parts((copy(reported) if main is reported else main, *others))
    elif reported.parts:
        reported.take_parts(reported.parts)
    return True


def _part(iteration: Any) -> Reported:
    """Read an iteration's usage, which has the price of its own model, if it names one."""
    part = Reported()
    part.model = as_text(field(iteration, "model"))
    _take_in(iteration, part)
    return part


def _take_in(usage: Any, reported: Reported) -> None:
    add_cache(
        reported,
        fresh=as_count(field(usage, "input_tokens")),
        cached=as_count(field(usage, "cache_read_input_tokens")),
        written=as_count(field(usage, "cache_creation_input_tokens")),
    )
    thinking = field_at(usage, "output_tokens_details", "thinking_tokens")
    reported.output_tokens = as_count(field(usage, "output_tokens"), reported.output_tokens)
    reported.reasoning_tokens = as_count(thinking, reported.reasoning_tokens)
    reported.add_details(field(usage, "cache_creation"), CACHE_LIVES)


def add_cache(
    reported: Reported, *, fresh: int | None, cached: int | None, written: int | None
) -> None:
    """Set the whole input from counts that do not include the cache.

    `fresh` is None, or 0, if this usage object does not repeat them.
    """
    if not fresh and reported.input_tokens is not None:
        known = (reported.cached_input_tokens or 0) + (reported.cache_write_tokens or 0)
        fresh = reported.input_tokens - known
    reported.cached_input_tokens = cached = as_count(cached, reported.cached_input_tokens)
    reported.cache_write_tokens = written = as_count(written, reported.cache_write_tokens)
    if fresh is not None:
        reported.input_tokens = fresh + (cached or 0) + (written or 0)
