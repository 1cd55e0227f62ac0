"""Shapes of no single vendor: gateways' responses and usage, OpenTelemetry's attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.llm.usage.fields import COUNTS, amount, count, either, field, text

if TYPE_CHECKING:
    from pantheon_obs.llm.usage.fields import Reported


def response(value: Any, reported: Reported) -> Any:
    """Read any response with a `usage`, as most gateways' own responses are."""
    reported.content = True
    reported.model = text(field(value, "model")) or reported.model
    reported.finish_reason = text(field(value, "finish_reason")) or reported.finish_reason
    return field(value, "usage")


def cost(usage: Any, reported: Reported) -> bool:
    """Read the vendor's own figure in USD beside the tokens, as OpenRouter and litellm give it.

    https://openrouter.ai/docs/use-cases/usage-accounting
    """
    figure = amount(field(usage, "cost"))
    if figure is not None:
        reported.cost = figure
    return False  # a later row reads the tokens


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
    prefix = "gen_ai.usage."
    written = either(
        usage, f"{prefix}cache_write.input_tokens", f"{prefix}cache_creation.input_tokens"
    )
    cached = field(usage, f"{prefix}cache_read.input_tokens")
    reasoning = field(usage, f"{prefix}reasoning.output_tokens")
    reasons = field(usage, "gen_ai.response.finish_reasons")
    reported.input_tokens = count(field(usage, f"{prefix}input_tokens"), reported.input_tokens)
    reported.output_tokens = count(field(usage, f"{prefix}output_tokens"), reported.output_tokens)
    reported.cached_input_tokens = count(cached, reported.cached_input_tokens)
    reported.cache_write_tokens = count(written, reported.cache_write_tokens)
    reported.reasoning_tokens = count(reasoning, reported.reasoning_tokens)
    reported.model = text(field(usage, "gen_ai.response.model")) or reported.model
    if isinstance(reasons, (list, tuple)) and reasons:
        reported.finish_reason = text(reasons[0]) or reported.finish_reason
    return True


def plain(usage: Any, reported: Reported) -> bool:
    """Read the names that our own events use."""
    for name in COUNTS:
        setattr(reported, name, count(field(usage, name), getattr(reported, name)))
    return True
