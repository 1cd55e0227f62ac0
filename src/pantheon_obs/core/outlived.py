"""Leave a trace behind that has ended long ago, in a task or timer that goes on for ever.

Such work, a consumer or a scheduler for example, has the context of the request that has started
it, and would put that request's id on all that it ever does.
"""

from __future__ import annotations

import gc
import logging
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import clear, is_apart
from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from pantheon_obs.core.context import Trace

DEFAULT_LINGER_S = 600.0
_REMEDY = (
    "start a consumer or scheduler inside `with untraced():`; "
    "use `carry(function)` for work that belongs to the request however long it takes"
)
_RUNNERS = frozenset({"asyncio", "concurrent", "threading"})

linger_s = DEFAULT_LINGER_S
"""For how many seconds after its end a trace belongs to the tasks and timers that it has started;
the setting of this process."""

_reported: set[str] = set()
collecting = False
"""Whether a garbage collection may run this code, in the middle of anything."""

_guard = Guard("trace_outlived")


def use(seconds: float) -> None:
    """Let traces last for so long after their end."""
    global linger_s  # noqa: PLW0603 - one process, one set of settings
    linger_s = seconds


def watch_collections() -> None:
    """Learn when the garbage collector runs, where it may run in the middle of anything.

    Before Python 3.12 a finalizer must set no context variable: see `context.apart`.
    """
    gc.callbacks.append(_on_collection)


def _on_collection(phase: str, _: Mapping[str, int]) -> None:
    global collecting  # noqa: PLW0603 - there is one collector
    collecting = phase == "start"


def is_over(trace: Trace) -> bool:
    """Whether a trace has ended too long ago; if so, this context leaves it."""
    seconds = perf_counter() - trace.ended
    if seconds < linger_s:
        return False
    if not (collecting or is_apart()):
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
    """Name the coroutine of the running task, or the function that a timer or thread has called."""
    asyncio: Any = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:  # noqa: SLF001 - does not raise
        task = asyncio.current_task()
        if task is not None:
            coroutine = task.get_coro()
            return str(getattr(coroutine, "__qualname__", coroutine))
    frame: FrameType = sys._getframe()  # noqa: SLF001 - `inspect` reads the source of each frame
    while frame.f_back is not None and not _runs(frame.f_back):
        frame = frame.f_back
    return frame.f_code.co_qualname


def _runs(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] in _RUNNERS


def reset() -> None:
    """Report every place afresh (used by `pantheon_obs.testing.reset`)."""
    use(DEFAULT_LINGER_S)
    _reported.clear()
