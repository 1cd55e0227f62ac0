"""What responses and chunks look like, vendor by vendor.

A new shape is one function and one row: in `MESSAGES` for a response or chunk, in `tokens.TOKENS`
for a usage object. A row's mark is a part that every value of that shape has; the first row whose
mark is there and whose function does not decline reads the value. Functions get values from
anywhere: they look with `part()`, check the type of what they find, and leave alone what is not
there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.llm.parts import HostValue, part, text
from pantheon_obs.llm.rows import first
from pantheon_obs.llm.seen import Seen, count
from pantheon_obs.llm.shapes import anthropic, bedrock, cohere, gemini, ollama, openai
from pantheon_obs.llm.tokens import read_tokens

if TYPE_CHECKING:
    from pantheon_obs.llm.rows import Rows

__all__ = ["MESSAGES", "Seen", "read", "tokens_of"]

# An (input, output) pair, as a `usage=` callable may return it.
_PAIR = 2


def read(value: HostValue, seen: Seen) -> bool:
    """Take in a response, a chunk or a usage object.

    Args:
        value: Anything.
        seen: Where to put what it says.

    Returns:
        Whether a row knows its shape.
    """
    return first(MESSAGES, value, seen) or read_tokens(value, seen)


def tokens_of(value: HostValue) -> Seen | None:
    """The token counts in a response, a usage object or an `(input, output)` pair, if any."""
    if value is None:
        return None
    seen = Seen()
    if type(value) is tuple:
        if len(value) == _PAIR:
            seen.input_tokens, seen.output_tokens = count(value[0]), count(value[1])
    else:
        read(value, seen)
    return None if seen.usage_status == "missing" else seen


def _envelope(value: HostValue, seen: Seen) -> bool:
    """Anything that carries its usage with it, as most gateways' own responses do."""
    seen.content = True
    seen.model = text(part(value, "model")) or seen.model
    seen.finish_reason = text(part(value, "finish_reason")) or seen.finish_reason
    read_tokens(part(value, "usage"), seen)
    return True


# What most streams consist of comes first, what says least comes last.
MESSAGES: Rows = (
    ("choices", openai.chat),
    ("type", anthropic.event),
    ("type", openai.response_event),
    ("type", cohere.event),
    ("snapshot", openai.chat_event),
    ("candidates", gemini.content),
    ("usage_metadata", gemini.content),
    ("usageMetadata", gemini.content),
    ("contentBlockDelta", bedrock.event),
    ("messageStart", bedrock.event),
    ("contentBlockStart", bedrock.event),
    ("contentBlockStop", bedrock.event),
    ("messageStop", bedrock.event),
    ("metadata", bedrock.usage_event),
    ("done", ollama.answer),
    ("data", openai.mistral_event),
    ("incomplete_details", openai.response),
    ("stop_reason", anthropic.message),
    ("stopReason", bedrock.converse),
    ("data", openai.embeddings),
    ("embeddings", ollama.embeddings),
    ("meta", cohere.first_version),
    ("usage", _envelope),
)
