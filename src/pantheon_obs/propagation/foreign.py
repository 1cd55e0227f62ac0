"""Register the libraries whose context variables core clears or reads: structlog, OpenTelemetry.

All code that begins a trace calls `watch` first.
"""

from __future__ import annotations

import sys
from contextvars import copy_context
from functools import cache
from typing import TYPE_CHECKING

from pantheon_obs.core import foreign

if TYPE_CHECKING:
    from pantheon_obs.core.foreign import Variables

_OPENTELEMETRY = "opentelemetry.trace"
# structlog keeps one context variable per key, named so, and Ellipsis for "unset".
_PREFIX = "structlog_"


@cache
def watch() -> None:
    """Clear structlog's bound fields when a trace begins, and adopt OpenTelemetry's trace ids."""
    foreign.register_fields(_NotLoaded(), _clear_structlog)
    foreign.register_tracer(_opentelemetry_id)


class _NotLoaded:
    """Stands for structlog's register of variables until structlog is loaded."""

    def __bool__(self) -> bool:
        structlog = sys.modules.get("structlog.contextvars")
        if structlog is None:
            return False
        # The register is private: without it each context is searched.
        register = getattr(structlog, "_CONTEXT_VARS", True)
        foreign.register_fields(register, _clear_structlog)
        return bool(register)


def _clear_structlog() -> Variables:
    """Unset structlog's context variables, as its `clear_contextvars` does; return what was set."""
    cleared = [
        (variable, value)
        for variable, value in copy_context().items()
        if value is not ... and variable.name.startswith(_PREFIX)
    ]
    for variable, _ in cleared:
        variable.set(...)
    return cleared


def _opentelemetry_id() -> str | None:
    """Return the trace id of the active OpenTelemetry span, as 32 hex digits.

    OpenTelemetry is never imported: an application that uses it has imported it.
    """
    trace = sys.modules.get(_OPENTELEMETRY)
    if trace is None:
        return None
    span = trace.get_current_span()
    if getattr(span, "end_time", None) is not None:
        return None  # this context was inherited from an earlier request
    context = span.get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None
