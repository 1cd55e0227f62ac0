"""The host of an interface tells the vendor."""

from __future__ import annotations

import pytest

from pantheon_obs.llm.hosts import place_at


@pytest.mark.parametrize(
    ("url", "vendor"),
    [
        ("https://api.openai.com/v1/", "openai"),
        ("https://eu.api.openai.com/v1", "openai"),
        ("https://me.openai.azure.com/openai/", "azure.ai.openai"),
        ("https://me.cognitiveservices.azure.com/", "azure.ai.openai"),
        ("https://me.services.ai.azure.com/anthropic/", "azure.ai.inference"),
        ("https://bedrock-runtime.us-east-1.amazonaws.com", "aws.bedrock"),
        ("https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com", "aws.bedrock"),
        ("https://bedrock-mantle.us-east-1.api.aws/openai/v1/", "aws.bedrock"),
        ("https://aws-external-anthropic.us-east-1.api.aws", "aws.anthropic"),
        ("https://us-east5-aiplatform.googleapis.com/v1/", "gcp.vertex_ai"),
        ("https://aiplatform.googleapis.com/v1/", "gcp.vertex_ai"),
        ("https://aiplatform.us.rep.googleapis.com/v1/", "gcp.vertex_ai"),
        ("https://generativelanguage.googleapis.com/", "gcp.gemini"),
        ("https://API.Mistral.ai:443/v1", "mistral_ai"),
        ("https://api.x.ai/v1", "x_ai"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("http://10.1.2.3:8000/v1", None),
        ("http://localhost:11434/v1", None),
        ("https://api.openai.com.example.net/v1", None),
        ("https://example.net/api.openai.com", None),
        ("https://bedrock-runtime.us-east-1.example.net", None),
        ("", None),
        (None, None),
    ],
)
def test_a_host_is_that_of_a_vendor_or_of_nobody_known(url: object, vendor: str | None) -> None:
    """A gateway or a model at home has no vendor, whatever a client's class."""
    assert vendor == place_at(url)[0]


def test_an_address_that_is_none_is_no_vendors() -> None:
    """A stub may have anything for its address."""
    with pytest.raises(ValueError, match="Invalid IPv6"):
        place_at("http://[1")
