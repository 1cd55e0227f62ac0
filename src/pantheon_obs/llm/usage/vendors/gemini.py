"""Gemini's responses, chunks and usage: the client's objects, and the REST API's JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.llm.usage.fields import count, either, field, has, text

if TYPE_CHECKING:
    from pantheon_obs.llm.usage.fields import Reported

_ANSWER = ("content", "finish_reason", "finishReason")
_CONTENT = (
    "text",
    "function_call",
    "functionCall",
    "inline_data",
    "inlineData",
    "executable_code",
    "executableCode",
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
        parts = field(field(candidate, "content"), "parts")
        if not reported.content and isinstance(parts, (list, tuple)):
            reported.content = any(field(part, name) for part in parts for name in _CONTENT)
    for reason in filter(None, map(text, reasons)):
        reported.finish_reason = reason
        reported.finished = True
    reported.model = text(either(value, "model_version", "modelVersion")) or reported.model
    return usage


def tokens(usage: Any, reported: Reported) -> bool:
    """Read a usage object: thoughts are not among the candidates, nor tool results in the prompt.

    Counts of 0 are left out. The total is not used, because it may include more than these.
    https://ai.google.dev/api/generate-content#UsageMetadata
    """
    prompt = count(either(usage, "prompt_token_count", "promptTokenCount"))
    results = count(either(usage, "tool_use_prompt_token_count", "toolUsePromptTokenCount"))
    cached = either(usage, "cached_content_token_count", "cachedContentTokenCount")
    answer = count(either(usage, "candidates_token_count", "candidatesTokenCount"))
    thoughts = count(either(usage, "thoughts_token_count", "thoughtsTokenCount"))
    if prompt is not None:
        reported.input_tokens = prompt + (results or 0)
    if answer is not None or thoughts is not None:
        reported.output_tokens = (answer or 0) + (thoughts or 0)
    reported.cached_input_tokens = count(cached, reported.cached_input_tokens)
    reported.reasoning_tokens = count(thoughts, reported.reasoning_tokens)
    return True
