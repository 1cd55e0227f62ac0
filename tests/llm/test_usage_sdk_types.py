"""The objects that the vendors' own clients make of the documented bodies."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from tests.llm.test_usage import call, load, says

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

CHAT = "openai.types.chat"
CHUNK = (CHAT, "ChatCompletionChunk")
RESPONSES = "openai.types.responses"
# Which type a client makes of each body.
TYPES = {
    "openai_chat": (CHAT, "ChatCompletion"),
    "openai_chat_stream": CHUNK,
    "openai_chat_stream_without_usage": CHUNK,
    "openai_responses": (RESPONSES, "Response"),
    "openai_responses_stream": (RESPONSES, "ResponseStreamEvent"),
    "openai_responses_incomplete_stream": (RESPONSES, "ResponseStreamEvent"),
    "openai_embeddings": ("openai.types", "CreateEmbeddingResponse"),
    "azure_chat": (CHAT, "ChatCompletion"),
    "deepseek_stream": CHUNK,
    "openrouter": (CHAT, "ChatCompletion"),
    "openrouter_stream": CHUNK,
    "anthropic_messages": ("anthropic.types", "Message"),
    "anthropic_messages_stream": ("anthropic.types", "RawMessageStreamEvent"),
    "anthropic_messages_stream_of_old": ("anthropic.types", "RawMessageStreamEvent"),
    "gemini": ("google.genai.types", "GenerateContentResponse"),
    "gemini_stream": ("google.genai.types", "GenerateContentResponse"),
    "gemini_blocked": ("google.genai.types", "GenerateContentResponse"),
}


def maker(module: str, name: str) -> Callable[[Any], Any]:
    """The object that a client makes of a body; lenient clients keep values of any type."""
    pytest.importorskip(module, exc_type=ImportError)
    kind = getattr(import_module(module), name)
    if module.startswith("google"):
        return kind.model_validate  # type: ignore[no-any-return]
    models = import_module(f"{module.partition('.')[0]}._models")
    return lambda body: models.construct_type(type_=kind, value=body)


@pytest.mark.parametrize("name", TYPES)
def test_the_objects_of_a_client_are_read(name: str, events: Events) -> None:
    """As the bodies themselves are."""
    fixture = load(name)
    if "chunks" in fixture:  # no client hands these on
        fixture["chunks"] = [body for body in fixture["chunks"] if body.get("type") != "ping"]
    call(fixture, maker(*TYPES[name]))

    [event] = events
    assert fixture["says"] == says(event)
    assert "ok" == event.outcome
