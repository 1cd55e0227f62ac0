"""Usage objects of OpenAI, and of vendors with compatible APIs.

Paths in parentheses are pages of https://platform.openai.com/docs/api-reference/.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from pantheon_obs.llm.usage.answer import Reported, count
from pantheon_obs.llm.usage.billed_items import OTHER, add_detail, add_details
from pantheon_obs.llm.usage.fields import field, opener

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
    return _take_in(reported, prompt, completion, of_prompt, of_completion)


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
    return _take_in(reported, prompt, completion, of_prompt, of_completion)


def response_tokens(usage: Any, reported: Reported) -> bool:
    """Read the counts of a chat under the names of the Responses API (responses/object)."""
    output, of_output = field(usage, "output_tokens"), field(usage, "output_tokens_details")
    of_input = field(usage, "input_tokens_details")
    if of_output is None and field(of_input, "image_tokens") is not None:
        add_detail(reported, "images", output)  # of an unknown part of the output
    return _take_in(reported, field(usage, "input_tokens"), output, of_input, of_output)


def _take_in(reported: Reported, input_: Any, output: Any, of_input: Any, of_output: Any) -> bool:
    """Keep the totals, and the counts of their parts."""
    reported.input_tokens = count(input_, reported.input_tokens)
    reported.output_tokens = count(output, reported.output_tokens)
    if of_input is not None:
        found = _open_input(of_input).get
        cached = found("cached_tokens")
        if cached is not None:
            reported.cached_input_tokens = count(cached, reported.cached_input_tokens)
        written, created = found("cache_write_tokens"), found("cache_creation_tokens")
        if written is not None or created is not None:
            before = count(written, reported.cache_write_tokens)
            reported.cache_write_tokens = count(created, before)
        kept = found("cache_write_tokens_details")
        if kept is not None:  # the price is for half an hour
            add_detail(reported, OTHER, field(kept, "ttl_12h_tokens"))
        if found("audio_tokens") or found("image_tokens") or found("video_tokens"):
            add_details(reported, of_input, _INPUT_KINDS)
    if of_output is not None:
        found = _open_output(of_output).get
        reasoning = found("reasoning_tokens")
        if reasoning is not None:
            reported.reasoning_tokens = count(reasoning, reported.reasoning_tokens)
        if found("audio_tokens") or found("image_tokens"):
            add_details(reported, of_output, _OUTPUT_KINDS)
    return True
