"""The events of Mistral's client."""

from __future__ import annotations

from inspect import getattr_static
from types import MemberDescriptorType
from typing import Any

from pantheon_obs.llm.usage.fields import Reported, field
from pantheon_obs.llm.usage.vendors.openai import chat


def event(value: Any, reported: Reported) -> Any:
    """Read an event, which holds a chunk (https://docs.mistral.ai/api/endpoint/chat)."""
    return chat(data_of(value), reported)


def data_of(value: Any) -> Any:
    """Return the chunk within an event."""
    static = getattr_static(type(value), "data", None)
    if static is not None and not isinstance(static, MemberDescriptorType):
        return None  # a property: an HTTP response may read its whole body to answer
    return field(value, "data")
