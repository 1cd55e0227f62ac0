"""Find the chunks of a long stream that need not be read: they only carry a piece of the answer.

This saves time and nothing else. A chunk of a vendor without a row here is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.llm.usage.billed_items import SERVED
from pantheon_obs.llm.usage.fields import (
    EXTRA,
    KEYS,
    class_fields,
    either,
    field,
    has,
    is_asked,
    stored,
)
from pantheon_obs.llm.usage.shapes import MESSAGES, USAGE
from pantheon_obs.llm.usage.vendors.openai_chat import CONTENT

if TYPE_CHECKING:
    from collections.abc import Callable

_TEXT = frozenset({str, bytes, bytearray})
_FIELDS = frozenset(name for name, _ in (*MESSAGES, *USAGE))  # of all known shapes
_FOUND, _EXECUTED = SERVED
_SERVED = frozenset(SERVED)


def without_pieces(chunks: list[Any], prices: object) -> list[Any]:
    """Return the chunks that may show how the stream ends, or its usage.

    If the last chunk of a chat has a piece, none before it has the end. The vendor's search results
    and tool runs matter only if there are list `prices`.
    """
    last: Any = chunks[-1]
    found: list[Any] = []
    try:
        if type(last) is dict:
            choice = last["choices"][-1]
            delta = choice["delta"]
            if choice["finish_reason"] is None and (
                delta.get("content") or either(delta, *CONTENT)
            ):
                for chunk in chunks:
                    if chunk.get("usage") or (
                        prices and not _SERVED.isdisjoint(chunk["choices"][-1]["delta"])
                    ):
                        found.append(chunk)  # noqa: PERF401 - a comprehension takes a frame
                return found
        else:
            choice = last.__dict__["choices"][-1]
            delta = choice.delta
            if choice.finish_reason is None and (delta.content or either(delta, *CONTENT)):
                for chunk in chunks:
                    if chunk.usage or (prices and _is_served(chunk.choices[-1].delta)):
                        found.append(chunk)  # noqa: PERF401 - as above
                return found
    except (AttributeError, LookupError, TypeError):
        pass  # not all of them are as the last one
    return [chunk for chunk in chunks if not _is_piece(chunk)]


def _is_served(message: Any) -> Any:
    """Whether an object has something that the vendor has found or run."""
    own = message.__dict__
    if own.get(_FOUND) or own.get(_EXECUTED):
        return True
    extra = getattr(message, EXTRA, None)
    return extra and (extra.get(_FOUND) or extra.get(_EXECUTED))


def _is_piece(chunk: Any) -> bool:
    """Whether a chunk has nothing but a piece of the answer, or no known shape."""
    kind: Any = type(chunk)
    if kind in _TEXT:
        return True
    if kind is tuple:
        return all(map(_is_piece, chunk))
    names = class_fields[kind]
    if KEYS in names or is_asked(kind) or has(chunk, "choices"):
        return False  # to read a chunk of a chat takes less than to look at its fields
    event = either(chunk, "type", "event_type")
    if type(event) is str:  # most are named after their addition; one of Anthropic's has the usage
        return event.endswith("delta") and event != "message_delta"
    for name, is_piece in _PIECES:
        if has(chunk, name):
            return is_piece(chunk)
    return names.isdisjoint(_FIELDS) and _FIELDS.isdisjoint(stored(chunk))


# The first row whose field a chunk has decides.
_PIECES: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ("contentBlockDelta", lambda _: True),
    ("done", lambda chunk: field(chunk, "done") is False),
    ("raw", lambda chunk: _is_piece(field(chunk, "raw"))),
)
