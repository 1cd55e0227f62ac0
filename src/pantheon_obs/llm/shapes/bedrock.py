"""Amazon Bedrock's Converse, whole and as events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.llm.parts import HostValue, has, part, text
from pantheon_obs.llm.tokens import read_tokens

if TYPE_CHECKING:
    from pantheon_obs.llm.seen import Seen

_CONTENT = ("text", "toolUse", "reasoningContent")


def converse(value: HostValue, seen: Seen) -> bool:
    """An answer, whole.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
    """
    if part(value, "output") is None:
        return False
    seen.content = True
    seen.finish_reason = text(part(value, "stopReason")) or seen.finish_reason
    read_tokens(part(value, "usage"), seen)
    return True


def event(value: HostValue, seen: Seen) -> bool:
    """The events of an answer, up to the last word.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html
    """
    stop = part(value, "messageStop")
    seen.finished = bool(seen.finished) or stop is not None
    seen.finish_reason = text(part(stop, "stopReason")) or seen.finish_reason
    delta = part(part(value, "contentBlockDelta"), "delta")
    seen.content = seen.content or any(part(delta, name) for name in _CONTENT)
    return True


def usage_event(value: HostValue, seen: Seen) -> bool:
    """The event after the last word.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamMetadataEvent.html
    """
    usage = part(part(value, "metadata"), "usage")
    return has(usage, "inputTokens") and read_tokens(usage, seen)
