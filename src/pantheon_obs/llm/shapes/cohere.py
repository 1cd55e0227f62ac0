"""Cohere's chat as events, and whole in its first version; whole, the second is as anybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.llm.parts import HostValue, part, text
from pantheon_obs.llm.tokens import read_tokens

if TYPE_CHECKING:
    from pantheon_obs.llm.seen import Seen

_EVENTS = frozenset(
    {
        "message-start",
        "content-start",
        "content-delta",
        "content-end",
        "tool-plan-delta",
        "tool-call-start",
        "tool-call-delta",
        "tool-call-end",
        "citation-start",
        "citation-end",
        "message-end",
    }
)
_CONTENT = ("text", "thinking")


def event(value: HostValue, seen: Seen) -> bool:
    """The events of an answer; the last one has usage and finish reason.

    https://docs.cohere.com/v2/docs/streaming
    """
    kind = text(part(value, "type"))
    if kind not in _EVENTS:
        return False
    delta = part(value, "delta")
    message = part(delta, "message")
    content = part(message, "content")
    said = (part(message, "tool_plan"), part(message, "tool_calls"))
    seen.content = seen.content or any(said) or any(part(content, name) for name in _CONTENT)
    seen.finished = bool(seen.finished) or kind == "message-end"
    seen.finish_reason = text(part(delta, "finish_reason")) or seen.finish_reason
    read_tokens(part(delta, "usage"), seen)
    return True


def first_version(value: HostValue, seen: Seen) -> bool:
    """An answer of the first version, whole.

    https://docs.cohere.com/v1/reference/chat
    """
    if not read_tokens(part(value, "meta"), seen):
        return False
    seen.content = True
    seen.finish_reason = text(part(value, "finish_reason")) or seen.finish_reason
    return True
