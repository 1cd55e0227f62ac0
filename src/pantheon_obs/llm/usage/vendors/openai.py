"""Responses and chunks of OpenAI, and of vendors with compatible APIs such as Mistral.

Paths in parentheses are pages of https://platform.openai.com/docs/api-reference/.
"""

from __future__ import annotations

from inspect import getattr_static
from types import MemberDescriptorType
from typing import Any

from pantheon_obs.llm.usage.answer import Reported, amount, count, keep_cost, set_job
from pantheon_obs.llm.usage.billed_items import SERVED, add_served, add_tools, set_served
from pantheon_obs.llm.usage.errors import set_error
from pantheon_obs.llm.usage.fields import Memo, any_of, either, field, has, opener, text

CONTENT = (
    "content",
    "reasoning_content",
    "reasoning",
    "tool_calls",
    "function_call",
    "refusal",
    "audio",
    "text",
    "reasoning_details",
    "images",
)
# In a stream the name of a tool comes before its arguments, and reasoning may be encrypted.
_ITEM_CONTENT = ("name", "encrypted_content", "result")
_TERMINAL_EVENTS = ("response.completed", "response.incomplete", "response.failed")
_open_chat = opener("choices", "model", "usage", "service_tier", "error", "x_groq")
_open_choice = opener("finish_reason", "delta", "message", "error")
_open_message = opener(*CONTENT, *SERVED)


def chat(value: Any, reported: Reported) -> Any:
    """Read a chat completion or one of its chunks.

    The first chunk only has an empty role, the usage chunk has no choices. DeepSeek puts the usage
    on the chunk with the finish reason; Azure's first chunk has the results of its filters only.
    (chat-streaming/streaming) An error may be beside the choices, or in one of them.
    https://openrouter.ai/docs/api-reference/errors, https://console.groq.com/docs/api-reference
    """
    found = _open_chat(value).get
    choices = found("choices")
    if type(choices) is not list and not isinstance(choices, (list, tuple)):
        return False
    usage, tier = found("usage"), found("service_tier")
    error, of_groq = found("error"), found("x_groq")
    delta: Any = None
    if of_groq is not None:
        error = error or field(of_groq, "error")
    reported.finished = reported.finished or False
    reported.model = reported.model or text(found("model"))
    for choice in choices:
        found = _open_choice(choice).get
        delta = found("delta")
        reason = text(found("finish_reason"))
        if reason is not None:
            reported.finish_reason = reason
            reported.finished = True
        error = error or found("error")
        message = delta or found("message") or choice
        found = _open_message(message).get
        if not reported.content:
            reported.content = any(map(found, CONTENT))
        if found("annotations") or found("executed_tools"):
            add_served(message, reported)
    if error and not field(delta, "content"):  # not amid the answer
        set_error(error, reported)
    if usage is None and reported.finished:
        usage = _usage_elsewhere(of_groq, choices)
    if tier is not None:
        set_served(reported, "service_tier", tier)
    return usage


def _usage_elsewhere(of_groq: Any, choices: Any) -> Any:
    """Return the usage of a last chunk of Groq's, or of Moonshot's.

    https://console.groq.com/docs/api-reference, https://platform.moonshot.ai/docs/api/chat
    """
    found = field(of_groq, "usage")
    if found is None and choices:
        found = field(choices[-1], "usage")
    return found


_has_hidden_params = Memo(
    lambda kind: "_hidden_params" in getattr(kind, "__private_attributes__", ())
)


def hidden_cost(value: Any, reported: Reported) -> None:
    """Read the figure that litellm keeps in a private attribute of a response."""
    if reported.cost is None and _has_hidden_params[type(value)]:
        params = getattr(value, "_hidden_params", None)
        keep_cost(reported, amount(field(params, "response_cost")))


def chat_event(value: Any, reported: Reported) -> Any:
    """Read an event of the client's `chat.completions.stream()`, one of which is the chunk.

    https://github.com/openai/openai-python/blob/main/helpers.md#chat-completions-events
    """
    kind = field(value, "type")
    if kind == "content.delta":
        return None  # the event of its chunk came before
    return kind == "chunk" and chat(field(value, "chunk"), reported)


def mistral_event(value: Any, reported: Reported) -> Any:
    """Read an event of Mistral's client (https://docs.mistral.ai/api/endpoint/chat)."""
    return chat(data_of(value), reported)


def data_of(value: Any) -> Any:
    """Return the chunk within such an event."""
    static = getattr_static(type(value), "data", None)
    if static is not None and not isinstance(static, MemberDescriptorType):
        return None  # a property: an HTTP response may read its whole body to answer
    return field(value, "data")


def response(value: Any, reported: Reported) -> Any:
    """Read a whole response, which has a status and no finish reason (responses/object)."""
    if field(value, "object") != "response":
        return False
    reason = text(field(field(value, "incomplete_details"), "reason"))
    status = text(field(value, "status"))
    reported.note(model=field(value, "model"), finish_reason=reason or status, content=True)
    set_job(reported, value, status)
    if status == "failed":
        set_error(field(value, "error"), reported)
    set_served(reported, "service_tier", field(value, "service_tier"))
    add_tools(field(value, "output"), reported)
    searches = field(field(field(value, "tool_usage"), "web_search"), "num_requests")
    if count(searches) is not None:  # some of those among the output are free
        reported.details = {**reported.details, "web_searches": searches}
    return field(value, "usage")


def response_event(value: Any, reported: Reported) -> Any:
    """Read an event (responses-streaming)."""
    kind = text(field(value, "type")) or ""
    if kind == "error" and (has(value, "code") or has(value, "error")):
        return _error_event(value, reported)
    if not kind.startswith("response."):
        return False
    reported.note(finished=kind in _TERMINAL_EVENTS)
    if kind.endswith(".delta"):
        reported.note(content=bool(field(value, "delta")))
        return None
    whole = field(value, "response")
    begun = any_of(value, "partial_image_b64") or any_of(field(value, "item"), *_ITEM_CONTENT)
    reported.note(model=field(whole, "model"), content=begun)
    if kind not in _TERMINAL_EVENTS:
        return None
    content = reported.content
    usage = response(whole, reported)
    reported.content = content
    return usage or None


def _error_event(value: Any, reported: Reported) -> None:
    """Read an error amidst the events: it is no content, and the last of them."""
    reported.finished = True
    error = field(value, "error")
    set_error({"code": field(value, "code")} if error is None else error, reported)


def embeddings(value: Any, reported: Reported) -> Any:
    """Read embeddings, which generate no tokens (embeddings/create)."""
    if field(value, "object") != "list" or field(value, "data") is None:
        return False
    usage = field(value, "usage")
    reported.note(model=field(value, "model"), content=True)
    if either(usage, "prompt_tokens", "input_tokens") is not None:
        reported.output_tokens = reported.output_tokens or 0
    return usage
