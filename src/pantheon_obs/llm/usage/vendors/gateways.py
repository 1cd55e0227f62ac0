"""Shapes of no single vendor: gateways' responses and usage, OpenTelemetry's attributes."""

from __future__ import annotations

from typing import Any

from pantheon_obs.llm.usage.answer import (
    EXACT,
    Reported,
    amount,
    count,
    keep_cost,
    read_counts,
)
from pantheon_obs.llm.usage.billed_items import add_tools
from pantheon_obs.llm.usage.fields import Memo, either, field, has

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
        upstream = amount(field(field(usage, "cost_details"), "upstream_inference_cost"))
        figure = EXACT.add(figure, upstream or 0)
    keep_cost(reported, figure)
    return False


_has_hidden_params = Memo(
    lambda kind: "_hidden_params" in getattr(kind, "__private_attributes__", ())
)


def hidden_cost(value: Any, reported: Reported) -> None:
    """Read the figure that litellm keeps in a private attribute of a response."""
    if reported.cost is None and _has_hidden_params[type(value)]:
        params = getattr(value, "_hidden_params", None)
        keep_cost(reported, amount(field(params, "response_cost")))


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
