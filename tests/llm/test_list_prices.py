"""List prices: those that genai-prices itself computes, or none."""

from __future__ import annotations

import json
import random
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pantheon_obs import llm_call
from pantheon_obs.llm.cost.compiled_prices import TOKENS
from pantheon_obs.llm.cost.price_list_loader import loader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.core.events import LlmCallFinished
    from pantheon_obs.llm.cost.price_list import PriceList

    Events = list[LlmCallFinished]

RECORDED = Path(__file__).parent / "fixtures" / "recorded" / "bodies.jsonl"
USAGE = {"input_tokens": 1000, "output_tokens": 200, "cached_input_tokens": 400}
_MOST_TOKENS = 400_000


def answer(usage: Any = None, **parts: Any) -> dict[str, Any]:
    """Make a response."""
    return {"text": "Paris.", "usage": USAGE if usage is None else usage, **parts}


@pytest.fixture
def price_list(genai: Any) -> PriceList:
    """Return the loaded list."""
    loader.load()
    assert loader.prices is not None
    return loader.prices


def listed(genai: Any, model: str, provider: str | None, **more: Any) -> float | None:
    """Return the price that the list itself computes; `more` are counts and `context`."""
    context = more.pop("context", None)
    usage = genai.Usage(**more)
    try:
        found = genai.calc_price(usage, model, provider_id=provider, price_context=context)
    except (LookupError, ValueError):
        return None
    return round(float(found.total_price), 9)


def test_each_listed_model_costs_what_the_list_says(genai: Any, price_list: PriceList) -> None:
    """Counts of any kinds have the price that the list computes, or none; most have one."""
    chance = random.Random(13)  # noqa: S311 - no secret
    kinds = [*price_list._registry.units]  # noqa: SLF001 - whatever the list counts
    kinds.remove("requests")
    priced = 0
    for seller in genai.data_snapshot.get_snapshot().providers:
        for model in seller.models:
            counts = {"input_tokens": chance.randrange(_MOST_TOKENS), "output_tokens": 900}
            for kind in chance.sample(kinds, chance.choice([0, 1, 3])):
                counts.setdefault(kind, chance.choice([1, 40]))
            known = price_list.listed(model.id, None, seller.id)
            ours = None if known is None else known.price(counts)
            if ours is not None:
                priced += 1
                assert (model.id, listed(genai, model.id, seller.id, **counts)) == (
                    model.id,
                    round(ours, 9),
                )
    assert priced > 1000


def test_each_listed_model_has_the_price_of_its_tokens(genai: Any, price_list: PriceList) -> None:
    """Calls with the usual counts only, some of them 0, have the price that the list computes."""
    chance = random.Random(18)  # noqa: S311 - no secret
    priced = 0
    for seller in genai.data_snapshot.get_snapshot().providers:
        for model in seller.models:
            input_, output = (chance.choice([0, 1000, 90_000, 390_000]) for _ in range(2))
            parts = [chance.choice([0, 0, total // 3, total]) for total in (input_, input_, output)]
            known = price_list.listed(model.id, None, seller.id)
            tokens = (input_, output, parts[0], parts[1], parts[2])
            ours = None if known is None else known.price_of(tokens)
            if ours is not None:
                priced += 1
                counts = {name: count for name, count in zip(TOKENS, tokens, strict=True) if count}
                assert (model.id, listed(genai, model.id, seller.id, **counts)) == (
                    model.id,
                    round(ours, 9),
                )
    assert priced > 700


def recorded() -> list[Any]:
    """Load bodies that vendors have sent, of the test data of genai-prices (MIT)."""
    return [json.loads(line) for line in RECORDED.read_text().splitlines()]


@pytest.mark.parametrize("provider", sorted({each["provider"] for each in recorded()}))
def test_recorded_bodies_have_the_tokens_and_costs_of_the_list(
    provider: str, genai: Any, events: Events
) -> None:
    """The list reads the bodies with its own rules. A body may have no price, but no other one."""
    wrong = []
    for each in [each for each in recorded() if each["provider"] == provider]:
        events.clear()
        body = each["body"]
        llm_call(provider=provider)(lambda body=body: body)()
        [event] = events
        found = genai.data_snapshot.get_snapshot().find_provider(None, provider, None)
        model, usage = found.extract_usage(body, api_flavor=each["flavor"])
        tokens = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        tokens |= body.get("usage", {}).get("tokens", {})  # Cohere bills others
        cost = None if model is None else listed(genai, model, provider, **vars(usage))
        if event.usage_status == "reported" and tokens != {
            "input_tokens": event.input_tokens,
            "output_tokens": event.output_tokens,
        }:
            wrong.append((body, event.input_tokens, event.output_tokens))
        if event.cost_source == "list" and event.cost_usd != cost:
            wrong.append((body, event.cost_usd, cost))
    assert [] == [one for one in wrong if not _says_more(one[0].get("usage", {}))]


def _says_more(usage: Any) -> bool:
    """Whether the list's rules leave out some of a usage: iterations, Mistral's cached tokens."""
    return "iterations" in usage or "num_cached_tokens" in usage


class Billed(NamedTuple):
    """A body, and its billed counts by the names of the list."""

    name: str
    body: dict[str, Any]
    provider: str
    counts: dict[str, int]
    context: dict[str, str] | None = None
    alias: str | None = None


def chat(model: str, prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    """Make a chat completion; `prompt_` and `completion_` are details of the usage."""
    details = {name: more.pop(name) for name in ("prompt_", "completion_") if name in more}
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": more.pop("total", prompt + completion),
        **{f"{name}tokens_details": value for name, value in details.items()},
    }
    choices = [{"index": 0, "message": {"content": "Paris."}, "finish_reason": "stop"}]
    return {"object": "chat.completion", "model": model, "choices": choices, "usage": usage, **more}


def response(model: str, given: int, made: int, **more: Any) -> dict[str, Any]:
    """Make a response of the Responses API."""
    usage = {
        "input_tokens": given,
        "output_tokens": made,
        "input_tokens_details": more.pop("input_", {"cached_tokens": 0}),
        "output_tokens_details": more.pop("output_", {"reasoning_tokens": 0}),
    }
    return {"object": "response", "model": model, "status": "completed", "usage": usage, **more}


def message(model: str, **usage: Any) -> dict[str, Any]:
    """Make a message of Anthropic's."""
    return {"type": "message", "model": model, "stop_reason": "end_turn", "usage": usage}


def gemini(model: str, **usage: Any) -> dict[str, Any]:
    """Make a response of Gemini's."""
    candidates = [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}]
    return {"candidates": candidates, "modelVersion": model, "usageMetadata": usage}


def converse(**usage: Any) -> dict[str, Any]:
    """Make a response of Bedrock's Converse."""
    return {"output": {"message": {}}, "stopReason": "end_turn", "usage": usage}


def by_modality(**counts: int) -> list[dict[str, Any]]:
    """Make a list of tokens by modality."""
    return [{"modality": kind, "tokenCount": count} for kind, count in counts.items()]


OPUS, SONNET, HAIKU = "claude-opus-4-5-20251101", "claude-sonnet-4-5", "claude-haiku-4-5"
GPT5, GPT5_MINI, GPT41 = "gpt-5-2025-08-07", "gpt-5-mini-2025-08-07", "gpt-4.1"
FLASH, LITE, IMAGE = "gemini-2.5-flash", "gemini-3.1-flash-lite", "gemini-3.1-flash-image-preview"
SEARCH = {"type": "web_search_call", "action": {"type": "search"}}
BILLED = [
    *[
        Billed(
            f"{model}, {kind} of cache",
            message(
                model,
                input_tokens=15,
                output_tokens=60,
                cache_read_input_tokens=700,
                cache_creation_input_tokens=80_000,
                cache_creation={f"ephemeral_{kind}_input_tokens": 80_000},
            ),
            "anthropic",
            {
                "input_tokens": 80_715,
                "output_tokens": 60,
                "cache_read_tokens": 700,
                "cache_write_tokens": 80_000,
                f"cache_write_{kind}_tokens": 80_000,
            },
        )
        for model in (OPUS, SONNET, HAIKU)
        for kind in ("5m", "1h")
    ],
    *[
        Billed(
            f"{model}, searches",
            message(
                model,
                input_tokens=9000,
                output_tokens=600,
                server_tool_use={"web_search_requests": 3, "web_fetch_requests": 2},
            ),
            "anthropic",
            {"input_tokens": 9000, "output_tokens": 600, "web_searches": 3},
        )
        for model in (OPUS, SONNET, HAIKU)
    ],
    *[
        Billed(
            f"{model}, batch",
            message(model, input_tokens=9000, output_tokens=600, service_tier="batch"),
            "anthropic",
            {"input_tokens": 9000, "output_tokens": 600},
            {"processing": "batch"},
        )
        for model in (OPUS, SONNET, HAIKU)
    ],
    Billed(
        "standard tier",
        message(OPUS, input_tokens=9, output_tokens=6, service_tier="standard", speed="standard"),
        "anthropic",
        {"input_tokens": 9, "output_tokens": 6},
    ),
    *[
        Billed(
            f"{model}, {tier}, {make.__name__}",
            make(model, 4000, 1000, service_tier=tier),
            "openai",
            {"input_tokens": 4000, "output_tokens": 1000},
            {"service_tier": tier},
        )
        for model in (GPT5, GPT5_MINI, "o3", "o4-mini")
        for tier in ("default", "flex", "priority")
        for make in (chat, response)
    ],
    *[
        Billed(
            f"{model}, {count} searches",
            response(
                model,
                4000,
                1000,
                output=[{"type": "message"}, *[SEARCH] * count, {"type": "file_search_call"}],
            ),
            "openai",
            {
                "input_tokens": 4000,
                "output_tokens": 1000,
                "web_searches": count,
                "storage_searches": 1,
            },
        )
        for model in (GPT5, GPT41)
        for count in (1, 3)
    ],
    Billed(
        "opened pages",
        response(GPT5, 40, 10, output=[SEARCH, SEARCH | {"action": {"type": "open_page"}}]),
        "openai",
        {"input_tokens": 40, "output_tokens": 10, "web_searches": 1},
    ),
    *[
        Billed(
            f"{model}, cached and thought, {make.__name__}",
            make(model, 4000, 1000, **{cached: {"cached_tokens": 2048}}, **{made: thought}),
            "openai",
            {
                "input_tokens": 4000,
                "output_tokens": 1000,
                "cache_read_tokens": 2048,
                "output_reasoning_tokens": 600,
            },
        )
        for model in (GPT5, GPT5_MINI, "o3")
        for thought in ({"reasoning_tokens": 600},)
        for make, cached, made in (
            (chat, "prompt_", "completion_"),
            (response, "input_", "output_"),
        )
    ],
    *[
        Billed(
            f"{model}, sound",
            chat(model, 900, 300, prompt_={"audio_tokens": 800}, completion_={"audio_tokens": 250}),
            "openai",
            {
                "input_tokens": 900,
                "output_tokens": 300,
                "input_audio_tokens": 800,
                "output_audio_tokens": 250,
            },
        )
        for model in ("gpt-4o-audio-preview", "gpt-4o-mini-audio-preview", "gpt-audio")
    ],
    Billed(
        "an image",
        {
            "created": 1,
            "model": "gpt-image-1",
            "usage": {
                "input_tokens": 90,
                "output_tokens": 700,
                "input_tokens_details": {"text_tokens": 50, "image_tokens": 40},
                "output_tokens_details": {"text_tokens": 0, "image_tokens": 700},
            },
        },
        "openai",
        {
            "input_tokens": 90,
            "output_tokens": 700,
            "input_image_tokens": 40,
            "output_image_tokens": 700,
        },
    ),
    *[
        Billed(
            f"{model}, {kind}",
            gemini(
                model,
                promptTokenCount=5200,
                candidatesTokenCount=80,
                thoughtsTokenCount=20,
                promptTokensDetails=by_modality(**{kind: 5000, "TEXT": 200}),
            ),
            "gcp.gemini",
            {
                "input_tokens": 5200,
                "output_tokens": 100,
                "output_reasoning_tokens": 20,
                "input_text_tokens": 200,
                f"input_{counted}_tokens": 5000,
            },
        )
        for model in (FLASH, LITE, "gemini-2.0-flash")
        for kind, counted in (("AUDIO", "audio"), ("DOCUMENT", "image"), ("VIDEO", "video"))
    ],
    Billed(
        "a picture",
        gemini(
            IMAGE,
            promptTokenCount=40,
            candidatesTokenCount=1300,
            promptTokensDetails=by_modality(TEXT=40),
            candidatesTokensDetails=by_modality(IMAGE=1300),
        ),
        "gcp.gemini",
        {
            "input_tokens": 40,
            "output_tokens": 1300,
            "input_text_tokens": 40,
            "output_image_tokens": 1300,
        },
    ),
    Billed(
        "cached sound",
        gemini(
            FLASH,
            promptTokenCount=4000,
            candidatesTokenCount=80,
            cachedContentTokenCount=3000,
            promptTokensDetails=by_modality(AUDIO=3500, TEXT=500),
            cacheTokensDetails=by_modality(AUDIO=3000),
        ),
        "gcp.gemini",
        {
            "input_tokens": 4000,
            "output_tokens": 80,
            "cache_read_tokens": 3000,
            "input_audio_tokens": 3500,
            "input_text_tokens": 500,
            "cache_audio_read_tokens": 3000,
        },
    ),
    *[
        Billed(
            f"{name} beside a cache",
            gemini(
                FLASH,
                promptTokenCount=sum(given.values()),
                candidatesTokenCount=80,
                cachedContentTokenCount=cached,
                promptTokensDetails=by_modality(**given),
                **more,
            ),
            "gcp.gemini",
            {
                "input_tokens": sum(given.values()),
                "output_tokens": 80,
                "cache_read_tokens": cached,
                "input_audio_tokens": 3500,
                "cache_audio_read_tokens": of_sound,
            },
        )
        for name, given, cached, more, of_sound in (
            (
                "sound",
                {"AUDIO": 3500, "TEXT": 500},
                300,
                {"cacheTokensDetails": by_modality(TEXT=300)},
                0,
            ),
            ("sound alone", {"AUDIO": 3500}, 3000, {}, 3000),
            ("sound in it all", {"AUDIO": 3500, "TEXT": 500}, 4000, {}, 3500),
        )
    ],
    Billed(
        "results of tools",
        gemini(
            FLASH,
            promptTokenCount=40,
            candidatesTokenCount=80,
            toolUsePromptTokenCount=100,
            toolUsePromptTokensDetails=by_modality(TEXT=100),
        ),
        "gcp.gemini",
        {
            "input_tokens": 140,
            "output_tokens": 80,
            "input_tool_tokens": 100,
            "input_text_tokens": 100,
            "input_text_tool_tokens": 100,
        },
    ),
    Billed(
        "a long prompt",
        gemini("gemini-2.5-pro", promptTokenCount=250_000, candidatesTokenCount=80),
        "gcp.gemini",
        {"input_tokens": 250_000, "output_tokens": 80},
    ),
    *[
        Billed(
            f"Bedrock, {profile}",
            converse(inputTokens=30_000, outputTokens=1000),
            "aws.bedrock",
            {"input_tokens": 30_000, "output_tokens": 1000},
            alias=f"{profile}anthropic.claude-opus-4-5-20251101-v1:0",
        )
        for profile in ("global.", "us.", "eu.", "")
    ],
    Billed(
        "Bedrock, cache of an hour",
        converse(
            inputTokens=30,
            outputTokens=10,
            cacheWriteInputTokens=500,
            cacheDetails=[{"ttl": "1h", "inputTokens": 500}, {"ttl": "5w", "inputTokens": 1}],
        ),
        "aws.bedrock",
        {
            "input_tokens": 530,
            "output_tokens": 10,
            "cache_write_tokens": 500,
            "cache_write_1h_tokens": 500,
        },
        alias="global.anthropic.claude-opus-4-5-20251101-v1:0",
    ),
    Billed(
        "Bedrock, a less exact answer",
        message("claude-opus-4-5-20251101", input_tokens=30_000, output_tokens=1000),
        "aws.bedrock",
        {"input_tokens": 30_000, "output_tokens": 1000},
        alias="global.anthropic.claude-opus-4-5-20251101-v1:0",
    ),
    Billed(
        "xAI: reasoning beside the completion",
        chat("grok-4-0709", 100, 20, completion_={"reasoning_tokens": 300}, total=420),
        "x_ai",
        {"input_tokens": 100, "output_tokens": 320, "output_reasoning_tokens": 300},
    ),
    Billed(
        "Azure",
        chat(GPT5, 100, 20),
        "azure.ai.openai",
        {"input_tokens": 100, "output_tokens": 20},
    ),
    Billed(
        "DeepSeek, cached",
        {
            **chat("deepseek-chat", 100, 20),
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "prompt_cache_hit_tokens": 64},
        },
        "deepseek",
        {"input_tokens": 100, "output_tokens": 20, "cache_read_tokens": 64},
    ),
    Billed(
        "an interaction with sound",
        {
            "id": "i",
            "status": "completed",
            "model": FLASH,
            "usage": {
                "total_input_tokens": 3000,
                "total_output_tokens": 200,
                "total_thought_tokens": 50,
                "input_tokens_by_modality": [
                    {"modality": "text", "tokens": 1000},
                    {"modality": "audio", "tokens": 2000},
                    {"modality": "smell", "tokens": 0},
                ],
            },
        },
        "gcp.gemini",
        {
            "input_tokens": 3000,
            "output_tokens": 250,
            "input_text_tokens": 1000,
            "input_audio_tokens": 2000,
        },
    ),
    Billed(
        "a message of LangChain, cached",
        {
            "content": "Paris.",
            "response_metadata": {"model_name": GPT5},
            "usage_metadata": {
                "input_tokens": 3000,
                "output_tokens": 200,
                "input_token_details": {"cache_read": 1000},
            },
        },
        "openai",
        {"input_tokens": 3000, "cache_read_tokens": 1000, "output_tokens": 200},
    ),
    Billed(
        "a message of LangChain, written to the cache for two times",
        {
            "content": "Paris.",
            "response_metadata": {"model_name": OPUS},
            "usage_metadata": {
                "input_tokens": 3000,
                "output_tokens": 200,
                "input_token_details": {
                    "cache_creation": 0,
                    "ephemeral_5m_input_tokens": 500,
                    "ephemeral_1h_input_tokens": 700,
                },
            },
        },
        "anthropic",
        {
            "input_tokens": 3000,
            "cache_write_tokens": 1200,
            "cache_write_5m_tokens": 500,
            "cache_write_1h_tokens": 700,
            "output_tokens": 200,
        },
    ),
    Billed(
        "pydantic-ai, cached",
        {
            "kind": "response",
            "model_name": OPUS,
            "usage": {
                "input_tokens": 3000,
                "cache_read_tokens": 1000,
                "cache_write_tokens": 500,
                "output_tokens": 200,
            },
        },
        "anthropic",
        {
            "input_tokens": 3000,
            "cache_read_tokens": 1000,
            "cache_write_tokens": 500,
            "output_tokens": 200,
        },
    ),
    Billed(
        "Moonshot, cached",
        chat("kimi-k2-0905-preview", 3000, 200)
        | {
            "usage": {
                "prompt_tokens": 3000,
                "completion_tokens": 200,
                "total_tokens": 3200,
                "cached_tokens": 1000,
            }
        },
        "moonshot_ai",
        {"input_tokens": 3000, "cache_read_tokens": 1000, "output_tokens": 200},
    ),
    Billed(
        "Cohere bills less than it uses",
        {
            "message": {},
            "usage": {
                "tokens": {"input_tokens": 570.0, "output_tokens": 8.0},
                "billed_units": {"input_tokens": 70.0, "output_tokens": 6.0},
                "cached_tokens": 64.0,
            },
        },
        "cohere",
        {"input_tokens": 70, "output_tokens": 6},
        alias="command-r-plus-08-2024",
    ),
    Billed(
        "Cohere, embeddings",
        {"embeddings": [], "meta": {"billed_units": {"input_tokens": 12}}},
        "cohere",
        {"input_tokens": 12},
        alias="embed-v4.0",
    ),
]  # fmt: skip


def test_there_are_bodies_of_many_kinds() -> None:
    """Tiers, caches, tools, images and sound are among them."""
    assert len(BILLED) >= 60


@pytest.mark.parametrize("billed", BILLED, ids=lambda billed: billed.name)
def test_everything_that_a_body_bills_is_priced(billed: Billed, genai: Any, events: Events) -> None:
    """The price is that of all counts, at the tier that the body names, to nine decimals."""
    llm_call(model=billed.alias, provider=billed.provider)(lambda: billed.body)()

    [event] = events
    provider = {"azure.ai.openai": "azure", "x_ai": "x-ai"}.get(billed.provider, billed.provider)
    model = billed.alias or event.model or ""
    expected = listed(genai, model, provider, context=billed.context, **billed.counts)
    assert expected is not None
    assert (expected, "list", 0) == (event.cost_usd, event.cost_source, event.unpriced)


UNPRICED = {
    "a tier without a price": message(
        OPUS, input_tokens=9, output_tokens=6, service_tier="priority"
    ),
    "a place with a price of its own": message(
        OPUS, input_tokens=9, output_tokens=6, inference_geo="us"
    ),
    "a tool without a price": response(GPT5, 9, 6, output=[{"type": "code_interpreter_call"}]),
    "an image that a tool has made": response(
        GPT5, 9, 6, output=[{"type": "image_generation_call"}]
    ),
    "a search of a chat": chat(
        GPT41, 9, 6, choices=[{"message": {"annotations": [{"type": "u"}]}}]
    ),
    "a grounded answer": {
        **gemini(FLASH, promptTokenCount=9, candidatesTokenCount=6),
        "candidates": [
            {"finishReason": "STOP", "groundingMetadata": {"webSearchQueries": ["a", "b"]}}
        ],
    },
    "an image of unknown parts": {
        "model": "gpt-image-1",
        "usage": {
            "input_tokens": 9,
            "output_tokens": 6,
            "input_tokens_details": {"text_tokens": 9, "image_tokens": 0},
        },
    },
    "counts that do not fit together": answer(
        {"input_tokens": 10, "output_tokens": 0, "cached_input_tokens": 50}, model=GPT41
    ),
    "a model that is not listed": answer(model="gpt-never-made"),
    "a model of which only sound has a price": answer(model="whisper-1"),
    "sound within a cache of unknown parts": chat(
        "gpt-4o-realtime-preview",
        100,
        20,
        prompt_={"cached_tokens": 60, "audio_tokens": 50},
    ),
    "Ollama's answer": {
        "model": "gpt-4.1",
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"content": "x"},
        "done": True,
        "prompt_eval_count": 9,
        "eval_count": 6,
    },
    "Ollama's counts": {"model": "gpt-4.1", "usage": {"prompt_eval_count": 9, "eval_count": 9}},
    "Ollama's embeddings": {"model": "gpt-4.1", "embeddings": [[1]], "prompt_eval_count": 9},
}


@pytest.mark.parametrize("name", UNPRICED)
@pytest.mark.usefixtures("genai")
def test_what_the_list_cannot_tell_has_no_price(name: str, events: Events) -> None:
    """A wrong figure is worse than none; the request's line counts such calls."""
    llm_call(lambda: UNPRICED[name])()

    [event] = events
    assert (None, None, 1) == (event.cost_usd, event.cost_source, event.unpriced)


@pytest.mark.parametrize(
    ("resource", "unpriced"),
    [
        ("123456789012:application-inference-profile/a1b2c3", 1),
        ("123456789012:provisioned-model/a1b2c3", 1),
        ("123456789012:custom-model-deployment/a1b2c3", 1),
        ("123456789012:inference-profile/us.anthropic.claude-opus-4-5-20251101-v1:0", 0),
        (":foundation-model/anthropic.claude-opus-4-5-20251101-v1:0", 0),
    ],
)
@pytest.mark.usefixtures("genai")
def test_a_resource_of_bedrock_may_hide_its_price(
    resource: str, unpriced: int, events: Events
) -> None:
    """It is billed by the hour, or as a profile that only its owner knows."""
    body = message("claude-opus-4-5-20251101", input_tokens=30_000, output_tokens=1000)
    alias = f"arn:aws:bedrock:us-east-1:{resource}"
    llm_call(model=alias, provider="aws.bedrock")(lambda: body)()

    [event] = events
    assert unpriced == event.unpriced


@pytest.mark.usefixtures("genai")
def test_a_ranking_has_no_tokens_that_lack_a_price(events: Events) -> None:
    """Cohere's `rerank` is billed by the search; no such price is listed."""
    body = {"results": [], "meta": {"billed_units": {"search_units": 2}}}
    llm_call(model="command-r", provider="cohere")(lambda: body)()

    [event] = events
    assert ("missing", None, 0) == (event.usage_status, event.cost_usd, event.unpriced)


def test_iterations_beside_the_totals_are_added(genai: Any, events: Events) -> None:
    """A compaction has the price of the message's model, an advisor that of its own."""
    iterations = [
        {"type": "compaction", "input_tokens": 60_000, "output_tokens": 1100},
        {"type": "message", "input_tokens": 900, "output_tokens": 50},
        {"type": "advisor_message", "input_tokens": 70, "output_tokens": 30, "model": OPUS},
        {"type": "fallback_message", "input_tokens": 9, "output_tokens": 9, "model": OPUS},
    ]
    body = message(SONNET, input_tokens=900, output_tokens=50, iterations=iterations)
    llm_call(provider="anthropic")(lambda: body)()

    [event] = events
    expected = sum(
        listed(genai, model, "anthropic", input_tokens=given, output_tokens=made) or 0
        for model, given, made in ((SONNET, 900, 50), (SONNET, 60_000, 1100), (OPUS, 70, 30))
    )
    assert (60_970, 1180) == (event.input_tokens, event.output_tokens)
    assert round(expected, 9) == event.cost_usd


@pytest.mark.usefixtures("genai")
def test_results_that_come_one_by_one_are_priced_one_by_one(events: Events) -> None:
    """Each of three counts once, in the tokens and in the cost, and so does an advisor."""
    advisor = {"type": "advisor_message", "input_tokens": 70, "output_tokens": 30, "model": OPUS}
    with llm_call(provider="anthropic") as call:
        for number in (1, 2, 3):
            used = {"input_tokens": 1000 * number, "output_tokens": 10 * number}
            body = message("claude-haiku-4-5", **used, iterations=[advisor] * (number == 3))
            call.result({**body, "id": str(number)})

    assert [(6070, 90, 0.0063 + 0.0011)] == [
        (event.input_tokens, event.output_tokens, event.cost_usd) for event in events
    ]


def test_iterations_of_a_stream_are_added_once(events: Events) -> None:
    """Each delta repeats the usage so far, and may have zeros for counts that it leaves out."""
    compaction = {"type": "compaction", "input_tokens": 60_000, "output_tokens": 1100}
    deltas = [
        {"output_tokens": 20, "iterations": [compaction]},
        {"input_tokens": 0, "output_tokens": 50, "iterations": [compaction]},
        {"output_tokens": 51},
    ]

    @llm_call
    def stream() -> Iterator[Any]:
        yield {"type": "message_start", "message": message(SONNET, input_tokens=900)}
        for usage in deltas:
            yield {"type": "message_delta", "delta": {}, "usage": usage}
        yield {"type": "message_stop"}

    list(stream())

    [event] = events
    assert (60_900, 1151) == (event.input_tokens, event.output_tokens)


@pytest.mark.usefixtures("genai")
class TestName:
    """The model's name, and who sells it."""

    def test_an_alias_may_stand_for_a_model(self, events: Events) -> None:
        """The price does not depend on the model that the response names."""
        prices: Any = {"fast": "gpt-4o-mini", "strong": (1, 10)}
        generate = llm_call(prices=prices)(lambda model: answer(model="house-1"))
        generate("fast")
        generate("strong")

        assert [(0.00024, "list"), (0.003, "prices")] == [
            (event.cost_usd, event.cost_source) for event in events
        ]

    def test_an_alias_that_has_no_price_is_looked_up(self, events: Events) -> None:
        """The response's model is looked up first, then the alias itself."""
        prices = {"other": (1, 1)}
        generate = llm_call(prices=prices)(lambda model, answered: answer(model=answered))
        generate("fast", "gpt-4o-mini")
        generate("gpt-4o-mini", "house-1")

        assert [0.00024, 0.00024] == [event.cost_usd for event in events]

    def test_the_provider_decides_too(self, events: Events) -> None:
        """A provider that is not listed has no list price."""
        for provider in ("openai", "house"):
            llm_call(provider=provider)(lambda: answer(model="gpt-4o-mini"))()

        assert [0.00024, None] == [event.cost_usd for event in events]

    def test_an_outer_call_has_what_its_inner_ones_cost(self, events: Events) -> None:
        """They know who has served them; a gateway before a model at home costs nothing."""
        inner = llm_call(operation="inner", provider="house")(lambda: answer(model="gpt-4o-mini"))

        llm_call(operation="outer")(partial(inner))()

        assert [(None, 1), (None, 1)] == [(event.cost_usd, event.unpriced) for event in events]


@pytest.mark.usefixtures("genai")
class TestMemory:
    """The prices of a model are resolved once."""

    def test_it_has_a_bound(self, price_list: PriceList) -> None:
        """Users may send any name of a model."""
        for number in range(1100):
            price_list.listed(f"never-made-{number}", None, None)

        assert len(price_list._resolved) <= 1000  # noqa: SLF001 - the memory itself

    def test_an_update_of_the_list_is_seen(self, genai: Any, events: Events) -> None:
        """A model that was unknown may be in the updated list."""
        generate = llm_call(lambda: answer(model="gpt-never-made"))
        generate()
        snapshot = genai.data_snapshot.get_snapshot()
        openai = next(provider for provider in snapshot.providers if provider.id == "openai")
        model = next(model for model in openai.models if model.id == "gpt-4o-mini")
        new = type(model)(
            id="new", match=genai.types.ClauseEquals("gpt-never-made"), prices=model.prices
        )
        provider = type(openai)(
            id="openai", name="", api_pattern="", model_match=new.match, models=[new]
        )
        updated = type(snapshot)(providers=[provider], from_auto_update=True)
        genai.data_snapshot.set_custom_snapshot(updated)
        generate()
        genai.data_snapshot.set_custom_snapshot(None)

        assert [None, 0.00024] == [event.cost_usd for event in events]


def test_a_tier_may_be_on_other_chunks_than_the_usage(genai: Any, events: Events) -> None:
    """It is kept until the price is looked up."""
    delta = {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}

    @llm_call(model="gpt-5-mini", provider="openai")
    def stream() -> Iterator[Any]:
        yield delta | {"model": "gpt-5-mini", "service_tier": "flex"}
        yield {"choices": [], "usage": {"prompt_tokens": 3000, "completion_tokens": 200}}

    list(stream())

    price = genai.calc_price(
        genai.Usage(input_tokens=3000, output_tokens=200),
        "gpt-5-mini",
        price_context={"service_tier": "flex"},
    )
    assert [float(price.total_price)] == [event.cost_usd for event in events]
