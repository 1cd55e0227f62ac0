"""Amazon Bedrock: Converse's responses, events and usage, and InvokeModel's additions to a body.

Names in parentheses are pages of https://docs.aws.amazon.com/bedrock/latest/APIReference/.
"""

from __future__ import annotations

from typing import Any

from pantheon_obs.core.texts import number_in
from pantheon_obs.llm.usage.answer import OTHER, Reported, as_count
from pantheon_obs.llm.usage.billed_items import add_tools
from pantheon_obs.llm.usage.fields import any_of, as_text, either, field, field_at, has, items_of
from pantheon_obs.llm.usage.vendors.anthropic import add_cache

_CACHE_LIVES = {"5m": "cache_write_5m_tokens", "1h": "cache_write_1h_tokens"}
_VENDOR = "aws.bedrock"
_HEADERS = tuple(
    f"x-amzn-bedrock-{kind}-token-count"
    for kind in ("input", "output", "cache-read-input", "cache-write-input")
)
_METRIC_COUNTS = tuple(
    f"{kind}TokenCount" for kind in ("input", "output", "cacheReadInput", "cacheWriteInput")
)
_METRICS = "amazon-bedrock-invocationMetrics"
_CONTENT = ("text", "toolUse", "reasoningContent", "image")


def converse(value: Any, reported: Reported) -> Any:
    """Read a whole response (API_runtime_Converse)."""
    if field(value, "output") is None:
        return False
    reported.note(finish_reason=field(value, "stopReason"), content=True)
    reported.vendor = _VENDOR
    for block in items_of(field_at(value, "output", "message", "content")):
        add_tools(field(block, "toolUse"), reported)
    _set_way(value, reported)
    return field(value, "usage")


def _set_way(value: Any, reported: Reported) -> None:
    """Keep how a call was served: its tier, optimized latency, and guardrails, billed apart."""
    reported.set_served("service_tier", field_at(value, "serviceTier", "type"))
    reported.set_served("latency", field_at(value, "performanceConfig", "latency"))
    if field_at(value, "trace", "guardrail") is not None:
        reported.add_detail(OTHER, 1)


def event(value: Any, reported: Reported) -> Any:
    """Read an event up to the terminal one (API_runtime_ConverseStreamOutput)."""
    stop = field(value, "messageStop")
    delta = field_at(value, "contentBlockDelta", "delta")
    tool = field_at(value, "contentBlockStart", "start", "toolUse")
    add_tools(tool, reported)
    reported.note(
        finish_reason=field(stop, "stopReason"),
        content=bool(tool) or any_of(delta, *_CONTENT),
        finished=stop is not None,
    )
    return None


def usage_event(value: Any, reported: Reported) -> Any:
    """Read the event after the terminal one (API_runtime_ConverseStreamMetadataEvent)."""
    metadata = field(value, "metadata")
    usage = field(metadata, "usage")
    if not has(usage, "inputTokens"):
        return False
    reported.vendor = _VENDOR
    _set_way(metadata, reported)
    return usage


def tokens(usage: Any, reported: Reported) -> bool:
    """Read a usage whose input tokens are without the cache (API_runtime_TokenUsage)."""
    if has(usage, "cachedInputTokens") or has(usage, "reasoningTokens"):
        return False  # another one in camelCase, whose input includes the cache
    _take_in(
        reported,
        field(usage, "inputTokens"),
        field(usage, "outputTokens"),
        field(usage, "cacheReadInputTokens"),
        field(usage, "cacheWriteInputTokens"),
    )
    for entry in items_of(field(usage, "cacheDetails")):
        kept = _CACHE_LIVES.get(as_text(field(entry, "ttl")) or "")
        if kept is not None:
            reported.add_detail(kept, field(entry, "inputTokens"))
    return True


def _take_in(reported: Reported, given: Any, made: Any, cached: Any, written: Any) -> None:
    """Keep the counts, of which the first is without the cache."""
    add_cache(reported, fresh=as_count(given), cached=as_count(cached), written=as_count(written))
    reported.output_tokens = as_count(made, reported.output_tokens)


def invoked(value: Any, reported: Reported) -> Any:
    """Read the headers of a response whose body has yet to be read (API_runtime_InvokeModel)."""
    headers = field_at(value, "ResponseMetadata", "HTTPHeaders")
    numbers = [number_in(field(headers, name)) for name in _HEADERS]
    if numbers[:2] == [None, None]:
        return False
    reported.content = True
    reported.vendor = _VENDOR
    _take_in(reported, *numbers)
    return None


def body(value: Any, reported: Reported) -> Any:
    """Read a body, or a part of one, of Amazon's and Meta's own models, or its metrics.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
    """
    metrics = field(value, _METRICS)
    results = field(value, "results")
    parts = results if isinstance(results, list) else [value]
    given = either(value, "prompt_token_count", "inputTextTokenCount")
    made = [as_count(either(part, "generation_token_count", "tokenCount")) for part in parts]
    reported.note(content=bool(results) or any_of(value, "generation", "outputText"))
    for part in parts:
        reported.note(finish_reason=either(part, "stop_reason", "completionReason"))
    if metrics is not None:
        _take_in(reported, *(field(metrics, name) for name in _METRIC_COUNTS))
        return None
    reported.input_tokens = as_count(given, reported.input_tokens)
    known = [number for number in made if number is not None]
    if known:
        reported.output_tokens = as_count(sum(known), reported.output_tokens)
    elif field(value, "embedding") is not None:
        reported.output_tokens = reported.output_tokens or 0
    return None
