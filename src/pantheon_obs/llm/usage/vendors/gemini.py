"""Gemini's responses, chunks and usage: the client's objects, and the REST API's JSON."""

from __future__ import annotations

import re
from typing import Any

from pantheon_obs.llm.usage.answer import OTHER, Reported, as_count
from pantheon_obs.llm.usage.billed_items import add_tools
from pantheon_obs.llm.usage.errors import set_error
from pantheon_obs.llm.usage.fields import (
    Memo,
    any_of,
    as_text,
    either,
    field,
    field_at,
    has,
    items_of,
    stored,
)

_MODALITIES = {
    "TEXT": "text",
    "AUDIO": "audio",
    "IMAGE": "image",
    "DOCUMENT": "image",
    "VIDEO": "video",
    "MODALITY_UNSPECIFIED": "text",
}
_SIGNS = ("candidates", "prompt_feedback", "response_id", "model_version")
_ANSWERED = ("candidates_token_count", "response_token_count")  # the second of the Live API
_CONTENT = ("text", "function_call", "inline_data", "executable_code", "thought_signature")
_LETTER = re.compile("_([a-z])")


def _in_both_cases(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of fields in Python, each followed by its name in JSON."""
    return tuple(
        case for name in names for case in (name, _LETTER.sub(lambda part: part[1].upper(), name))
    )


# The lists of tokens by modality, and the counts of the price list to which they belong.
_DETAILS = {
    case: kept
    for name, kept in {
        "prompt_tokens_details": ("input_{}_tokens",),
        "cache_tokens_details": ("cache_{}_read_tokens",),
        "candidates_tokens_details": ("output_{}_tokens",),
        "response_tokens_details": ("output_{}_tokens",),
        "tool_use_prompt_tokens_details": ("input_{}_tokens", "input_{}_tool_tokens"),
        # Of interactions.
        "input_tokens_by_modality": ("input_{}_tokens",),
        "cached_tokens_by_modality": ("cache_{}_read_tokens",),
        "output_tokens_by_modality": ("output_{}_tokens",),
        "tool_use_tokens_by_modality": ("input_{}_tokens", "input_{}_tool_tokens"),
    }.items()
    for case in _in_both_cases((name,))
}
_cases_of = Memo(_in_both_cases)


def _get(value: Any, *names: str) -> Any:
    """Return the first of these fields that is not None, of the client's objects or of JSON."""
    return either(value, *_cases_of[names])


def content(value: Any, reported: Reported) -> Any:
    """Read a response or a chunk. Each chunk's usage counts everything so far.

    A blocked prompt has a reason but no candidates, a message of the Live API a turn of the model.
    https://ai.google.dev/api/generate-content#generatecontentresponse
    """
    candidates = items_of(field(value, "candidates"))
    usage = _get(value, "usage_metadata")
    names = _cases_of[("content", "finish_reason")]
    answers = any(has(candidate, name) for candidate in candidates for name in names)
    if not answers and _get(usage, "prompt_token_count", *_ANSWERED) is None:
        # The SDK makes a response of any body.
        made = has(value, "sdk_http_response") and has(value, "candidates")
        reported.no_answer = made and either(value, *_SIGNS) is None
        return False
    reported.note(
        model=_get(value, "model_version"),
        content=any_of(_get(_get(value, "server_content"), "model_turn"), "parts"),
        finished=False if answers else None,
    )
    reasons = [_get(_get(value, "prompt_feedback"), "block_reason")]
    for candidate in candidates:
        reasons.append(_get(candidate, "finish_reason"))
        grounding = _get(candidate, "grounding_metadata")
        parts = items_of(field_at(candidate, "content", "parts"))
        # Billed by the request or by the query, and some are free.
        if any(stored(grounding).values()) or any(_get(part, "tool_call") for part in parts):
            reported.add_detail(OTHER, 1)
        if not reported.content:
            reported.content = any(any_of(part, *_cases_of[_CONTENT]) for part in parts)
    for reason in filter(None, map(as_text, reasons)):
        reported.note(finish_reason=reason, finished=True)
    if _get(value, "automatic_function_calling_history"):
        reported.partial = True  # of several requests this is the last one
    way = field_at(value, "sdk_http_response", "headers", "x-gemini-service-tier")
    reported.set_served("service_tier", way)
    return usage


def tokens(usage: Any, reported: Reported) -> bool:
    """Read a usage object: thoughts are not among the candidates, nor tool results in the prompt.

    Counts of 0 are left out. The total is not used, because it may include more than these.
    https://ai.google.dev/api/generate-content#UsageMetadata
    """
    way = _name(_get(usage, "service_tier", "traffic_type")) or ""
    way = way.lower().removeprefix("on_demand_")  # flex, priority or provisioned remain
    reported.set_served("service_tier", way or reported.served.get("service_tier"))
    _add_modalities(usage, reported)
    _take_in(
        reported,
        prompt=as_count(_get(usage, "prompt_token_count")),
        results=as_count(_get(usage, "tool_use_prompt_token_count")),
        cached=_get(usage, "cached_content_token_count"),
        answer=as_count(_get(usage, *_ANSWERED)),
        thoughts=as_count(_get(usage, "thoughts_token_count")),
    )
    return True


def embeddings(value: Any, reported: Reported) -> Any:
    """Read embeddings, which generate no tokens (https://ai.google.dev/api/embeddings).

    Vertex AI counts the tokens of each; the Gemini API counts them all, or none.
    """
    found = field(value, "embeddings")
    if not isinstance(found, list) or not any(has(each, "values") for each in found):
        return False
    reported.content = True
    counts = [as_count(field_at(each, "statistics", "token_count")) for each in found]
    known = [number for number in counts if number is not None]
    if known:
        reported.input_tokens = sum(known)
    usage = _get(value, "usage_metadata")
    if known or usage is not None:
        reported.output_tokens = reported.output_tokens or 0
    return usage


def interaction(value: Any, reported: Reported) -> Any:
    """Read an interaction, of an agent or a model (https://ai.google.dev/api/interactions-api)."""
    status = _name(field(value, "status"))
    usage = field(value, "usage")
    if status is None or not (has(value, "steps") or has(usage, "total_input_tokens")):
        return False
    reported.content = True
    reported.finish_reason = status
    reported.model = _name(field(value, "model")) or reported.model
    reported.set_job(value, status)
    reported.set_served("service_tier", _name(field(value, "service_tier")))
    add_tools(field(value, "steps"), reported)
    if status == "failed":
        set_error(next(iter(items_of(field(value, "errors"))), None), reported)
    return usage


def interaction_event(value: Any, reported: Reported) -> Any:
    """Read an event of an interaction; the last one has the usage."""
    kind = as_text(field(value, "event_type")) or ""
    area, _, step = kind.partition(".")
    if area not in ("interaction", "step", "content"):
        return False
    content = step == "delta" and bool(field(value, "delta"))
    reported.note(content=content, finished=step in ("completed", "complete"))
    if area != "interaction":
        add_tools(field(value, "step"), reported)
        return field_at(value, "metadata", "total_usage")
    content = reported.content
    usage = interaction(field(value, "interaction"), reported) or None
    reported.content = content
    reported.error_type = None  # a stream that has failed lacks its terminal event
    return usage


def interaction_tokens(usage: Any, reported: Reported) -> bool:
    """Read its usage: thoughts are not part of the output, nor tool results of the input."""
    _add_modalities(usage, reported)
    _take_in(
        reported,
        prompt=as_count(field(usage, "total_input_tokens")),
        results=as_count(field(usage, "total_tool_use_tokens")),
        cached=field(usage, "total_cached_tokens"),
        answer=as_count(field(usage, "total_output_tokens")),
        thoughts=as_count(either(usage, "total_thought_tokens", "total_reasoning_tokens")),
    )
    return True


def _take_in(  # noqa: PLR0913 - counts by name
    reported: Reported,
    *,
    prompt: int | None,
    results: int | None,
    cached: object,
    answer: int | None,
    thoughts: int | None,
) -> None:
    """Keep the counts: the results of tools are beside the prompt, and thoughts the answer."""
    if prompt is not None:
        reported.input_tokens = as_count(prompt + (results or 0), reported.input_tokens)
    if answer is not None or thoughts is not None:
        reported.output_tokens = as_count((answer or 0) + (thoughts or 0), reported.output_tokens)
    reported.add_detail("input_tool_tokens", results)
    reported.cached_input_tokens = as_count(cached, reported.cached_input_tokens)
    reported.reasoning_tokens = as_count(thoughts, reported.reasoning_tokens)


def _name(value: Any) -> str | None:
    return as_text(getattr(value, "value", value))  # of an enumeration of the client's


def _add_modalities(usage: Any, reported: Reported) -> None:
    """Keep the tokens of text, audio, images and video, as they have prices of their own."""
    sums: dict[str, int] = {}
    for kept, entries in stored(usage).items():
        names = _DETAILS.get(kept, ())
        for entry in items_of(entries) if names else ():
            modality = field(entry, "modality")
            kind = _MODALITIES.get((_name(modality) or "MODALITY_UNSPECIFIED").upper(), OTHER)
            tokens = as_count(_get(entry, "token_count", "tokens"))
            if tokens is not None:
                for name in names:
                    sums[name.format(kind)] = sums.get(name.format(kind), 0) + tokens
    for name, total in sums.items():
        reported.add_detail(name, total)
    cached = as_count(_get(usage, "cached_content_token_count", "total_cached_tokens"))
    given = as_count(_get(usage, "prompt_token_count", "total_input_tokens"))
    if cached and given:
        reported.details = {**reported.details, **_cached_parts(sums, cached, given)}


def _cached_parts(sums: dict[str, int], cached: int, given: int) -> dict[str, int]:
    """Return the cached tokens of each modality where they follow from the other counts."""
    kinds = {kind: sums.get(f"input_{kind}_tokens", 0) for kind in {*_MODALITIES.values()}}
    kinds = {kind: number for kind, number in kinds.items() if number}
    parts = {kind: sums.get(f"cache_{kind}_read_tokens", 0) for kind in kinds}
    if sum(parts.values()) != cached:
        differs = any(parts.values()) or sum(kinds.values()) < given
        parts = {kind: min(number, cached) for kind, number in kinds.items()}
        if differs or sum(parts.values()) != cached:
            return {}
    return {f"cache_{kind}_read_tokens": number for kind, number in parts.items()}
