"""Find the chunks in the middle of a stream that tell how it ends, or what it has used.

Most chunks only carry a piece of the answer. This runs for each of them, so it looks at a few
fields only; `shapes` reads those that are found.
"""

from __future__ import annotations

from typing import Any

from pantheon_obs.llm.usage.beside import SERVED
from pantheon_obs.llm.usage.fields import EXTRA, either, field
from pantheon_obs.llm.usage.stored import fields_reader
from pantheon_obs.llm.usage.vendors.mistral import data_of
from pantheon_obs.llm.usage.vendors.openai import CONTENT

_ENDS = ("messageStop", "metadata", "done", "is_error", "error")
_USAGES = ("usage", "usage_metadata", "usageMetadata", "x_groq")
_TEXT = frozenset({str, bytes, bytearray})
_FOUND, _EXECUTED = SERVED
_served = fields_reader(*SERVED)
_NO_FIELDS: dict[str, Any] = {}


def telling(chunks: list[Any], *, priced: bool) -> list[Any]:
    """Return those of the chunks that are worth reading.

    If the last chunk of a chat has a piece of the answer, none before it has the end. What the
    vendor has found or run matters only if the call may be `priced` by the list.
    """
    last = chunks[-1]
    own = _own(last)
    try:
        if "choices" in own and _goes_on(own["choices"]):
            if priced:
                return _adding(chunks) if own is last else _objects_adding(chunks)
            if own is last:
                return [chunk for chunk in chunks if chunk.get("usage")]
            return [chunk for chunk in chunks if chunk.usage]
    except (AttributeError, LookupError, TypeError):
        pass  # not all of them are as the last one
    return [chunk for chunk in chunks if type(chunk) not in _TEXT and _tells(chunk)]


def _goes_on(choices: Any) -> bool:
    choice = _own(choices[-1])
    if choice["finish_reason"] is not None:
        return False
    delta = choice["delta"]
    return bool(_own(delta).get("content") or either(delta, *CONTENT))


def _adding(chunks: list[Any]) -> list[Any]:
    """Return the dicts that have a usage, or something that the vendor has found or run."""
    return [
        chunk
        for chunk in chunks
        if chunk.get("usage")
        or (delta := chunk["choices"][-1]["delta"]).get(_FOUND)
        or delta.get(_EXECUTED)
    ]


def _objects_adding(chunks: list[Any]) -> list[Any]:
    return [
        chunk
        for chunk in chunks
        if chunk.usage
        or (delta := chunk.choices[-1].delta).__dict__.get(_FOUND)
        or delta.__dict__.get(_EXECUTED)
        or ((extra := getattr(delta, EXTRA, None)) and (extra.get(_FOUND) or extra.get(_EXECUTED)))
    ]


def _tells(chunk: Any) -> bool:
    """Whether a chunk has a usage, or may be the terminal one."""
    if type(chunk) is tuple:
        return any(map(_tells, chunk))
    name = either(chunk, "type", "event_type")
    if type(name) is str:  # an event: most are named after what they add
        return name == "message_delta" or not name.endswith("delta")
    inner = data_of(chunk) or field(chunk, "_proto")
    parts = either(chunk, "choices", "candidates") or either(inner, "choices", "outputs")
    for part in parts if hasattr(parts, "__len__") else ():
        if either(part, "finish_reason", "finishReason") or any(_served(field(part, "delta"))):
            return True
    return any(field(chunk, name) for name in _ENDS) or any(field(chunk, name) for name in _USAGES)


def _own(value: Any) -> Any:
    """Return the fields that are stored in a dict or in an object itself."""
    return value if type(value) is dict else getattr(value, "__dict__", _NO_FIELDS)
