"""The responses, chunks and usage of xAI's client, which wraps protocol buffers.

https://docs.x.ai/developers/grpc-api-reference
"""

from __future__ import annotations

from typing import Any

from pantheon_obs.llm.usage.answer import EXACT, OTHER, Reported, as_amount, as_count
from pantheon_obs.llm.usage.fields import any_of, as_text, field, has

_TICKS = 10**10  # in a dollar
_CONTENT = ("content", "reasoning_content", "tool_calls", "encrypted_content")


def response(value: Any, reported: Reported) -> Any:
    """Read a response, which in a stream is the answer so far, or a chunk of one."""
    message = field(value, "_proto")
    if not has(message, "outputs"):
        return False
    reported.vendor = "x_ai"
    reported.note(model=field(message, "model"), finished=False)
    for output in field(message, "outputs"):
        piece = field(output, "delta") or field(output, "message")
        reason = _reason_of(output)
        reported.note(finish_reason=reason, content=any_of(piece, *_CONTENT), finished=bool(reason))
    _read_usage(field(message, "usage"), reported)
    return None


def _reason_of(output: Any) -> str | None:
    number = field(output, "finish_reason")
    if not number or isinstance(number, str):
        return number or None
    names: Any = type(output).DESCRIPTOR.fields_by_name["finish_reason"].enum_type
    return as_text(names.values_by_number[number].name)


def _read_usage(usage: Any, reported: Reported) -> None:
    """Read a usage, whose completion is without reasoning. A count that is not sent is 0."""
    prompt, reasoning = field(usage, "prompt_tokens"), field(usage, "reasoning_tokens")
    made = sum(as_count(number) or 0 for number in (field(usage, "completion_tokens"), reasoning))
    cached = field(usage, "cached_prompt_text_tokens")
    if not as_count(prompt):
        return  # of a chunk before the last
    reported.input_tokens = as_count(prompt, reported.input_tokens)
    reported.output_tokens = as_count(made, reported.output_tokens)
    reported.reasoning_tokens = as_count(reasoning, reported.reasoning_tokens)
    reported.cached_input_tokens = as_count(cached, reported.cached_input_tokens)
    cost_in_ticks(usage, reported)
    if reported.cost is None:  # xAI always sends it, and the client does not show another host
        reported.add_detail(OTHER, 1)


def cost_in_ticks(usage: Any, reported: Reported) -> bool:
    """Read xAI's own figure, 0 if it is not sent (https://docs.x.ai/docs/models#pricing)."""
    ticks = as_amount(field(usage, "cost_in_usd_ticks"), most=_TICKS * _TICKS)
    reported.keep_cost(EXACT.divide(ticks, _TICKS) if ticks else None)
    return False
