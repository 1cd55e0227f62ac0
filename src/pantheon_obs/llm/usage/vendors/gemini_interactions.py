"""Gemini's interactions, of an agent or a model (https://ai.google.dev/api/interactions-api)."""

from __future__ import annotations

from typing import Any

from pantheon_obs.llm.usage.answer import Reported, as_count
from pantheon_obs.llm.usage.billed_items import add_tools
from pantheon_obs.llm.usage.errors import set_error
from pantheon_obs.llm.usage.fields import as_text, either, field, field_at, has, items_of
from pantheon_obs.llm.usage.vendors.gemini import add_modalities, name_of, take_in


def interaction(value: Any, reported: Reported) -> Any:
    """Read a whole interaction."""
    status = name_of(field(value, "status"))
    usage = field(value, "usage")
    if status is None or not (has(value, "steps") or has(usage, "total_input_tokens")):
        return False
    reported.content = True
    reported.finish_reason = status
    reported.model = name_of(field(value, "model")) or reported.model
    reported.set_job(value, status)
    reported.set_served("service_tier", name_of(field(value, "service_tier")))
    add_tools(field(value, "steps"), reported)
    continued = len(items_of(field(value, "continuation_ids")))
    if continued > 1:
        reported.add_detail("requests", continued)
    if status == "failed":
        set_error(next(iter(items_of(field(value, "errors"))), None), reported)
    return usage


def event(value: Any, reported: Reported) -> Any:
    """Read an event of an interaction; the last one has the usage.

    The client may continue an interaction by another one, whose events follow. Each has its own
    usage.
    """
    kind = as_text(field(value, "event_type")) or ""
    area, _, step = kind.partition(".")
    if area not in ("interaction", "step", "content"):
        return False
    content = step == "delta" and bool(field(value, "delta"))
    is_end = step in ("completed", "complete")
    reported.note(content=content, finished=is_end)
    if area != "interaction":
        add_tools(field(value, "step"), reported)
        return None if reported.parts else field_at(value, "metadata", "total_usage")
    content = reported.content
    usage = interaction(field(value, "interaction"), reported) or None
    reported.content = content
    reported.error_type = None  # a stream that has failed lacks its terminal event
    if step == "created":
        reported.finished = False
    if is_end and (reported.parts or reported.finish_reason == "requires_continuation"):
        part = Reported()
        tokens(usage, part)
        reported.take_parts((*reported.parts, part))
        return None
    return usage


def tokens(usage: Any, reported: Reported) -> bool:
    """Read its usage: thoughts are not part of the output, nor tool results of the input."""
    add_modalities(usage, reported)
    take_in(
        reported,
        prompt=as_count(field(usage, "total_input_tokens")),
        results=as_count(field(usage, "total_tool_use_tokens")),
        cached=field(usage, "total_cached_tokens"),
        answer=as_count(field(usage, "total_output_tokens")),
        thoughts=as_count(either(usage, "total_thought_tokens", "total_reasoning_tokens")),
    )
    return True
