"""Every way for a call to end, on every kind of result: one event each, with the right outcome."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import llm_call
from pantheon_obs.core.context import Trace, begin, end
from tests.llm.kinds import ASYNC, SYNC, Kind
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

sync_kinds = pytest.mark.parametrize("kind", SYNC, ids=lambda kind: kind.name)
async_kinds = pytest.mark.parametrize("kind", ASYNC, ids=lambda kind: kind.name)

CLOSABLE = [kind for kind in SYNC if kind.name != "map"]

FINISHED = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
UNFINISHED = {"choices": [{"delta": {"content": "a"}, "finish_reason": None}]}


def whole() -> Iterator[str]:
    """Give three chunks."""
    yield from "abc"


def cut() -> Iterator[dict[str, Any]]:
    """Give chunks of a known shape without its terminal chunk."""
    yield UNFINISHED
    yield UNFINISHED


def said_all() -> Iterator[dict[str, Any]]:
    """Give chunks of a known shape, with the terminal chunk before the last chunk."""
    yield UNFINISHED
    yield FINISHED
    yield {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


def failing(error: BaseException) -> Callable[[], Iterator[str]]:
    """Give one chunk, then raise."""

    def script() -> Iterator[str]:
        yield "a"
        raise error

    return script


@pytest.fixture(autouse=True)
def request_line(events: Events) -> Iterator[None]:
    """Every test runs in a request, whose line counts each of its calls once."""
    trace = Trace("line")
    begin(trace)
    yield
    collect_garbage()
    end(trace)
    own = [event for event in events if event.trace_id == "line"]
    errors = sum(event.outcome == "error" for event in own)
    counted = (0, 0) if trace.llm is None else (trace.llm.calls, trace.llm.errors)
    assert (len(own), errors) == counted
    assert {"line", "request"} >= {event.trace_id for event in events}


def ended(events: Events) -> LlmCallFinished:
    """Collect the garbage, and return the one event."""
    collect_garbage()
    [event] = events
    return event


def outcome(events: Events) -> tuple[str, str | None, int | None]:
    """Return the outcome of the one call."""
    event = ended(events)
    return event.outcome, event.error_type, event.chunks


class TestSyncStreams:
    """Ways in which a consumer reads chunks from an iterator."""

    @sync_kinds
    def test_read_to_the_end_is_ok(self, kind: Kind, events: Events) -> None:
        """All chunks reach the consumer, and the call is ok."""
        assert ["a", "b", "c"] == list(kind.chunks(kind.call(whole)))
        assert ("ok", None, 3) == outcome(events)

    @sync_kinds
    def test_read_to_the_end_of_a_known_shape(self, kind: Kind, events: Events) -> None:
        """The event says why the model stopped and what was used."""
        list(kind.chunks(kind.call(said_all)))

        assert ("ok", None, 3) == outcome(events)
        assert [("stop", 3, 2)] == [
            (e.finish_reason, e.input_tokens, e.output_tokens) for e in events
        ]

    @sync_kinds
    def test_an_exception_is_an_error(self, kind: Kind, events: Events) -> None:
        """The very exception reaches the consumer, and the call is an error."""
        error = ValueError("no more")
        with pytest.raises(ValueError, match="no more") as caught:
            list(kind.chunks(kind.call(failing(error))))

        assert caught.value is error
        assert ("error", "ValueError", 1) == outcome(events)

    @sync_kinds
    def test_a_keyboard_interrupt_is_cancelled(self, kind: Kind, events: Events) -> None:
        """Ctrl-C was pressed while the consumer waited for the model."""
        with pytest.raises(KeyboardInterrupt):
            list(kind.chunks(kind.call(failing(KeyboardInterrupt()))))

        assert ("cancelled", "KeyboardInterrupt", 1) == outcome(events)

    @sync_kinds
    def test_break_and_garbage_collection_is_closed(self, kind: Kind, events: Events) -> None:
        """The consumer stops reading, and keeps no reference."""
        for _ in kind.chunks(kind.call(whole)):
            break

        assert ("closed", None, 1) == outcome(events)

    @sync_kinds
    def test_a_consumer_that_fails_closes_it(self, kind: Kind, events: Events) -> None:
        """The failure is the consumer's, so the call is closed and not an error."""

        def consume() -> None:
            for _ in kind.chunks(kind.call(whole)):
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError) as caught:
            consume()
        del caught  # its traceback keeps the stream

        assert ("closed", None, 1) == outcome(events)

    @sync_kinds
    def test_a_generator_exit_that_comes_after_the_request(
        self, kind: Kind, events: Events
    ) -> None:
        """A stream in a reference cycle ends with the request, before the collector finds it."""
        trace = Trace("request")
        begin(trace)
        cycle: list[Any] = [iter(kind.chunks(kind.call(whole)))]
        cycle.append(cycle)
        next(cycle[0])
        del cycle
        end(trace)
        assert ["closed"] == [event.outcome for event in events]

        assert ("closed", None, 1) == outcome(events)
        assert trace.llm is not None
        assert 1 == trace.llm.calls

    @pytest.mark.parametrize("kind", CLOSABLE, ids=lambda kind: kind.name)
    def test_close_is_closed(self, kind: Kind, events: Events) -> None:
        """The consumer closes the stream."""
        chunks = kind.chunks(kind.call(whole))
        next(iter(chunks))
        chunks.close()

        assert ("closed", None, 1) == outcome(events)

    @sync_kinds
    def test_never_read_is_not_consumed(self, kind: Kind, events: Events) -> None:
        """An unread answer is not consumed; a generator that was not started makes no call."""
        kind.call(whole)

        if kind.starts_at_once:
            assert ("not_consumed", None, 0) == outcome(events)
        else:
            collect_garbage()
            assert [] == events

    @sync_kinds
    def test_cut_before_the_terminal_chunk_is_an_error(self, kind: Kind, events: Events) -> None:
        """A stream of a known shape has to say that it is finished."""
        list(kind.chunks(kind.call(cut)))

        assert ("error", "IncompleteStream", 2) == outcome(events)
        assert [(None, "missing")] == [(e.finish_reason, e.usage_status) for e in events]

    @sync_kinds
    def test_left_after_the_terminal_chunk_is_ok(self, kind: Kind, events: Events) -> None:
        """The call is ok if the terminal chunk had arrived; only the usage was not read."""
        for chunk in kind.chunks(kind.call(said_all)):
            if chunk is FINISHED:
                break

        assert ("ok", None, 2) == outcome(events)
        assert [("stop", "missing")] == [(e.finish_reason, e.usage_status) for e in events]

    @sync_kinds
    def test_the_end_of_the_request_closes_it(self, kind: Kind, events: Events) -> None:
        """An open call is reported at the end of its trace, and not again at garbage collection."""
        trace = Trace("request")
        begin(trace)
        chunks = iter(kind.chunks(kind.call(whole)))
        next(chunks)
        end(trace)
        before = list(events)
        rest = list(chunks)

        assert ["b", "c"] == rest
        assert events == before
        assert ("closed", None, 1) == outcome(events)

    @sync_kinds
    def test_the_end_of_the_request_finds_it_unread(self, kind: Kind, events: Events) -> None:
        """An answer that is unread at the end of the request is not consumed."""
        trace = Trace("request")
        begin(trace)
        result = kind.call(whole)
        end(trace)

        assert (["not_consumed"] if kind.starts_at_once else []) == [e.outcome for e in events]
        del result


class TestWithStatement:
    """The call of an object with `with` ends at the end of the statement."""

    def test_leaving_it_is_closed(self, events: Events) -> None:
        """The consumer stops reading, and the object's `__exit__` runs once."""
        with returns_object() as chunks:
            next(chunks)
        outside = outcome(events)

        assert chunks.closed
        assert ("closed", None, 1) == outside

    def test_a_consumer_that_fails_in_it_closes_it(self, events: Events) -> None:
        """The failure is the consumer's, so the call is closed and not an error."""

        def consume() -> None:
            with returns_object() as chunks:
                next(chunks)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            consume()

        assert ("closed", None, 1) == outcome(events)

    def test_an_interrupted_consumer_cancels_it(self, events: Events) -> None:
        """Ctrl-C in the `with` statement cancels the call."""

        def consume() -> None:
            with returns_object() as chunks:
                next(chunks)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            consume()

        assert ("cancelled", "KeyboardInterrupt", 1) == outcome(events)

    def test_read_to_the_end_in_it_is_ok(self, events: Events) -> None:
        """The stream had ended before the end of the statement."""
        with returns_object() as chunks:
            list(chunks)

        assert ("ok", None, 3) == outcome(events)

    def test_a_cancelled_async_consumer_cancels_it(self, events: Events) -> None:
        """The task is cancelled while it does not wait for the model."""

        async def consume(reading: asyncio.Event) -> None:
            async with await returns_async_object() as chunks:
                await anext(chunks)
                reading.set()
                await asyncio.Event().wait()

        async def main() -> None:
            reading = asyncio.Event()
            task = asyncio.create_task(consume(reading))
            await reading.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())

        assert ("cancelled", "CancelledError", 1) == outcome(events)


def returns_object() -> Any:
    """Return an observed object with `with`."""
    return _kind(SYNC, "iterator object").call(whole)


async def returns_async_object() -> Any:
    """Return an observed object with `async with`."""
    return await _kind(ASYNC, "async iterator object").call(awhole)


def _kind(kinds: list[Kind], name: str) -> Kind:
    [kind] = [kind for kind in kinds if kind.name == name]
    return kind


# --- async


async def awhole() -> AsyncIterator[str]:
    """Give three chunks."""
    for chunk in "abc":
        await asyncio.sleep(0)
        yield chunk


async def acut() -> AsyncIterator[dict[str, Any]]:
    """Give chunks of a known shape without its terminal chunk."""
    for chunk in cut():
        yield chunk


async def asaid_all() -> AsyncIterator[dict[str, Any]]:
    """Give chunks of a known shape, with the terminal chunk before the last chunk."""
    for chunk in said_all():
        yield chunk


def afailing(error: BaseException) -> Callable[[], AsyncIterator[str]]:
    """Give one chunk, then raise."""

    async def script() -> AsyncIterator[str]:
        yield "a"
        raise error

    return script


async def stuck() -> AsyncIterator[str]:
    """Give one chunk, and then wait forever."""
    yield "a"
    await asyncio.Event().wait()


async def opened(kind: Kind, script: Callable[[], AsyncIterator[Any]]) -> Any:
    """Return the object that a consumer of this kind iterates."""
    result = kind.call(script)
    return kind.chunks(await result if inspect.isawaitable(result) else result)


async def turns_until(condition: Callable[[], bool]) -> None:
    """Run some turns of the event loop, because it does not signal when its work is done."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError


class TestAsyncStreams:
    """Ways in which a consumer reads chunks from an async iterator."""

    @async_kinds
    def test_read_to_the_end_is_ok(self, kind: Kind, events: Events) -> None:
        """All chunks reach the consumer, and the call is ok."""

        async def main() -> list[str]:
            return [chunk async for chunk in await opened(kind, awhole)]

        assert ["a", "b", "c"] == asyncio.run(main())
        assert ("ok", None, 3) == outcome(events)

    @async_kinds
    def test_read_to_the_end_of_a_known_shape(self, kind: Kind, events: Events) -> None:
        """The event says why the model stopped and what was used."""

        async def main() -> None:
            [chunk async for chunk in await opened(kind, asaid_all)]

        asyncio.run(main())

        assert ("ok", None, 3) == outcome(events)
        assert [("stop", 3, 2)] == [
            (e.finish_reason, e.input_tokens, e.output_tokens) for e in events
        ]

    @async_kinds
    def test_an_exception_is_an_error(self, kind: Kind, events: Events) -> None:
        """The very exception reaches the consumer, and the call is an error."""
        error = ValueError("no more")

        async def main() -> None:
            with pytest.raises(ValueError, match="no more") as caught:
                [chunk async for chunk in await opened(kind, afailing(error))]
            assert caught.value is error

        asyncio.run(main())

        assert ("error", "ValueError", 1) == outcome(events)

    @async_kinds
    def test_a_keyboard_interrupt_is_cancelled(self, kind: Kind, events: Events) -> None:
        """Ctrl-C was pressed while the consumer waited for the model."""

        async def main() -> None:
            [chunk async for chunk in await opened(kind, afailing(KeyboardInterrupt()))]

        with pytest.raises(KeyboardInterrupt):
            asyncio.run(main())

        assert ("cancelled", "KeyboardInterrupt", 1) == outcome(events)

    @async_kinds
    def test_a_task_cancelled_while_it_waits_is_cancelled(self, kind: Kind, events: Events) -> None:
        """The consumer is cancelled while it waits for the model."""

        async def consume(reading: asyncio.Event) -> None:
            async for _ in await opened(kind, stuck):
                reading.set()

        async def main() -> None:
            reading = asyncio.Event()
            task = asyncio.create_task(consume(reading))
            await reading.wait()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())

        assert ("cancelled", "CancelledError", 1) == outcome(events)

    @async_kinds
    def test_a_task_cancelled_before_the_first_chunk_is_cancelled(
        self, kind: Kind, events: Events
    ) -> None:
        """The consumer waits for the first chunk when it is cancelled."""

        async def never() -> AsyncIterator[str]:
            await asyncio.Event().wait()
            yield "a"

        async def consume() -> None:
            async for _ in await opened(kind, never):
                raise AssertionError

        async def main() -> None:
            task = asyncio.create_task(consume())
            for _ in range(3):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())

        assert ("cancelled", "CancelledError", 0) == outcome(events)

    @async_kinds
    def test_a_consumer_that_fails_closes_it(self, kind: Kind, events: Events) -> None:
        """The failure is the consumer's, so the call is closed and not an error."""

        async def consume() -> None:
            async for _ in await opened(kind, awhole):
                raise ZeroDivisionError

        async def main() -> None:
            with pytest.raises(ZeroDivisionError):
                await consume()
            await turns_until(lambda: bool(events))

        asyncio.run(main())

        assert ("closed", None, 1) == outcome(events)

    @async_kinds
    def test_break_and_garbage_collection_is_closed(self, kind: Kind, events: Events) -> None:
        """The consumer stops reading and keeps no reference; the event loop closes the stream."""

        async def main() -> None:
            async for _ in await opened(kind, awhole):
                break
            await turns_until(lambda: bool(events))

        asyncio.run(main())

        assert ("closed", None, 1) == outcome(events)

    @async_kinds
    def test_aclose_is_closed(self, kind: Kind, events: Events) -> None:
        """The consumer closes the stream."""

        async def main() -> None:
            chunks = await opened(kind, awhole)
            await anext(aiter(chunks))
            await chunks.aclose()

        asyncio.run(main())

        assert ("closed", None, 1) == outcome(events)

    @async_kinds
    def test_never_read_is_not_consumed(self, kind: Kind, events: Events) -> None:
        """An unread answer is not consumed; a generator that was not started makes no call."""

        async def main() -> None:
            await opened(kind, awhole)

        asyncio.run(main())

        if kind.starts_at_once:
            assert ("not_consumed", None, 0) == outcome(events)
        else:
            collect_garbage()
            assert [] == events

    @async_kinds
    def test_cut_before_the_terminal_chunk_is_an_error(self, kind: Kind, events: Events) -> None:
        """A stream of a known shape has to say that it is finished."""

        async def main() -> None:
            [chunk async for chunk in await opened(kind, acut)]

        asyncio.run(main())

        assert ("error", "IncompleteStream", 2) == outcome(events)
        assert [(None, "missing")] == [(e.finish_reason, e.usage_status) for e in events]

    @async_kinds
    def test_left_after_the_terminal_chunk_is_ok(self, kind: Kind, events: Events) -> None:
        """The call is ok if the terminal chunk had arrived; only the usage was not read."""

        async def main() -> None:
            chunks = await opened(kind, asaid_all)
            async for chunk in chunks:
                if chunk is FINISHED:
                    break
            await chunks.aclose()

        asyncio.run(main())

        assert ("ok", None, 2) == outcome(events)
        assert [("stop", "missing")] == [(e.finish_reason, e.usage_status) for e in events]

    @async_kinds
    def test_a_loop_that_shuts_down_closes_it(
        self, kind: Kind, events: Events, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A stream that is open when `asyncio.run` ends is closed once and silently."""
        kept = []

        async def slow_to_close() -> AsyncIterator[str]:
            try:
                yield "a"
            finally:
                await asyncio.sleep(0.001)

        async def main() -> None:
            chunks = aiter(await opened(kind, slow_to_close))
            await anext(chunks)
            kept.append(chunks)

        asyncio.run(main())
        kept.clear()

        assert ("closed", None, 1) == outcome(events)
        assert "" == capfd.readouterr().err

    @async_kinds
    def test_the_end_of_the_request_closes_it(self, kind: Kind, events: Events) -> None:
        """An open call is reported at the end of its trace, and not again at garbage collection."""

        async def main() -> list[str]:
            trace = Trace("request")
            begin(trace)
            chunks = aiter(await opened(kind, awhole))
            await anext(chunks)
            end(trace)
            assert ["closed"] == [event.outcome for event in events]
            return [chunk async for chunk in chunks]

        assert ["b", "c"] == asyncio.run(main())
        assert ("closed", None, 1) == outcome(events)


class TestValues:
    """Calls whose answer comes in one piece."""

    def test_a_value_is_ok(self, events: Events) -> None:
        """The call is ok when the function returns."""

        @llm_call
        def generate() -> str:
            return "answer"

        assert "answer" == generate()
        assert ("ok", None, None) == outcome(events)

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (ValueError(), ("error", "ValueError", None)),
            (KeyboardInterrupt(), ("cancelled", "KeyboardInterrupt", None)),
            (SystemExit(), ("cancelled", "SystemExit", None)),
        ],
    )
    def test_an_exception_of_a_function(
        self, error: BaseException, expected: object, events: Events
    ) -> None:
        """An `Exception` is an error; another `BaseException` is a request to stop."""

        @llm_call
        def generate() -> None:
            raise error

        with pytest.raises(type(error)) as caught:
            generate()

        assert caught.value is error
        assert expected == outcome(events)

    def test_a_cancelled_coroutine_function_is_cancelled(self, events: Events) -> None:
        """The task is cancelled while it waits for the model."""

        @llm_call
        async def generate() -> None:
            await asyncio.Event().wait()

        async def main() -> None:
            task = asyncio.create_task(generate())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())

        assert ("cancelled", "CancelledError", None) == outcome(events)

    def test_a_closed_coroutine_is_closed(self, events: Events) -> None:
        """The coroutine is closed before its end."""

        @llm_call
        async def generate() -> None:
            await asyncio.sleep(10)

        async def main() -> None:
            coroutine = generate()
            coroutine.send(None)
            coroutine.close()

        asyncio.run(main())

        assert ("closed", None, None) == outcome(events)

    def test_the_end_of_the_request_closes_a_call_in_the_background(self, events: Events) -> None:
        """A task that outlives its request is reported when the request ends, and only then."""

        async def main() -> str:
            trace = Trace("request")
            begin(trace)
            answer = asyncio.get_running_loop().create_future()

            @llm_call
            async def generate() -> str:
                return str(await answer)

            task = asyncio.create_task(generate())
            await asyncio.sleep(0)
            end(trace)
            answer.set_result("late")
            return await task

        assert "late" == asyncio.run(main())
        assert ("closed", None, None) == outcome(events)


class TestCoroutinesOfPlainFunctions:
    """A plain function may return a coroutine; the call lasts until that is done."""

    @llm_call(operation="generate")
    def generate(self, error: BaseException | None = None) -> Any:
        """Return a coroutine."""
        return self._generate(error)

    async def _generate(self, error: BaseException | None) -> str:
        await asyncio.sleep(0)
        if error is not None:
            raise error
        return "answer"

    def test_awaited_it_is_ok(self, events: Events) -> None:
        """The value is the result of the application's coroutine."""
        assert "answer" == asyncio.run(self.generate())
        assert ("ok", None, None) == outcome(events)

    def test_its_exception_is_an_error(self, events: Events) -> None:
        """The exception object itself passes."""
        error = ValueError()
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - compared by identity
            asyncio.run(self.generate(error))

        assert caught.value is error
        assert ("error", "ValueError", None) == outcome(events)

    def test_never_awaited_it_is_not_consumed(self, events: Events) -> None:
        """Python warns once, as it does without us."""
        with pytest.warns(RuntimeWarning, match="_generate' was never awaited") as warned:
            self.generate()

        assert 1 == len(warned)
        warned.clear()  # a warning keeps its coroutine
        assert ("not_consumed", None, None) == outcome(events)


class TestFutures:
    """A future or task is returned unchanged, and the call lasts until it is done."""

    def test_a_thread_pools_future_is_ok_when_it_is_done(self, events: Events) -> None:
        """The call ends when the work is done."""
        with ThreadPoolExecutor(1) as pool:

            @llm_call
            def generate() -> Future[str]:
                return pool.submit(str.upper, "answer")

            assert "ANSWER" == generate().result()

        assert ("ok", None, None) == outcome(events)

    def test_a_failed_future_is_an_error(self, events: Events) -> None:
        """The call ends with the exception of the future."""
        future: Future[str] = Future()
        assert llm_call(lambda: future)() is future
        assert [] == events
        future.set_exception(ValueError())

        assert ("error", "ValueError", None) == outcome(events)

    def test_a_cancelled_future_is_cancelled(self, events: Events) -> None:
        """A cancelled future cancels the call."""
        future: Future[str] = Future()
        llm_call(lambda: future)()
        future.cancel()
        with pytest.raises(CancelledError):
            future.result()

        assert ("cancelled", "CancelledError", None) == outcome(events)

    def test_a_future_that_is_garbage_collected_is_closed(self, events: Events) -> None:
        """The result of such a future is lost, so the call is closed."""
        llm_call(partial(Future))()

        assert ("closed", None, None) == outcome(events)

    def test_a_task_is_ok_when_it_is_done(self, events: Events) -> None:
        """The task itself is returned, and the call ends when it is done."""

        async def main() -> str:
            task = asyncio.create_task(asyncio.sleep(0, "answer"))
            assert llm_call(lambda: task)() is task
            return await task

        assert "answer" == asyncio.run(main())
        assert ("ok", None, None) == outcome(events)

    def test_a_failed_task_that_nobody_looked_at_is_still_reported_by_asyncio(
        self, events: Events
    ) -> None:
        """Reading its exception does not mark it as retrieved by the application."""
        complaints = []

        async def fail() -> None:
            raise ValueError

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(
                lambda _, context: complaints.append(context["message"])
            )
            task = llm_call(lambda: asyncio.create_task(fail()))()
            await turns_until(task.done)
            await asyncio.sleep(0)
            del task
            collect_garbage()

        asyncio.run(main())

        assert ["Task exception was never retrieved"] == complaints
        assert ("error", "ValueError", None) == outcome(events)


class TestOtherAwaitables:
    """An object that can be awaited, and is neither a coroutine nor a future."""

    class Answer:
        """An object with its own `__await__`."""

        def __init__(self, error: BaseException | None = None) -> None:
            self._error = error

        def __await__(self) -> Any:
            yield from asyncio.sleep(0).__await__()
            if self._error is not None:
                raise self._error
            return "answer"

    def test_awaited_it_is_ok(self, events: Events) -> None:
        """The object itself is returned, and the call ends when it has been awaited."""

        async def main() -> str:
            answer = llm_call(partial(self.Answer))()
            assert isinstance(answer, self.Answer)
            assert [] == events
            return str(await answer)

        assert "answer" == asyncio.run(main())
        assert ("ok", None, None) == outcome(events)

    def test_its_exception_is_an_error(self, events: Events) -> None:
        """The call ends with the exception that awaiting it raises."""

        async def main() -> None:
            await llm_call(partial(self.Answer))(ValueError())

        with pytest.raises(ValueError):  # noqa: PT011 - there is no text
            asyncio.run(main())

        assert ("error", "ValueError", None) == outcome(events)

    def test_garbage_collected_it_is_not_consumed(self, events: Events) -> None:
        """An object that is dropped before it is awaited is not consumed."""
        llm_call(partial(self.Answer))()

        assert ("not_consumed", None, None) == outcome(events)
