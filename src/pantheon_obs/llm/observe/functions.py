"""Functions under observation: each gets a wrapper of its own kind."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.calls import leave_context
from pantheon_obs.core.context import current_call
from pantheon_obs.llm.cost.budget_checks import admit, catch_up
from pantheon_obs.llm.observe import generators
from pantheon_obs.llm.observe.returned_values import deliver

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.llm.report import LlmCall

    Starter = Callable[[tuple[Any, ...], dict[str, Any]], LlmCall]


def observed_function(function: Callable[..., Any], start: Starter) -> Callable[..., Any]:
    """Wrap a function in one of its own kind; `start` starts a call, given the arguments."""

    def open_inner(*args: Any, **kwargs: Any) -> tuple[Any, generators.CallFinalizer]:
        # At the first step: a generator that never starts has called nothing.
        inner = function(*args, **kwargs)
        call = start(args, kwargs)
        call.begin_stream()
        return inner, generators.CallFinalizer(call)

    async def observed_async(*args: Any, **kwargs: Any) -> Any:
        call = start(args, kwargs)
        if call.awaited:
            await admit(call)
        token = current_call.set(call)  # in place: `OwnCode` costs more, and this runs per call
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            call.failed(error)
            call.settle()
            raise
        finally:
            leave_context(token)
        result = deliver(result, call)
        if call.awaited:
            await catch_up(call)
        return result

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

    if inspect.isasyncgenfunction(function):
        return generators.async_generator_observer(open_inner)
    if inspect.isgeneratorfunction(function) and not _is_awaitable(function):
        return generators.generator_observer(open_inner)
    return observed_async if inspect.iscoroutinefunction(function) else observed


def _is_awaitable(function: Callable[..., Any]) -> bool:
    """Whether it was decorated with `types.coroutine`, so that its generator is awaited."""
    code = getattr(function, "__code__", None)
    return bool(code is not None and code.co_flags & inspect.CO_ITERABLE_COROUTINE)
