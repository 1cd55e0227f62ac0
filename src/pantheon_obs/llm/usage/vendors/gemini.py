"""Gemini's responses, chunks and usage: the client's objects, and the REST API's JSON."""

from __future__ import annotations

from typing import Any

from pantheon_obs.llm.usage.fields import (
    Reported,
    add_detail,
    count,
    either,
    field,
    has,
    set_served,
    text,
)

_MODALITIES = {
    "TEXT": "text",
    "AUDIO": "audio",
    "IMAGE": "image",
    "DOCUMENT": "image",
    "VIDEO": "video",
}
# The lists of tokens by modality, and the counts of the price list to which they belong.
_DETAILS = (
    ("prompt_tokens_details", "promptTokensDetails", ("input_{}_tokens",)),
    ("cache_tokens_details", "cacheTokensDetails", ("cache_{}_read_tokens",)),
    ("candidates_tokens_details", "candidatesTokensDetails", ("output_{}_tokens",)),
    (
        "tool_use_prompt_tokens_details",
        "toolUsePromptTokensDetails",
        ("input_{}_tokens", "input_{}_tool_tokens"),
    ),
)
_GROUNDED = ("web_search_queries", "webSearchQueries", "grounding_chunks", "groundingChunks")
_ANSWER = ("content", "finish_reason", "finishReason")
_CONTENT = (
    "text",
    "function_call",
    "functionCall",
    "inline_data",
    "inlineData",
    "executable_code",
    "executableCode",
    "thought_signature",
    "thoughtSignature",
)


def content(value: Any, reported: Reported) -> Any:
    """Read a response or a chunk. Each chunk's usage counts everything so far.

    A blocked prompt has a reason but no candidates. LangChain's messages have a `usage_metadata`
    of another shape, which is declined.
    https://ai.google.dev/api/generate-content#generatecontentresponse
    """
    found = field(value, "candidates")
    candidates: tuple[Any, ...] = tuple(found) if isinstance(found, (list, tuple)) else ()
    usage = either(value, "usage_metadata", "usageMetadata")
    answers = any(has(candidate, name) for candidate in candidates for name in _ANSWER)
    if not answers and either(usage, "prompt_token_count", "promptTokenCount") is None:
        return False
    if answers:
        reported.finished = bool(reported.finished)
    feedback = either(value, "prompt_feedback", "promptFeedback")
    reasons = [either(feedback, "block_reason", "blockReason")]
    for candidate in candidates:
        reasons.append(either(candidate, "finish_reason", "finishReason"))
        grounding = either(candidate, "grounding_metadata", "groundingMetadata")
        if either(grounding, *_GROUNDED):  # by the request or by the query, and some are free
            add_detail(reported, "groundings", 1)
        parts = field(field(candidate, "content"), "parts")
        if not reported.content and isinstance(parts, (list, tuple)):
            reported.content = any(field(part, name) for part in parts for name in _CONTENT)
    for reason in filter(None, map(text, reasons)):
        reported.finish_reason = reason
        reported.finished = True
    if either(value, "automatic_function_calling_history", "automaticFunctionCallingHistory"):
        reported.partial = True  # of several requests this is the last one
    reported.model = text(either(value, "model_version", "modelVersion")) or reported.model
    return usage


def tokens(usage: Any, reported: Reported) -> bool:
    """Read a usage object: thoughts are not among the candidates, nor tool results in the prompt.

    Counts of 0 are left out. The total is not used, because it may include more than these.
    https://ai.google.dev/api/generate-content#UsageMetadata
    """
    set_served(reported, "service_tier", _way_of(usage))
    _add_modalities(usage, reported)
    prompt = count(either(usage, "prompt_token_count", "promptTokenCount"))
    results = count(either(usage, "tool_use_prompt_token_count", "toolUsePromptTokenCount"))
    cached = either(usage, "cached_content_token_count", "cachedContentTokenCount")
    answer = count(either(usage, "candidates_token_count", "candidatesTokenCount"))
    thoughts = count(either(usage, "thoughts_token_count", "thoughtsTokenCount"))
    if prompt is not None:
        reported.input_tokens = count(prompt + (results or 0), reported.input_tokens)
    if answer is not None or thoughts is not None:
        reported.output_tokens = count((answer or 0) + (thoughts or 0), reported.output_tokens)
    add_detail(reported, "input_tool_tokens", results)
    reported.cached_input_tokens = count(cached, reported.cached_input_tokens)
    reported.reasoning_tokens = count(thoughts, reported.reasoning_tokens)
    return True


def _way_of(usage: Any) -> object:
    """Return how the request was served: flex, priority or provisioned, if it was not on demand."""
    way = either(usage, "service_tier", "serviceTier", "traffic_type", "trafficType")
    name = text(getattr(way, "value", way)) or ""  # of an enumeration of the client's
    return name.lower().removeprefix("on_demand_")


def _add_modalities(usage: Any, reported: Reported) -> None:
    """Keep the tokens of text, audio, images and video, as they have prices of their own."""
    sums: dict[str, int] = {}
    for snake, camel, names in _DETAILS:
        entries = either(usage, snake, camel)
        for entry in entries if isinstance(entries, list) else ():
            modality = field(entry, "modality")
            kind = _MODALITIES.get(text(getattr(modality, "value", modality)) or "")
            tokens = count(either(entry, "token_count", "tokenCount"))
            if kind is not None and tokens is not None:
                for name in names:
                    sums[name.format(kind)] = sums.get(name.format(kind), 0) + tokens
    for name, total in sums.items():
        add_detail(reported, name, total)
