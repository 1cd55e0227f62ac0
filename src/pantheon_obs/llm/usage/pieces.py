"""Find the chunks of a long stream that need not be read: they only carry a piece of the answer.

This saves time and nothing else. A chunk of a vendor without a row here is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.llm.usage.billed_items import SERVED, open_message
from pantheon_obs.llm.usage.fields import (
    EXTRA,
    KEYS,
    any_of,
    class_fields,
    either,
    field,
    has,
    is_asked,
    stored,
)
from pantheon_obs.llm.usage.shapes import MESSAGES, USAGE
from pantheon_obs.llm.usage.vendors.openai_chat import CONTENT, data_of

if TYPE_CHECKING:
    from collections.abc import Callable

_TEXT = frozenset({str, bytes, bytearray})
_FIELDS = frozenset(name for name, _ in (*MESSAGES, *USAGE))  # of all known shapes
_FOUND, _EXECUTED = SERVED


def without_pieces(chunks: list[Any], *, priced: bool) -> list[Any]:
    """Return the chunks that may show how the stream ends, or its usage.

    If the last chunk of a chat has a piece, none before it has the end. The vendor's search results
    and tool runs matter only if the call may be `priced` by the list.
    """
    last = chunks[-1]
    try:
        if _goes_on(last):
            if priced:
                return _adding(chunks) if type(last) is dict else _objects_adding(chunks)
            if type(last) is dict:
                return [chunk for chunk in chunks if chunk.get("usage")]
            return [chunk for chunk in chunks if chunk.usage]
    except (AttributeError, LookupError, TypeError):
        pass  # not all of them are as the last one
    return [chunk for chunk in chunks if not _is_piece(chunk)]


def _goes_on(chunk: Any) -> Any:
    """Whether a chunk of a chat has a piece of the answer, and is not the terminal one."""
    # Fields are read where they are stored, as in `fields`: without a call for each.
    own = chunk if type(chunk) is dict else chunk.__dict__
    choices = own.get("choices")
    if not choices:
        return False
    choice = choices[-1]
    own = choice if type(choice) is dict else choice.__dict__
    if own["finish_reason"] is not None:
        return False
    delta = own["delta"]
    own = delta if type(delta) is dict else delta.__dict__
    return own.get("content") or either(delta, *CONTENT)


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


def _is_piece(chunk: Any) -> bool:
    """Whether a chunk has nothing but a piece of the answer, or no known shape."""
    kind: Any = type(chunk)
    if kind in _TEXT:
        return True
    if kind is tuple:
        return all(map(_is_piece, chunk))
    names = class_fields[kind]
    if KEYS in names or is_asked(kind):
        return False
    event = either(chunk, "type", "event_type")
    if type(event) is str:  # most are named after their addition; one of Anthropic's has the usage
        return event.endswith("delta") and event != "message_delta"
    for name, is_piece in _PIECES:
        if has(chunk, name):
            return is_piece(chunk)
    return names.isdisjoint(_FIELDS) and _FIELDS.isdisjoint(stored(chunk))


def _is_chat_piece(chunk: Any) -> bool:
    choices = field(chunk, "choices")
    for choice in choices if isinstance(choices, (list, tuple)) else ():
        message = open_message(field(choice, "delta"))
        if any_of(choice, "finish_reason", "usage") or any(map(message.get, SERVED)):
            return False
    return not any_of(chunk, "usage", "x_groq", "error")


# The first row whose field a chunk has decides.
_PIECES: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ("choices", _is_chat_piece),
    ("contentBlockDelta", lambda _: True),
    ("done", lambda chunk: field(chunk, "done") is False),
    ("data", lambda event: has(data_of(event), "choices") and _is_chat_piece(data_of(event))),
    ("raw", lambda chunk: _is_piece(field(chunk, "raw"))),
)
