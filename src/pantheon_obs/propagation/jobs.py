"""Give code outside of requests a trace, and code within none: `trace_context`, `untraced`."""

from __future__ import annotations

from typing import Any

from pantheon_obs.core import trace_id as ids
from pantheon_obs.core.context import (
    Trace,
    begin,
    carried_trace,
    current_call,
    end,
    restore,
)
from pantheon_obs.core.failures import escape
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.identity import new_id
from pantheon_obs.core.serving import is_of_request
from pantheon_obs.core.spans import attach
from pantheon_obs.propagation.prepare import prepare_loop, prepare_process

_guard = Guard("trace_context")


class trace_context:  # noqa: N801 - reads as the function that it is used as
    """Give a job, a command or a consumer a trace of its own: `with trace_context(id):`.

    Args:
        trace_id: The id that came with the job, or None for a fresh one. An id that is not 1 to 128
            characters of `[A-Za-z0-9._:-]` is replaced by a fresh one.

    Example:
        >>> from pantheon_obs import current_trace_id, trace_context
        >>> with trace_context("import-2026-11-21"):
        ...     current_trace_id.get()
        'import-2026-11-21'
    """

    def __init__(self, trace_id: object = None) -> None:
        prepare_process()
        prepare_loop()
        self._given = trace_id
        self._traces: list[Trace] = []

    def __enter__(self) -> str:
        """Begin the trace and return its id."""
        accepted = None
        if self._given is not None:
            with _guard:
                accepted = ids.validate(str(self._given).encode(errors="replace"))
        trace = Trace(accepted or new_id())
        if accepted is not None:
            attach(trace, getattr(self._given, "upstream", None))
        begin(trace)
        self._traces.append(trace)
        if accepted is None and self._given is not None:
            ids.refused("trace_context")
        return trace.trace_id

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """End the trace; an error passes, and a log line about it later has the trace's id."""
        trace = self._traces.pop()
        end(trace)
        if error is not None and not is_of_request(trace):  # which reports it
            failure = escape(error, trace)
            if not failure.covered:  # of nested jobs the outermost counts
                failure.trace_id = trace.trace_id


class untraced:  # noqa: N801 - as above
    """Start work that belongs to no request: `with untraced(): asyncio.create_task(consume())`.

    For consumers, schedulers and other tasks that go on for ever. Inside the block there is no
    trace and no bound field, and work that is started there has none either.

    Example:
        >>> from pantheon_obs import current_trace_id, trace_context, untraced
        >>> with trace_context("order-7"):
        ...     with untraced():
        ...         inside = current_trace_id.get()
        ...     inside, current_trace_id.get()
        ('', 'order-7')
    """

    def __init__(self) -> None:
        prepare_process()
        self._left: list[tuple[Trace, Any, Any]] = []

    def __enter__(self) -> None:
        """Leave the current trace."""
        nothing = Trace("")
        begin(nothing)
        self._left.append((nothing, current_call.set(None), carried_trace.set(None)))

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Restore the trace; an error passes."""
        nothing, call, carried = self._left.pop()
        # A coroutine that the garbage collector closes may run in the middle of anything.
        if not isinstance(error, GeneratorExit):
            carried_trace.reset(carried)
            current_call.reset(call)
            restore(nothing)
