"""Amazon Bedrock's Converse: responses, events and usage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.llm.usage.fields import count, field, has, text
from pantheon_obs.llm.usage.vendors.anthropic import add_cache

if TYPE_CHECKING:
    from pantheon_obs.llm.usage.fields import Reported

_CONTENT = ("text", "toolUse", "reasoningContent")


def converse(value: Any, reported: Reported) -> Any:
    """Read a whole response.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
    """
    if field(value, "output") is None:
        return False
    reported.content = True
    reported.finish_reason = text(field(value, "stopReason")) or reported.finish_reason
    return field(value, "usage")


def event(value: Any, reported: Reported) -> Any:
    """Read an event of a response, up to the terminal one.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html
    """
    stop = field(value, "messageStop")
    reported.finished = bool(reported.finished) or stop is not None
    reported.finish_reason = text(field(stop, "stopReason")) or reported.finish_reason
    delta = field(field(value, "contentBlockDelta"), "delta")
    reported.content = reported.content or any(field(delta, name) for name in _CONTENT)
    return None


def usage_event(value: Any, _: Reported) -> Any:
    """Read the event that follows the terminal one.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamMetadataEvent.html
    """
    usage = field(field(value, "metadata"), "usage")
    return has(usage, "inputTokens") and usage


def tokens(usage: Any, reported: Reported) -> bool:
    """Read a usage object: as at Anthropic, the cache is not part of its input tokens.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
    """
    add_cache(
        reported,
        fresh=count(field(usage, "inputTokens")),
        cached=count(field(usage, "cacheReadInputTokens")),
        written=count(field(usage, "cacheWriteInputTokens")),
    )
    reported.output_tokens = count(field(usage, "outputTokens"), reported.output_tokens)
    return True
