"""Calls within calls are counted once; only the outer call's own code makes inner calls."""

from __future__ import annotations

import asyncio
import contextvars
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from threading import Event, Thread
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import llm_call, trace_context
from pantheon_obs.core.context import Trace, begin, current_call, end
from tests.llm.kinds import AsyncChunkIterator, ChunkIterator
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

OUTER, INNER = ("outer", None, 10, 2), ("inner", True, 10, 2)


@llm_call
def inner(tokens: int = 10) -> dict[str, Any]:
    """Answer at once, with usage."""
    return {"usage": {"input_tokens": tokens, "output_tokens": 2}}


@llm_call(operation="inner")
async def ainner(tokens: int = 10) -> dict[str, Any]:
    """Answer after a turn of the event loop, with usage."""
    await asyncio.sleep(0)
    return {"usage": {"input_tokens": tokens, "output_tokens": 2}}


@llm_call(operation="inner")
def inner_stream() -> Iterator[Any]:
    """Answer in pieces, the last of which has the usage."""
    yield {"text": "a"}
    yield {"usage": {"input_tokens": 10, "output_tokens": 2}}


@llm_call(operation="inner")
async def ainner_stream() -> AsyncIterator[Any]:
    """Answer in pieces, each after a turn of the event loop."""
    for chunk in inner_stream.__wrapped__():  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        yield chunk


def summary(events: Events) -> list[tuple[str, bool | None, int | None, int | None]]:
    """Return each call's operation, whether it is nested, and its tokens."""
    collect_garbage()
    return [
        (event.operation, event.nested, event.input_tokens, event.output_tokens) for event in events
    ]


@pytest.fixture
def trace() -> Iterator[Trace]:
    """Make the trace of a running request."""
    trace = Trace("request")
    begin(trace)
    yield trace
    end(trace)


def counted(trace: Trace) -> tuple[int, int, int]:
    """Count the calls and the tokens in and out on the request's line."""
    assert trace.llm is not None
    return trace.llm.calls, trace.llm.input_tokens, trace.llm.output_tokens


# --- what an outer call may be, and where in it an inner one may be made


def function() -> None:
    """Call within a function."""
    inner()


def returns_generator() -> Iterator[Any]:
    """Return the stream of the inner call itself."""
    return inner_stream()


def generator_function() -> Iterator[Any]:
    """Call within a step."""
    yield "first"
    yield str(inner())


def passes_on() -> Iterator[Any]:
    """Pass on the chunks of the inner call."""
    for chunk in inner_stream():
        yield chunk.get("text", "last")


def returns_object() -> ChunkIterator:
    """Return a stream object that takes its steps from the inner call."""
    return ChunkIterator(inner_stream())


def lazy_object() -> ChunkIterator:
    """Return a stream object that makes its call when it is read."""
    return ChunkIterator(str(inner()) for _ in "a")


class LazyIterable:
    """An iterable that makes its call when it is iterated."""

    def __iter__(self) -> Iterator[Any]:
        return iter([str(inner())])


async def coroutine_function() -> None:
    """Call within a coroutine function."""
    await ainner()


def plain_coroutine() -> Any:
    """Return a coroutine from a plain function."""
    return coroutine_function()


async def gathered() -> None:
    """Call in tasks that the call's own code makes."""
    await asyncio.gather(ainner(4), ainner(6))


async def grouped() -> None:
    """Call in tasks of a group."""
    async with asyncio.TaskGroup() as group:
        group.create_task(ainner(4))
        group.create_task(ainner(6))


async def threaded() -> None:
    """Call in a thread that has the context."""
    await asyncio.to_thread(inner)


async def async_generator_function() -> AsyncIterator[Any]:
    """Call within a step."""
    yield "first"
    await ainner()
    yield "second"


async def fan_out() -> AsyncIterator[Any]:
    """Call in tasks and threads that the first step starts; a later step reads the results."""
    task = asyncio.create_task(ainner(4))
    await asyncio.to_thread(inner, 6)
    yield "first"
    await task
    yield "second"


async def apasses_on() -> AsyncIterator[Any]:
    """Pass on the chunks of the inner call."""
    async for chunk in ainner_stream():
        yield chunk.get("text", "last")


async def returns_async_generator() -> AsyncIterator[Any]:
    """Return the stream of the inner call itself."""
    return ainner_stream()


async def returns_async_object() -> AsyncChunkIterator:
    """Return a stream object that takes its steps from the inner call."""
    return AsyncChunkIterator(ainner_stream())


class LazyAsyncIterable:
    """An iterable that makes its call when it is iterated."""

    def __aiter__(self) -> AsyncIterator[Any]:
        async def chunks() -> AsyncIterator[Any]:
            await ainner()
            yield "a"

        return AsyncChunkIterator(chunks())


async def lazy_async_object() -> AsyncChunkIterator:
    """Return a stream object that makes its call when it is read."""

    async def chunks() -> AsyncIterator[Any]:
        await ainner()
        yield "a"

    return AsyncChunkIterator(chunks())


SYNC: list[Callable[[], Any]] = [
    function,
    returns_generator,
    generator_function,
    passes_on,
    returns_object,
    lazy_object,
    LazyIterable,
]
ASYNC: list[Callable[[], Any]] = [
    coroutine_function,
    plain_coroutine,
    gathered,
    grouped,
    threaded,
    async_generator_function,
    fan_out,
    apasses_on,
    returns_async_generator,
    returns_async_object,
    LazyAsyncIterable,
    lazy_async_object,
]


async def read(result: Any) -> None:
    """Await and read the result."""
    if hasattr(result, "__await__"):
        result = await result
    if hasattr(result, "__aiter__"):
        async for _ in result:
            assert current_call.get() is None


class TestWithin:
    """The inner call is marked as nested; the request counts the outer one, with its usage."""

    @pytest.mark.parametrize("made", SYNC, ids=lambda made: made.__name__)
    def test_a_call_made_by_a_calls_own_code(
        self, made: Callable[[], Any], trace: Trace, events: Events
    ) -> None:
        """The outer call may be of any kind."""
        for _ in llm_call(operation="outer")(partial(made))() or ():
            assert current_call.get() is None

        assert [INNER, OUTER] == summary(events)
        assert (1, 10, 2) == counted(trace)
        assert ["reported", "reported"] == [event.usage_status for event in events]

    @pytest.mark.parametrize("made", ASYNC, ids=lambda made: made.__name__)
    def test_a_call_made_by_an_async_calls_own_code(
        self, made: Callable[[], Any], trace: Trace, events: Events
    ) -> None:
        """Its tasks and threads are its own code, too."""
        asyncio.run(read(llm_call(operation="outer")(partial(made))()))

        *within, outer = summary(events)
        assert {("inner", True)} == {(operation, nested) for operation, nested, *_ in within}
        assert ("outer", None, 10, 2 * len(within)) == outer
        assert (1, 10, 2 * len(within)) == counted(trace)

    def test_a_usage_of_its_own_goes_first(self, trace: Trace, events: Events) -> None:
        """Only missing counts are taken from the inner call."""

        @llm_call
        def outer() -> dict[str, Any]:
            inner()
            return {"usage": {"input_tokens": 7, "output_tokens": 1}}

        outer()

        assert [INNER, ("outer", None, 7, 1)] == summary(events)
        assert (1, 7, 1) == counted(trace)

    def test_three_deep(self, trace: Trace, events: Events) -> None:
        """Each call has the usage of the call within it."""
        middle = llm_call(operation="middle")(function)
        llm_call(operation="outer")(lambda: str(middle()))()

        assert [INNER, ("middle", True, 10, 2), OUTER] == summary(events)
        assert (1, 10, 2) == counted(trace)

    def test_within_one_that_has_ended_it_is_within_the_next(self, events: Events) -> None:
        """The clean-up of a stream may make another call."""

        @llm_call
        def middle() -> Iterator[str]:
            try:
                yield "a"
            finally:
                inner()

        with llm_call(operation="outer"):
            for _ in middle():
                break

        assert [INNER, ("middle", True, None, None), OUTER] == summary(events)

    def test_costs_are_added_up(self, trace: Trace, events: Events) -> None:
        """The costs of inner calls are added up and counted once."""
        priced = llm_call(operation="inner", prices=lambda _: 0.25)(inner.__wrapped__)  # type: ignore[attr-defined]
        with llm_call(operation="outer"):
            priced()
            priced()
            inner()

        assert [0.25, 0.25, None, 0.5] == [event.cost_usd for event in events]
        assert trace.llm is not None
        assert 0.5 == trace.llm.cost_usd

    def test_all_counts_are_added_up(self, events: Events) -> None:
        """Cached and reasoning tokens are added up too; a count that no call has stays unknown."""

        @llm_call(operation="inner")
        def cached() -> dict[str, Any]:
            return {
                "usage": {
                    "prompt_tokens": 5,
                    "completion_tokens": 3,
                    "prompt_tokens_details": {"cached_tokens": 4},
                    "completion_tokens_details": {"reasoning_tokens": 2},
                }
            }

        with llm_call(operation="outer"):
            cached()
            cached()
            inner()

        outer = events[-1]
        assert ("reported", 20, 8) == (outer.usage_status, outer.input_tokens, outer.output_tokens)
        assert (8, None, 4) == (
            outer.cached_input_tokens,
            outer.cache_write_tokens,
            outer.reasoning_tokens,
        )

    def test_a_failed_try_leaves_the_sum_partial(self, trace: Trace, events: Events) -> None:
        """Its usage is unknown, and the failure is only the inner call's."""

        @llm_call(operation="inner")
        def fail() -> None:
            raise TimeoutError

        with llm_call(operation="outer"):
            with pytest.raises(TimeoutError):
                fail()
            inner()

        assert [("inner", True, None, None), INNER, OUTER] == summary(events)
        assert [("error", "missing"), ("ok", "reported"), ("ok", "partial")] == [
            (event.outcome, event.usage_status) for event in events
        ]
        assert trace.llm is not None
        assert 0 == trace.llm.errors

    def test_where_nothing_is_known_nothing_is_added_up(self, events: Events) -> None:
        """The sum of unknown counts is unknown."""
        with llm_call(operation="outer"):
            llm_call(operation="inner")(partial(str))()

        assert [("inner", "missing"), ("outer", "missing")] == [
            (event.operation, event.usage_status) for event in events
        ]

    def test_an_error_passes_through_both(self, trace: Trace, events: Events) -> None:
        """Both calls are errors; the request counts one."""

        @llm_call(operation="inner")
        def fail() -> None:
            raise ValueError

        with pytest.raises(ValueError):  # noqa: PT011 - there is no text
            llm_call(operation="outer")(fail)()

        assert [("inner", "error"), ("outer", "error")] == [
            (event.operation, event.outcome) for event in events
        ]
        assert trace.llm is not None
        assert (1, 1) == (trace.llm.calls, trace.llm.errors)


class TestNotWithin:
    """Code that runs beside an outer call's own code, or after it, is not within it."""

    def test_a_call_of_the_consumer_between_two_chunks(self, trace: Trace, events: Events) -> None:
        """A call of the consumer is not nested."""
        for _ in llm_call(operation="outer")(lambda: (chunk for chunk in "a"))():
            inner()

        assert [("inner", None, 10, 2), ("outer", None, None, None)] == summary(events)
        assert (2, 10, 2) == counted(trace)

    def test_a_call_of_an_async_consumer_and_of_its_tasks(
        self, trace: Trace, events: Events
    ) -> None:
        """A call of the consumer is not nested, even while the outer one waits for its model."""
        going = asyncio.Event()

        @llm_call
        async def outer() -> AsyncIterator[str]:
            yield "a"
            await going.wait()

        async def beside() -> None:
            await ainner()
            going.set()

        async def consume() -> None:
            tasks = []
            async for _ in outer():
                await ainner()
                tasks.append(asyncio.create_task(beside()))
            await asyncio.gather(*tasks)

        asyncio.run(consume())

        assert [("inner", None), ("inner", None), ("outer", None)] == [
            (event.operation, event.nested) for event in events
        ]
        assert (3, 20, 4) == counted(trace)

    def test_a_task_that_a_later_step_of_a_generator_starts(
        self, trace: Trace, events: Events
    ) -> None:
        """It looks like a task of the consumer, so it is not nested, and no token counts twice."""

        @llm_call
        async def outer() -> AsyncIterator[str]:
            yield "first"
            await gathered()
            yield "second"

        asyncio.run(read(outer()))

        assert [
            ("inner", None, 4, 2),
            ("inner", None, 6, 2),
            ("outer", None, None, None),
        ] == summary(events)
        assert (3, 10, 4) == counted(trace)

    def test_a_task_that_outlives_the_call(self, trace: Trace, events: Events) -> None:
        """Calls that it makes after the end of the outer call are not nested."""

        async def main() -> None:
            ended = asyncio.Event()

            async def later() -> None:
                await ended.wait()
                await ainner()

            @llm_call
            async def outer() -> list[Any]:
                return [asyncio.create_task(later())]

            [task] = await outer()
            ended.set()
            await task

        asyncio.run(main())

        assert [("outer", None, None, None), ("inner", None, 10, 2)] == summary(events)
        assert (2, 10, 2) == counted(trace)

    def test_a_call_of_another_trace(self, events: Events) -> None:
        """A job that the call starts counts on its own line."""
        with llm_call(operation="outer"), trace_context("job"):
            inner()

        assert [("inner", None, 10, 2), ("outer", None, None, None)] == summary(events)

    def test_a_call_in_a_thread_without_the_context(self, trace: Trace, events: Events) -> None:
        """A call without the context cannot be assigned to an outer call."""
        with llm_call(operation="outer"):
            thread = Thread(target=contextvars.Context().run, args=[inner])
            thread.start()
            thread.join()

        assert [("inner", None, 10, 2), ("outer", None, None, None)] == summary(events)


class TestWithStatement:
    """The body of a `with` is the call's own code."""

    def test_in_a_function(self, trace: Trace, events: Events) -> None:
        """Calls in the body are nested, and the context is restored."""
        with llm_call(operation="outer"):
            inner()
        assert current_call.get() is None

        assert [INNER, OUTER] == summary(events)
        assert (1, 10, 2) == counted(trace)

    def test_in_a_coroutine(self, trace: Trace, events: Events) -> None:
        """Calls in tasks of the body are nested."""

        async def main() -> None:
            async with llm_call(operation="outer"):
                await asyncio.gather(ainner(4), asyncio.to_thread(inner, 6))

        asyncio.run(main())

        assert ("outer", None, 10, 4) == summary(events)[-1]
        assert (1, 10, 4) == counted(trace)

    def test_in_a_generator(self, trace: Trace, events: Events) -> None:
        """The consumer's code is not part of the block."""

        def chunks() -> Iterator[Any]:
            with llm_call(operation="outer") as call, llm_call(operation="middle"):
                for chunk in inner_stream():
                    call.chunk(chunk)
                    yield chunk

        for _ in chunks():
            assert current_call.get() is None
            inner(1)

        consumers = ("inner", None, 1, 2)
        assert [consumers, consumers, INNER, ("middle", True, 10, 2), OUTER] == summary(events)
        assert (3, 12, 6) == counted(trace)

    def test_in_an_async_generator(self, trace: Trace, events: Events) -> None:
        """The body in an async generator behaves as in a generator."""

        async def chunks() -> AsyncIterator[Any]:
            async with llm_call(operation="outer"):
                yield await ainner()

        async def main() -> None:
            async for _ in chunks():
                await ainner(1)

        asyncio.run(main())

        assert [INNER, ("inner", None, 1, 2), OUTER] == summary(events)

    def test_in_a_decorated_generator(self, events: Events) -> None:
        """A call is nested in the innermost one, in either order."""

        @llm_call(operation="outer")
        def chunks() -> Iterator[Any]:
            with llm_call(operation="middle"):
                yield str(inner())
                yield llm_call(operation="deep")(lambda: str(inner()))()

        list(chunks())

        assert [
            INNER,
            INNER,
            ("deep", True, 10, 2),
            ("middle", True, 20, 4),
            ("outer", None, 20, 4),
        ] == summary(events)

    def test_of_contextlib(self, events: Events) -> None:
        """Its managers and exit stacks belong to the code that uses them."""

        @contextmanager
        def observed() -> Iterator[None]:
            with llm_call(operation="outer"):
                yield

        @asynccontextmanager
        async def aobserved() -> AsyncIterator[None]:
            async with llm_call(operation="outer"):
                yield

        async def main() -> None:
            async with aobserved():
                await ainner()

        with observed():
            inner()
        with ExitStack() as stack:
            stack.enter_context(llm_call(operation="outer"))
            inner()
        asyncio.run(main())

        assert [INNER, OUTER] * 3 == summary(events)
        assert current_call.get() is None

    def test_one_object_for_many_tasks(self, events: Events) -> None:
        """Each body ends the call that it has begun, in whatever order they end."""
        observed = llm_call(operation="outer")

        async def main() -> None:
            first_may_end = asyncio.Event()

            async def first() -> None:
                async with observed as call:
                    call.usage((1, 1))
                    await first_may_end.wait()

            async def second() -> None:
                async with observed as call:
                    call.usage((2, 2))
                    await asyncio.sleep(0)
                first_may_end.set()
                raise ValueError

            await asyncio.gather(second(), first(), return_exceptions=True)
            async with observed as third:
                third.usage((3, 3))

        asyncio.run(main())

        assert [2, 1, 3] == [event.input_tokens for event in events]
        assert {"ok"} == {event.outcome for event in events}

    def test_left_elsewhere_than_it_was_entered(self, events: Events) -> None:
        """The call ends, even if `__exit__` is called in another frame and context."""
        observed = llm_call(operation="outer")

        def enter() -> Iterator[None]:
            observed.__enter__()
            yield

        def enter_at_once() -> None:
            contextvars.copy_context().run(observed.__enter__)

        entered = enter()
        next(entered)
        enter_at_once()
        observed.__exit__(None, None, None)
        observed.__exit__(None, None, None)

        assert [("outer", None, None, None)] * 2 == summary(events)
        del entered


class TestOutlived:
    """Inner calls that are still open when their outer one ends."""

    def test_the_outer_one_waits_for_their_usage(self, trace: Trace, events: Events) -> None:
        """The result is no known stream, but its usage arrives with the inner call."""

        class Unknown:
            def __init__(self) -> None:
                self.rest = inner_stream()
                next(self.rest)

        answer = llm_call(operation="outer")(partial(Unknown))()
        assert [] == events
        ended = perf_counter()
        while perf_counter() - ended < 0.001:
            """The consumer takes its time, which is not the outer call's."""
        list(answer.rest)

        assert [INNER, OUTER] == summary(events)
        assert events[1].latency_ms < events[0].latency_ms
        assert (1, 10, 2) == counted(trace)

    def test_the_end_of_the_request_ends_both(self, events: Events) -> None:
        """The inner call ends first, in either order of the open calls."""
        trace = Trace("request")
        begin(trace)

        def chunks() -> Iterator[Any]:
            inner()
            yield from inner_stream()

        streams = [llm_call(operation="outer")(chunks)() for _ in range(8)]
        for stream in streams:
            next(stream)
        end(trace)

        assert 8 == [event.operation for event in events].count("outer")
        assert (8, 80, 16) == counted(trace)
        assert {("inner", True), ("outer", None)} == {
            (event.operation, event.nested) for event in events
        }

    def test_an_outer_one_that_waits_is_ended_by_the_request(self, events: Events) -> None:
        """The request ends the outer call once."""
        trace = Trace("request")
        begin(trace)
        kept = []

        @llm_call
        def outer() -> str:
            kept.append(inner_stream())
            next(kept[0])
            return "answer"

        outer()
        assert [] == events
        end(trace)

        assert [("inner", True, None, None), ("outer", None, None, None)] == summary(events)
        assert ["closed", "ok"] == [event.outcome for event in events]

    def test_after_an_error_it_does_not_wait(self, trace: Trace, events: Events) -> None:
        """An inner call that ends later counts by itself, and no usage is lost."""
        may_end = Event()

        @llm_call(operation="inner")
        def slow() -> dict[str, Any]:
            may_end.wait(30)
            return {"usage": {"input_tokens": 10, "output_tokens": 2}}

        async def main() -> None:
            @llm_call
            async def outer() -> None:
                await asyncio.gather(asyncio.to_thread(slow), asyncio.to_thread(int, "no"))

            with pytest.raises(ValueError):  # noqa: PT011 - Python's own
                await outer()
            assert ["error"] == [event.outcome for event in events]
            may_end.set()

        asyncio.run(main())

        assert [("outer", None, None, None), ("inner", None, 10, 2)] == summary(events)
        assert (2, 10, 2) == counted(trace)

    def test_dropped_together_they_end_in_order(self, trace: Trace, events: Events) -> None:
        """The outer call returns the inner call's stream, which is dropped before its end."""

        @llm_call(operation="inner")
        def chunks() -> ChunkIterator:
            return ChunkIterator(
                iter([{"usage": {"input_tokens": 10, "output_tokens": 2}}, {"text": "more"}])
            )

        stream = llm_call(operation="outer")(lambda **_: chunks())()
        next(stream)
        del stream

        assert [INNER, OUTER] == sorted(summary(events))
        assert ["closed", "closed"] == [event.outcome for event in events]
        assert (1, 10, 2) == counted(trace)

    def test_closed_together_they_end_in_order(self, trace: Trace, events: Events) -> None:
        """A consumer that closes the outer generator closes the inner one."""
        for _ in llm_call(operation="outer")(passes_on)():
            break

        assert [("inner", "closed", True), ("outer", "closed", None)] == [
            (event.operation, event.outcome, event.nested) for event in events
        ]
        assert 1 == counted(trace)[0]


class TestContext:
    """The application's context is unchanged."""

    def test_a_coroutine_that_the_garbage_collector_closes(self, events: Events) -> None:
        """It ends in another context than it began in, and no error is logged."""

        async def chunks() -> AsyncIterator[Any]:
            await asyncio.sleep(0)
            yield "a"

        async def consume() -> None:
            async for _ in llm_call(operation="outer")(chunks)():
                pass

        for function in (coroutine_function, consume):
            coroutine = (
                llm_call(operation="outer")(function)()
                if function is coroutine_function
                else consume()
            )
            contextvars.copy_context().run(coroutine.send, None)
            coroutine.close()

        assert {"closed"} == {event.outcome for event in events}
        assert current_call.get() is None

    def test_a_stream_read_step_by_step_in_other_contexts(self, events: Events) -> None:
        """Starlette reads a sync generator so: each step has a thread and a fresh copy."""
        chunks = llm_call(operation="outer")(passes_on)()
        read = [contextvars.copy_context().run(next, chunks, None) for _ in range(3)]

        assert ["a", "last", None] == read
        assert [INNER, OUTER] == summary(events)
