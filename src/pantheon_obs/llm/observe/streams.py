"""The methods of an observed stream: each calls the application's own, and records the outcome."""

from __future__ import annotations

from functools import partial
from inspect import iscoroutinefunction
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import ref

from pantheon_obs.core.calls import leave_context
from pantheon_obs.core.context import current_call
from pantheon_obs.llm.cost.budget_checks import admit, catch_up
from pantheon_obs.llm.nesting import OwnCode
from pantheon_obs.llm.observe import generators

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.llm.observe.observed_objects import Methods, ObservedClass
    from pantheon_obs.llm.report import LlmCall

    Method = Callable[..., Any]


class IteratorObserver(generators.Observer):
    """Observes one iterator of an object, which the object may outlive."""

    __slots__ = ("left", "observed", "subject")

    def __init__(self, observed: ObservedClass, subject: Any, call: LlmCall) -> None:
        super().__init__(call)
        self.observed = observed
        self.subject = subject
        self.left = False

    def settle(self) -> None:
        """Stop observing the object, which has no more chunks either."""
        self.observed.settle(self.subject, self.call)

    def failed(self, error: BaseException, began: float) -> None:
        """The iterator has raised, perhaps an exception that the consumer has thrown in."""
        passes = self.left and not isinstance(error, Exception)
        if not passes and not isinstance(error, GeneratorExit):
            super().failed(error, began)

    def abandoned(self) -> None:
        """The object may be iterated again; its end is its close or garbage collection."""
        self.left = True


def _next(method: Method, observed: ObservedClass) -> Method:
    call_of = observed.open.get

    def observed_next(self: Any) -> Any:
        call = call_of(id(self))
        if call is None or (call.loops and _is_in_loop(call)):
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
        call.producer += perf_counter() - began
        call.recent.append(chunk)
        if len(call.recent) >= call.window:
            call.look()
        return chunk

    return observed_next


def _anext(method: Method, observed: ObservedClass) -> Method:
    call_of = observed.open.get

    async def observed_anext(self: Any) -> Any:
        call = call_of(id(self))
        if call is None or (call.loops and _is_in_loop(call)):
            return await method(self)
        token = current_call.set(call)
        began = perf_counter()
        try:
            chunk = await method(self)
        except BaseException as error:
            _stopped(observed, self, call, error, began)
            if call.awaited:
                await catch_up(call)
            raise
        finally:
            leave_context(token)
        call.producer += perf_counter() - began
        call.recent.append(chunk)
        if len(call.recent) >= call.window:
            call.look()
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


def _iter(method: Method, observed: ObservedClass, *, observe: Method) -> Method:
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
        loop = observe(iterator, IteratorObserver(observed, self, call))
        call.loops.append(ref(loop))
        return loop

    return observed_iter


def _is_in_loop(call: LlmCall) -> bool:
    """Whether a loop runs a step, perhaps from another thread or task: it counts the chunk."""
    loops = [loop() for loop in call.loops]
    return any(
        getattr(loop, "gi_running", False) or getattr(loop, "ag_running", False) for loop in loops
    )


def observed_method(
    method: Method,
    observed: ObservedClass,
    *,
    end: Method,
    begin: Method = lambda *_: None,
    sends: bool = False,
) -> Method:
    """Observe a method: `begin(call, self, *args)`, then `end(observed, self, call, answer)`.

    `sends` says that it sends the request, which a budget may refuse.
    """

    async def observed_async(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = observed.open.get(id(self))
        if call is None:
            return await method(self, *args, **kwargs)
        if sends and call.awaited:
            await admit(call)
        begin(call, self, *args)
        with OwnCode(call, partial(observed.settle, self, call)):
            answer = await method(self, *args, **kwargs)
        answer = end(observed, self, call, answer)
        if call.awaited:
            await catch_up(call)
        return answer

    def observed_sync(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = observed.open.get(id(self))
        if call is None:
            return method(self, *args, **kwargs)
        begin(call, self, *args)
        with OwnCode(call, partial(observed.settle, self, call)):
            answer = method(self, *args, **kwargs)
        return end(observed, self, call, answer)

    return observed_async if iscoroutinefunction(method) else observed_sync


def _closed(observed: ObservedClass, subject: Any, call: LlmCall, answer: Any) -> Any:
    observed.settle(subject, call)
    return answer


closing = partial(observed_method, end=_closed)
"""Observe `close()` or `__exit__()`, async or not; `begin` may record the end."""


def record_close(
    call: LlmCall, _subject: Any, _kind: object = None, error: object = None, *_: object
) -> None:
    """Record that the consumer leaves, by itself or because it was cancelled."""
    if isinstance(error, BaseException) and not isinstance(error, Exception):
        call.failed(error)
    else:
        call.abandoned()


def dropping(method: Method, observed: ObservedClass, *, end: Method) -> Method:
    """Observe `__del__`; `end(call, self)` ends a call that is still open."""

    def observed_del(self: Any) -> None:
        call = observed.open.pop(id(self), None)
        if call is not None:
            end(call, self)
        method(self)

    return observed_del


def _end_dropped(call: LlmCall, subject: Any) -> None:
    call.abandoned()
    call.settle(subject)


_close = partial(closing, begin=record_close)

STREAM: Methods = {
    "__next__": _next,
    "__anext__": _anext,
    "__iter__": partial(_iter, observe=generators.observe_generator),
    "__aiter__": partial(_iter, observe=generators.observe_async_generator),
    "close": _close,
    "aclose": _close,
    "__exit__": _close,
    "__aexit__": _close,
    "__del__": partial(dropping, end=_end_dropped),
}
