"""Prepare a process for traces: other libraries' context variables, and forks.

All code that begins a trace calls `watch` first.
"""

from __future__ import annotations

import sys
from contextvars import copy_context
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import context, foreign, outlived
from pantheon_obs.core.late_imports import when_imported
from pantheon_obs.core.runtime import on_fork

if TYPE_CHECKING:
    from pantheon_obs.core.foreign import Variables

# structlog keeps one context variable per key, named so, and Ellipsis for "unset".
_PREFIX = "structlog_"
OPENTELEMETRY = "opentelemetry.trace"
_CONTEXT = "opentelemetry.context"


@cache
def watch() -> None:
    """Clear structlog's bound fields when a trace begins, and adopt OpenTelemetry's trace ids."""
    outlived.watch_collections()
    on_fork(after_in_child=leave_in_child)
    when_imported("structlog", _follow_structlog)
    foreign.register_tracer(OPENTELEMETRY, _opentelemetry_id)


def leave_in_child() -> None:
    """Leave the trace of this context in a forked process, which works for many requests."""
    trace = context.current_trace.get()
    if foreign.bound and trace is not None:
        foreign.clear()
    while trace is not None:  # another library's copy of the context may refer to it
        trace.ended = trace.ended or perf_counter()
        trace = trace.outer
    context.reset()


def _follow_structlog() -> None:
    # The register is private: without it each context is searched.
    register = getattr(sys.modules.get("structlog.contextvars"), "_CONTEXT_VARS", True)
    foreign.register_fields(register, _clear_structlog)


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


def span_context() -> Any:
    """Return the `SpanContext` of the active OpenTelemetry span; None without one.

    OpenTelemetry is never imported: an application that uses it has imported it.
    """
    # Another thread may be importing it: then it is there, and lacks these functions.
    in_context = getattr(sys.modules.get(_CONTEXT), "get_current", None)
    current_span = getattr(sys.modules.get(OPENTELEMETRY), "get_current_span", None)
    # Its context is empty for most requests.
    if in_context is None or current_span is None or not in_context():
        return None
    span = current_span()
    context = span.get_span_context()
    # A span that has ended is that of an earlier request, whose context was inherited.
    return context if context.is_valid and getattr(span, "end_time", None) is None else None


def _opentelemetry_id() -> str | None:
    context = span_context()
    return None if context is None else f"{context.trace_id:032x}"
