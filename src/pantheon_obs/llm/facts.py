"""The fact that a finished call is: what its event says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.core.events import LlmCallFinished
from pantheon_obs.llm.prices import cost_of

if TYPE_CHECKING:
    from pantheon_obs.llm.lifecycle import LlmCall
    from pantheon_obs.llm.sources import Found


def fact_of(call: LlmCall, found: Found) -> LlmCallFinished:
    """Put together what is known of a call that has ended.

    Args:
        call: The call.
        found: What the search for its usage came to.

    Returns:
        The fact, complete but for whether it is nested.
    """
    seen = call.seen
    tokens = found.tokens or seen
    status = tokens.usage_status
    if status == "missing" and call.inner is not None:
        tokens, status = call.inner.take()
    event = LlmCallFinished(
        trace_id=call.trace_id,
        bound={} if call.record is None else call.record.bound,
        operation=call.options.operation,
        model_alias=call.model_alias or seen.model,
        latency_ms=_milliseconds(call.latency),
        outcome=call.outcome or "closed",
        usage_status="error" if found.failed and status == "missing" else status,
        input_tokens=tokens.input_tokens,
        output_tokens=tokens.output_tokens,
        model=seen.model,
        provider=call.options.provider,
        cached_input_tokens=tokens.cached_input_tokens,
        cache_write_tokens=tokens.cache_write_tokens,
        reasoning_tokens=tokens.reasoning_tokens,
        finish_reason=seen.finish_reason,
        error_type=call.error_type,
    )
    if call.streamed:
        event.stream = True
        event.chunks = call.chunks
        event.producer_ms = _milliseconds(call.producer) if call.producer else None
        event.ttfc_ms = _since_start(call, call.first_chunk)
        event.ttft_ms = _since_start(call, call.first_content)
    told = seen.cost if tokens.cost is None else tokens.cost
    inner = None if call.inner is None else call.inner.cost_usd
    event.cost_usd = cost_of(event, told, call.options.pricing, inner)
    return event


def _since_start(call: LlmCall, moment: float | None) -> float | None:
    return None if moment is None else _milliseconds(moment - call.started)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
