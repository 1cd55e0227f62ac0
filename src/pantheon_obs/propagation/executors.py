"""Work on other threads, in the trace that sent it there: one function, or all that a pool runs."""

from __future__ import annotations

import inspect
import reprlib
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from pantheon_obs.core.calls import call_here
from pantheon_obs.core.context import (
    carried_trace,
    current_call,
    current_trace,
)
from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.failures import leave

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from contextvars import Context

_P = ParamSpec("_P")
_T = TypeVar("_T")


def carry(fn: Callable[_P, _T]) -> Callable[_P, _T]:
    """Make a function run in the trace of here and now, wherever and whenever it is called.

    For whatever calls it on a thread of its own: `threading.Thread(target=carry(work))`,
    `executor.submit(carry(work))`, `loop.run_in_executor(None, carry(work))`. All context variables
    of this moment come along, as `asyncio.to_thread` brings them. It may be called any number of
    times, from several threads at once; each call has a copy of the context to itself.

    Args:
        fn: The function. Not one that only makes a coroutine or a generator: that runs where it is
            awaited or iterated over.

    Returns:
        A function of the same signature. While it is kept, so is this context.

    Raises:
        ConfigError: `fn` is a coroutine function or a generator function, or cannot be called.

    Example:
        >>> from threading import Thread
        >>> from pantheon_obs import current_trace_id, trace_context
        >>> from pantheon_obs.propagation import carry
        >>> def work():
        ...     print(current_trace_id.get())
        >>> with trace_context("order-7"):
        ...     thread = Thread(target=carry(work))
        >>> thread.start()
        order-7
        >>> thread.join()
    """
    _check(fn)
    return wraps(fn)(_carried(fn))


class TracedThreadPoolExecutor(ThreadPoolExecutor):
    """A `ThreadPoolExecutor` whose jobs run in the trace that submitted them, as `carry` does it.

    So does what `map`, `loop.run_in_executor` and `loop.set_default_executor` give it.

    Example:
        >>> from pantheon_obs import current_trace_id, trace_context
        >>> from pantheon_obs.propagation import TracedThreadPoolExecutor
        >>> with TracedThreadPoolExecutor(max_workers=4) as pool:
        ...     with trace_context("order-7"):
        ...         job = pool.submit(current_trace_id.get)
        ...     job.result()
        'order-7'
    """

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Submit a job, as `ThreadPoolExecutor.submit`.

        Args:
            fn: What to call.
            args: Its arguments.
            kwargs: Its arguments by name.

        Returns:
            Its future.
        """
        return super().submit(_carried(fn), *args, **kwargs)


def _carried(fn: Callable[_P, _T]) -> Callable[_P, _T]:
    context = _context_here()
    trace = current_trace.get()

    def carried(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        copied = context.copy()
        try:
            return copied.run(fn, *args, **kwargs)
        except BaseException as error:
            # It ends outside of this context: in the thread's hook, in a callback of the future.
            leave(error, copied, trace)
            raise

    return carried


def _context_here() -> Context:
    """A copy of this context, for elsewhere."""
    context = copy_context()
    context.run(carried_trace.set, current_trace.get())
    # That of a generator's own code is known by the stack, which is another one there.
    context.run(current_call.set, call_here())
    return context


def _check(fn: object) -> None:
    if not callable(fn):
        advice = "use a function"
    elif inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(type(fn).__call__):
        advice = (
            "a task has the context in which it is made, so asyncio.create_task and "
            "asyncio.run_coroutine_threadsafe need no carry; on a thread with an event loop of its "
            "own use carry(lambda: asyncio.run(…))"
        )
    elif inspect.isasyncgenfunction(fn) or inspect.isgeneratorfunction(fn):
        advice = "its code runs where it is iterated over: carry the function that does so"
    else:
        return
    msg = f"carry: {reprlib.repr(fn)} is not accepted: {advice}"
    raise ConfigError(msg)
