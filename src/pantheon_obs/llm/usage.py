"""What responses, chunks and usage objects look like, vendor by vendor.

A new shape is one function and one row: in `MESSAGES` for a response or chunk, in `TOKENS` for a
usage object. A row's mark is a part that every value of that shape has; the first row whose mark is
there and whose function does not decline reads the value. Functions get values from anywhere: they
look with `part()`, check the type of what they find, and leave alone what is not there.

In what they fill in, `input_tokens` is the whole prompt, cached tokens included, and
`output_tokens` is all that was generated, reasoning included, whatever the vendor's convention.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pantheon_obs.llm.parts import HostValue, class_parts, part, text

if TYPE_CHECKING:
    from pantheon_obs.core.events import UsageStatus

# An (input, output) pair, as a `usage=` callable may return it.
_PAIR = 2

_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


class Seen:
    """What the response or the chunks of one call have said so far.

    Attributes:
        content: Whether a part of the answer has come.
        finished: Whether the stream's last word has come; None where its shape has none.
        finish_reason: Why the model stopped, in the vendor's word.
        model: The model that answered.
    """

    __slots__ = (
        "cache_write_tokens",
        "cached_input_tokens",
        "content",
        "finish_reason",
        "finished",
        "input_tokens",
        "model",
        "output_tokens",
        "reasoning_tokens",
    )

    def __init__(self) -> None:
        self.content = False
        self.finished: bool | None = None
        self.finish_reason: str | None = None
        self.model: str | None = None
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.cached_input_tokens: int | None = None
        self.cache_write_tokens: int | None = None
        self.reasoning_tokens: int | None = None

    @property
    def usage_status(self) -> UsageStatus:
        """Whether both counts are known, one of them, or none."""
        if self.input_tokens is None and self.output_tokens is None:
            return "missing"
        if self.input_tokens is None or self.output_tokens is None:
            return "partial"
        return "reported"


# Reads a value into `Seen`; False declines: the value is not of this shape after all.
Shape = Callable[[HostValue, Seen], bool]
Rows = tuple[tuple[str, Shape], ...]


def read(value: HostValue, seen: Seen) -> bool:
    """Take in a response, a chunk or a usage object.

    Args:
        value: Anything.
        seen: Where to put what it says.

    Returns:
        Whether a row knows its shape.
    """
    return _first(MESSAGES, value, seen) or _first(TOKENS, value, seen)


def tokens_of(value: HostValue) -> Seen | None:
    """The token counts in a response, a usage object or an `(input, output)` pair, if any."""
    if value is None:
        return None
    seen = Seen()
    if type(value) is tuple:
        if len(value) == _PAIR:
            seen.input_tokens, seen.output_tokens = _count(value[0]), _count(value[1])
    else:
        read(value, seen)
    return None if seen.usage_status == "missing" else seen


def _first(rows: Rows, value: HostValue, seen: Seen) -> bool:
    """Read a value by the first row that knows it."""
    own: HostValue = value if isinstance(value, dict) else getattr(value, "__dict__", ())
    kind: HostValue = type(value)
    for mark, shape in rows:
        if (mark in own or mark in class_parts(kind)) and shape(value, seen):
            return True
    return False


def _count(value: object, before: int | None = None) -> int | None:
    """The value if it is a number of tokens, else what was known before."""
    return value if type(value) is int and value >= 0 else before


# --- responses and chunks

_CONTENT = (
    "content",
    "reasoning_content",
    "reasoning",
    "tool_calls",
    "function_call",
    "refusal",
    "audio",
    "text",
)


def _openai_chat(value: HostValue, seen: Seen) -> bool:
    """OpenAI chat completions, whole or in chunks, and those who speak the same.

    The first chunk has an empty role only, the usage chunk has no choices; DeepSeek puts the usage
    on the chunk with the finish reason.
    https://platform.openai.com/docs/api-reference/chat-streaming/streaming
    """
    choices = part(value, "choices")
    if not isinstance(choices, (list, tuple)):
        return False
    choice: HostValue
    seen.finished = bool(seen.finished)
    seen.model = seen.model or text(part(value, "model"))
    for choice in choices:
        reason = text(part(choice, "finish_reason"))
        if reason is not None:
            seen.finish_reason = reason
            seen.finished = True
        if not seen.content:
            said: HostValue = part(choice, "delta") or part(choice, "message") or choice
            seen.content = any(part(said, name) for name in _CONTENT)
    _first(TOKENS, part(value, "usage"), seen)
    return True


def _envelope(value: HostValue, seen: Seen) -> bool:
    """Anything that carries its usage with it, as most gateways' own responses do."""
    seen.content = True
    seen.model = text(part(value, "model")) or seen.model
    seen.finish_reason = text(part(value, "finish_reason")) or seen.finish_reason
    _first(TOKENS, part(value, "usage"), seen)
    return True


# --- usage objects


def _openai_tokens(usage: HostValue, seen: Seen) -> bool:
    """OpenAI: cached tokens are part of the prompt's, reasoning is part of the completion's.

    https://platform.openai.com/docs/api-reference/chat/object#chat-object-usage
    """
    prompt = part(usage, "prompt_tokens_details")
    completion = part(usage, "completion_tokens_details")
    seen.input_tokens = _count(part(usage, "prompt_tokens"), seen.input_tokens)
    seen.output_tokens = _count(part(usage, "completion_tokens"), seen.output_tokens)
    seen.cached_input_tokens = _count(part(prompt, "cached_tokens"), seen.cached_input_tokens)
    seen.cache_write_tokens = _count(part(prompt, "cache_write_tokens"), seen.cache_write_tokens)
    seen.reasoning_tokens = _count(part(completion, "reasoning_tokens"), seen.reasoning_tokens)
    return True


def _split_tokens(usage: HostValue, seen: Seen) -> bool:
    """A gateway that counts the prompt's fresh and cached tokens apart."""
    fresh = _count(part(usage, "input_tokens_fresh"))
    cached = _count(part(usage, "input_tokens_cached"))
    if fresh is not None:
        seen.input_tokens = fresh + (cached or 0)
        seen.cached_input_tokens = cached
    seen.output_tokens = _count(part(usage, "output_tokens"), seen.output_tokens)
    return True


def _plain_tokens(usage: HostValue, seen: Seen) -> bool:
    """The names that our own events have."""
    for name in _COUNTS:
        setattr(seen, name, _count(part(usage, name), getattr(seen, name)))
    return True


MESSAGES: Rows = (
    ("choices", _openai_chat),
    ("usage", _envelope),
)

TOKENS: Rows = (
    ("prompt_tokens", _openai_tokens),
    ("input_tokens_fresh", _split_tokens),
    ("input_tokens", _plain_tokens),
    ("output_tokens", _plain_tokens),
)
