"""Items billed beside the tokens have a price in the list, or their call has no cost."""

from __future__ import annotations

from collections import OrderedDict
from decimal import Decimal
from enum import Enum
from types import MethodType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pantheon_obs import instrument_llm, llm_call
from pantheon_obs.llm.usage.answer import Reported
from tests.llm.sdk import MESSAGES
from tests.llm.test_list_prices import (
    FLASH,
    GPT5,
    GPT41,
    OPUS,
    SEARCH,
    chat,
    converse,
    gemini,
    listed,
    message,
    response,
)
from tests.llm.test_usage import MADE_OF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

USED = {"input_tokens": 900, "output_tokens": 60}
GEMINI_USED = {"promptTokenCount": 900, "candidatesTokenCount": 60}
CLAUDE = "us.anthropic.claude-opus-4-5-20251101-v1:0"
OSS, GROK, VOXTRAL = "openai/gpt-oss-120b", "grok-4-0709", "voxtral-small-24b-2507"
CITED = [{"type": "url_citation"}]
LIST_NAMES = {"x_ai": "x-ai", "gcp.gemini": "google", "aws.bedrock": "aws", "mistral_ai": "mistral"}


def said(model: str, part: dict[str, Any]) -> dict[str, Any]:
    """Make a chat completion whose message has more fields."""
    return chat(model, 900, 60, choices=[{"message": {"content": "P", **part}}])


def counted(model: str, total: int | None = None, **usage: Any) -> dict[str, Any]:
    """Make a chat completion whose usage counts more."""
    body = chat(model, 900, 60, total=total or 960)
    return {**body, "usage": {**body["usage"], **usage}}


def plain(model: str, **usage: Any) -> dict[str, Any]:
    """Make a response of no vendor's shape."""
    return {"model": model, "usage": usage}


def made(*output: Any, **more: Any) -> dict[str, Any]:
    """Make a response of the Responses API with these items."""
    return response(GPT5, 900, 60, output=list(output), **more)


def grounded(**metadata: Any) -> dict[str, Any]:
    """Make a response of Gemini's that was grounded."""
    body = gemini(FLASH, **GEMINI_USED)
    body["candidates"][0]["groundingMetadata"] = metadata
    return body


def thought(*parts: Any) -> dict[str, Any]:
    """Make a message of Anthropic's with these parts."""
    return {**message(OPUS, **USED), "content": list(parts)}


def interaction(*steps: str) -> dict[str, Any]:
    """Make an interaction of these steps."""
    usage = {"total_input_tokens": 900, "total_output_tokens": 60}
    return {"status": "completed", "model": FLASH, "steps": [{"type": s} for s in steps]} | {
        "usage": usage
    }


def langchain(model: str, content: Any = "P", kept: Any = None, **found: Any) -> dict[str, Any]:
    """Make a message of LangChain's."""
    return {
        "content": content,
        "additional_kwargs": kept or {},
        "response_metadata": {"model_name": model, **found},
        "usage_metadata": found.pop("counts", USED),
    }


class Body(NamedTuple):
    """A body, its vendor, and the counts that have its price; None if it must have none."""

    name: str
    body: dict[str, Any]
    provider: str
    counts: dict[str, Any] | None = None
    alias: str | None = None


BODIES = [
    Body("a chat with citations", said(GPT41, {"annotations": CITED}), "openai"),
    Body("a model that always searches", said("gpt-4o-search-preview-2025-03-11", {}), "openai"),
    Body("another one", said("gpt-5-search-api", {}), "openai"),
    Body("one of a gateway", said("openai/gpt-4o-mini-search-preview", {}), "openrouter"),
    Body("Groq's tools", said(OSS, {"executed_tools": [{"type": "search"}]}), "groq"),
    Body(
        "citations of a document that was sent",
        said(OSS, {"annotations": [{"type": "document_citation"}]}),
        "groq",
        USED,
    ),
    Body("times", counted(OSS, queue_time=0.2, some_ms=12, attempts=2, cached=True), "groq", USED),
    Body("xAI's live search", counted(GROK, num_sources_used=4), "x_ai"),
    Body("no live search", counted(GROK, num_sources_used=0), "x_ai", USED),
    Body("xAI's tools", counted(GROK, tool_usage={"web_search_calls": 2}), "x_ai"),
    Body(
        "xAI's counts, flat",
        counted(GROK, 1260, reasoning_tokens=300, cached_prompt_text_tokens=64),
        "x_ai",
        {
            "input_tokens": 900,
            "output_tokens": 360,
            "output_reasoning_tokens": 300,
            "cache_read_tokens": 64,
        },
    ),
    Body(
        "xAI's counts in camelCase",
        plain(
            GROK,
            promptTokens=900,
            completionTokens=60,
            totalTokens=1260,
            completionTokensDetails={"reasoningTokens": 300},
        ),
        "x_ai",
        {"input_tokens": 900, "output_tokens": 360, "output_reasoning_tokens": 300},
    ),
    Body(
        "another SDK's camelCase",
        plain(GPT5, inputTokens=900, outputTokens=60, cachedInputTokens=300, reasoningTokens=20),
        "openai",
        {**USED, "cache_read_tokens": 300},
    ),
    Body("a total that is more than its parts", counted(FLASH, 1160), "gcp.gemini"),
    Body("Perplexity, searches", counted("sonar-deep-research", num_searches=2), "perplexity"),
    Body("a price per request", counted("sonar"), "perplexity"),
    Body("Mistral's connectors", counted(GPT5, connectors={"web_search": 1}), "openai"),
    Body(
        "Mistral's tools",
        {**plain(GPT5, **USED), "outputs": [{"type": "tool.execution"}]},
        "openai",
    ),
    Body("Mistral's sound", counted(VOXTRAL, prompt_audio_seconds=203), "mistral_ai"),
    *[
        Body(f"a hosted tool: {kind}", made({"type": kind}), "openai")
        for kind in (
            "code_interpreter_call",
            "image_generation_call",
            "shell_call",
            "program",
            "simulation_call",
        )
    ],
    Body(
        "tools of the application's",
        made(
            {"type": "shell_call", "environment": {"type": "local"}},
            {"type": "mcp_call"},
            {"type": "function_call"},
            {"type": "function_call_output"},
            {"no": "type"},
        ),
        "openai",
        USED,
    ),
    Body(
        "searches that the vendor has counted",
        made(SEARCH, SEARCH, SEARCH, tool_usage={"web_search": {"num_requests": 2}}),
        "openai",
        {**USED, "web_searches": 2},
    ),
    Body(
        "a cache of twelve hours",
        response(
            GPT5,
            900,
            60,
            input_={
                "cache_write_tokens": 500,
                "cache_write_tokens_details": {"ttl_12h_tokens": 500, "ttl_30m_tokens": 0},
            },
        ),
        "openai",
    ),
    *[
        Body(f"grounded, {name}", grounded(**{name: ["a"]}), "gcp.gemini")
        for name in ("webSearchQueries", "imageSearchQueries", "retrievalQueries", "search_entry")
    ],
    Body("not grounded", grounded(), "gcp.gemini", USED),
    Body(
        "a tool of Gemini's",
        {
            **gemini(FLASH, **GEMINI_USED),
            "candidates": [{"content": {"parts": [{"toolCall": {"id": "1"}}]}}],
        },
        "gcp.gemini",
    ),
    Body(
        "an unknown modality",
        gemini(
            FLASH, **GEMINI_USED, promptTokensDetails=[{"modality": "SMELL", "tokenCount": 5}]
        ),
        "gcp.gemini",
    ),
    Body("an interaction with a search", interaction("google_search_call"), "gcp.gemini"),
    Body("an interaction", interaction("thought", "model_output"), "gcp.gemini", USED),
    Body(
        "code that Anthropic runs",
        thought({"type": "server_tool_use", "name": "code_execution"}),
        "anthropic",
    ),
    Body(
        "searches of Anthropic's",
        {
            **message(OPUS, **USED, server_tool_use={"web_search_requests": 2}),
            "content": [{"type": "server_tool_use", "name": "web_search"}],
        },
        "anthropic",
        {**USED, "web_searches": 2},
    ),
    Body(
        "searches in a usage without caches",
        plain(OPUS, **USED, server_tool_use={"web_search_requests": 2}),
        "anthropic",
        {**USED, "web_searches": 2},
    ),
    Body(
        "another tool of Anthropic's",
        message(OPUS, **USED, server_tool_use={"dream_requests": 2}),
        "anthropic",
    ),
    Body(
        "a fallback's credit",
        message(OPUS, **USED, fallback_credit={"status": {"type": "redeemed"}}),
        "anthropic",
    ),
    Body(
        "a tier in a usage",
        plain(OPUS, **USED, service_tier="batch"),
        "anthropic",
        {**USED, "context": {"processing": "batch"}},
    ),
    *[
        Body(f"a usage with zeros in {kind}", plain(GPT5, **zeros, **real), "openai", USED)
        for kind, zeros, real in (
            ("a chat's words", {"prompt_tokens": 0, "completion_tokens": 0}, USED),
            (
                "its own words",
                {"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0},
                {"prompt_tokens": 900, "completion_tokens": 60},
            ),
        )
    ],
    Body(
        "litellm's caches",
        counted(OPUS, cache_creation_input_tokens=500, cache_read_input_tokens=100),
        "anthropic",
        {**USED, "cache_write_tokens": 500, "cache_read_tokens": 100},
    ),
    Body(
        "LangChain, flex",
        langchain(
            GPT5,
            counts={
                **USED,
                "input_token_details": {"flex_cache_read": 300, "flex": 600},
                "output_token_details": {"flex": 60},
            },
        ),
        "openai",
        {**USED, "cache_read_tokens": 300, "context": {"service_tier": "flex"}},
    ),
    Body(
        "LangChain, priority",
        langchain(GPT5, service_tier="priority"),
        "openai",
        {**USED, "context": {"service_tier": "priority"}},
    ),
    Body(
        "LangChain, a search",
        langchain(GPT5, [{"type": "web_search_call"}]),
        "openai",
        {**USED, "web_searches": 1},
    ),
    Body("LangChain, grounded", langchain(FLASH, grounding_metadata={"a": 1}), "gcp.gemini"),
    Body("LangChain, Groq's tools", langchain(OSS, kept={"executed_tools": [1]}), "groq"),
    Body(
        "pydantic-ai's own figure",
        plain(GPT5, **USED, cache_read_tokens=0, cost=Decimal("9.9"), requests=1),
        "openai",
        USED,
    ),
    Body(
        "the sum of some requests",
        plain(GPT5, **USED, cache_read_tokens=0, requests=3, tool_calls=2),
        "openai",
        USED,
    ),
    Body(
        "the sum of some requests whose price rises with the prompt",
        plain("gemini-2.5-pro", **USED, cache_read_tokens=0, requests=3),
        "gcp.gemini",
    ),
    Body(
        "requests that were not measured",
        plain(GPT5, **USED, cache_read_tokens=0, unmeasured_requests=1),
        "openai",
    ),
    Body(
        "Bedrock, optimized",
        {**converse(inputTokens=9, outputTokens=6), "performanceConfig": {"latency": "optimized"}},
        "aws.bedrock",
        alias=CLAUDE,
    ),
    Body(
        "Bedrock, guarded",
        {**converse(inputTokens=9, outputTokens=6), "trace": {"guardrail": {}}},
        "aws.bedrock",
        alias=CLAUDE,
    ),
    Body(
        "Bedrock, a tool",
        {
            **converse(inputTokens=9, outputTokens=6),
            "output": {"message": {"content": [{"toolUse": {"type": "server_tool_use"}}]}},
        },
        "aws.bedrock",
        alias=CLAUDE,
    ),
    Body(
        "the Realtime API",
        plain(
            "gpt-realtime",
            **USED,
            input_token_details={
                "cached_tokens": 64,
                "audio_tokens": 600,
                "cached_tokens_details": {"audio_tokens": 34},
            },
            output_token_details={"audio_tokens": 40},
        ),
        "openai",
        {
            **USED,
            "cache_read_tokens": 64,
            "input_audio_tokens": 600,
            "cache_audio_read_tokens": 34,
            "output_audio_tokens": 40,
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", BODIES, ids=lambda case: case.name)
def test_a_body_has_the_price_of_everything_or_none(case: Body, genai: Any, events: Events) -> None:
    """A price that leaves out a part of the bill is worse than none."""
    llm_call(model=case.alias, provider=case.provider)(lambda: case.body)()

    [event] = events
    if case.counts is None:
        assert (None, None, 1) == (event.cost_usd, event.cost_source, event.unpriced)
    else:
        provider = LIST_NAMES.get(case.provider, case.provider)
        expected = listed(genai, case.alias or event.model or "", provider, **case.counts)
        assert expected is not None
        assert (expected, "list", 0) == (event.cost_usd, event.cost_source, event.unpriced)


@pytest.mark.parametrize(
    "body",
    [message(OPUS, **USED, cost=0.0123), langchain(OPUS, token_usage={"cost": 0.0123})],
    ids=["a message of Anthropic's", "a message of LangChain's"],
)
def test_a_gateways_own_figure_counts_in_each_shape(body: Any, events: Events) -> None:
    """OpenRouter has it in the answers of Anthropic's style, too."""
    llm_call(lambda: body)()

    assert [(0.0123, "provider")] == [(event.cost_usd, event.cost_source) for event in events]


def test_a_total_that_is_more_than_its_parts_is_partial(events: Events) -> None:
    """Gemini's thoughts in OpenAI's style are in the total only."""
    llm_call(lambda: counted(FLASH, 1160))()

    assert ["partial"] == [event.usage_status for event in events]


def chunk(delta: Any = None, reason: Any = None, **more: Any) -> dict[str, Any]:
    """Make a chunk of a chat."""
    choices = [] if delta is None else [{"delta": delta, "finish_reason": reason}]
    return {"model": GPT41, "choices": choices, **more}


TEXT = [chunk({"content": "w"})] * 40
USAGE = chunk(usage={"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15})
FOUND = chunk({"content": "w", "annotations": CITED})
RAN = chunk({"content": "w", "executed_tools": [{"type": "search"}]})
OF_SDK = [{**one, "usage": None} for one in (*TEXT, FOUND, *TEXT)]  # has a field for the usage


@pytest.mark.usefixtures("genai")
@pytest.mark.parametrize(
    ("chunks", "cost"),
    [
        ([*TEXT, chunk({}, "stop"), USAGE], 0.000066),
        ([*TEXT, FOUND, chunk({}, "stop"), USAGE], None),
        ([FOUND, *TEXT, chunk({}, "stop"), USAGE], None),
        ([*TEXT[:1], *[FOUND] * 40, *TEXT, chunk({}, "stop"), USAGE], None),
        ([*TEXT, FOUND, *TEXT, chunk({}, "stop"), USAGE], None),
        ([*TEXT, RAN, *TEXT, chunk({}, "stop"), USAGE], None),
        ([*OF_SDK, chunk({}, "stop"), USAGE], None),
        ([*TEXT, USAGE, *TEXT, chunk({}, "stop")], 0.000066),
    ],
    ids=[
        *("none", "at the end", "at the beginning", "for long", "amid", "a tool amid"),
        *("amid chunks of an SDK", "usage amid"),
    ],
)
@pytest.mark.parametrize("make", MADE_OF[:-1])  # the last ones never have a price
def test_citations_in_a_stream_have_no_price(
    make: Callable[[Any], Any], chunks: Any, cost: Any, events: Events
) -> None:
    """They tell that the vendor has searched, wherever they are."""

    @llm_call(provider="openai")
    def stream() -> Iterator[Any]:
        yield from map(make, chunks)

    list(stream())

    assert [cost] == [event.cost_usd for event in events]


def test_tools_count_where_the_application_reads_the_usage(genai: Any, events: Events) -> None:
    """`usage=` gives the tokens, and the answer tells of its search."""
    body = made({"type": "web_search_call", "action": {"type": "search"}})
    llm_call(provider="openai", usage=lambda _: (900, 60))(lambda: body)()

    expected = listed(genai, GPT5, "openai", **USED, web_searches=1)
    assert [expected] == [event.cost_usd for event in events]


class Hostile:
    """A value that answers nothing."""

    def __bool__(self) -> bool:
        raise LookupError


def test_reasoning_beside_a_smaller_completion_is_added(events: Events) -> None:
    """Without a total only the sizes can decide."""
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "reasoning_tokens": 20}
    with llm_call(model="sonar", operation="chat") as call:
        call.usage({**chat("m", 10, 5), "usage": usage})

    assert (10, 25) == (events[-1].input_tokens, events[-1].output_tokens)


def test_the_last_tier_that_is_told_counts() -> None:
    """A stream repeats it, and may end at the standard one."""
    reported = Reported()
    for tier in ("flex", "flex", "default"):
        reported.set_served("service_tier", tier)

    assert {} == reported.served


def test_other_values_in_a_usage_are_left_alone(genai: Any, events: Events) -> None:
    """An enumeration, a mapping of another kind, numbers for names, and hostile or endless ones."""
    endless: dict[str, Any] = {"many": dict.fromkeys(map(str, range(100)), 7)}
    endless["self"] = endless
    usage = OrderedDict(
        USED,
        way=Enum("Way", ["A", "B"]).B,  # type: ignore[attr-defined]
        hostile=Hostile(),
        endless=endless,
        names={1: 2},
        items=[1, "two", None],
    )
    llm_call(provider="openai")(lambda: {"model": GPT5, "usage": usage})()

    assert [listed(genai, GPT5, "openai", **USED)] == [event.cost_usd for event in events]


class Completions:
    """A resource of an SDK's client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def create(self, **_: Any) -> Any:
        """Stream an answer."""
        return (each for each in [*TEXT, chunk({}, "stop"), USAGE])


class OpenAI:
    """A client that looks like OpenAI's."""

    __module__ = "openai"

    def __init__(self, url: Any = "https://api.openai.com/v1") -> None:
        self.base_url = url
        self.chat = SimpleNamespace(completions=Completions(self))


@pytest.mark.usefixtures("genai")
class TestClients:
    """Each call is asked where it goes."""

    def ask(self, client: Any, **options: Any) -> None:
        """Call the model."""
        list(client.chat.completions.create(model=GPT41, messages=MESSAGES, **options))

    def test_a_client_that_has_moved(self, events: Events) -> None:
        """The list price is not that of the host before."""
        client = OpenAI()
        instrument_llm(client)
        for url in ("https://api.openai.com/v1", "http://10.0.0.1/v1", "http://[1", None):
            client.base_url = url
            self.ask(client)

        assert ["openai", None, "openai", "openai"] == [event.provider for event in events]

    @pytest.mark.parametrize(
        "options",
        [
            {"server_url": "http://10.0.0.1"},
            {"config": {"http_options": {"base_url": "http://10.0.0.1"}}},
            {"http_options": SimpleNamespace(base_url="http://10.0.0.1")},
        ],
    )
    def test_a_call_that_goes_elsewhere(self, options: Any, events: Events) -> None:
        """The URL of the call itself counts first; options without one say nothing."""
        client = OpenAI()
        instrument_llm(client)
        self.ask(client, **options)
        self.ask(client, http_options={"timeout": 1})

        assert [None, "openai"] == [event.provider for event in events]

    @pytest.mark.parametrize(
        ("host", "vendor", "cost"),
        [
            ("api.openai.com", "openai", 0.000066),
            ("eu.api.openai.com", "openai", None),
            ("us.api.x.ai", "x_ai", None),
            ("api.eu.mistral.ai", "mistral_ai", None),
            ("me.openai.azure.us", "azure.ai.openai", None),
            ("bedrock-runtime.us-gov-west-1.amazonaws.com", "aws.bedrock", None),
        ],
    )
    def test_a_host_of_a_region_has_no_list_price(
        self, host: str, vendor: str, cost: float | None, events: Events
    ) -> None:
        """The list has the prices of the global hosts, and those of regions are higher."""
        client = OpenAI(f"https://{host}/v1")
        instrument_llm(client)
        self.ask(client)

        assert [(vendor, cost)] == [(event.provider, event.cost_usd) for event in events]

    def test_a_provider_that_the_application_names(self, events: Events) -> None:
        """It knows better."""
        client = OpenAI("http://10.0.0.1")
        instrument_llm(client, provider="openai")
        self.ask(client)

        assert ["openai"] == [event.provider for event in events]


@pytest.mark.usefixtures("genai")
def test_claude_on_vertex_has_the_list_price_at_the_global_host_only(events: Events) -> None:
    """Regions are dearer."""

    class AnthropicVertex:
        __module__ = "anthropic"

        def __init__(self) -> None:
            self._client = self
            self.base_url = ""
            self.messages = SimpleNamespace(create=MethodType(lambda _: answer, self))

    answer, client = message("claude-haiku-4-5", **USED), AnthropicVertex()
    instrument_llm(client)
    for host in ("aiplatform", "us-east5-aiplatform", "aiplatform.eu.rep"):
        client.base_url = f"https://{host}.googleapis.com/v1"
        client.messages.create()

    assert [("gcp.vertex_ai", 0.0012), *[("gcp.vertex_ai", None)] * 2] == [
        (event.provider, event.cost_usd) for event in events
    ]


@pytest.mark.usefixtures("genai")
def test_a_clients_answer_in_bedrocks_shape_is_not_bedrocks(events: Events) -> None:
    """Its host is not known; for a function without a client the shape decides."""

    class BedrockRuntime:
        __module__ = "botocore.client"
        meta = SimpleNamespace(endpoint_url="http://localhost:4566")

        def converse(self, **_: Any) -> Any:
            return converse(inputTokens=30_000, outputTokens=1000)

    client = BedrockRuntime()
    instrument_llm(client)
    client.converse(modelId=CLAUDE)
    llm_call(model=CLAUDE)(lambda: converse(inputTokens=30_000, outputTokens=1000))()

    assert [None, 0.1925] == [event.cost_usd for event in events]
