"""`trace_context`: a trace for code outside of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.core import trace_id as ids
from pantheon_obs.core.context import Trace, begin, current_trace_id, end
from pantheon_obs.core.failures import escape
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.identity import new_id
from pantheon_obs.propagation.foreign import watch

if TYPE_CHECKING:
    from types import TracebackType

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
        watch()
        self._given = trace_id
        self._traces: list[Trace] = []

    def __enter__(self) -> str:
        """Begin the trace.

        Returns:
            Its id.
        """
        accepted = None
        if self._given is not None:
            with _guard:
                accepted = ids.validate(str(self._given).encode())
        trace = Trace(accepted or new_id())
        begin(trace)
        self._traces.append(trace)
        if accepted is None and self._given is not None:
            ids.refused("trace_context")
        return trace.trace_id

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the trace; an error passes, and a log line about it later has the trace's id."""
        trace = self._traces.pop()
        end(trace)
        if error is not None and not current_trace_id.get():  # the outer trace reports it
            escape(error, trace)
