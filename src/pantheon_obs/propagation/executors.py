"""Run functions on other threads in the trace that sent them there."""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial, wraps
from types import coroutine
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from pantheon_obs.core.calls import call_here
from pantheon_obs.core.context import carried_trace, current_call
from pantheon_obs.core.errors import refuse
from pantheon_obs.core.failures import escape_context
from pantheon_obs.core.serving import active

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from concurrent.futures import Future
    from contextvars import Context

    from pantheon_obs.core.context import Trace

_P = ParamSpec("_P")
_T = TypeVar("_T")


def carry(fn: Callable[_P, _T]) -> Callable[_P, _T]:
    """Make a function run in the current trace, on any thread and at any time.

    Use it for a function that runs on another thread: `threading.Thread(target=carry(work))`,
    `executor.submit(carry(work))`, `loop.run_in_executor(None, carry(work))`. It gets the current
    values of all context variables, as with `asyncio.to_thread`. It may be called several times,
    from several threads at once; each call has its own copy of the context. A coroutine function
    keeps the trace however long its task outlives the request: `create_task(carry(work)())`.

    Args:
        fn: The function or coroutine function. A generator function is not accepted, as its code
            runs where its result is iterated over.

    Returns:
        A function with the same signature, which keeps this context alive.

    Raises:
        ConfigError: `fn` is a generator function, or cannot be called.

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
    is_async = inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(type(fn).__call__)
    carried: Callable[_P, Any] = _carried_coroutine(fn) if is_async else _carried(fn)
    return wraps(fn)(carried)


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
        """Submit a job, as `ThreadPoolExecutor.submit` does with the same arguments."""
        return super().submit(_carried(fn), *args, **kwargs)


def _here() -> tuple[Trace | None, Context]:
    """Return the current trace and a context that keeps it."""
    _, trace = active()
    context = copy_context()
    context.run(carried_trace.set, trace)
    # The call of a generator's code is found on the stack, and the other thread has another.
    context.run(current_call.set, call_here())
    return trace, context


def _carried(fn: Callable[_P, _T]) -> Callable[_P, _T]:
    trace, context = _here()

    def carried(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        copied = context.copy()
        try:
            return copied.run(fn, *args, **kwargs)
        except BaseException as error:
            # It is reported outside of this context: by the thread's hook or the future's callback.
            escape_context(error, copied, trace)
            raise

    return carried


def _carried_coroutine(fn: Callable[_P, Any]) -> Callable[_P, Any]:
    trace, context = _here()

    async def carried(*args: _P.args, **kwargs: _P.kwargs) -> Any:
        copied = context.copy()
        try:
            return await _steps(copied.run(fn, *args, **kwargs), copied)
        except BaseException as error:
            if not isinstance(error, GeneratorExit):  # the garbage collector may close it
                escape_context(error, copied, trace)
            raise

    return carried


@coroutine
def _steps(inner: Any, context: Context) -> Generator[Any, Any, Any]:
    """Await a coroutine, each of whose steps runs in a context."""
    step: Callable[[], Any] = partial(inner.send, None)
    while True:
        try:
            awaited = context.run(step)
        except StopIteration as end:
            return end.value
        try:
            sent = yield awaited
        except BaseException as error:  # noqa: BLE001 - it is the coroutine's, a cancellation too
            step = partial(inner.throw, error)
        else:
            step = partial(inner.send, sent)


def _check(fn: object) -> None:
    if not callable(fn):
        accepted = "a function"
    elif inspect.isasyncgenfunction(fn) or inspect.isgeneratorfunction(fn):
        accepted = "carry on the function that iterates over it, where its code runs"
    else:
        return
    refuse("carry: fn", fn, accepted)
