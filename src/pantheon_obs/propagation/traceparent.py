"""Make an outgoing `traceparent`: https://www.w3.org/TR/trace-context-2/#traceparent-header."""

from __future__ import annotations

import sys
from os import urandom

from pantheon_obs.core import trace_id as ids
from pantheon_obs.core.guard import Guard
from pantheon_obs.propagation.foreign import OPENTELEMETRY, span_context

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
    if OPENTELEMETRY in sys.modules:
        with _guard:
            span = span_context()
            if span is not None:
                return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags & 0xFF:02x}"
    digits = ids.to_hex(trace_id)
    # 01 is sampled: with 00 a service that follows its parent's decision would record nothing.
    return None if digits is None else f"00-{digits}-{urandom(8).hex()}-01"
