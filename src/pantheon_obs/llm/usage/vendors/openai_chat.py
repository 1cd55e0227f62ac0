"""OpenAI's chat completions and embeddings, as OpenAI and most other vendors send them.

Paths in parentheses are pages of https://platform.openai.com/docs/api-reference/.
"""

from __future__ import annotations

from inspect import getattr_static
from operator import itemgetter
from types import MemberDescriptorType
from typing import Any

from pantheon_obs.llm.usage.answer import OTHER, Reported, as_count
from pantheon_obs.llm.usage.billed_items import SERVED, add_served
from pantheon_obs.llm.usage.errors import set_error
from pantheon_obs.llm.usage.fields import as_text, either, field, opener

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
_open_chat = opener("choices", "model", "usage", "service_tier", "error", "x_groq")
_open_choice = opener("finish_reason", "delta", "message", "error")
_open_message = opener(*CONTENT, *SERVED)
_USAGE = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "prompt_tokens_details",
    "completion_tokens_details",
)
_FLAT = {  # the parts that some vendors name beside the totals
    "cached_tokens": "cached_input_tokens",
    "cache_read_input_tokens": "cached_input_tokens",
    "cached_prompt_text_tokens": "cached_input_tokens",
    "num_cached_tokens": "cached_input_tokens",
    "prompt_cache_hit_tokens": "cached_input_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
    "reasoning_tokens": "reasoning_tokens",
}
_OWN = frozenset(_USAGE)
_INPUT_KINDS = {
    "audio_tokens": "input_audio_tokens",
    "image_tokens": "input_image_tokens",
    "video_tokens": "input_video_tokens",
}
_OUTPUT_KINDS = {"audio_tokens": "output_audio_tokens", "image_tokens": "output_image_tokens"}
# Gateways have the cost beside the tokens.
_open_usage = opener("cost", "estimated_cost", "cost_in_usd_ticks", *_USAGE, *_FLAT)
_all_of = itemgetter(*_USAGE)
_open_input = opener(
    "cached_tokens",
    "cache_write_tokens_details",
    "cache_write_tokens",
    "cache_creation_tokens",  # litellm's
    *_INPUT_KINDS,
)
_open_output = opener("reasoning_tokens", *_OUTPUT_KINDS)


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
    reported.model = reported.model or as_text(found("model"))
    for choice in choices:
        found = _open_choice(choice).get
        delta = found("delta")
        reason = as_text(found("finish_reason"))
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
        reported.set_served("service_tier", tier)
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


def embeddings(value: Any, reported: Reported) -> Any:
    """Read embeddings, which generate no tokens (embeddings/create)."""
    if field(value, "object") != "list" or field(value, "data") is None:
        return False
    usage = field(value, "usage")
    reported.note(model=field(value, "model"), content=True)
    if either(usage, "prompt_tokens", "input_tokens") is not None:
        reported.output_tokens = reported.output_tokens or 0
    return usage


def own_tokens(usage: Any, reported: Reported) -> bool:
    """Read OpenAI's own usage: nothing is in it that `chat_tokens` or another row would look for.

    Most usages are like this. It takes a tenth of the search through the rows.
    """
    own = _open_usage(usage)
    if type(own) is not dict:
        return False  # a kind of dict may have more than it shows
    if len(own) == len(_USAGE):
        try:
            prompt, completion, total, of_prompt, of_completion = _all_of(own)
        except KeyError:
            return False
    elif own.keys() <= _OWN:
        prompt, completion, total, of_prompt, of_completion = map(own.get, _USAGE)
    else:
        return False
    if type(prompt) is not int or type(completion) is not int or total != prompt + completion:
        return False
    return take_in(reported, prompt, completion, of_prompt, of_completion)


def chat_tokens(usage: Any, reported: Reported) -> bool:
    """Read a usage with cached and reasoning tokens as parts (chat/object#chat-object-usage).

    At xAI reasoning is no part of the completion, which the total shows. A total that counts more
    than the usage names makes it partial: Gemini's thoughts in this style, for example.
    """
    found = _open_usage(usage).get
    prompt, completion, total, of_prompt, of_completion = map(found, _USAGE)
    for name, kept in _FLAT.items():
        number = found(name)
        if number is not None:
            setattr(reported, kept, as_count(number, getattr(reported, kept)))
    reasoning = as_count(found("reasoning_tokens"))
    try:
        beyond = total - prompt - completion
    except TypeError:  # one of them is missing
        beyond = 0
    if type(beyond) is int and beyond > 0:
        if beyond in (reasoning, field(of_completion, "reasoning_tokens")):
            completion = total - prompt
        else:
            reported.partial = True
    elif reasoning and reasoning > (as_count(completion) or 0):  # beside it, too: Perplexity's
        completion = (as_count(completion) or 0) + reasoning
    return take_in(reported, prompt, completion, of_prompt, of_completion)


def take_in(reported: Reported, input_: Any, output: Any, of_input: Any, of_output: Any) -> bool:
    """Keep the totals, and the counts of their parts."""
    reported.input_tokens = as_count(input_, reported.input_tokens)
    reported.output_tokens = as_count(output, reported.output_tokens)
    if of_input is not None:
        found = _open_input(of_input).get
        cached = found("cached_tokens")
        if cached is not None:
            reported.cached_input_tokens = as_count(cached, reported.cached_input_tokens)
        written, created = found("cache_write_tokens"), found("cache_creation_tokens")
        if written is not None or created is not None:
            before = as_count(written, reported.cache_write_tokens)
            reported.cache_write_tokens = as_count(created, before)
        kept = found("cache_write_tokens_details")
        if kept is not None:  # the price is for half an hour
            reported.add_detail(OTHER, field(kept, "ttl_12h_tokens"))
        if found("audio_tokens") or found("image_tokens") or found("video_tokens"):
            reported.add_details(of_input, _INPUT_KINDS)
    if of_output is not None:
        found = _open_output(of_output).get
        reasoning = found("reasoning_tokens")
        if reasoning is not None:
            reported.reasoning_tokens = as_count(reasoning, reported.reasoning_tokens)
        if found("audio_tokens") or found("image_tokens"):
            reported.add_details(of_output, _OUTPUT_KINDS)
    return True
