"""Make an outgoing `traceparent`: https://www.w3.org/TR/trace-context-2/#traceparent-header."""

from __future__ import annotations

import sys
from os import urandom

from pantheon_obs.core import trace_id as ids
from pantheon_obs.core.guard import Guard

_OPENTELEMETRY = "opentelemetry.trace"

_guard = Guard("opentelemetry")


def traceparent(trace_id: str) -> str | None:
    """Make the header's value.

    It is that of the active OpenTelemetry span, unchanged, as a span id belongs to one trace.
    Without one it has the current trace id and a fresh span id.

    Args:
        trace_id: The current trace id, 1 to 128 ASCII characters.

    Returns:
        The value, or None for an id that is neither 32 hex digits nor a UUID.
    """
    if _OPENTELEMETRY in sys.modules:
        with _guard:
            active = _of_active_span()
            if active is not None:
                return active
    digits = ids.to_hex(trace_id)
    # 01 is sampled: with 00 a service that follows its parent's decision would record nothing.
    return None if digits is None else f"00-{digits}-{urandom(8).hex()}-01"


def _of_active_span() -> str | None:
    """OpenTelemetry is never imported: an application that uses it has imported it."""
    span = sys.modules[_OPENTELEMETRY].get_current_span()
    context = span.get_span_context()
    # A span that has ended is that of an earlier request whose context was inherited.
    if not context.is_valid or getattr(span, "end_time", None) is not None:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 0xFF:02x}"
