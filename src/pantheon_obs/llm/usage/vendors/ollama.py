"""Ollama's responses, chunks and usage; the counts are on the last chunk itself."""

from __future__ import annotations

from typing import Any

from pantheon_obs.llm.usage.answer import Reported, read_counts
from pantheon_obs.llm.usage.fields import any_of, field, has

_CONTENT = ("content", "thinking", "tool_calls", "response")


def response(value: Any, reported: Reported) -> Any:
    """Read a response or a chunk (https://docs.ollama.com/api/chat)."""
    done = field(value, "done")
    if type(done) is not bool or field(value, "created_at") is None:
        return False
    reported.note(
        model=field(value, "model"),
        finish_reason=field(value, "done_reason"),
        content=any_of(field(value, "message") or value, *_CONTENT),
        finished=done,
    )
    return value


def embeddings(value: Any, reported: Reported) -> Any:
    """Read embeddings, which generate no tokens (https://docs.ollama.com/api/embed)."""
    if field(value, "embeddings") is None or not has(value, "prompt_eval_count"):
        return False
    reported.note(model=field(value, "model"), content=True)
    reported.output_tokens = reported.output_tokens or 0
    return value


def tokens(usage: Any, reported: Reported) -> bool:
    """Read the counts (https://docs.ollama.com/api/usage)."""
    reported.vendor = "ollama"  # whatever a model is called, no vendor is paid for it
    return read_counts(usage, reported, ("prompt_eval_count", "eval_count"))
