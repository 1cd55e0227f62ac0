"""The clients that `instrument_llm` knows, and which of their methods call a model.

A client class is one row in `SDKS`. It is known by its name and the package it is from, so that no
SDK is imported to look; subclasses are known with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pantheon_obs.llm.parts import HostValue


def _google(client: HostValue) -> str:
    return "gcp.vertex_ai" if client.vertexai else "gcp.gemini"


_OPENAI = {
    "chat.completions.create": "chat",
    "chat.completions.parse": "chat",
    "chat.completions.stream": "chat",
    "responses.create": "responses",
    "responses.parse": "responses",
    "responses.stream": "responses",
    "embeddings.create": "embeddings",
}
_ANTHROPIC = {
    f"{resource}.{method}": "messages"
    for resource in ("messages", "beta.messages")
    for method in ("create", "parse", "stream")
}
_GENAI = {
    f"{resource}.{method}": operation
    for resource in ("models", "aio.models")
    for method, operation in {
        "generate_content": "generate_content",
        "generate_content_stream": "generate_content",
        "embed_content": "embeddings",
    }.items()
}


class Sdk(NamedTuple):
    """A client class.

    Attributes:
        package: The package that it is from.
        names: What it is called, sync and async.
        provider: The vendor, by OpenTelemetry's name for it, or what tells it of a client.
            https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
        operations: The path to each method that calls a model, with the operation's name.
    """

    package: str
    names: frozenset[str]
    provider: str | Callable[[HostValue], str]
    operations: Mapping[str, str]


SDKS = (
    Sdk("openai", frozenset({"OpenAI", "AsyncOpenAI"}), "openai", _OPENAI),
    Sdk("openai", frozenset({"AzureOpenAI", "AsyncAzureOpenAI"}), "azure.ai.openai", _OPENAI),
    Sdk("anthropic", frozenset({"Anthropic", "AsyncAnthropic"}), "anthropic", _ANTHROPIC),
    Sdk(
        "anthropic",
        frozenset({"AnthropicBedrock", "AsyncAnthropicBedrock"}),
        "aws.bedrock",
        _ANTHROPIC,
    ),
    Sdk(
        "anthropic",
        frozenset({"AnthropicVertex", "AsyncAnthropicVertex"}),
        "gcp.vertex_ai",
        _ANTHROPIC,
    ),
    Sdk("google.genai", frozenset({"Client"}), _google, _GENAI),
)


def sdk_of(client: HostValue) -> Sdk | None:
    """The row of a client's class, or of the nearest of its bases that has one."""
    kind: HostValue = client.__class__  # a proxy's or a mock's tells whose place it takes
    for base in kind.__mro__:
        for sdk in SDKS:
            if base.__name__ in sdk.names and f"{base.__module__}.".startswith(f"{sdk.package}."):
                return sdk
    return None
