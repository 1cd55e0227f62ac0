"""The messages and usage of frameworks: LangChain, LlamaIndex and pydantic-ai."""

from __future__ import annotations

from typing import Any

from pantheon_obs.llm.usage.fields import (
    COUNTS,
    Reported,
    add_detail,
    add_details,
    count,
    either,
    field,
    has,
    read_counts,
    text,
)

_INPUT_KINDS = {
    "audio": "input_audio_tokens",
    "audio_tokens": "input_audio_tokens",  # of OpenAI's transcriptions
    "ephemeral_5m_input_tokens": "cache_write_5m_tokens",
    "ephemeral_1h_input_tokens": "cache_write_1h_tokens",
}
_OUTPUT_KINDS = {"audio": "output_audio_tokens"}
_AUDIO = {
    name: name for name in ("input_audio_tokens", "cache_audio_read_tokens", "output_audio_tokens")
}
_CONTENT = ("content", "tool_calls", "tool_call_chunks")
_MODELS = ("model_name", "model", "model_id")
_REASONS = ("finish_reason", "stop_reason", "stopReason", "done_reason")


def langchain_message(value: Any, reported: Reported) -> Any:
    """Read a message of LangChain. Those of a stream are added up, as LangChain does.

    https://reference.langchain.com/python/langchain-core/messages/ai/UsageMetadata
    """
    found = field(value, "response_metadata")
    if not has(value, "usage_metadata"):
        return False
    reported.content = reported.content or any(field(value, name) for name in _CONTENT)
    reported.model = text(either(found, *_MODELS)) or reported.model
    reported.finish_reason = text(either(found, *_REASONS)) or reported.finish_reason
    usage = either(value, "usage_metadata") or field(found, "token_usage")
    if usage is None or not has(value, "tool_call_chunks"):
        return usage
    chunk = Reported()
    langchain_tokens(usage, chunk)
    for name in COUNTS:
        number = getattr(chunk, name)
        if number is not None:
            setattr(reported, name, (getattr(reported, name) or 0) + number)
    for name, number in chunk.details.items():
        add_detail(reported, name, reported.details.get(name, 0) + number)
    return None


def langchain_tokens(usage: Any, reported: Reported) -> bool:
    """Read the usage of such a message; its counts include the cache and reasoning."""
    given, made = field(usage, "input_token_details"), field(usage, "output_token_details")
    read_counts(usage, reported, ("input_tokens", "output_tokens"))
    for name, details, kept in (
        ("cache_read", given, "cached_input_tokens"),
        ("cache_creation", given, "cache_write_tokens"),
        ("reasoning", made, "reasoning_tokens"),
    ):
        number = count(field(details, name), getattr(reported, kept))
        if number is not None:
            setattr(reported, kept, number)
    add_details(reported, given, _INPUT_KINDS)
    add_details(reported, made, _OUTPUT_KINDS)
    return True


def llama_index_usage(value: Any, reported: Reported) -> Any:
    """Read LlamaIndex's response without the model's own one, which `raw` would be.

    https://developers.llamaindex.ai/python/framework-api-reference/llms/
    """
    if not has(value, "raw") or not has(value, "additional_kwargs"):
        return False
    reported.content = reported.content or bool(either(value, "delta", "text", "message"))
    counts = field(value, "additional_kwargs")
    return counts if has(counts, "prompt_tokens") else None


def pydantic_ai_tokens(usage: Any, reported: Reported) -> bool:
    """Read pydantic-ai's usage of a request or run (https://pydantic.dev/docs/ai/api/usage/).

    Its counts include the cache.
    """
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    read_counts(usage, reported, names)
    reasoning = field(field(usage, "details"), "reasoning_tokens")
    reported.reasoning_tokens = count(reasoning, reported.reasoning_tokens)
    add_details(reported, usage, _AUDIO)
    return True
