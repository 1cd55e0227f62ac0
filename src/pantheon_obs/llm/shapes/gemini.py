"""Gemini's responses, whole or in chunks: the client's objects, and JSON as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.llm.parts import HostValue, either, has, part, text
from pantheon_obs.llm.tokens import read_tokens

if TYPE_CHECKING:
    from pantheon_obs.llm.seen import Seen

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


def content(value: HostValue, seen: Seen) -> bool:
    """A response or a chunk. Each chunk's usage is that of all so far.

    A prompt that was blocked has a reason, too, and no candidates. LangChain's messages have a
    `usage_metadata`, too: theirs is left alone.
    https://ai.google.dev/api/generate-content#generatecontentresponse
    """
    found = part(value, "candidates")
    candidates: tuple[HostValue, ...] = tuple(found) if isinstance(found, (list, tuple)) else ()
    usage = either(value, "usage_metadata", "usageMetadata")
    answers = any(has(candidate, name) for candidate in candidates for name in _ANSWER)
    if not answers and either(usage, "prompt_token_count", "promptTokenCount") is None:
        return False
    if answers:
        seen.finished = bool(seen.finished)
    feedback = either(value, "prompt_feedback", "promptFeedback")
    reasons = [either(feedback, "block_reason", "blockReason")]
    for candidate in candidates:
        reasons.append(either(candidate, "finish_reason", "finishReason"))
        parts = part(part(candidate, "content"), "parts")
        if not seen.content and isinstance(parts, (list, tuple)):
            seen.content = any(part(piece, name) for piece in parts for name in _CONTENT)
    for reason in filter(None, map(text, reasons)):
        seen.finish_reason = reason
        seen.finished = True
    seen.model = text(either(value, "model_version", "modelVersion")) or seen.model
    read_tokens(usage, seen)
    return True
