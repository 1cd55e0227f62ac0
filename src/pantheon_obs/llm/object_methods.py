"""The methods of an observed stream's class: each does what the host's does, and looks on."""

from __future__ import annotations

from functools import partial
from inspect import iscoroutinefunction
from time import perf_counter
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import current_call
from pantheon_obs.llm.nesting import leave
from pantheon_obs.llm.streams import (
    async_relay,
    observe_async_generator,
    observe_generator,
    relay,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pantheon_obs.llm.lifecycle import LlmCall
    from pantheon_obs.llm.objects import Methods, Swap
    from pantheon_obs.llm.parts import HostValue


class Iteration:
    """Observes one iterator of an object. To leave it is not to leave the object."""

    __slots__ = ("call", "subject", "swap")

    def __init__(self, swap: Swap, subject: HostValue, call: LlmCall) -> None:
        self.swap = swap
        self.subject = subject
        self.call = call

    def exhausted(self, began: float) -> None:
        """The iterator has come to its end, and with it the object."""
        self.call.exhausted(began)
        self.swap.settle(self.subject, self.call)

    def failed(self, error: BaseException, began: float) -> None:
        """An exception came out of the iterator."""
        if not isinstance(error, GeneratorExit):
            self.call.failed(error, began)
            self.swap.settle(self.subject, self.call)

    def left(self) -> None:
        """The object may be iterated again; it is let go or closed at the end."""


def _next(method: Callable[[Any], Any], swap: Swap) -> Callable[[Any], Any]:
    call_of = swap.open.get

    def observed(self: HostValue) -> HostValue:
        call = call_of(id(self))
        if call is None:
            return method(self)
        token = current_call.set(call)
        began = perf_counter()
        try:
            chunk = method(self)
        except BaseException as error:
            _stopped(swap, self, call, error, began)
            raise
        finally:
            current_call.reset(token)
        now = perf_counter()
        call.producer += now - began
        call.chunks += 1
        call.recent.append(chunk)
        if call.first_content is None:
            call.look(chunk, now)
        return chunk

    return observed


def _anext(method: Callable[[Any], Any], swap: Swap) -> Callable[[Any], Any]:
    call_of = swap.open.get

    async def observed(self: HostValue) -> HostValue:
        call = call_of(id(self))
        if call is None:
            return await method(self)
        token = current_call.set(call)
        began = perf_counter()
        try:
            chunk = await method(self)
        except BaseException as error:
            _stopped(swap, self, call, error, began)
            raise
        finally:
            leave(token)
        now = perf_counter()
        call.producer += now - began
        call.chunks += 1
        call.recent.append(chunk)
        if call.first_content is None:
            call.look(chunk, now)
        return chunk

    return observed


def _stopped(
    swap: Swap, subject: HostValue, call: LlmCall, error: BaseException, began: float
) -> None:
    if isinstance(error, StopIteration | StopAsyncIteration):
        call.exhausted(began)
    else:
        call.failed(error, began)
    swap.settle(subject, call)


def _iter(method: Callable[[Any], Iterator[Any]], swap: Swap) -> Callable[[Any], Iterator[Any]]:
    def observed(self: HostValue) -> Iterator[Any]:
        call = swap.open.get(id(self))
        if call is None:
            return method(self)
        token = current_call.set(call)
        try:
            iterator: HostValue = method(self)
        finally:
            current_call.reset(token)
        if iterator is self:
            return iterator  # type: ignore[no-any-return]
        inner: HostValue = iterator if type(iterator) is GeneratorType else relay(iterator)
        return observe_generator(inner, Iteration(swap, self, call))

    return observed


def _aiter(
    method: Callable[[Any], AsyncIterator[Any]], swap: Swap
) -> Callable[[Any], AsyncIterator[Any]]:
    def observed(self: HostValue) -> AsyncIterator[Any]:
        call = swap.open.get(id(self))
        if call is None:
            return method(self)
        token = current_call.set(call)
        try:
            iterator: HostValue = method(self)
        finally:
            current_call.reset(token)
        if iterator is self:
            return iterator  # type: ignore[no-any-return]
        inner: HostValue = (
            iterator if type(iterator) is AsyncGeneratorType else async_relay(iterator)
        )
        return observe_async_generator(inner, Iteration(swap, self, call))

    return observed


def closing(
    method: Callable[..., Any], swap: Swap, *, tell: Callable[..., None]
) -> Callable[..., Any]:
    """For what ends a call, async or not; `tell(call, self, *args)` says how.

    Args:
        method: The host's `close()`, or `__exit__(kind, error, traceback)`.
        swap: The swap of the object's class.
        tell: Called before the method.

    Returns:
        The method, observed.
    """
    if iscoroutinefunction(method):

        async def observed_async(
            self: HostValue, *args: HostValue, **kwargs: HostValue
        ) -> HostValue:
            call = swap.open.get(id(self))
            if call is None:
                return await method(self, *args, **kwargs)
            tell(call, self, *args)
            try:
                return await method(self, *args, **kwargs)
            finally:
                swap.settle(self, call)

        return observed_async

    def observed(self: HostValue, *args: HostValue, **kwargs: HostValue) -> HostValue:
        call = swap.open.get(id(self))
        if call is None:
            return method(self, *args, **kwargs)
        tell(call, self, *args)
        try:
            return method(self, *args, **kwargs)
        finally:
            swap.settle(self, call)

    return observed


def left(call: LlmCall, _: object, __: object = None, error: object = None, *_rest: object) -> None:
    """The consumer left, on its own account or because it was cancelled."""
    if isinstance(error, BaseException) and not isinstance(error, Exception):
        call.failed(error)
    else:
        call.left()


def _del(method: Callable[[Any], None], swap: Swap) -> Callable[[Any], None]:
    def observed(self: HostValue) -> None:
        call = swap.open.pop(id(self), None)
        if call is not None:
            call.left()
            call.settle(self)
        method(self)

    return observed


_close = partial(closing, tell=left)

STREAM: Methods = {
    "__next__": _next,
    "__anext__": _anext,
    "__iter__": _iter,
    "__aiter__": _aiter,
    "close": _close,
    "aclose": _close,
    "__exit__": _close,
    "__aexit__": _close,
    "__del__": _del,
}
