"""The vendors of models, by the hosts of their interfaces.

A client's class says which protocol it speaks, and its host who sells the model: any vendor or
gateway may speak OpenAI's protocol.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urlsplit

# OpenTelemetry's name for each vendor that has one there, and a pattern for its hosts.
# https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
_HOSTS = tuple(
    (provider, re.compile(pattern))
    for provider, pattern in (
        ("openai", r"(.+\.)?api\.openai\.com"),
        (
            "azure.ai.openai",
            r".+\.(openai\.azure\.(com|us|cn)|azure-api\.net|cognitiveservices\.azure\.com)",
        ),
        (
            "azure.ai.inference",
            r".+\.((services|inference)\.ai\.azure\.com|models\.ai\.azure\.com)",
        ),
        ("anthropic", r"api\.anthropic\.com"),
        ("aws.anthropic", r"aws-external-anthropic\..+\.api\.aws"),
        ("gcp.anthropic", r"claude\.googleapis\.com"),
        (
            "aws.bedrock",
            r"(.+\.)?bedrock-(runtime|mantle)(-fips)?\..+\.(amazonaws\.com(\.cn)?|api\.aws)",
        ),
        ("gcp.gemini", r"generativelanguage\.googleapis\.com"),
        ("gcp.vertex_ai", r"((.+-)?aiplatform|aiplatform\..+\.rep)\.googleapis\.com"),
        ("cerebras", r"api\.cerebras\.ai"),
        ("cohere", r"api\.cohere\.(ai|com)"),
        ("deepinfra", r"api\.deepinfra\.com"),
        ("deepseek", r"api\.deepseek\.com"),
        ("fireworks", r"api\.fireworks\.ai"),
        ("groq", r"api\.groq\.com"),
        ("mistral_ai", r"api\.(.+\.)?mistral\.ai"),
        ("moonshot_ai", r"api\.moonshot\.(ai|cn)"),
        ("openrouter", r"(.+\.)?openrouter\.ai"),
        ("perplexity", r"api\.perplexity\.ai"),
        ("together", r"api\.together\.(xyz|ai)"),
        ("x_ai", r"(.+\.)?api\.x\.ai"),
        ("zai", r"api\.z\.ai"),
    )
)


# The list has the prices of the global hosts. Where data stay within a region most vendors take a
# tenth more, for some of the models; in clouds of governments and of China prices are others, too.
_REGIONAL = re.compile(
    r".+\.api\.(openai\.com|x\.ai)|api\..+\.mistral\.ai|.+\.openai\.azure\.(us|cn)"
    r"|.+\.us-gov-.+|.+\.amazonaws\.com\.cn"
)
_REGIONAL_FOR_CLAUDE = re.compile(r"(.+-aiplatform|aiplatform\..+\.rep)\.googleapis\.com")


@lru_cache(maxsize=256)  # bounded, as `vendor_at`
def is_regional(url: str, *, is_claude: bool) -> bool:
    """Whether a host's prices, for models of Claude or others, may differ from the list's."""
    host = urlsplit(url).hostname or ""
    return any(
        pattern.fullmatch(host)
        for pattern in (_REGIONAL, *([_REGIONAL_FOR_CLAUDE] if is_claude else ()))
    )


@lru_cache(maxsize=256)  # bounded: a gateway may have a URL per tenant
def vendor_at(url: str) -> str | None:
    """Return the vendor whose interface has this URL; None if the host is not known."""
    host = urlsplit(url).hostname or ""
    return next((provider for provider, pattern in _HOSTS if pattern.fullmatch(host)), None)
