"""The methods of an observed stream: each calls the application's own, and records the outcome."""

from __future__ import annotations

from functools import partial
from inspect import iscoroutinefunction
from time import perf_counter
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.calls import leave_context
from pantheon_obs.core.context import current_call
from pantheon_obs.llm.observe.generators import (
    async_relay,
    observe_async_generator,
    observe_generator,
    relay,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.llm.observe.objects import Methods, ObservedClass
    from pantheon_obs.llm.report import LlmCall


class IteratorObserver:
    """Observes one iterator of an object, which the object may outlive."""

    __slots__ = ("call", "observed", "subject")

    def __init__(self, observed: ObservedClass, subject: Any, call: LlmCall) -> None:
        self.observed = observed
        self.subject = subject
        self.call = call

    def exhausted(self, began: float) -> None:
        """The iterator has no more chunks, and neither has the object."""
        self.call.exhausted(began)
        self.observed.settle(self.subject, self.call)

    def failed(self, error: BaseException, began: float) -> None:
        """The iterator has raised."""
        if not isinstance(error, GeneratorExit):
            self.call.failed(error, began)
            self.observed.settle(self.subject, self.call)

    def abandoned(self) -> None:
        """The object may be iterated again; its end is its close or garbage collection."""


def _next(method: Callable[[Any], Any], observed: ObservedClass) -> Callable[[Any], Any]:
    call_of = observed.open.get

    def observed_next(self: Any) -> Any:
        call = call_of(id(self))
        if call is None:
            return method(self)
        token = current_call.set(call)
        began = perf_counter()
        try:
            chunk = method(self)
        except BaseException as error:
            _stopped(observed, self, call, error, began)
            raise
        finally:
            current_call.reset(token)
        now = perf_counter()
        call.producer += now - began
        call.chunks += 1
        call.recent.append(chunk)
        if call.first_content is None:
            call.read_chunk(chunk, now)
        return chunk

    return observed_next


def _anext(method: Callable[[Any], Any], observed: ObservedClass) -> Callable[[Any], Any]:
    call_of = observed.open.get

    async def observed_anext(self: Any) -> Any:
        call = call_of(id(self))
        if call is None:
            return await method(self)
        token = current_call.set(call)
        began = perf_counter()
        try:
            chunk = await method(self)
        except BaseException as error:
            _stopped(observed, self, call, error, began)
            raise
        finally:
            leave_context(token)
        now = perf_counter()
        call.producer += now - began
        call.chunks += 1
        call.recent.append(chunk)
        if call.first_content is None:
            call.read_chunk(chunk, now)
        return chunk

    return observed_anext


def _stopped(
    observed: ObservedClass, subject: Any, call: LlmCall, error: BaseException, began: float
) -> None:
    if isinstance(error, StopIteration | StopAsyncIteration):
        call.exhausted(began)
    else:
        call.failed(error, began)
    observed.settle(subject, call)


def _iter(
    method: Callable[[Any], Any],
    observed: ObservedClass,
    *,
    generator: type,
    relayed: Callable[[Any], Any],
    observe: Callable[[Any, IteratorObserver], Any],
) -> Callable[[Any], Any]:
    """Observe `__iter__` or `__aiter__`: the iterator that it returns becomes a generator."""

    def observed_iter(self: Any) -> Any:
        call = observed.open.get(id(self))
        if call is None:
            return method(self)
        token = current_call.set(call)
        try:
            iterator = method(self)
        finally:
            current_call.reset(token)
        if iterator is self:
            return iterator
        inner = iterator if type(iterator) is generator else relayed(iterator)
        return observe(inner, IteratorObserver(observed, self, call))

    return observed_iter


def closing(
    method: Callable[..., Any], observed: ObservedClass, *, record: Callable[..., None]
) -> Callable[..., Any]:
    """Observe `close()` or `__exit__()`, async or not.

    Args:
        method: The application's method.
        observed: The object's class.
        record: Records the end before the method is called: `record(call, self, *args)`.
    """
    if iscoroutinefunction(method):

        async def observed_aclose(self: Any, *args: Any, **kwargs: Any) -> Any:
            call = observed.open.get(id(self))
            if call is None:
                return await method(self, *args, **kwargs)
            record(call, self, *args)
            try:
                return await method(self, *args, **kwargs)
            finally:
                observed.settle(self, call)

        return observed_aclose

    def observed_close(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = observed.open.get(id(self))
        if call is None:
            return method(self, *args, **kwargs)
        record(call, self, *args)
        try:
            return method(self, *args, **kwargs)
        finally:
            observed.settle(self, call)

    return observed_close


def record_close(
    call: LlmCall, _subject: Any, _kind: object = None, error: object = None, *_: object
) -> None:
    """Record that the consumer leaves, by itself or because it was cancelled."""
    if isinstance(error, BaseException) and not isinstance(error, Exception):
        call.failed(error)
    else:
        call.abandoned()


def _del(method: Callable[[Any], None], observed: ObservedClass) -> Callable[[Any], None]:
    def observed_del(self: Any) -> None:
        call = observed.open.pop(id(self), None)
        if call is not None:
            call.abandoned()
            call.settle(self)
        method(self)

    return observed_del


_close = partial(closing, record=record_close)

STREAM: Methods = {
    "__next__": _next,
    "__anext__": _anext,
    "__iter__": partial(_iter, generator=GeneratorType, relayed=relay, observe=observe_generator),
    "__aiter__": partial(
        _iter, generator=AsyncGeneratorType, relayed=async_relay, observe=observe_async_generator
    ),
    "close": _close,
    "aclose": _close,
    "__exit__": _close,
    "__aexit__": _close,
    "__del__": _del,
}
