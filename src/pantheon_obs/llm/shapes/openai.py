"""OpenAI's responses and chunks, and those of all who speak as OpenAI does."""

from __future__ import annotations

from inspect import getattr_static
from types import MemberDescriptorType
from typing import TYPE_CHECKING

from pantheon_obs.llm.parts import HostValue, part, parts_reader, text
from pantheon_obs.llm.tokens import read_tokens

if TYPE_CHECKING:
    from pantheon_obs.llm.seen import Seen

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
_answer = parts_reader("choices", "model", "usage")
_LAST_EVENTS = ("response.completed", "response.incomplete")


def chat(value: HostValue, seen: Seen) -> bool:
    """Chat completions, whole or in chunks.

    The first chunk has an empty role only, the usage chunk has no choices; DeepSeek puts the usage
    on the chunk with the finish reason, Azure begins with a chunk that is about its filters only.
    https://platform.openai.com/docs/api-reference/chat-streaming/streaming
    """
    choices, model, usage = _answer(value)
    if not isinstance(choices, (list, tuple)):
        return False
    choice: HostValue
    seen.finished = bool(seen.finished)
    seen.model = seen.model or text(model)
    for choice in choices:
        reason = text(part(choice, "finish_reason"))
        if reason is not None:
            seen.finish_reason = reason
            seen.finished = True
        if not seen.content:
            said: HostValue = part(choice, "delta") or part(choice, "message") or choice
            seen.content = any(part(said, name) for name in _CONTENT)
    read_tokens(usage, seen)
    return True


def chat_event(value: HostValue, seen: Seen) -> bool:
    """The events of the client's `chat.completions.stream()`: one for each chunk, and more.

    https://github.com/openai/openai-python/blob/main/helpers.md#chat-completions-events
    """
    kind = part(value, "type")
    if kind == "content.delta":
        return True  # its chunk came before it; the first one's is empty
    return kind == "chunk" and chat(part(value, "chunk"), seen)


def mistral_event(value: HostValue, seen: Seen) -> bool:
    """The events of Mistral's client, each around a chunk as OpenAI's are.

    https://docs.mistral.ai/api/endpoint/chat
    """
    static = getattr_static(type(value), "data", None)
    if static is not None and not isinstance(static, MemberDescriptorType):
        return False  # a property: an HTTP response may read its whole body to answer
    return chat(part(value, "data"), seen)


def response(value: HostValue, seen: Seen) -> bool:
    """Responses, whole. They have a status in place of a finish reason.

    https://platform.openai.com/docs/api-reference/responses/object
    """
    if part(value, "object") != "response":
        return False
    seen.content = True
    seen.model = text(part(value, "model")) or seen.model
    reason = text(part(part(value, "incomplete_details"), "reason"))
    seen.finish_reason = reason or text(part(value, "status")) or seen.finish_reason
    read_tokens(part(value, "usage"), seen)
    return True


def response_event(value: HostValue, seen: Seen) -> bool:
    """The events of Responses. What failed has no last word, be that an event or not.

    https://platform.openai.com/docs/api-reference/responses-streaming
    """
    kind = text(part(value, "type")) or ""
    if not kind.startswith("response."):
        return False
    seen.finished = bool(seen.finished) or kind in _LAST_EVENTS
    if kind.endswith(".delta"):
        seen.content = seen.content or bool(part(value, "delta"))
        return True
    whole = part(value, "response")
    seen.model = text(part(whole, "model")) or seen.model
    if kind in _LAST_EVENTS or kind == "response.failed":
        content = seen.content
        response(whole, seen)
        seen.content = content
    return True


def embeddings(value: HostValue, seen: Seen) -> bool:
    """Embeddings: nothing is generated, and that is known.

    https://platform.openai.com/docs/api-reference/embeddings/create
    """
    if part(value, "object") != "list" or part(value, "data") is None:
        return False
    seen.content = True
    seen.model = text(part(value, "model")) or seen.model
    if read_tokens(part(value, "usage"), seen) and seen.output_tokens is None:
        seen.output_tokens = 0
    return True
