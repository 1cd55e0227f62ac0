"""Prepare a process and its event loops for traces, before the first one begins.

All code that begins traces calls `prepare_process`, and `prepare_loop` where an event loop runs.
"""

from __future__ import annotations

import sys
from contextvars import copy_context
from functools import cache, wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import context as contexts
from pantheon_obs.core import foreign
from pantheon_obs.core.finalizers import watch_collections
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.late_imports import when_imported
from pantheon_obs.core.runtime import on_fork, running_loop
from pantheon_obs.core.serving import context_of
from pantheon_obs.propagation.opentelemetry import OPENTELEMETRY, active_id

if TYPE_CHECKING:
    from contextvars import Context

    from pantheon_obs.core.foreign import Variables

# structlog keeps one context variable per key, named so, and Ellipsis for "unset".
_PREFIX = "structlog_"
_REPORT = "call_exception_handler"  # the method of an event loop

_prepared: set[type] = set()
_guard = Guard("asyncio tasks")


@cache
def prepare_process() -> None:
    """Clear structlog's bound fields when a trace begins, and adopt OpenTelemetry's trace ids."""
    watch_collections()
    on_fork(after_in_child=leave_in_child)
    when_imported("structlog", _register_structlog)
    foreign.register_tracer(OPENTELEMETRY, active_id)


def leave_in_child() -> None:
    """Leave the trace of this context in a forked process, which works for many requests."""
    trace = contexts.current_trace.get()
    if foreign.bound and trace is not None:
        foreign.clear()
    while trace is not None:  # another library's copy of the context may refer to it
        trace.ended = trace.ended or perf_counter()
        trace = trace.outer
    contexts.reset()


def _register_structlog() -> None:
    # The register is private: without it each context is searched.
    register = getattr(sys.modules.get("structlog.contextvars"), "_CONTEXT_VARS", True)
    foreign.register_fields(register, _clear_structlog)


def _clear_structlog() -> Variables:
    """Unset structlog's context variables, as its `clear_contextvars` does; return their values."""
    cleared = [
        (variable, value)
        for variable, value in copy_context().items()
        if value is not ... and variable.name.startswith(_PREFIX)
    ]
    for variable, _ in cleared:
        variable.set(...)
    return cleared


def prepare_loop() -> None:
    """Have the event loop that runs here report a task's failure in the trace of the task.

    "Task exception was never retrieved" comes from the task's finalizer, in whatever context the
    garbage collector runs. All loops of the same class do so from now on.
    """
    loop = running_loop()
    kind = type(loop)
    if loop is not None and kind not in _prepared:
        _prepared.add(kind)
        with _guard:
            _report_in_the_tasks_trace(kind)


def _report_in_the_tasks_trace(kind: Any) -> None:
    original = getattr(kind, _REPORT)

    @wraps(original)
    def call_exception_handler(self: Any, context: dict[str, Any]) -> Any:
        within = None
        with _guard:
            within = _trace_context_of(context.get("task") or context.get("future"))
        if within is None:
            return original(self, context)
        return within.run(original, self, context)

    setattr(kind, _REPORT, call_exception_handler)


def _trace_context_of(task: Any) -> Context | None:
    """Copy the context of a task; None if it has no trace."""
    found = context_of(task)
    trace = None if found is None else found.get(contexts.current_trace)
    if found is None or trace is None:
        return None
    # Nothing is set in the context that runs this: that may be a finalizer's.
    copied: Context = found.copy()
    # It is the task's trace however long ago its request has ended.
    copied.run(contexts.carried_trace.set, trace)
    return copied
