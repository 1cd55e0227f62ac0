"""Tell a time-out of the caller's own from a cancellation.

`asyncio.timeout` cancels the task, and turns that into a `TimeoutError` further up. Its context
manager is on the stack of one of the coroutines that wait for the cancelled one. `asyncio.wait_for`
is made of it since Python 3.12.
"""

from __future__ import annotations

import gc
import sys
from types import AsyncGeneratorType, CoroutineType, GeneratorType, MethodType
from typing import Any

# The types by which one coroutine waits for another one; those of async generators have no name.
_WAITING: tuple[Any, ...] = (CoroutineType, GeneratorType, AsyncGeneratorType)
_WAITING_NAMES = frozenset({"async_generator_asend", "async_generator_athrow", "coroutine_wrapper"})


def has_timed_out(error: BaseException) -> bool:
    """Whether a cancellation comes from time-outs of the waiting coroutines only."""
    asyncio: Any = sys.modules.get("asyncio")
    if asyncio is None or not isinstance(error, asyncio.CancelledError):
        return False
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop, or another library's
        return False
    if task is None:
        return False
    expired = sum(timeout.expired() for timeout in _timeouts(task.get_coro(), asyncio.Timeout))
    return bool(0 < task.cancelling() <= expired)


def _timeouts(coroutine: Any, kind: type) -> list[Any]:
    """Return the time-outs that the coroutines of a task have entered."""
    seen: set[int] = set()
    found = {}
    waiting = [coroutine]
    while waiting:
        one = waiting.pop()
        seen.add(id(one))
        for referent in gc.get_referents(one):
            owner = referent.__self__ if type(referent) is MethodType else referent
            if type(owner) is kind:
                found[id(owner)] = owner
            elif id(referent) not in seen and _waits(referent):
                waiting.append(referent)
    return [*found.values()]


def _waits(value: Any) -> bool:
    return isinstance(value, _WAITING) or type(value).__name__ in _WAITING_NAMES
