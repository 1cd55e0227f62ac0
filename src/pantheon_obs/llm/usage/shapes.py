"""The tables of known shapes, and the functions that read a value by them.

A shape is a function and a row. A row names a field that every value of the shape has; the first
row whose field is there and whose function does not decline reads the value. The functions get
values from anywhere: they look with `field()`, check the type of each value, and keep the earlier
report where a field is missing. A count that is repeated, as in most streams, is replaced
and never added. `input_tokens` always includes cached tokens, and `output_tokens` reasoning.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from orjson import JSONDecodeError, loads

from pantheon_obs.llm.usage import errors
from pantheon_obs.llm.usage.answer import COUNTS, OTHER, Reported, read_counts
from pantheon_obs.llm.usage.billed_items import add_other_counts
from pantheon_obs.llm.usage.fields import KEYS, as_text, asked, class_fields, field, has, stored
from pantheon_obs.llm.usage.vendors import (
    anthropic,
    any_vendor,
    bedrock,
    cohere,
    gemini,
    ollama,
    openai_chat,
    openai_responses,
    xai,
)

_CAPITAL = re.compile("(?<=[a-z0-9])([A-Z])")

Rows = tuple[tuple[str, Callable[[Any, Reported], Any]], ...]


def of_raw(value: Any, reported: Reported) -> Any:
    """Read LlamaIndex's response: the model's own one within it, else the counts beside that."""
    usage = any_vendor.llama_index_usage(value, reported)
    if usage is not False and read(field(value, "raw"), reported):
        return None if reported.usage_status == "reported" else usage
    return usage


def of_body(value: Any, reported: Reported) -> Any:
    """Read lm15's answer, or the last event of its stream: the vendor's own body within it.

    lm15 copies the vendor's counts, which may include the cache and reasoning, or not.
    """
    body, usage = field(value, "provider_data"), field(value, "usage")
    if body is None or (usage is not None and not has(usage, "input_audio_tokens")):
        return False
    model = vars(reported).pop("model", None)  # the requested model, in a stream
    read(body, reported)
    reported.model = reported.model or as_text(field(value, "model")) or model
    reported.finish_reason = reported.finish_reason or as_text(field(value, "finish_reason"))
    reported.content = reported.finished = True
    if reported.usage_status != "missing":
        return None
    reported.partial = True
    return usage


def of_part(value: Any, reported: Reported) -> Any:
    """Read a part of a streamed body of Bedrock's InvokeModel: JSON within an event."""
    data = field(field(value, "chunk"), "bytes")
    if not isinstance(data, bytes):
        return False
    read_json(data, reported)
    return None


# The most frequent chunks come first, the least specific shape comes last. The functions return
# False to decline, else the usage object for `USAGE` to read, or None.
MESSAGES: Rows = (
    ("choices", openai_chat.chat),
    ("provider_data", of_body),
    ("type", anthropic.event),
    ("type", openai_responses.event),
    ("type", cohere.event),
    ("type", any_vendor.lm15_event),
    ("snapshot", openai_chat.chat_event),
    ("candidates", gemini.content),
    ("usage_metadata", gemini.content),
    ("usageMetadata", gemini.content),
    ("contentBlockDelta", bedrock.event),
    ("messageStart", bedrock.event),
    ("contentBlockStart", bedrock.event),
    ("contentBlockStop", bedrock.event),
    ("messageStop", bedrock.event),
    ("metadata", bedrock.usage_event),
    ("done", ollama.response),
    ("is_error", anthropic.agent_result),
    ("data", openai_chat.mistral_event),
    ("object", openai_responses.response),
    ("object", errors.whole_body),
    ("error", errors.beside_answer),
    ("stop_reason", anthropic.message),
    ("stopReason", bedrock.converse),
    ("chunk", of_part),
    ("ResponseMetadata", bedrock.invoked),
    ("amazon-bedrock-invocationMetrics", bedrock.body),
    ("generation_token_count", bedrock.body),
    ("inputTextTokenCount", bedrock.body),
    ("response_metadata", any_vendor.langchain_message),
    ("raw", of_raw),
    ("_proto", xai.response),
    ("event_type", gemini.interaction_event),
    ("status", gemini.interaction),
    ("data", openai_chat.embeddings),
    ("embeddings", ollama.embeddings),
    ("embeddings", gemini.embeddings),
    ("meta", cohere.first_version),
    ("usage", errors.no_answer),
    ("usage", any_vendor.response),
)
# The more specific field comes first. The functions return False to decline.
USAGE: Rows = (
    ("cost", any_vendor.cost),
    ("estimated_cost", any_vendor.cost),
    ("cost_in_usd_ticks", xai.cost_in_ticks),
    ("prompt_tokens", openai_chat.chat_tokens),
    ("input_tokens_details", openai_responses.tokens),
    ("cache_read_input_tokens", anthropic.tokens),
    ("cache_creation_input_tokens", anthropic.tokens),
    ("input_tokens_fresh", any_vendor.fresh_and_cached),
    ("server_tool_use", anthropic.tokens),
    ("input_token_details", any_vendor.langchain_tokens),
    ("cache_read_tokens", any_vendor.pydantic_ai_tokens),
    ("input_tokens", read_counts),
    ("output_tokens", read_counts),
    ("prompt_token_count", gemini.tokens),
    ("promptTokenCount", gemini.tokens),
    ("response_token_count", gemini.tokens),
    ("responseTokenCount", gemini.tokens),
    ("total_input_tokens", gemini.interaction_tokens),
    ("inputTokens", bedrock.tokens),
    ("tokens", cohere.tokens),
    ("billed_units", cohere.tokens),
    ("prompt_eval_count", ollama.tokens),
    ("gen_ai.usage.input_tokens", any_vendor.opentelemetry),
    ("gen_ai.usage.output_tokens", any_vendor.opentelemetry),
)

_IN_CAMEL_CASE = frozenset(
    re.sub("_([a-z])", lambda found: found[1].upper(), row[0]) for row in USAGE
)


def read(value: Any, reported: Reported) -> bool:
    """Read a response, a chunk or a usage object; return whether its shape is known."""
    usage = openai_chat.chat(
        value, reported
    )  # most are chats, which need no search through the rows
    if usage is False:
        usage = first(MESSAGES, value, reported)
    if usage is False:
        if type(value) is tuple:  # a chunk, and its framework's facts about it
            return sum(read(part, reported) for part in value) > 0  # all of them
        return read_usage(value, reported)
    if usage is not None:
        read_usage(usage, reported)
        any_vendor.hidden_cost(value, reported)
    return True


def read_json(body: bytes, reported: Reported) -> bool:
    """Read a body; return False if it is not JSON: server-sent events, for example."""
    try:
        value = loads(body)
    except JSONDecodeError:
        return False
    read(value, reported)
    return True


def read_usage(usage: Any, reported: Reported) -> bool:
    """Read a usage object; return whether its shape is known."""
    if openai_chat.own_tokens(usage, reported):
        return True
    cost = reported.cost
    known = first(USAGE, usage, reported) is not False
    if not known and type(usage) is dict and any(name in usage for name in _IN_CAMEL_CASE):
        usage = _in_snake_case(usage)
        known = first(USAGE, usage, reported) is not False
    if not known:
        reported.cost = cost  # a cost without tokens beside it may be of something else
        return False
    if not reported.input_tokens or not reported.output_tokens:
        _fill(usage, reported)
    add_other_counts(usage, reported)
    return True


def _in_snake_case(value: Any) -> Any:
    """Rename the keys of dicts in camelCase, as some SDKs translate their vendors' fields."""
    if type(value) is not dict:
        return value
    return {_CAPITAL.sub(r"_\1", str(k)).lower(): _in_snake_case(v) for k, v in value.items()}


def _fill(usage: Any, reported: Reported) -> None:
    """Read counts that are missing or 0 by the other rows: a usage may name them in several ways.

    A unified usage object has the fields of several vendors, some of them None or 0.
    """
    other = Reported()
    for row in USAGE:
        first((row,), usage, other)
    for name in COUNTS:
        if not getattr(reported, name) and getattr(other, name) is not None:
            setattr(reported, name, getattr(other, name))
    if other.details:
        reported.details = {**other.details, **reported.details}


def first(rows: Rows, value: Any, reported: Reported) -> Any:
    """Read a value by the first row that fits; return its function's answer, or False."""
    if value is None:
        return False
    kind: Any = type(value)
    names, own = class_fields[kind], stored(value)
    if KEYS in names:
        value = own
    for name, function in rows:
        if name in own or name in names:
            answer = function(value, reported)
            if answer is not False:
                return answer
    if (dict_like := asked(value)) is not None:
        answer = first(rows, dict_like, reported)
        if answer is not False:
            reported.add_detail(OTHER, 1)
            return answer
    return False
