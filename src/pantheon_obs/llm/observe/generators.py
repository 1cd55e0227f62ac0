"""Generators under observation: still real generators, each step of which is timed and counted.

The loops delegate as `yield from` does (PEP 380), but in full, because each step must be seen when
it returns: `send`, `throw`, `close` and the return value pass through. An exception that is thrown
in is passed on outside of the `except` that caught it, so that `sys.exception()` in the inner code
has the same value as without us.
"""

from __future__ import annotations

import sys
from itertools import starmap
from time import perf_counter
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.calls import enter_frame, leave_context, leave_frame
from pantheon_obs.core.chains import is_cancellation
from pantheon_obs.core.context import current_call
from pantheon_obs.llm.cost.budget_checks import admit, catch_up
from pantheon_obs.llm.progress import WINDOW

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator

    from pantheon_obs.llm.report import LlmCall

    Opener = Callable[..., tuple[Any, "Observer"]]

# The arguments of `perf_counter`, for each step between two looks at the chunks: `starmap` counts
# the steps and reads the clock in fewer instructions than both take by themselves.
_STEPS = ((),) * WINDOW


class Observer:
    """Reports the ends that a loop sees."""

    __slots__ = ("call",)

    def __init__(self, call: LlmCall) -> None:
        self.call = call

    def settle(self) -> None:
        """Report the end."""
        self.call.settle()

    def exhausted(self, began: float) -> None:
        """The iterator, asked at `began` for the next chunk, has no more."""
        self.call.exhausted(began)
        self.settle()

    def failed(self, error: BaseException, began: float) -> None:
        """The iterator has raised."""
        self.call.failed(error, began)
        self.settle()

    def abandoned(self) -> None:
        """The consumer reads no further. The usage is looked for when the iterator is closed."""
        self.call.abandoned()


class CallFinalizer(Observer):
    """Ends a call when its stream is garbage-collected; only the stream refers to it."""

    __slots__ = ()

    def __del__(self) -> None:
        self.call.abandoned()
        self.call.settle()


def generator_observer(open_inner: Opener) -> Callable[..., Generator[Any, Any, Any]]:
    """Make a generator function that runs the generator of `open_inner` under its observer."""

    def observed(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inner, observer = open_inner(*args, **kwargs)
        call = observer.call
        recent, reading = call.recent, True
        send: Callable[[Any], Any] = inner.send
        resume = send
        value: Any = None
        frame = enter_frame(inner.gi_frame, call)
        try:
            while True:
                for began in starmap(perf_counter, _STEPS):
                    try:
                        chunk = resume(value)
                    except StopIteration as stop:
                        observer.exhausted(began)
                        return stop.value
                    except BaseException as error:
                        value = None  # its traceback would keep alive the exception thrown in
                        observer.failed(error, began)
                        raise
                    call.producer += perf_counter() - began
                    recent.append(chunk)
                    if reading:
                        reading = call.look()
                    value = None
                    try:
                        value = yield chunk
                        resume = send
                    except BaseException as error:  # noqa: BLE001 - all of them are passed on
                        if isinstance(error, GeneratorExit):
                            observer.abandoned()
                        resume, value = inner.throw, _without_our_frame(error)
                if recent:
                    call.look()
        finally:
            leave_frame(frame, call)

    return observed


def async_generator_observer(  # noqa: C901 - one loop in one piece: it runs per chunk
    open_inner: Opener,
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Make an async generator function, as `generator_observer`."""

    async def observed(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: C901, PLR0912
        inner, observer = open_inner(*args, **kwargs)
        call = observer.call
        if call.awaited:
            await admit(call)
        recent, reading = call.recent, True
        send = inner.asend
        step: Any = _first_step(inner)
        token: Any = current_call.set(call)  # for tasks and threads that the first step starts
        frame = enter_frame(inner.ag_frame, call)
        try:
            while True:
                for began in starmap(perf_counter, _STEPS):
                    try:
                        chunk = await step
                    except StopAsyncIteration:
                        observer.exhausted(began)
                        if call.awaited:
                            await catch_up(call)
                        return
                    except BaseException as error:
                        step = None  # its traceback would keep alive the exception thrown in
                        observer.failed(error, began)
                        raise
                    call.producer += perf_counter() - began
                    recent.append(chunk)
                    if reading:
                        if token is not None:
                            leave_context(token)
                            token = None
                        reading = call.look()
                    try:
                        step = send((yield chunk))
                    except BaseException as error:
                        # A loop that ends cancels the task that closes an abandoned generator.
                        if isinstance(error, GeneratorExit) or is_cancellation(error):
                            observer.abandoned()
                            if inner.ag_running:
                                raise  # the event loop is closing the inner one already
                        step = inner.athrow(_without_our_frame(error))
                if recent:
                    call.look()
        finally:
            leave_frame(frame, call)
            if token is not None:
                leave_context(token)

    return observed


def _open(iterator: Any, observer: Observer) -> tuple[Any, Observer]:
    return iterator if type(iterator) is GeneratorType else _relay(iterator), observer


def _async_open(iterator: Any, observer: Observer) -> tuple[Any, Observer]:
    return iterator if type(iterator) is AsyncGeneratorType else _async_relay(iterator), observer


# These run an iterator or a generator under observation: `observe_generator(iterator, observer)`.
observe_generator = generator_observer(_open)
observe_async_generator = async_generator_observer(_async_open)


def _relay(iterator: Iterator[Any]) -> Generator[Any, None, None]:
    for chunk in iterator:  # noqa: UP028 - `yield from` would close it
        yield chunk


async def _async_relay(iterator: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    async for chunk in iterator:
        yield chunk


def _without_our_frame(error: BaseException) -> BaseException:
    """Remove the frame that caught an exception from its traceback."""
    traceback = error.__traceback__
    return error.with_traceback(None if traceback is None else traceback.tb_next)


def _first_step(inner: AsyncGenerator[Any, Any]) -> Any:
    """Start the inner generator without registering it with the event loop.

    The loop closes registered generators when it shuts down. It would close the inner one while the
    outer one closes it too, which raises an error that the application would see.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, lambda _: None)
    try:
        return inner.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)
