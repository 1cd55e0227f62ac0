"""Generators under observation: still real generators, each step of which is timed and counted.

The loops delegate as `yield from` does (PEP 380), written out because each step must be seen when
it comes back: `send`, `throw`, `close` and the return value pass through. What is thrown in is
passed on outside of the `except` that caught it, so that the inner code does not find an exception
being handled that it would not find without us.
"""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from pantheon_obs.core.context import current_call
from pantheon_obs.llm.nesting import enter_frame, leave, leave_frame

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Generator,
        Iterator,
    )
    from types import AsyncGeneratorType, GeneratorType

    from pantheon_obs.llm.lifecycle import LlmCall
    from pantheon_obs.llm.parts import HostValue


class Observer(Protocol):
    """Whom a loop tells how its iterator ended."""

    call: LlmCall

    def exhausted(self, began: float) -> None:
        """The iterator, asked at `began` for more, has come to its end."""

    def failed(self, error: BaseException, began: float) -> None:
        """An exception came out of the iterator."""

    def left(self) -> None:
        """The consumer wants no more; the iterator is about to be closed."""


def generator_observer(
    opened: Callable[..., tuple[GeneratorType[Any, Any, Any], Observer]],
) -> Callable[..., Generator[Any, Any, Any]]:
    """Make a generator function that runs another's generator under observation.

    Args:
        opened: Called at the first step, with the generator function's arguments; gives the inner
            generator and whom to tell of its end.

    Returns:
        The generator function.
    """

    def observed(*args: HostValue, **kwargs: HostValue) -> Generator[Any, Any, Any]:
        inner, observer = opened(*args, **kwargs)
        call = observer.call
        keep = call.recent.append
        reading = call.first_content is None
        count = call.chunks
        send: Callable[[HostValue], HostValue] = inner.send
        resume = send
        value: HostValue = None
        # Its context variable would have to be set and reset around each step, which costs more
        # than all the rest.
        frame = enter_frame(inner.gi_frame, call)
        try:
            while True:
                began = perf_counter()
                try:
                    chunk = resume(value)
                except StopIteration as stop:
                    observer.exhausted(began)
                    return stop.value
                except BaseException as error:
                    value = None  # or its traceback would keep alive what was thrown in
                    observer.failed(error, began)
                    raise
                if call.chunks == count:
                    now = perf_counter()
                    call.producer += now - began
                    call.chunks = count = count + 1
                    keep(chunk)
                    if reading:
                        reading = call.look(chunk, now)
                else:  # the step went through a method that has counted it
                    count = call.chunks
                value = None
                try:
                    value = yield chunk
                    resume = send
                except BaseException as error:  # noqa: BLE001 - passed on, all of them
                    if isinstance(error, GeneratorExit):
                        observer.left()
                    resume, value = inner.throw, _as_thrown(error)
        finally:
            leave_frame(frame, call)

    return observed


def async_generator_observer(  # noqa: C901 - one loop in one piece: it runs per chunk
    opened: Callable[..., tuple[AsyncGeneratorType[Any, Any], Observer]],
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Make an async generator function that runs another's async generator under observation.

    Args:
        opened: As for `generator_observer`.

    Returns:
        The async generator function.
    """

    async def observed(*args: HostValue, **kwargs: HostValue) -> AsyncGenerator[Any, Any]:
        inner, observer = opened(*args, **kwargs)
        call = observer.call
        keep = call.recent.append
        reading = call.first_content is None
        count = call.chunks
        send = inner.asend
        step: HostValue = _first_step(inner)
        # The tasks and threads that the first step starts find it in their context; see above.
        token: HostValue = current_call.set(call)
        frame = enter_frame(inner.ag_frame, call)
        try:
            while True:
                began = perf_counter()
                try:
                    chunk = await step
                except StopAsyncIteration:
                    observer.exhausted(began)
                    return
                except BaseException as error:
                    step = None  # or its traceback would keep alive what was thrown in
                    observer.failed(error, began)
                    raise
                if token is not None:
                    leave(token)
                    token = None
                if call.chunks == count:
                    now = perf_counter()
                    call.producer += now - began
                    call.chunks = count = count + 1
                    keep(chunk)
                    if reading:
                        reading = call.look(chunk, now)
                else:  # the step went through a method that has counted it
                    count = call.chunks
                try:
                    step = send((yield chunk))
                except BaseException as error:
                    if isinstance(error, GeneratorExit):
                        observer.left()
                        if inner.ag_running:
                            raise  # the event loop shuts down, and is closing the inner one already
                    step = inner.athrow(_as_thrown(error))
        finally:
            leave_frame(frame, call, token)

    return observed


def _as_given(inner: HostValue, observer: Observer) -> tuple[HostValue, Observer]:
    return inner, observer


observe_generator = generator_observer(_as_given)
"""Run a generator under observation: `observe_generator(generator, observer)`."""

observe_async_generator = async_generator_observer(_as_given)
"""Run an async generator under observation: `observe_async_generator(generator, observer)`."""


def relay(iterator: Iterator[Any]) -> Generator[Any, None, None]:
    """Give an iterator the face of a generator; abandoned, it is let go but not closed."""
    for chunk in iterator:  # noqa: UP028 - `yield from` would close it
        yield chunk


async def async_relay(iterator: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    """Give an async iterator the face of an async generator."""
    async for chunk in iterator:
        yield chunk


def _as_thrown(error: BaseException) -> BaseException:
    """Take our frame, where it was caught, off the traceback again."""
    traceback = error.__traceback__
    return error.with_traceback(None if traceback is None else traceback.tb_next)


def _first_step(inner: AsyncGenerator[Any, Any]) -> Awaitable[Any]:
    """Start the inner generator unknown to the event loop, which looks after the outer one.

    Known to it, the inner one would be closed at the loop's shutdown too, at the same time as the
    outer one closes it: an error that the host would see.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, _leave)
    try:
        return inner.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _leave(_: AsyncGenerator[Any, Any]) -> None:
    """Left to the outer generator."""
