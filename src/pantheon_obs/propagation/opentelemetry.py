"""Read the active span of OpenTelemetry, which is never imported: an application that uses it has.

Another thread may be importing it: then its modules are there, and lack their functions.
"""

from __future__ import annotations

import sys
from typing import Any

OPENTELEMETRY = "opentelemetry.trace"
_CONTEXT = "opentelemetry.context"


def span_context() -> Any:
    """Return the `SpanContext` of the active span; None without one."""
    in_context = getattr(sys.modules.get(_CONTEXT), "get_current", None)
    current_span = getattr(sys.modules.get(OPENTELEMETRY), "get_current_span", None)
    # Its context is empty for most requests.
    if in_context is None or current_span is None or not in_context():
        return None
    span = current_span()
    context = span.get_span_context()
    # A span that has ended belongs to an earlier request, whose context was inherited.
    return context if context.is_valid and getattr(span, "end_time", None) is None else None


def active_id() -> str | None:
    """Return the trace id of the active span; None without one."""
    context = span_context()
    return None if context is None else f"{context.trace_id:032x}"
