"""OpenAI's responses, chunks and usage, and those of vendors with compatible APIs."""

from __future__ import annotations

from inspect import getattr_static
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any

from pantheon_obs.llm.usage.fields import count, either, field, fields_reader, text

if TYPE_CHECKING:
    from pantheon_obs.llm.usage.fields import Reported

_CONTENT = (
    "content",
    "reasoning_content",
    "reasoning",
    "tool_calls",
    "function_call",
    "refusal",
    "audio",
    "text",
)
_TERMINAL_EVENTS = ("response.completed", "response.incomplete")
_chat_fields = fields_reader("choices", "model", "usage")
_chat_usage = fields_reader(
    "prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details"
)
_responses_usage = fields_reader(
    "input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details"
)


def chat(value: Any, reported: Reported) -> Any:
    """Read a chat completion or one of its chunks.

    The first chunk only has an empty role, the usage chunk has no choices. DeepSeek puts the usage
    on the chunk with the finish reason; Azure's first chunk has the results of its filters only.
    https://platform.openai.com/docs/api-reference/chat-streaming/streaming
    """
    choices, model, usage = _chat_fields(value)
    if not isinstance(choices, (list, tuple)):
        return False
    choice: Any
    reported.finished = bool(reported.finished)
    reported.model = reported.model or text(model)
    for choice in choices:
        reason = text(field(choice, "finish_reason"))
        if reason is not None:
            reported.finish_reason = reason
            reported.finished = True
        if not reported.content:
            message: Any = field(choice, "delta") or field(choice, "message") or choice
            reported.content = any(field(message, name) for name in _CONTENT)
    return usage


def chat_event(value: Any, reported: Reported) -> Any:
    """Read an event of the client's `chat.completions.stream()`: one for each chunk, and more.

    https://github.com/openai/openai-python/blob/main/helpers.md#chat-completions-events
    """
    kind = field(value, "type")
    if kind == "content.delta":
        return None  # the event of its chunk came before
    return kind == "chunk" and chat(field(value, "chunk"), reported)


def mistral_event(value: Any, reported: Reported) -> Any:
    """Read an event of Mistral's client, which holds a chunk of OpenAI's shape.

    https://docs.mistral.ai/api/endpoint/chat
    """
    static = getattr_static(type(value), "data", None)
    if static is not None and not isinstance(static, MemberDescriptorType):
        return False  # a property: an HTTP response may read its whole body to answer
    return chat(field(value, "data"), reported)


def response(value: Any, reported: Reported) -> Any:
    """Read a whole response of the Responses API, which has a status and no finish reason.

    https://platform.openai.com/docs/api-reference/responses/object
    """
    if field(value, "object") != "response":
        return False
    reported.content = True
    reported.model = text(field(value, "model")) or reported.model
    reason = text(field(field(value, "incomplete_details"), "reason"))
    reported.finish_reason = reason or text(field(value, "status")) or reported.finish_reason
    return field(value, "usage")


def response_event(value: Any, reported: Reported) -> Any:
    """Read an event of the Responses API. A failed response has no terminal event.

    https://platform.openai.com/docs/api-reference/responses-streaming
    """
    kind = text(field(value, "type")) or ""
    if not kind.startswith("response."):
        return False
    reported.finished = bool(reported.finished) or kind in _TERMINAL_EVENTS
    if kind.endswith(".delta"):
        reported.content = reported.content or bool(field(value, "delta"))
        return None
    whole = field(value, "response")
    reported.model = text(field(whole, "model")) or reported.model
    if kind not in _TERMINAL_EVENTS and kind != "response.failed":
        return None
    content = reported.content
    usage = response(whole, reported)
    reported.content = content
    return usage or None


def embeddings(value: Any, reported: Reported) -> Any:
    """Read embeddings, which generate no tokens.

    https://platform.openai.com/docs/api-reference/embeddings/create
    """
    if field(value, "object") != "list" or field(value, "data") is None:
        return False
    usage = field(value, "usage")
    reported.content = True
    reported.model = text(field(value, "model")) or reported.model
    if either(usage, "prompt_tokens", "input_tokens") is not None:
        reported.output_tokens = reported.output_tokens or 0
    return usage


def chat_tokens(usage: Any, reported: Reported) -> bool:
    """Read the usage of a chat: cached and reasoning tokens are parts of the others.

    https://platform.openai.com/docs/api-reference/chat/object#chat-object-usage
    """
    _take_in(reported, *_chat_usage(usage))
    return True


def deepseek_tokens(usage: Any, reported: Reported) -> bool:
    """Read DeepSeek's usage: OpenAI's, with its own name for the cached tokens.

    https://api-docs.deepseek.com/guides/kv_cache
    """
    hit = field(usage, "prompt_cache_hit_tokens")
    reported.cached_input_tokens = count(hit, reported.cached_input_tokens)
    return chat_tokens(usage, reported)


def mistral_tokens(usage: Any, reported: Reported) -> bool:
    """Read Mistral's usage: OpenAI's, with its own name for the cached tokens."""
    cached = field(usage, "num_cached_tokens")
    reported.cached_input_tokens = count(cached, reported.cached_input_tokens)
    return chat_tokens(usage, reported)


def response_tokens(usage: Any, reported: Reported) -> bool:
    """Read the usage of the Responses API: the counts of a chat under other names.

    https://platform.openai.com/docs/api-reference/responses/object
    """
    _take_in(reported, *_responses_usage(usage))
    return True


def _take_in(reported: Reported, input_: Any, output: Any, of_input: Any, of_output: Any) -> None:
    reported.input_tokens = count(input_, reported.input_tokens)
    reported.output_tokens = count(output, reported.output_tokens)
    if of_input is not None:
        cached, written = field(of_input, "cached_tokens"), field(of_input, "cache_write_tokens")
        reported.cached_input_tokens = count(cached, reported.cached_input_tokens)
        reported.cache_write_tokens = count(written, reported.cache_write_tokens)
    if of_output is not None:
        reasoning = field(of_output, "reasoning_tokens")
        reported.reasoning_tokens = count(reasoning, reported.reasoning_tokens)
