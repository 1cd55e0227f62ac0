"""Shapes for the answers of any vendor: those of gateways and frameworks, and OpenTelemetry's.

The frameworks are LangChain, LlamaIndex, pydantic-ai and lm15.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pantheon_obs.llm.usage.answer import EXACT, OTHER, Reported, as_amount, as_count, read_counts
from pantheon_obs.llm.usage.billed_items import CACHE_LIVES, add_other_counts, add_served, add_tools
from pantheon_obs.llm.usage.fields import Memo, any_of, either, field, field_at, has, stored

_UPSTREAM_PARTS = ("prompt", "completions", "input", "output")  # the last two in the Responses API
_OPENTELEMETRY = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.reasoning.output_tokens",
)
# The second names come from OpenAI's transcriptions and Realtime API.
_INPUT_KINDS = {
    "audio": "input_audio_tokens",
    "audio_tokens": "input_audio_tokens",
    "image_tokens": "input_image_tokens",
    "text_tokens": "input_text_tokens",
    **CACHE_LIVES,
}
_OUTPUT_KINDS = {"audio": "output_audio_tokens", "audio_tokens": "output_audio_tokens"}
_CACHED_KINDS = {
    f"{kind}_tokens": f"cache_{kind}_read_tokens" for kind in ("text", "audio", "image")
}
_PYDANTIC_AI = {
    name: name
    for name in (
        "cache_write_1h_tokens",
        "input_audio_tokens",
        "cache_audio_read_tokens",
        "output_audio_tokens",
    )
}
_TIERS = ("flex", "priority")
_CONTENT = ("content", "tool_calls", "tool_call_chunks")
_DELTA = ("text", "data", "url", "input", "name")
_MODELS = ("model_name", "model", "model_id")
_REASONS = ("finish_reason", "stop_reason", "stopReason", "done_reason")


def response(value: Any, reported: Reported) -> Any:
    """Read any response with a `usage`, as most gateways' own responses are."""
    model = either(value, "model", "model_name")
    reported.note(model=model, finish_reason=field(value, "finish_reason"), content=True)
    add_tools(either(value, "output", "outputs", "steps"), reported)
    return field(value, "usage")


def cost(usage: Any, reported: Reported) -> bool:
    """Read the vendor's own figure in USD; a later row reads the tokens beside it.

    OpenRouter's `cost` is its own charge; with a key of one's own the vendor charges the rest.
    https://openrouter.ai/docs/use-cases/usage-accounting
    A usage in genai-prices' words, pydantic-ai's, has a figure that was computed from its list.
    """
    if has(usage, "cache_read_tokens"):
        return False
    given = either(usage, "cost", "estimated_cost")
    figure = as_amount(field(given, "total_cost")) if as_amount(given) is None else as_amount(given)
    own_key = field(usage, "is_byok")
    if figure is not None and (own_key or (own_key is None and not figure)):
        figure = EXACT.add(figure, _upstream_cost(field(usage, "cost_details")))
    reported.keep_cost(figure)
    return False


def _upstream_cost(details: Any) -> Decimal:
    """Return what the vendor behind OpenRouter charges; its two parts are there without a total."""
    whole = as_amount(field(details, "upstream_inference_cost"))
    if whole is not None:
        return whole
    total = Decimal(0)
    for part in _UPSTREAM_PARTS:
        total = EXACT.add(total, as_amount(field(details, f"upstream_inference_{part}_cost")) or 0)
    return total


_has_hidden_params = Memo(
    lambda kind: "_hidden_params" in getattr(kind, "__private_attributes__", ())
)


def hidden_cost(value: Any, reported: Reported) -> None:
    """Read the figure that litellm keeps in a private attribute of a response."""
    if reported.cost is None and _has_hidden_params[type(value)]:
        params = getattr(value, "_hidden_params", None)
        reported.keep_cost(as_amount(field(params, "response_cost")))


def fresh_and_cached(usage: Any, reported: Reported) -> bool:
    """Read the usage of a gateway that counts the prompt's fresh and cached tokens apart."""
    fresh = as_count(field(usage, "input_tokens_fresh"))
    cached = as_count(field(usage, "input_tokens_cached"))
    if fresh is not None:
        reported.input_tokens = fresh + (cached or 0)
        reported.cached_input_tokens = cached
    reported.output_tokens = as_count(field(usage, "output_tokens"), reported.output_tokens)
    return True


def opentelemetry(usage: Any, reported: Reported) -> bool:
    """Read the flat attributes of OpenTelemetry's conventions, whose counts include the cache.

    https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
    """
    written = field(usage, "gen_ai.usage.cache_creation.input_tokens")
    reported.cache_write_tokens = as_count(written, reported.cache_write_tokens)
    read_counts(usage, reported, _OPENTELEMETRY)
    reasons = field(usage, "gen_ai.response.finish_reasons")
    reported.note(model=field(usage, "gen_ai.response.model"))
    if isinstance(reasons, (list, tuple)) and reasons:
        reported.note(finish_reason=reasons[0])
    return True


def langchain_message(value: Any, reported: Reported) -> Any:
    """Read a message of LangChain. The messages of a stream are added up, as LangChain does.

    https://reference.langchain.com/python/langchain-core/messages/ai/UsageMetadata
    """
    found = field(value, "response_metadata")
    if not has(value, "usage_metadata"):
        return False
    reported.note(
        model=either(found, *_MODELS),
        finish_reason=either(found, *_REASONS),
        content=any_of(value, *_CONTENT),
    )
    _read_raw(value, found, reported)
    usage = either(value, "usage_metadata") or field(found, "token_usage")
    if usage is None or not has(value, "tool_call_chunks"):
        return usage
    chunk = Reported()
    langchain_tokens(usage, chunk)
    reported.add_counts(chunk)
    for name, number in chunk.details.items():
        reported.add_detail(name, reported.details.get(name, 0) + number)
    reported.served = {**reported.served, **chunk.served}
    return None


def _read_raw(value: Any, found: Any, reported: Reported) -> None:
    """Read the parts of the vendor's answer in a message: tools, the tier, a gateway's figure."""
    kept = field(value, "additional_kwargs")
    add_tools(field(value, "content"), reported)
    add_tools(field(kept, "tool_outputs"), reported)
    add_served(kept, reported)
    if any(stored(field(found, "grounding_metadata")).values()):
        reported.add_detail(OTHER, 1)
    for name in ("token_usage", "usage"):
        usage = field(found, name)
        cost(usage, reported)
        add_other_counts(usage, reported)
        searches = field_at(usage, "server_tool_use", "web_search_requests")
        reported.add_detail("web_searches", searches)
    if field(found, "service_tier") is not None:
        reported.set_served("service_tier", field(found, "service_tier"))


def langchain_tokens(usage: Any, reported: Reported) -> bool:
    """Read the usage of such a message; its counts include the cache and reasoning."""
    given, made = field(usage, "input_token_details"), field(usage, "output_token_details")
    read_counts(usage, reported, ("input_tokens", "output_tokens"))
    tier = next((f"{tier}_" for tier in _TIERS if field(given, tier) is not None), "")
    if tier:
        reported.set_served("service_tier", tier[:-1])
    for names, details, kept in (
        (("cache_read", "cached_tokens"), given, "cached_input_tokens"),
        (("cache_creation",), given, "cache_write_tokens"),
        (("reasoning", "reasoning_tokens"), made, "reasoning_tokens"),
    ):
        found = either(details, *(tier + name for name in names))
        number = as_count(found, getattr(reported, kept))
        if number is not None:
            setattr(reported, kept, number)
    reported.add_details(given, _INPUT_KINDS)
    written = sum(reported.details.get(name, 0) for name in CACHE_LIVES.values())
    if not reported.cache_write_tokens and written:  # `cache_creation` is 0 beside its parts
        reported.cache_write_tokens = written
    reported.add_details(field(given, "cached_tokens_details"), _CACHED_KINDS)
    reported.add_details(made, _OUTPUT_KINDS)
    return True


def llama_index_usage(value: Any, reported: Reported) -> Any:
    """Read LlamaIndex's response without the model's own one, which `raw` would be.

    https://developers.llamaindex.ai/python/framework-api-reference/llms/
    """
    if not has(value, "raw") or not has(value, "additional_kwargs"):
        return False
    reported.note(content=bool(either(value, "delta", "text", "message")))
    counts = field(value, "additional_kwargs")
    return counts if has(counts, "prompt_tokens") else None


def pydantic_ai_tokens(usage: Any, reported: Reported) -> bool:
    """Read pydantic-ai's usage of a request or run (https://pydantic.dev/docs/ai/api/usage/).

    Its counts include the cache.
    """
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    read_counts(usage, reported, names)
    details, requests = field(usage, "details"), as_count(field(usage, "requests"))
    reasoning = field(usage, "output_reasoning_tokens") or field(details, "reasoning_tokens")
    reported.reasoning_tokens = as_count(reasoning, reported.reasoning_tokens)
    reported.add_details(usage, _PYDANTIC_AI)
    reported.add_detail("web_searches", field(details, "web_search_requests"))
    if requests is not None and requests > 1:
        reported.add_detail("requests", requests)  # a price that rises with a prompt fits no sum
    unmeasured = field(usage, "unmeasured_requests")
    if unmeasured is not None:
        reported.partial = bool(unmeasured)
    return True


def lm15_event(value: Any, reported: Reported) -> Any:
    """Read an event of lm15's streams before the end, which has the vendor's body."""
    delta = field(value, "delta")
    if not has(delta, "part_index") and not has(value, "adaptations"):
        return False
    reported.note(model=field(value, "model"), content=any_of(delta, *_DELTA), finished=False)
    return None
