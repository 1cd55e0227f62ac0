"""Find the trace that code works for, in a context that a request has left behind.

A session that is served by one task copies the context of its first request, and keeps it for all
later ones. If it has the running request in a context variable there, that request is meant.
Other tasks and timers that a request has started belong to it, for a limited time.
"""

from __future__ import annotations

import gc
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any

from pantheon_obs.core.context import KEY, Trace, carried_trace, current_trace, current_trace_id
from pantheon_obs.core.outlived import is_over

# The method of an imported object takes twice as long to call: Python 3.11 looks it up each time.
_trace_here, _id_here = current_trace.get, current_trace_id.get


def serving(trace: Trace) -> Trace | None:
    """The trace of the request that is being served, in place of one that has ended.

    It is the same trace if none is known, or if `carry` has brought it here; None once that is
    over.
    """
    if carried_trace.get() is not trace:
        for value in copy_context().values():
            with suppress(Exception):  # a variable may have any value
                scope = getattr(getattr(value, "request", value), "scope", None)
                found = scope.get(KEY) if type(scope) is dict else None
                if isinstance(found, Trace) and not found.ended:
                    return found
        if is_over(trace):
            return None
    return trace


def is_of_request(trace: Trace | None) -> bool:
    """Whether a trace is that of a request or task that has not ended, or is nested in it."""
    while trace is not None and trace.trace_id:
        if type(trace) is not Trace:
            return not trace.ended
        trace = trace.outer
    return False


def active() -> tuple[str, Trace | None]:
    """Return the id and the trace that code in this context works for."""
    trace = _trace_here()
    if trace is None or not trace.ended:
        return _id_here(), trace
    trace = serving(trace)
    return ("", None) if trace is None else (trace.trace_id, trace)


def context_of(task: Any) -> Context | None:  # noqa: ANN401 - a task of any event loop
    """The context of an asyncio task; None without one."""
    if hasattr(task, "get_context"):  # since Python 3.12
        found: Context | None = task.get_context()
        return found
    # The task refers to it, and to nothing else of this kind.
    return next((each for each in gc.get_referents(task) if isinstance(each, Context)), None)


def keep() -> None:
    """Write every log line of this request or task, those that are kept aside included.

    Works where the settings `debug_on_error` or `keep_rate` keep lines aside: they are written now,
    and the further ones as they come, DEBUG included. Outside of a request or task it does nothing.

    Example:
        >>> from pantheon_obs import keep
        >>> def pay(order):
        ...     if order.total > 10_000:
        ...         keep()
    """
    _, trace = active()
    if trace is not None and trace.recording is not None:
        trace.recording.keep()


def bind(**fields: object) -> None:
    """Put fields on every later log line of this request or job, including `request_finished`.

    Works from sync endpoints and threads too. Outside a request or job the fields go only on the
    log lines of this context (thread or task).

    Args:
        fields: Names and values; a value given again replaces the previous one.

    Example:
        >>> from pantheon_obs import bind, trace_context
        >>> with trace_context("job-1"):
        ...     bind(tenant="acme")
    """
    _, trace = active()
    if trace is None:
        trace = Trace("")
        current_trace.set(trace)
        current_trace_id.set("")  # of a trace that is over
    trace.bound.update(fields)
