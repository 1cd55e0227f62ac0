"""OpenAI's responses, chunks and usage, and those of vendors with compatible APIs as Mistral.

Paths in parentheses are pages of https://platform.openai.com/docs/api-reference/.
"""

from __future__ import annotations

from inspect import getattr_static
from types import MemberDescriptorType
from typing import Any

from pantheon_obs.llm.usage.beside import SERVED, add_detail, add_served, add_tools, set_served
from pantheon_obs.llm.usage.errors import set_error
from pantheon_obs.llm.usage.fields import either, field, has, opener, text
from pantheon_obs.llm.usage.reported import Reported, count, set_job
from pantheon_obs.llm.usage.vendors.openai_counts import FLAT, USAGE, take_in

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
_open_usage = opener(*USAGE, *FLAT)
_RESPONSES_USAGE = (
    *("input_tokens", "output_tokens"),
    *("input_tokens_details", "output_tokens_details"),
)


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
    reported.content = True
    reported.model = text(field(value, "model")) or reported.model
    reason = text(field(field(value, "incomplete_details"), "reason"))
    status = text(field(value, "status"))
    reported.finish_reason = reason or status or reported.finish_reason
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
    reported.finished = bool(reported.finished) or kind in _TERMINAL_EVENTS
    if kind.endswith(".delta"):
        reported.content = reported.content or bool(field(value, "delta"))
        return None
    if not reported.content:
        item = field(value, "item")
        parts = (field(value, "partial_image_b64"), *(field(item, name) for name in _ITEM_CONTENT))
        reported.content = any(parts)
    whole = field(value, "response")
    reported.model = text(field(whole, "model")) or reported.model
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
    reported.content = True
    reported.model = text(field(value, "model")) or reported.model
    if either(usage, "prompt_tokens", "input_tokens") is not None:
        reported.output_tokens = reported.output_tokens or 0
    return usage


def chat_tokens(usage: Any, reported: Reported) -> bool:
    """Read a usage with cached and reasoning tokens as parts (chat/object#chat-object-usage).

    At xAI reasoning is no part of the completion, which the total tells. A total that counts more
    than the usage names makes it partial: Gemini's thoughts in this style, for example.
    """
    found = _open_usage(usage).get
    prompt, completion, total, of_prompt, of_completion = map(found, USAGE)
    for name, kept in FLAT.items():
        number = found(name)
        if number is not None:
            setattr(reported, kept, count(number, getattr(reported, kept)))
    reasoning = count(found("reasoning_tokens"))
    try:
        beyond = total - prompt - completion
    except TypeError:  # one of them is missing
        beyond = 0
    if type(beyond) is int and beyond > 0:
        if beyond in (reasoning, field(of_completion, "reasoning_tokens")):
            completion = total - prompt
        else:
            reported.partial = True
    elif reasoning and reasoning > (count(completion) or 0):  # beside it, too: Perplexity's
        completion = (count(completion) or 0) + reasoning
    return take_in(reported, prompt, completion, of_prompt, of_completion)


def response_tokens(usage: Any, reported: Reported) -> bool:
    """Read the counts of a chat under the names of the Responses API (responses/object)."""
    of_input, of_output = (
        field(usage, "input_tokens_details"),
        field(usage, "output_tokens_details"),
    )
    input_, output = field(usage, "input_tokens"), field(usage, "output_tokens")
    if of_output is None and field(of_input, "image_tokens") is not None:
        add_detail(reported, "images", output)  # of an unknown part of the output
    return take_in(reported, input_, output, of_input, of_output)
