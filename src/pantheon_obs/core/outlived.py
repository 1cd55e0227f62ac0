"""Leave a trace behind that has ended long ago, in a task or timer that goes on for ever.

Such work, a consumer or a scheduler for example, has the context of the request that has started
it, and would put that request's id on all that it ever does.
"""

from __future__ import annotations

import logging
import sys
from time import perf_counter
from typing import TYPE_CHECKING

from pantheon_obs.core.context import clear
from pantheon_obs.core.finalizers import in_finalizer
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.in_force import in_force
from pantheon_obs.core.installed import folder_of
from pantheon_obs.core.runtime import running_loop

if TYPE_CHECKING:
    from types import FrameType

    from pantheon_obs.core.context import Trace

_REMEDY = (
    "start a consumer or scheduler inside `with untraced():`; "
    "use `carry(function)` for work that belongs to the request however long it takes"
)
_RUNNERS = frozenset({"asyncio", "concurrent", "threading"})

_reported: set[str] = set()

_guard = Guard("trace_outlived")


def is_over(trace: Trace) -> bool:
    """Whether a trace has ended too long ago; if so, this context leaves it."""
    seconds = perf_counter() - trace.ended
    if seconds < in_force("trace_linger_s"):
        return False
    if not in_finalizer():
        clear()
        with _guard:
            _report(seconds)
    return True


def _report(seconds: float) -> None:
    """Log one WARNING for each place where a trace is outlived."""
    task = _place()
    if task not in _reported:
        _reported.add(task)
        fields = {"task": task, "seconds": round(seconds, 3), "remedy": _REMEDY}
        logging.getLogger("pantheon_obs").warning("trace_outlived", extra=fields)


def _place() -> str:
    """Name the application's function that the running task, timer or thread has called.

    Libraries wrap functions that are submitted to a pool, so the outermost one may be theirs.
    """
    frame, last = sys._getframe(1), _frame_of_task()  # noqa: SLF001 - `inspect` reads all sources
    own: FrameType | None = None
    while True:
        if folder_of(frame.f_code.co_filename) is None:
            own = frame
        if frame is last or frame.f_back is None or _runs(frame.f_back):
            return (own or frame).f_code.co_qualname
        frame = frame.f_back


def _frame_of_task() -> FrameType | None:
    """Return the outermost frame of the running task's coroutine."""
    loop = running_loop()
    task = None if loop is None else sys.modules["asyncio"].current_task(loop)
    return None if task is None else getattr(task.get_coro(), "cr_frame", None)


def _runs(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] in _RUNNERS


def reset() -> None:
    """Report every place afresh (used by `pantheon_obs.testing.reset`)."""
    _reported.clear()
