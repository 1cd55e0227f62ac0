"""The kinds of answers, with the tokens that they have and the cost by the vendors' price lists.

The prices are those of https://openai.com/api/pricing and
https://docs.anthropic.com/en/docs/about-claude/pricing, in US dollars per million tokens. The costs
are computed here, in decimals, and by no library that is measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

MODELS = {
    "chat": ("gpt-5-mini", "gpt-5-mini-2025-08-07"),
    "responses": ("gpt-5-mini", "gpt-5-mini-2025-08-07"),
    "embeddings": ("text-embedding-3-small", "text-embedding-3-small"),
    "messages": ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
}
TEXT, TOOL, LENGTH = "text", "tool", "length"


@dataclass(frozen=True)
class Kind:
    """A kind of answer.

    Attributes:
        name: Its name in the table.
        interface: `chat`, `responses`, `embeddings` or `messages`.
        usage: The usage object of the answer.
        tokens: The numbers that a record must have. A tuple has the numbers that all are right.
        cost: The cost in US dollars.
        content: `text`, `tool` or `length` (a text that was cut at the limit).
        early: The numbers that a record must have if a stream ends early.
    """

    name: str
    interface: str
    usage: dict[str, Any]
    tokens: dict[str, Any]
    cost: Decimal
    content: str = TEXT
    early: dict[str, Any] = field(default_factory=lambda: {"input": None, "output": None})

    @property
    def model(self) -> str:
        """Return the model that is asked for."""
        return MODELS[self.interface][0]


def _cost(*parts: tuple[int, str]) -> Decimal:
    return sum((tokens * Decimal(price) for tokens, price in parts), Decimal()) / 1_000_000


def _openai(
    name: str, interface: str, cached: int = 0, reasoning: int = 0, content: str = TEXT
) -> Kind:
    first, second = ("input", "output") if interface == "responses" else ("prompt", "completion")
    usage = {
        f"{first}_tokens": 1149,
        f"{second}_tokens": 212,
        "total_tokens": 1361,
        f"{first}_tokens_details": {"cached_tokens": cached},
        f"{second}_tokens_details": {"reasoning_tokens": reasoning},
    }
    tokens = {"input": 1149, "output": 212}
    tokens |= {"cached": cached} if cached else {}
    tokens |= {"reasoning": reasoning} if reasoning else {}
    cost = _cost((1149 - cached, "0.25"), (cached, "0.025"), (212, "2"))
    return Kind(name, interface, usage, tokens, cost, content)


def _anthropic(name: str, *, cached: bool = False, content: str = TEXT) -> Kind:
    fresh, read, short, long = (25, 1024, 60, 40) if cached else (1149, 0, 0, 0)
    usage = {
        "input_tokens": fresh,
        "output_tokens": 212,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": short + long,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
    }
    # The whole prompt, as OpenTelemetry has it, or Anthropic's own number, without the caches.
    prompt = {"input": (1149, fresh)} | (
        {"cached": read, "written": short + long} if cached else {}
    )
    cost = _cost((fresh, "3"), (read, "0.3"), (short, "3.75"), (long, "6"), (212, "15"))
    # The first event of a stream has the whole prompt already.
    return Kind(name, "messages", usage, prompt | {"output": 212}, cost, content, early=prompt)


CHAT, RESPONSES, MESSAGES = (
    _openai("chat", "chat"),
    _openai("responses", "responses"),
    _anthropic("messages"),
)
CUT_AT_LIMIT = _openai("chat, parse", "chat", content=LENGTH)
EMBEDDINGS = Kind(
    "embeddings",
    "embeddings",
    {"prompt_tokens": 800, "total_tokens": 800},
    {"input": 800},
    _cost((800, "0.02")),
)
KINDS = (
    CHAT,
    _openai("chat, cached tokens", "chat", cached=1024),
    _openai("chat, reasoning tokens", "chat", reasoning=64),
    _openai("chat, tool call", "chat", content=TOOL),
    RESPONSES,
    _openai("responses, cached and reasoning tokens", "responses", cached=1024, reasoning=64),
    _openai("responses, tool call", "responses", content=TOOL),
    MESSAGES,
    _anthropic("messages, cached tokens", cached=True),
    _anthropic("messages, tool call", content=TOOL),
)
