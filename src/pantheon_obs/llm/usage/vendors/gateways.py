"""Shapes of no single vendor: gateways' responses and usage, OpenTelemetry's attributes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pantheon_obs.llm.usage.beside import add_tools
from pantheon_obs.llm.usage.errors import set_error
from pantheon_obs.llm.usage.fields import either, field, has
from pantheon_obs.llm.usage.reported import (
    EXACT,
    Reported,
    amount,
    count,
    keep_cost,
    read_counts,
)

_TICKS = 10**10  # in a dollar
_UPSTREAM_PARTS = ("prompt", "completions", "input", "output")  # the last two in the Responses API
_OPENTELEMETRY = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.reasoning.output_tokens",
)


def response(value: Any, reported: Reported) -> Any:
    """Read any response with a `usage`, as most gateways' own responses are."""
    model = either(value, "model", "model_name")
    reported.note(model=model, finish_reason=field(value, "finish_reason"), content=True)
    add_tools(either(value, "output", "outputs", "steps"), reported)
    return field(value, "usage")


def agent_result(value: Any, reported: Reported) -> Any:
    """Read the last message of claude-agent-sdk's `query()`, which has the sums of its calls."""
    failed = field(value, "is_error")
    if type(failed) is not bool or not has(value, "total_cost_usd"):
        return False
    reported.note(finish_reason=field(value, "subtype"), content=True, finished=True)
    if failed:
        set_error({"type": reported.finish_reason}, reported)
    keep_cost(reported, amount(field(value, "total_cost_usd")))
    return field(value, "usage")


def cost(usage: Any, reported: Reported) -> bool:
    """Read the vendor's own figure in USD; a later row reads the tokens beside it.

    OpenRouter's `cost` is its own charge; with a key of one's own the vendor charges the rest.
    https://openrouter.ai/docs/use-cases/usage-accounting
    A usage in genai-prices' words, pydantic-ai's, has a figure that was computed from its list.
    """
    if has(usage, "cache_read_tokens"):
        return False
    given = either(usage, "cost", "estimated_cost")
    figure = amount(field(given, "total_cost")) if amount(given) is None else amount(given)
    own_key = field(usage, "is_byok")
    if figure is not None and (own_key or (own_key is None and not figure)):
        figure = EXACT.add(figure, _upstream_cost(field(usage, "cost_details")))
    keep_cost(reported, figure)
    return False


def _upstream_cost(details: Any) -> Decimal:
    """Return what the vendor behind OpenRouter charges; its two parts are there without a total."""
    whole = amount(field(details, "upstream_inference_cost"))
    if whole is not None:
        return whole
    total = Decimal(0)
    for part in _UPSTREAM_PARTS:
        total = EXACT.add(total, amount(field(details, f"upstream_inference_{part}_cost")) or 0)
    return total


def cost_in_ticks(usage: Any, reported: Reported) -> bool:
    """Read xAI's own figure, 0 if it is not sent (https://docs.x.ai/docs/models#pricing)."""
    ticks = amount(field(usage, "cost_in_usd_ticks"), most=_TICKS * _TICKS)
    keep_cost(reported, EXACT.divide(ticks, _TICKS) if ticks else None)
    return False


def fresh_and_cached(usage: Any, reported: Reported) -> bool:
    """Read the usage of a gateway that counts the prompt's fresh and cached tokens apart."""
    fresh = count(field(usage, "input_tokens_fresh"))
    cached = count(field(usage, "input_tokens_cached"))
    if fresh is not None:
        reported.input_tokens = fresh + (cached or 0)
        reported.cached_input_tokens = cached
    reported.output_tokens = count(field(usage, "output_tokens"), reported.output_tokens)
    return True


def opentelemetry(usage: Any, reported: Reported) -> bool:
    """Read the flat attributes of OpenTelemetry's conventions, whose counts include the cache.

    https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
    """
    written = field(usage, "gen_ai.usage.cache_creation.input_tokens")
    reported.cache_write_tokens = count(written, reported.cache_write_tokens)
    read_counts(usage, reported, _OPENTELEMETRY)
    reasons = field(usage, "gen_ai.response.finish_reasons")
    reported.note(model=field(usage, "gen_ai.response.model"))
    if isinstance(reasons, (list, tuple)) and reasons:
        reported.note(finish_reason=reasons[0])
    return True
