"""What usage objects look like, vendor by vendor.

A new one is one function and one row in `TOKENS`. Functions get values from anywhere: they look
with `part()`, take what `count()` lets through, and leave alone what is not there: what was known
before stays. A count that is repeated, as in most streams, is replaced and never added.

In what they fill in, `input_tokens` is the whole prompt, cached tokens included, and
`output_tokens` is all that was generated, reasoning included, whatever the vendor's convention.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.llm.parts import HostValue, either, part, parts_reader, text
from pantheon_obs.llm.rows import first
from pantheon_obs.llm.seen import amount, count

if TYPE_CHECKING:
    from pantheon_obs.llm.rows import Rows
    from pantheon_obs.llm.seen import Seen


_chat_usage = parts_reader(
    "prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details"
)
_responses_usage = parts_reader(
    "input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details"
)


def read_tokens(usage: HostValue, seen: Seen) -> bool:
    """Take in a usage object.

    Args:
        usage: Anything.
        seen: Where to put what it says.

    Returns:
        Whether a row knows its shape.
    """
    cost = seen.cost
    if first(TOKENS, usage, seen):
        return True
    seen.cost = cost  # without tokens beside it, nobody knows what it is the cost of
    return False


def told_cost(usage: HostValue, seen: Seen) -> bool:
    """The vendor's own figure in USD, beside the tokens, as OpenRouter and litellm give it.

    https://openrouter.ai/docs/use-cases/usage-accounting
    """
    cost = amount(part(usage, "cost"))
    if cost is not None:
        seen.cost = cost
    return False  # the tokens are for the rows that follow


def openai_chat(usage: HostValue, seen: Seen) -> bool:
    """OpenAI: cached tokens are part of the prompt's, reasoning is part of the completion's.

    https://platform.openai.com/docs/api-reference/chat/object#chat-object-usage
    """
    _take_in_openai(seen, *_chat_usage(usage))
    return True


def deepseek(usage: HostValue, seen: Seen) -> bool:
    """DeepSeek: OpenAI's, with the cached part of the prompt under a name of its own.

    https://api-docs.deepseek.com/guides/kv_cache
    """
    hit = part(usage, "prompt_cache_hit_tokens")
    seen.cached_input_tokens = count(hit, seen.cached_input_tokens)
    return openai_chat(usage, seen)


def mistral(usage: HostValue, seen: Seen) -> bool:
    """Mistral: OpenAI's, with the cached part of the prompt under a name of its own."""
    cached = part(usage, "num_cached_tokens")
    seen.cached_input_tokens = count(cached, seen.cached_input_tokens)
    return openai_chat(usage, seen)


def openai_responses(usage: HostValue, seen: Seen) -> bool:
    """OpenAI's Responses: as its chat completions, in other words.

    https://platform.openai.com/docs/api-reference/responses/object
    """
    _take_in_openai(seen, *_responses_usage(usage))
    return True


def _take_in_openai(
    seen: Seen,
    prompt: HostValue,
    completion: HostValue,
    of_prompt: HostValue,
    of_completion: HostValue,
) -> None:
    seen.input_tokens = count(prompt, seen.input_tokens)
    seen.output_tokens = count(completion, seen.output_tokens)
    if of_prompt is not None:
        seen.cached_input_tokens = count(part(of_prompt, "cached_tokens"), seen.cached_input_tokens)
        seen.cache_write_tokens = count(
            part(of_prompt, "cache_write_tokens"), seen.cache_write_tokens
        )
    if of_completion is not None:
        seen.reasoning_tokens = count(
            part(of_completion, "reasoning_tokens"), seen.reasoning_tokens
        )


def anthropic(usage: HostValue, seen: Seen) -> bool:
    """Anthropic: what is read from a cache and written to it comes on top of the input tokens.

    https://platform.claude.com/docs/en/build-with-claude/prompt-caching#tracking-cache-performance
    """
    _add_cache(
        seen,
        fresh=count(part(usage, "input_tokens")),
        cached=count(part(usage, "cache_read_input_tokens")),
        written=count(part(usage, "cache_creation_input_tokens")),
    )
    thinking = part(part(usage, "output_tokens_details"), "thinking_tokens")
    seen.output_tokens = count(part(usage, "output_tokens"), seen.output_tokens)
    seen.reasoning_tokens = count(thinking, seen.reasoning_tokens)
    return True


def bedrock(usage: HostValue, seen: Seen) -> bool:
    """Bedrock's Converse: as Anthropic's.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
    """
    _add_cache(
        seen,
        fresh=count(part(usage, "inputTokens")),
        cached=count(part(usage, "cacheReadInputTokens")),
        written=count(part(usage, "cacheWriteInputTokens")),
    )
    seen.output_tokens = count(part(usage, "outputTokens"), seen.output_tokens)
    return True


def _add_cache(seen: Seen, *, fresh: int | None, cached: int | None, written: int | None) -> None:
    """Fill in the input of a vendor that leaves out what went through its cache."""
    if fresh is None and seen.input_tokens is not None:
        fresh = seen.input_tokens - (seen.cached_input_tokens or 0) - (seen.cache_write_tokens or 0)
    seen.cached_input_tokens = cached = count(cached, seen.cached_input_tokens)
    seen.cache_write_tokens = written = count(written, seen.cache_write_tokens)
    if fresh is not None:
        seen.input_tokens = fresh + (cached or 0) + (written or 0)


def gemini(usage: HostValue, seen: Seen) -> bool:
    """Gemini: thoughts come on top of the candidates, a tool's results on top of the prompt.

    What is 0 is left out, and the total may hold more than these: it is not used.
    https://ai.google.dev/api/generate-content#UsageMetadata
    """
    prompt = count(either(usage, "prompt_token_count", "promptTokenCount"))
    results = count(either(usage, "tool_use_prompt_token_count", "toolUsePromptTokenCount"))
    cached = either(usage, "cached_content_token_count", "cachedContentTokenCount")
    answer = count(either(usage, "candidates_token_count", "candidatesTokenCount"))
    thoughts = count(either(usage, "thoughts_token_count", "thoughtsTokenCount"))
    if prompt is not None:
        seen.input_tokens = prompt + (results or 0)
    if answer is not None or thoughts is not None:
        seen.output_tokens = (answer or 0) + (thoughts or 0)
    seen.cached_input_tokens = count(cached, seen.cached_input_tokens)
    seen.reasoning_tokens = count(thoughts, seen.reasoning_tokens)
    return True


def cohere(usage: HostValue, seen: Seen) -> bool:
    """Cohere: what was billed is not what was used.

    https://docs.cohere.com/v2/reference/chat#response.body.usage
    """
    tokens = part(usage, "tokens")
    if either(tokens, "input_tokens", "output_tokens") is None:
        return False
    seen.input_tokens = count(part(tokens, "input_tokens"), seen.input_tokens)
    seen.output_tokens = count(part(tokens, "output_tokens"), seen.output_tokens)
    seen.cached_input_tokens = count(part(usage, "cached_tokens"), seen.cached_input_tokens)
    return True


def ollama(usage: HostValue, seen: Seen) -> bool:
    """Ollama: on the last chunk itself, not in a usage object.

    https://docs.ollama.com/api/usage
    """
    seen.input_tokens = count(part(usage, "prompt_eval_count"), seen.input_tokens)
    seen.output_tokens = count(part(usage, "eval_count"), seen.output_tokens)
    return True


def fresh_and_cached(usage: HostValue, seen: Seen) -> bool:
    """A gateway that counts the prompt's fresh and cached tokens apart."""
    fresh = count(part(usage, "input_tokens_fresh"))
    cached = count(part(usage, "input_tokens_cached"))
    if fresh is not None:
        seen.input_tokens = fresh + (cached or 0)
        seen.cached_input_tokens = cached
    seen.output_tokens = count(part(usage, "output_tokens"), seen.output_tokens)
    return True


def opentelemetry(usage: HostValue, seen: Seen) -> bool:
    """The flat attributes of OpenTelemetry's conventions: inclusive, as ours.

    https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
    """
    prefix = "gen_ai.usage."
    written = either(
        usage, f"{prefix}cache_write.input_tokens", f"{prefix}cache_creation.input_tokens"
    )
    cached = part(usage, f"{prefix}cache_read.input_tokens")
    reasoning = part(usage, f"{prefix}reasoning.output_tokens")
    reasons = part(usage, "gen_ai.response.finish_reasons")
    seen.input_tokens = count(part(usage, f"{prefix}input_tokens"), seen.input_tokens)
    seen.output_tokens = count(part(usage, f"{prefix}output_tokens"), seen.output_tokens)
    seen.cached_input_tokens = count(cached, seen.cached_input_tokens)
    seen.cache_write_tokens = count(written, seen.cache_write_tokens)
    seen.reasoning_tokens = count(reasoning, seen.reasoning_tokens)
    seen.model = text(part(usage, "gen_ai.response.model")) or seen.model
    if isinstance(reasons, (list, tuple)) and reasons:
        seen.finish_reason = text(reasons[0]) or seen.finish_reason
    return True


def plain(usage: HostValue, seen: Seen) -> bool:
    """The names that our own events have."""
    for name in _COUNTS:
        setattr(seen, name, count(part(usage, name), getattr(seen, name)))
    return True


_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)

# The more a mark says, the earlier it comes.
TOKENS: Rows = (
    ("cost", told_cost),
    ("prompt_cache_hit_tokens", deepseek),
    ("num_cached_tokens", mistral),
    ("prompt_tokens", openai_chat),
    ("input_tokens_details", openai_responses),
    ("cache_read_input_tokens", anthropic),
    ("cache_creation_input_tokens", anthropic),
    ("input_tokens_fresh", fresh_and_cached),
    ("input_tokens", plain),
    ("output_tokens", plain),
    ("prompt_token_count", gemini),
    ("promptTokenCount", gemini),
    ("inputTokens", bedrock),
    ("tokens", cohere),
    ("prompt_eval_count", ollama),
    ("gen_ai.usage.input_tokens", opentelemetry),
    ("gen_ai.usage.output_tokens", opentelemetry),
)
