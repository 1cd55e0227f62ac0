"""Run functions on other threads in the trace that sent them there."""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from pantheon_obs.core.calls import call_here
from pantheon_obs.core.context import carried_trace, current_call, current_trace
from pantheon_obs.core.errors import refuse
from pantheon_obs.core.failures import leave

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from contextvars import Context

_P = ParamSpec("_P")
_T = TypeVar("_T")


def carry(fn: Callable[_P, _T]) -> Callable[_P, _T]:
    """Make a function run in the current trace, on whatever thread and whenever it is called.

    Use it for a function that runs on another thread: `threading.Thread(target=carry(work))`,
    `executor.submit(carry(work))`, `loop.run_in_executor(None, carry(work))`. It gets the current
    values of all context variables, as with `asyncio.to_thread`. It may be called several times,
    from several threads at once; each call has its own copy of the context.

    Args:
        fn: The function. A coroutine function or a generator function is not accepted, as its code
            runs where its result is awaited or iterated over.

    Returns:
        A function with the same signature, which keeps this context alive.

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
    """A `ThreadPoolExecutor` whose jobs run in the trace that submitted them, as with `carry`.

    `map`, `loop.run_in_executor` and `loop.set_default_executor` submit jobs, too.

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
            fn: The function to call.
            args: Its arguments.
            kwargs: Its arguments by name.

        Returns:
            The job's future.
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
            # It is reported outside of this context: by the thread's hook or the future's callback.
            leave(error, copied, trace)
            raise

    return carried


def _context_here() -> Context:
    """Copy this context for another thread."""
    context = copy_context()
    context.run(carried_trace.set, current_trace.get())
    # The call of a generator's code is found on the stack, and the other thread has another.
    context.run(current_call.set, call_here())
    return context


def _check(fn: object) -> None:
    if not callable(fn):
        accepted = "a function"
    elif inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(type(fn).__call__):
        accepted = (
            "asyncio.create_task or asyncio.run_coroutine_threadsafe without carry, as a task has "
            "the context in which it is made; on a thread with an event loop of its own use "
            "carry(lambda: asyncio.run(…))"
        )
    elif inspect.isasyncgenfunction(fn) or inspect.isgeneratorfunction(fn):
        accepted = "carry on the function that iterates over it, where its code runs"
    else:
        return
    refuse("carry: fn", fn, accepted)
