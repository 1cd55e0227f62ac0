"""Functions under observation: each gets a wrapper of its own kind."""

from __future__ import annotations

from inspect import (
    CO_ITERABLE_COROUTINE,
    isasyncgenfunction,
    iscoroutinefunction,
    isgeneratorfunction,
)
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.calls import leave_context
from pantheon_obs.core.context import current_call
from pantheon_obs.llm.observe.generators import (
    CallFinalizer,
    async_generator_observer,
    generator_observer,
)
from pantheon_obs.llm.observe.results import deliver

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.llm.report import LlmCall

    Starter = Callable[[tuple[Any, ...], dict[str, Any]], LlmCall]


def observed_function(function: Callable[..., Any], start: Starter) -> Callable[..., Any]:
    """Wrap a function in one of its own kind, without its name and signature.

    Args:
        function: A function of any kind.
        start: Starts an observed call, given the arguments.
    """
    if isasyncgenfunction(function):
        return async_generator_observer(_opener(function, start))
    if isgeneratorfunction(function) and not _is_awaitable(function):
        return generator_observer(_opener(function, start))
    if iscoroutinefunction(function):

        async def observed_async(*args: Any, **kwargs: Any) -> Any:
            call = start(args, kwargs)
            token = current_call.set(call)
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                call.failed(error)
                call.settle()
                raise
            finally:
                leave_context(token)
            return deliver(result, call)

        return observed_async

    def observed(*args: Any, **kwargs: Any) -> Any:
        call = start(args, kwargs)
        token = current_call.set(call)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            call.failed(error)
            call.settle()
            raise
        finally:
            current_call.reset(token)
        return deliver(result, call)

    return observed


def _opener(function: Callable[..., Any], start: Starter) -> Callable[..., tuple[Any, Any]]:
    """Start the call at the first step: a generator that never starts has called nothing."""

    def open_inner(*args: Any, **kwargs: Any) -> tuple[Any, CallFinalizer]:
        inner = function(*args, **kwargs)
        call = start(args, kwargs)
        call.begin_stream()
        return inner, CallFinalizer(call)

    return open_inner


def _is_awaitable(function: Callable[..., Any]) -> bool:
    """Whether it was decorated with `types.coroutine`, so that its generator is awaited."""
    code = getattr(function, "__code__", None)
    return bool(code is not None and code.co_flags & CO_ITERABLE_COROUTINE)
