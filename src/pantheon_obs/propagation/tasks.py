"""Have asyncio report a task's failure in the trace of the task.

"Task exception was never retrieved" comes from the task's finalizer, in whatever context the
garbage collector runs.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import carried_trace, current_trace
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.runtime import running_loop
from pantheon_obs.core.serving import context_of

if TYPE_CHECKING:
    from contextvars import Context

_NAME = "call_exception_handler"
_watched: set[type] = set()
_guard = Guard("asyncio tasks")


def watch_loop() -> None:
    """Have all event loops of the running one's class report in the trace of the task."""
    loop = running_loop()
    kind = type(loop)
    if loop is not None and kind not in _watched:
        _watched.add(kind)
        with _guard:
            _watch(kind)


def _watch(kind: Any) -> None:
    original = getattr(kind, _NAME)

    @wraps(original)
    def call_exception_handler(self: Any, context: dict[str, Any]) -> Any:
        within = None
        with _guard:
            within = _context_of(context.get("task") or context.get("future"))
        if within is None:
            return original(self, context)
        return within.run(original, self, context)

    setattr(kind, _NAME, call_exception_handler)


def _context_of(task: Any) -> Context | None:
    """Copy the context of a task; None if it has no trace."""
    found = context_of(task)
    trace = None if found is None else found.get(current_trace)
    if found is None or trace is None:
        return None
    # Nothing is set in the context that runs this: that may be a finalizer's.
    copied: Context = found.copy()
    copied.run(carried_trace.set, trace)  # it is the task's however long ago its request has ended
    return copied
