"""A consumer sees the same with and without us, for any stream and any sequence of actions.

There is one event for each stream; hypothesis generates the streams and the actions.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pantheon_obs import llm_call
from pantheon_obs.core.context import current_call
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]
    Steps = list[tuple[str, Any]]


class Oops(Exception):  # noqa: N818 - what it says
    """Raised by a stream, or thrown into it."""


CHUNKS = st.sampled_from(
    [
        "text",
        "",
        None,
        {"choices": [{"delta": {"content": "a"}, "finish_reason": None}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    ]
)
# The steps of a stream: give a chunk, and catch an exception that is thrown in, or not; wait
# (where it can); raise; return.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["yield", "catch", "wait"]), CHUNKS),
        st.tuples(st.sampled_from(["raise", "return"]), st.integers(0, 3)),
    ),
    max_size=5,
)
# The acts of the consumer.
ACTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["next", "next", "close", "rest"]), st.none()),
        st.tuples(st.just("cancel"), st.booleans()),
        st.tuples(st.just("send"), st.one_of(st.none(), st.integers(0, 3))),
        st.tuples(
            st.just("throw"), st.sampled_from([Oops, GeneratorExit, StopIteration, RuntimeError])
        ),
    ),
    max_size=6,
)


# --- the streams


def chunks(steps: Steps, heard: list[Any]) -> Generator[Any, Any, Any]:
    """Do the steps, and record the values and exceptions that the consumer sends."""
    try:
        for step, value in steps:
            if step == "return":
                return value
            if step == "raise":
                raise Oops(value)
            try:
                heard.append((yield value))
            except Oops as error:
                if step != "catch":
                    raise
                heard.append(repr(error))
    finally:
        heard.append("closed")
    return None


async def achunks(steps: Steps, heard: list[Any]) -> AsyncGenerator[Any, Any]:
    """Yield the chunks asynchronously: wait before each one, and return no value."""
    try:
        for step, value in steps:
            await asyncio.sleep(0)
            if step == "return":
                return
            if step == "raise":
                raise Oops(value)
            if step == "wait":
                await asyncio.sleep(0)
            try:
                heard.append((yield value))
            except Oops as error:
                if step != "catch":
                    raise
                heard.append(repr(error))
    finally:
        heard.append("closed")


class Stream:
    """A stream object, as an SDK's: its own iterator, with `close` and `with`."""

    def __init__(self, inner: Iterator[Any]) -> None:
        self.inner: Any = inner

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self.inner)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.inner.close()


class Iterable:
    """A stream object that makes an iterator of itself."""

    def __init__(self, inner: Iterator[Any]) -> None:
        self.inner: Any = inner

    def __iter__(self) -> Iterator[Any]:
        yield from self.inner


class AsyncStream:
    """A stream object, as an SDK's async one."""

    def __init__(self, inner: AsyncGenerator[Any, Any]) -> None:
        self.inner = inner

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return await anext(self.inner)

    async def aclose(self) -> None:
        """Close the connection."""
        await self.inner.aclose()


def returned(steps: Steps, heard: list[Any]) -> Any:
    """Return a generator from a plain function."""
    return chunks(steps, heard)


def stream(steps: Steps, heard: list[Any]) -> Any:
    """Return a stream object."""
    return Stream(chunks(steps, heard))


def iterable(steps: Steps, heard: list[Any]) -> Any:
    """Return an iterable object."""
    return Iterable(chunks(steps, heard))


def areturned(steps: Steps, heard: list[Any]) -> Any:
    """Return an async generator from a plain function."""
    return achunks(steps, heard)


def astream(steps: Steps, heard: list[Any]) -> Any:
    """Return an async stream object."""
    return AsyncStream(achunks(steps, heard))


class Shape(NamedTuple):
    """A function that makes a stream, and whether its call alone makes an event."""

    make: Callable[[Steps, list[Any]], Any]
    calls_at_once: bool = True


SYNC = [
    Shape(chunks, calls_at_once=False),
    Shape(returned),
    Shape(stream),
    Shape(iterable),
]
ASYNC = [Shape(achunks, calls_at_once=False), Shape(areturned), Shape(astream)]


# --- the consumer


def said(error: BaseException) -> Any:
    """Return the parts of an exception that can be compared."""
    value = error.value if isinstance(error, StopIteration) else None
    return repr(error), value, repr(error.__cause__), repr(error.__context__)


def consume(result: Any, acts: Steps) -> list[Any]:
    """Do the acts, record each result, and drop the stream."""
    seen: list[Any] = [type(result).__name__]
    for act, value in acts:
        try:
            if act == "next":
                seen.append(next(result))
            elif act == "rest":
                seen.append(list(result))
            elif act == "cancel":
                seen.append(next(iter(result)))
            elif act == "throw":
                seen.append(result.throw(value()))
            elif act == "close":
                seen.append(result.close())
            else:
                seen.append(result.send(value))
        except BaseException as error:  # noqa: BLE001 - all of them are compared
            # A stream object does not have these, and the interpreter's message does not matter.
            seen.append("none" if isinstance(error, AttributeError | TypeError) else said(error))
        seen.append(current_call.get())
    return seen


async def aconsume(result: Any, acts: Steps) -> list[Any]:
    """Do the acts asynchronously; `cancel` cancels a task that waits, at once or a turn later."""
    seen: list[Any] = [type(result).__name__]
    for act, value in acts:
        try:
            if act == "next":
                seen.append(await anext(result))
            elif act == "rest":
                seen.append([chunk async for chunk in result])
            elif act == "cancel":
                seen.append(await _cancelled(result, late=value))
            elif act == "throw":
                seen.append(await result.athrow(value()))
            elif act == "close":
                seen.append(await result.aclose())
            else:
                seen.append(await result.asend(value))
        except BaseException as error:  # noqa: BLE001 - all of them are compared
            seen.append("none" if isinstance(error, AttributeError | TypeError) else said(error))
        seen.append(current_call.get())
    del result
    await asyncio.sleep(0)  # so that the loop closes dropped generators
    return seen


async def _cancelled(result: Any, *, late: bool) -> Any:
    async def ask() -> Any:
        return await anext(result)

    task = asyncio.create_task(ask())
    await asyncio.sleep(0)
    if late:
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        return await task
    return "cancelled"


modest = settings(
    max_examples=120,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("shape", SYNC, ids=lambda shape: shape.make.__name__)
@modest
@given(steps=STEPS, acts=ACTS)
def test_a_stream_behaves_as_without_us(
    shape: Shape, steps: Steps, acts: Steps, events: Events
) -> None:
    """Chunks, exceptions, the return value and the stream's own records are equal; one event."""
    heard: list[list[Any]] = [[], []]
    bare = consume(shape.make(steps, heard[0]), acts)
    events.clear()
    observed = consume(llm_call(shape.make)(steps, heard[1]), acts)

    assert bare == observed
    assert heard[0] == heard[1]
    _one_event(shape, heard[0], events)


@pytest.mark.parametrize("shape", ASYNC, ids=lambda shape: shape.make.__name__)
@modest
@given(steps=STEPS, acts=ACTS)
def test_an_async_stream_behaves_as_without_us(
    shape: Shape, steps: Steps, acts: Steps, events: Events
) -> None:
    """An async stream behaves the same with cancelled tasks and at the loop's shutdown."""
    heard: list[list[Any]] = [[], []]

    async def run(make: Callable[..., Any], heard: list[Any]) -> list[Any]:
        return await aconsume(make(steps, heard), acts)

    bare = asyncio.run(run(shape.make, heard[0]))
    events.clear()
    observed = asyncio.run(run(llm_call(shape.make), heard[1]))

    assert bare == observed
    assert heard[0] == heard[1]
    _one_event(shape, heard[0], events)


def _one_event(shape: Shape, heard: list[Any], events: Events) -> None:
    if not events:
        collect_garbage()  # an exception's traceback may have kept the stream
    # A generator function makes no call until its generator is started.
    assert (shape.calls_at_once or "closed" in heard) == len(events)
