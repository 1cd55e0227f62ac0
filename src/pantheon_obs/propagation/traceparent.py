"""The `traceparent` that goes out: https://www.w3.org/TR/trace-context-2/#traceparent-header."""

from __future__ import annotations

import sys
from os import urandom

from pantheon_obs.core import trace_id as ids
from pantheon_obs.core.guard import Guard

_OPENTELEMETRY = "opentelemetry.trace"

_guard = Guard("opentelemetry")


def traceparent(trace_id: str) -> str | None:
    """The header's value for what is sent from here.

    Where an OpenTelemetry span is active it is that span's, unchanged: a span id belongs to one
    trace. Else our id with a fresh span id.

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
    # Sampled: after 00 whoever follows its parent's decision would record nothing of the trace.
    return None if digits is None else f"00-{digits}-{urandom(8).hex()}-01"


def _of_active_span() -> str | None:
    """OpenTelemetry is never imported: a host that uses it has done so."""
    span = sys.modules[_OPENTELEMETRY].get_current_span()
    context = span.get_span_context()
    # One that has ended is of an earlier request whose context was inherited.
    if not context.is_valid or getattr(span, "end_time", None) is not None:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 0xFF:02x}"
