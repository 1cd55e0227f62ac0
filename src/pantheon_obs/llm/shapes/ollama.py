"""Ollama's answers, whole or in chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.llm.parts import HostValue, part, text
from pantheon_obs.llm.tokens import read_tokens

if TYPE_CHECKING:
    from pantheon_obs.llm.seen import Seen

_CONTENT = ("content", "thinking", "tool_calls", "response")


def answer(value: HostValue, seen: Seen) -> bool:
    """An answer or a chunk; the last one has the counts.

    https://docs.ollama.com/api/chat
    """
    done = part(value, "done")
    if type(done) is not bool or part(value, "created_at") is None:
        return False
    said: HostValue = part(value, "message") or value
    seen.finished = bool(seen.finished) or done
    seen.model = text(part(value, "model")) or seen.model
    seen.finish_reason = text(part(value, "done_reason")) or seen.finish_reason
    seen.content = seen.content or any(part(said, name) for name in _CONTENT)
    read_tokens(value, seen)
    return True


def embeddings(value: HostValue, seen: Seen) -> bool:
    """Embeddings: nothing is generated, and that is known.

    https://docs.ollama.com/api/embed
    """
    if part(value, "embeddings") is None or not read_tokens(value, seen):
        return False
    seen.content = True
    seen.model = text(part(value, "model")) or seen.model
    seen.output_tokens = seen.output_tokens or 0
    return True
