"""Other sources of the usage than the answer itself: futures, attributes, callables."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from pantheon_obs import ConfigError, llm_call
from pantheon_obs.core import guard
from pantheon_obs.core.context import Trace, begin, end
from tests.llm.kinds import ChunkIterator
from tests.llm.sdk import raise_at
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

FRESH, CACHED, OUT = 100, 20, 7


@dataclass(frozen=True, slots=True)
class Usage:
    """The counts of a gateway."""

    input_tokens_fresh: int = FRESH
    input_tokens_cached: int = CACHED
    output_tokens: int = OUT


class Stream(ChunkIterator):
    """A stream of chunks that has a usage."""

    def __init__(self, usage: Any = None, **attributes: Any) -> None:
        super().__init__(iter("ab"))
        if usage is not None:
            self.usage_future = usage
        vars(self).update(attributes)


def tokens(events: Events) -> tuple[str, str, int | None, int | None]:
    """Return the outcome of the one call, and its tokens."""
    collect_garbage()
    [event] = events
    return event.outcome, event.usage_status, event.input_tokens, event.output_tokens


REPORTED = ("ok", "reported", FRESH + CACHED, OUT)
MISSING = ("ok", "missing", None, None)
FAILED = ("ok", "error", None, None)


class TestFutures:
    """A usage future is read when it is done."""

    def test_one_that_is_done_is_read_after_the_last_chunk(self, events: Events) -> None:
        """The gateway resolves it before it ends."""
        future: Future[Any] = Future()
        stream = llm_call(partial(Stream))(future)
        next(stream)
        future.set_result(Usage())
        assert [] == events
        assert ["b"] == list(stream)

        assert REPORTED == tokens(events)

    def test_one_that_is_pending_is_waited_for(self, events: Events) -> None:
        """The latency ends with the stream, even if the usage comes later on another thread."""
        future: Future[Any] = Future()
        list(llm_call(partial(Stream))(future))
        assert [] == events
        thread = Thread(target=future.set_result, args=[Usage()])
        thread.start()
        thread.join()

        assert REPORTED == tokens(events)
        assert events[0].latency_ms >= (events[0].ttfc_ms or 0)

    def test_an_asyncio_future_that_is_pending_is_waited_for(self, events: Events) -> None:
        """Its callback comes with the next turn of the event loop."""

        async def main() -> Usage:
            future = asyncio.get_running_loop().create_future()
            list(llm_call(partial(Stream))(future))
            assert [] == events
            future.set_result(Usage())
            return await future

        assert Usage() == asyncio.run(main())
        assert REPORTED == tokens(events)

    def test_a_task_may_compute_it(self, events: Events) -> None:
        """A task is a future."""

        async def count() -> Usage:
            await asyncio.sleep(0)
            return Usage()

        async def main() -> None:
            task = asyncio.create_task(count())
            list(llm_call(partial(Stream))(task))
            await task

        asyncio.run(main())

        assert REPORTED == tokens(events)

    def test_the_gateway_of_the_seed(self, events: Events) -> None:
        """`generate()` and `stream()` of the gateway are read without any option."""

        @dataclass
        class Request:
            model_alias: str

        @dataclass
        class Response:
            usage: Usage

        class Answer:
            def __init__(self, usage_future: asyncio.Future[Usage]) -> None:
                self.usage_future = usage_future

            async def __aiter__(self) -> AsyncIterator[str]:
                yield "a"
                self.usage_future.set_result(Usage())

        class Gateway:
            @llm_call
            async def generate(self, request: Request) -> Response:
                return Response(Usage())

            @llm_call
            async def stream(self, request: Request) -> Answer:
                return Answer(asyncio.get_running_loop().create_future())

        async def main() -> None:
            gateway = Gateway()
            await gateway.generate(Request("fast"))
            answer = await gateway.stream(Request("best"))
            assert ["a"] == [chunk async for chunk in answer]
            assert Usage() == await answer.usage_future

        asyncio.run(main())

        assert [("llm.generate", "fast", 120, 7), ("llm.stream", "best", 120, 7)] == [
            (event.event, event.model_alias, event.input_tokens, event.output_tokens)
            for event in events
        ]

    @pytest.mark.parametrize("fail", [Future.cancel, lambda f: f.set_exception(OSError())])
    def test_one_that_fails_is_an_error_of_the_usage_only(
        self, fail: Callable[[Future[Any]], object], events: Events
    ) -> None:
        """The call is ok, because the answer was complete."""
        future: Future[Any] = Future()
        list(llm_call(partial(Stream))(future))
        fail(future)

        assert FAILED == tokens(events)

    def test_one_that_never_comes_is_missing(self, events: Events) -> None:
        """A future that is collected without a result leaves the usage missing."""
        list(llm_call(partial(Stream))(Future()))

        assert MISSING == tokens(events)

    def test_the_end_of_the_request_waits_no_longer(self, events: Events) -> None:
        """The event reports the usage known by then; a later result changes nothing."""
        future: Future[Any] = Future()
        trace = Trace("request")
        begin(trace)
        list(llm_call(partial(Stream))(future))
        assert [] == events
        end(trace)
        assert MISSING == tokens(events)
        future.set_result(Usage())

        assert MISSING == tokens(events)

    def test_a_done_future_counts_before_its_callback_has_run(self, events: Events) -> None:
        """A request may end in the very turn of the event loop in which the usage came."""

        async def main() -> None:
            future = asyncio.get_running_loop().create_future()
            trace = Trace("request")
            begin(trace)
            list(llm_call(partial(Stream))(future))
            future.set_result(Usage())
            end(trace)

        asyncio.run(main())

        assert REPORTED == tokens(events)

    def test_a_call_that_did_not_end_well_does_not_wait(self, events: Events) -> None:
        """The usage of a stream that was closed may never come."""
        future: Future[Any] = Future()
        stream = llm_call(partial(Stream))(future)
        next(stream)
        stream.close()

        assert ("closed", "missing", None, None) == tokens(events)

    def test_closing_may_resolve_it(self, events: Events) -> None:
        """The future is read after the stream's clean-up."""
        future: Future[Any] = Future()

        class Closing(Stream):
            def close(self) -> None:
                future.set_result(Usage())

        stream = llm_call(partial(Closing))(future)
        next(stream)
        stream.close()

        assert ("closed", "reported", 120, 7) == tokens(events)

    def test_beside_a_generator_in_a_tuple(self, events: Events) -> None:
        """A function may return a tuple of the chunks and the future of the usage."""
        future: Future[Any] = Future()
        chunks, usage = llm_call(lambda: ((c for c in "ab"), future))()
        assert usage is future
        list(chunks)
        future.set_result(Usage())

        assert REPORTED == tokens(events)

    def test_beside_an_object_in_a_tuple(self, events: Events) -> None:
        """The tuple itself is returned, and the object in it is observed in place."""
        future: Future[Any] = Future()
        future.set_result(Usage())
        pair = (ChunkIterator(iter("ab")), future)
        answer = llm_call(lambda: pair)()
        assert answer is pair
        list(answer[0])

        assert REPORTED == tokens(events)

    def test_beside_a_generator_in_a_tuple_a_dict_to_be_filled(self, events: Events) -> None:
        """The usage is expected in the object beside the chunks."""

        def chunks(usage: dict[str, int]) -> Iterator[str]:
            yield "a"
            usage.update(input_tokens=120, output_tokens=7)

        def stream() -> tuple[Iterator[str], dict[str, int]]:
            usage: dict[str, int] = {}
            return chunks(usage), usage

        list(llm_call(stream)()[0])

        assert REPORTED == tokens(events)

    def test_of_a_response_in_one_piece(self, events: Events) -> None:
        """The usage of an answer without a stream may come later, too."""
        future: Future[Any] = Future()

        class Response:
            usage_future = future

        llm_call(partial(Response))()
        assert [] == events
        future.set_result(Usage())

        assert REPORTED == tokens(events)


class Peculiar:
    """A future of another library's, which is done as soon as one waits for it."""

    def __init__(self, error: Exception | None = None) -> None:
        self._done = False
        self._error = error

    def add_done_callback(self, callback: object) -> None:
        """Ignore the callback, as if it were added too late."""
        self._done = True

    def done(self) -> bool:
        """Whether `result` or `exception` has been called."""
        return self._done

    def cancelled(self) -> bool:
        """Return False."""
        return False

    def exception(self) -> Exception | None:
        """Return the exception of the future."""
        return self._error

    def result(self) -> Usage:
        """Return the usage."""
        return Usage()


class TestOtherFutures:
    """An object with a future's methods is a future."""

    def test_done_while_we_add_our_callback(self, events: Events) -> None:
        """The future is read at once, because the callback may never be called."""
        list(llm_call(partial(Stream))(Peculiar()))

        assert REPORTED == tokens(events)

    def test_failed(self, events: Events) -> None:
        """The future's `exception` gives the failure."""
        list(llm_call(partial(Stream))(Peculiar(OSError())))

        assert FAILED == tokens(events)


class TestAttributes:
    """A usage attribute is read after the last chunk."""

    def test_a_plain_one_that_is_filled_in_at_the_end(self, events: Events) -> None:
        """The attribute is None until the end of the stream."""

        class Filled(Stream):
            usage: Usage | None = None

            def __next__(self) -> str:
                try:
                    return str(super().__next__())
                except StopIteration:
                    self.usage = Usage()
                    raise

        list(llm_call(partial(Filled))())

        assert REPORTED == tokens(events)

    def test_a_property_that_raises_until_the_end(self, events: Events) -> None:
        """The property is read again at the end of the stream."""

        class Late(Stream):
            done = False

            @property
            def usage(self) -> Usage:
                if not self.done:
                    raise RuntimeError
                return Usage()

            def __next__(self) -> str:
                try:
                    return str(super().__next__())
                except StopIteration:
                    self.done = True
                    raise

        assert ["a", "b"] == list(llm_call(partial(Late))())
        assert REPORTED == tokens(events)

    def test_a_method_is_called(self, events: Events) -> None:
        """A method `usage` is called at the end of the stream."""

        class Counting(Stream):
            def usage(self) -> Usage:
                assert [] == list(self)
                return Usage()

        list(llm_call(partial(Counting))())

        assert REPORTED == tokens(events)

    def test_a_method_is_not_called_before_the_end(self, events: Events) -> None:
        """The method might read the stream further than the consumer wanted."""

        class Draining(Stream):
            def usage(self) -> Usage:
                raise AssertionError

        stream = llm_call(partial(Draining))()
        next(stream)
        stream.close()

        assert ("closed", "missing", None, None) == tokens(events)

    def test_a_methods_failure_stays_here(self, events: Events) -> None:
        """It is reported, and the call is ok."""

        class Failing(Stream):
            def usage(self) -> Usage:
                raise OSError

        assert ["a", "b"] == list(llm_call(partial(Failing))())
        assert FAILED == tokens(events)
        assert frozenset({"usage of llm.Failing"}) == guard.reported()
        guard.forget()

    def test_beside_an_attribute_of_chunks(self, events: Events) -> None:
        """The chunks are one attribute, the usage another one, filled in at the end."""

        class Holder:
            def __init__(self) -> None:
                self.usage: Usage | None = None
                self.chunks = self._chunks()

            def _chunks(self) -> Iterator[str]:
                yield "a"
                self.usage = Usage()

        holder = llm_call(partial(Holder))()
        assert ["a"] == list(holder.chunks)

        assert REPORTED == tokens(events)

    def test_beside_an_attribute_of_an_object(self, events: Events) -> None:
        """The usage of the outer object counts, not that of the object in its attribute."""

        @dataclass
        class Holder:
            chunks: ChunkIterator
            usage: Usage | None = None

        holder = llm_call(lambda: Holder(ChunkIterator(iter("ab"))))()
        for _ in holder.chunks:
            holder.usage = Usage()

        assert REPORTED == tokens(events)

    def test_of_a_pydantic_object(self, events: Events) -> None:
        """Pydantic objects are iterable, and are not taken for streams."""

        class Holder(BaseModel):
            chunks: Any
            usage_future: Any

        future: Future[Any] = Future()
        holder = llm_call(lambda: Holder(chunks=(c for c in "ab"), usage_future=future))()
        assert ["a", "b"] == list(holder.chunks)
        future.set_result(Usage())

        assert REPORTED == tokens(events)

    def test_of_an_iterable_dataclass(self, events: Events) -> None:
        """An iterable dataclass counts as a stream if it has a future of its usage."""

        @dataclass
        class Answer:
            chunks: list[str]
            usage_future: Future[Any]

            def __iter__(self) -> Iterator[str]:
                yield from self.chunks

        future: Future[Any] = Future()
        assert ["a"] == list(llm_call(lambda: Answer(["a"], future))())
        future.set_result(Usage())

        assert REPORTED == tokens(events)
        assert 1 == events[0].chunks

    @pytest.mark.filterwarnings("error")
    def test_a_coroutine_is_never_awaited_by_us(self, events: Events) -> None:
        """The application can await it only once, and no coroutine is left unawaited."""

        async def count() -> Usage:
            return Usage()

        class Later(Stream):
            async def usage(self) -> Usage:
                raise AssertionError

        class Made(Stream):
            def usage(self) -> Any:
                return count()

        coroutine = count()
        stream = llm_call(partial(Stream))(coroutine)
        list(stream)
        list(llm_call(partial(Later))())
        list(llm_call(partial(Made))())

        assert Usage() == asyncio.run(stream.usage_future)
        assert ["missing"] * 3 == [event.usage_status for event in events]


class TestOption:
    """`usage=` reads the usage of unknown shapes."""

    def test_it_reads_the_response(self, events: Events) -> None:
        """The function gets the value that was returned."""
        llm_call(usage=lambda response: response["meta"])(
            lambda: {"meta": {"input_tokens": 120, "output_tokens": 7}}
        )()

        assert REPORTED == tokens(events)

    def test_it_reads_the_usage_object_too(self, events: Events) -> None:
        """One function can serve for a response and for a stream with a future."""
        read = llm_call(usage=lambda u: (u.tokens_in, u.tokens_out))

        class Counts:
            tokens_in = FRESH + CACHED
            tokens_out = OUT

        class Response:
            usage = Counts()

        future: Future[Any] = Future()
        read(partial(Response))()
        list(read(partial(Stream))(future))
        future.set_result(Counts())

        assert [("reported", 120, 7)] * 2 == [
            (event.usage_status, event.input_tokens, event.output_tokens) for event in events
        ]

    def test_it_reads_the_last_chunk_of_a_generator(self, events: Events) -> None:
        """The function gets the last chunk, because a generator has no attributes."""

        @llm_call(usage=lambda chunk: chunk["stats"])
        def chunks() -> Iterator[Any]:
            yield {"text": "a"}
            yield {"stats": (FRESH + CACHED, OUT)}

        list(chunks())

        assert REPORTED == tokens(events)

    def test_it_wins_over_a_known_shape(self, events: Events) -> None:
        """The function's result wins over that of a known shape."""
        llm_call(usage=lambda _: (120, 7))(lambda: {"usage": Usage(1, 1, 1)})()

        assert REPORTED == tokens(events)

    def test_it_may_return_a_future(self, events: Events) -> None:
        """The function may return a future of any known shape."""
        future: Future[Any] = Future()
        list(llm_call(usage=lambda stream: stream.count)(partial(Stream))(count=future))
        future.set_result({"input_tokens": 120, "output_tokens": 7})

        assert REPORTED == tokens(events)

    @pytest.mark.parametrize("nothing", [None, (1, 2, 3), (None, None), "ab", 12])
    def test_it_may_find_nothing(self, nothing: object, events: Events) -> None:
        """If the function returns None, a known shape is read."""
        llm_call(usage=lambda _: nothing)(lambda: {"usage": Usage()})()

        assert REPORTED == tokens(events)

    def test_its_failure_stays_here(self, events: Events) -> None:
        """Its failure is reported once, and a known shape is read."""

        @llm_call(operation="ask", usage=lambda _: 1 / 0)
        def generate(response: Any) -> Any:
            return response

        assert "answer" == generate("answer")
        assert FAILED == tokens(events)
        assert frozenset({"usage of llm.ask"}) == guard.reported()
        events.clear()
        generate({"usage": Usage()})
        assert REPORTED == tokens(events)
        guard.forget()


class Growing:
    """An answer that counts while it is read, by methods of its own."""

    def __init__(self) -> None:
        self.read = 0

    def counts(self) -> dict[str, int]:
        """Return the counts so far."""
        return {"input_tokens": 75 if self.read else 0, "output_tokens": 6 * self.read}

    def words(self) -> Iterator[str]:
        """Read the answer."""
        for word in ("It", "is", "Paris"):
            self.read += 1
            yield word


class CountsOn(Growing):
    """It returns the counts by a method, as pydantic-ai's version 1 does."""

    def usage(self) -> dict[str, int]:
        """Return the counts so far."""
        return self.counts()


class CountsAsProperty(Growing):
    """It has the counts as a property."""

    @property
    def usage(self) -> dict[str, int]:
        """The counts so far."""
        return self.counts()


class Counts(dict[str, int]):
    """Return itself for those who take the property for a method."""

    def __call__(self) -> Counts:
        """Return itself."""
        return self


class CountsBothWays(Growing):
    """It has a property that may be called, as pydantic-ai's version 2 does."""

    @property
    def usage(self) -> Counts:
        """The counts so far."""
        return Counts(self.counts())


class CountsInPlace(Growing):
    """It has counts that change."""

    def __init__(self) -> None:
        super().__init__()
        self.usage = self.counts()

    def words(self) -> Iterator[str]:
        """Read the answer."""
        for word in super().words():
            self.usage.update(self.counts())
            yield word


GROWING = (CountsOn, CountsAsProperty, CountsBothWays, CountsInPlace)


class TestUsageThatGrows:
    """A usage is read when the answer has been read."""

    @pytest.mark.parametrize("kind", GROWING)
    def test_within_a_with_it_is_read_at_its_end(self, kind: type[Growing], events: Events) -> None:
        """The answer is not a stream, but entering it gives one."""

        @llm_call
        @contextmanager
        def ask() -> Iterator[Growing]:
            yield kind()

        with ask() as answer:
            assert [] == events
            list(answer.words())

        assert ("ok", "reported", 75, 18) == tokens(events)

    @pytest.mark.parametrize("kind", GROWING)
    def test_an_answer_that_nobody_has_read_has_none(
        self, kind: type[Growing], events: Events
    ) -> None:
        """Counts that have not begun are no counts."""

        @llm_call
        @contextmanager
        def ask() -> Iterator[Growing]:
            yield kind()

        with ask():
            pass

        assert ("ok", "missing", None, None) == tokens(events)

    def test_a_with_that_is_left_early_has_none(self, events: Events) -> None:
        """The method might read the rest of the answer."""

        @llm_call
        @contextmanager
        def ask() -> Iterator[CountsOn]:
            yield CountsOn()

        with pytest.raises(LookupError), ask() as answer:
            raise_at(next(answer.words()))

        assert ("closed", "missing", None, None) == tokens(events)

    def test_one_that_has_counted_nothing_yet_is_unknown(self, events: Events) -> None:
        """Nobody can tell when an object of any kind has been read."""
        llm_call(partial(CountsOn))()

        assert ("ok", "missing", None, None) == tokens(events)

    def test_a_stream_with_such_a_method_is_asked_at_its_end(self, events: Events) -> None:
        """Within a `with`, too."""

        class Stream(CountsOn):
            def __iter__(self) -> Iterator[str]:
                return self.words()

            def __next__(self) -> str:
                raise StopIteration

        @llm_call
        @contextmanager
        def ask() -> Iterator[Stream]:
            yield Stream()

        with ask() as answer:
            list(answer)

        assert ("ok", "reported", 75, 18) == tokens(events)


def chat(number: int, **more: Any) -> dict[str, Any]:
    """Make a response."""
    usage = {"prompt_tokens": number, "completion_tokens": 4}
    return {"model": "gpt-4.1", "choices": [{"finish_reason": "stop"}], "usage": usage, **more}


class TestSeveralResponses:
    """A function may make several requests, and return all responses."""

    def test_their_tokens_are_added(self, events: Events) -> None:
        """The costs that the vendors give are added too."""
        one, two = chat(300), chat(8)
        for response, figure in ((one, 0.1), (two, 0.2)):
            response["usage"]["cost"] = figure
        llm_call(lambda: (one, two))()

        assert ("ok", "reported", 308, 8) == tokens(events)
        assert (0.3, "provider") == (events[0].cost_usd, events[0].cost_source)

    @pytest.mark.usefixtures("genai")
    def test_each_has_the_price_of_its_model(self, events: Events) -> None:
        """The list has no price for the sum if it has none for one of them."""
        llm_call(lambda: (chat(1000), chat(1000, model="gpt-4o-mini")))()
        llm_call(lambda: (chat(1000), chat(1000, model="house-1")))()

        assert [0.0021844, None] == [event.cost_usd for event in events]

    def test_one_without_usage_makes_the_sum_partial(self, events: Events) -> None:
        """A partial sum has no price."""
        without = {"choices": [{"finish_reason": "stop"}]}
        llm_call(model="fast", prices={"fast": (1, 1)})(lambda: (chat(300), without))()

        assert ("ok", "partial", 300, 4) == tokens(events)
        assert (None, 1) == (events[0].cost_usd, events[0].unpriced)

    def test_the_same_response_counts_once(self, events: Events) -> None:
        """It may be there raw and parsed, with its usage beside it."""
        raw = chat(300, id="1")
        llm_call(lambda: (raw, SimpleNamespace(**raw), raw, raw["usage"]))()

        assert ("ok", "reported", 300, 4) == tokens(events)

    @pytest.mark.parametrize("kind", [list, tuple])
    def test_two_with_one_id_are_two(self, kind: Any, events: Events) -> None:
        """A gateway may number its answers from 1 again."""
        llm_call(lambda: kind((chat(300, id="1"), chat(300, id="1"))))()

        assert ("ok", "reported", 600, 8) == tokens(events)

    @pytest.mark.parametrize(
        "made",
        [
            [chat(300), chat(8)],
            [(SimpleNamespace(text="a"), chat(300)), (SimpleNamespace(text="b"), chat(8))],
            [chat(300)["usage"], chat(8)["usage"]],
            (chat(300)["usage"], chat(8)["usage"]),
        ],
    )
    def test_a_list_is_added_up(self, made: Any, events: Events) -> None:
        """`asyncio.gather` returns such a list; its last item alone is not enough."""
        llm_call(lambda: made)()

        assert ("ok", "reported", 308, 8) == tokens(events)

    @pytest.mark.parametrize("made", [[], ["Paris."], [0.5] * 2000, [chat(1)] * 1001])
    def test_a_list_of_other_things_has_no_usage(self, made: Any, events: Events) -> None:
        """A long one is not looked at."""
        llm_call(lambda: made)()

        assert ("ok", "missing", None, None) == tokens(events)

    def test_the_cost_of_one_is_not_that_of_all(self, events: Events) -> None:
        """The vendor gives one figure only."""
        one, two = chat(300), chat(8)
        two["usage"]["cost"] = 0.2
        llm_call(lambda: [one, two])()

        assert ("ok", "reported", 308, 8) == tokens(events)
        assert "provider" != events[0].cost_source

    def test_of_a_with_statement(self, events: Events) -> None:
        """Each `result` adds one; after chunks it is the whole of the stream."""
        with llm_call(model="m") as call:
            for prompt in (300, 8, 10):
                call.result(chat(prompt))
        assert ("ok", "reported", 318, 12) == tokens(events)
        events.clear()
        with llm_call(model="m") as call:
            call.usage((1, 2))
            call.result(chat(300))
            call.result(chat(8))
        assert ("ok", "reported", 1, 2) == tokens(events)
        events.clear()
        with llm_call(model="m") as call:
            call.chunk(chat(300))
            call.result(chat(300))
        assert ("ok", "reported", 300, 4) == tokens(events)

    def test_several_requests_of_the_sdk_itself_are_partial(self, events: Events) -> None:
        """google-genai calls functions by itself, and returns the last response only."""
        last = {
            "candidates": [{"content": {"parts": [{"text": "Fair."}]}, "finish_reason": "STOP"}],
            "usage_metadata": {"prompt_token_count": 560, "candidates_token_count": 10},
            "automatic_function_calling_history": [{"role": "user"}],
        }
        llm_call(lambda: last)()

        assert ("ok", "partial", 560, 10) == tokens(events)


@pytest.mark.parametrize("usage", [5, lambda: None, asyncio.sleep])
def test_a_usage_that_cannot_read_a_result_is_refused(usage: Any) -> None:
    """Each call would report a fault, and none would have its tokens."""
    with pytest.raises(ConfigError, match=r"usage=.*: use a function of the result"):
        llm_call(usage=usage)
