"""Functions under observation: a wrapper of the same kind for each."""

from __future__ import annotations

from inspect import (
    CO_ITERABLE_COROUTINE,
    isasyncgenfunction,
    iscoroutinefunction,
    isgeneratorfunction,
)
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import current_call
from pantheon_obs.llm.holds import Hold
from pantheon_obs.llm.results import deliver
from pantheon_obs.llm.streams import async_generator_observer, generator_observer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.llm.lifecycle import LlmCall
    from pantheon_obs.llm.parts import HostValue

    Starter = Callable[[tuple[HostValue, ...], dict[str, HostValue]], LlmCall]


def observed_function(function: Callable[..., Any], start: Starter) -> Callable[..., Any]:
    """Wrap a function in one of its own kind, without its name and signature.

    Args:
        function: A function of any kind.
        start: Starts a call with these arguments.

    Returns:
        A function that does the same, each call of which is observed.
    """
    if isasyncgenfunction(function):
        return async_generator_observer(_opener(function, start))
    if isgeneratorfunction(function) and not _is_awaitable(function):
        return generator_observer(_opener(function, start))
    if iscoroutinefunction(function):

        async def observed_async(*args: HostValue, **kwargs: HostValue) -> HostValue:
            call = start(args, kwargs)
            token = current_call.set(call)
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                call.failed(error)
                call.settle()
                raise
            finally:
                try:  # noqa: SIM105 - `suppress` costs more
                    current_call.reset(token)
                except ValueError:
                    pass  # closed by the garbage collector, in another context: not ours
            return deliver(result, call)

        return observed_async

    def observed(*args: HostValue, **kwargs: HostValue) -> HostValue:
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


def _opener(function: Callable[..., Any], start: Starter) -> Callable[..., tuple[HostValue, Hold]]:
    """Run at the first step: a generator that is never started has called nothing."""

    def opened(*args: HostValue, **kwargs: HostValue) -> tuple[HostValue, Hold]:
        inner = function(*args, **kwargs)
        call = start(args, kwargs)
        call.begin_stream()
        return inner, Hold(call)

    return opened


def _is_awaitable(function: Callable[..., Any]) -> bool:
    """Whether it was decorated with `types.coroutine`: then its generator is to be awaited."""
    code = getattr(function, "__code__", None)
    return bool(code is not None and code.co_flags & CO_ITERABLE_COROUTINE)
