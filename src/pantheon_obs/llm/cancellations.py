"""Tell by whom a call was cancelled: by a time-out, by a consumer that left, or by hand.

`asyncio.timeout` cancels its task, and turns that into a `TimeoutError` further up. Its context
manager is on the stack of a coroutine that waits for the cancelled one, in the same task or in one
that waits for that. `asyncio.wait_for` is made of it since Python 3.12.
"""

from __future__ import annotations

import gc
import sys
from contextlib import AsyncExitStack
from functools import partial
from types import (
    AsyncGeneratorType,
    BuiltinMethodType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    MethodType,
)
from typing import Any, Literal

from pantheon_obs.core.guard import report

Sender = Literal["consumer", "time-out"]

# The types by which one coroutine waits for another one; those of async generators have no name.
_WAITING: tuple[Any, ...] = (CoroutineType, GeneratorType, AsyncGeneratorType)
_CLOSING = "async_generator_athrow"
_WAITING_NAMES = frozenset({"async_generator_asend", _CLOSING, "coroutine_wrapper"})
_MOST = 1000  # objects that are looked at, whatever the application keeps in its own


def sender_of(error: BaseException) -> Sender | None:
    """Tell who has ended a call with an exception that is not an `Exception`, if it can be told."""
    if isinstance(error, GeneratorExit):
        return "consumer"
    asyncio: Any = sys.modules.get("asyncio")
    if asyncio is None or not isinstance(error, asyncio.CancelledError):
        return None
    try:
        return _canceller_of(asyncio.current_task())
    except RuntimeError:  # no event loop, or another library's
        return None
    except Exception as mistake:  # noqa: BLE001 - the guard, in a place that must return a value
        report("llm cancellation", mistake)
        return None


def _canceller_of(task: Any) -> Sender | None:
    if task is None:
        return None
    if type(task.get_coro()).__name__ == _CLOSING:
        return "consumer"  # has left a generator: a loop that ends cancels the closing of those
    return "time-out" if _has_expired(task, set()) else None


def _has_expired(task: Any, seen: set[Any]) -> bool:
    """Whether all cancellations of a task come from time-outs: its own, or those of its waiters."""
    seen.add(task)
    requests = task.cancelling()
    expired = sum(timeout.expired() for timeout in _timeouts(task.get_coro()))
    if requests == expired + 1:
        return any(_has_expired(waiter, seen) for waiter in _waiters(task, seen))
    return bool(0 < requests <= expired)


def _timeouts(coroutine: Any) -> list[Any]:
    """Return the time-outs that the coroutines of a task have entered, exit stacks included."""
    kind: Any = sys.modules["asyncio"].Timeout
    seen: set[int] = set()
    found = []
    looked_at = [coroutine]
    while looked_at and len(seen) < _MOST:
        one = looked_at.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if type(one) is MethodType:
            looked_at.append(one.__self__)
        elif type(one) is kind:
            found.append(one)
        elif _waits(one):
            looked_at += gc.get_referents(one)
        elif isinstance(one, AsyncExitStack):
            looked_at += [leave for _, leave in vars(one)["_exit_callbacks"]]
        elif hasattr(type(one), "__aexit__"):  # one that is made of others, by contextlib perhaps
            looked_at += getattr(one, "__dict__", {}).values()
    return found


def _waits(value: Any) -> bool:
    return isinstance(value, _WAITING) or type(value).__name__ in _WAITING_NAMES


def _waiters(task: Any, seen: set[Any]) -> list[Any]:
    """Return the tasks that a task's cancellation may come from: who waits for it is told its end.

    Its callbacks belong to the task that awaits it, to `gather`'s future, or to a `TaskGroup`.
    """
    asyncio: Any = sys.modules["asyncio"]
    known = {id(other) for other in seen}
    found = []
    looked_at = _callbacks(task)
    while looked_at:
        one = looked_at.pop()
        if id(one) in known:
            continue
        known.add(id(one))
        if isinstance(one, asyncio.Task):
            found.append(one)
        elif isinstance(one, asyncio.Future):
            looked_at += _callbacks(one)
        elif isinstance(one, asyncio.TaskGroup):
            looked_at.append(one._parent_task)  # noqa: SLF001 - nothing public tells
        elif type(one) in (MethodType, BuiltinMethodType):
            looked_at.append(one.__self__)
        elif isinstance(one, partial):
            looked_at += one.args
        elif type(one) is FunctionType and one.__module__ == "asyncio.tasks":
            looked_at += [cell.cell_contents for cell in one.__closure__ or ()]
    return found


def _callbacks(future: Any) -> list[Any]:
    return [callback for callback, *_ in future._callbacks or ()]  # noqa: SLF001 - as above
