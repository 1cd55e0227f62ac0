"""Observation changes no kind, identity, type, signature or traceback."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import inspect
import pickle
import re
import sys
import traceback
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pytest

from pantheon_obs import ConfigError, llm_call
from tests.llm.kinds import (
    AsyncChunkIterator,
    ChunkIterator,
    Holder,
    SlotsIterator,
    returns_iterator,
)
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]


def think() -> None:
    """Take so long that all other times are short in comparison."""
    sum(range(200_000))


class Everywhere(ChunkIterator):
    """A singleton, which copies and pickles return unchanged."""

    def __reduce__(self) -> str:
        return "THE_STREAM"


THE_STREAM = Everywhere(iter(()))


@llm_call
def given(value: Any) -> Any:
    """A plain function that returns what it is given."""
    return value


class Gateway:
    """A gateway with methods of every kind."""

    def plain(self, prompt: str, *, model: str = "fast") -> str:
        """Answer."""
        return f"{model}: {prompt}"

    async def coroutine(self, prompt: str, *, model: str = "fast") -> str:
        """Answer later."""
        return f"{model}: {prompt}"

    def generator(self, prompt: str, *, model: str = "fast") -> Iterator[str]:
        """Answer in pieces."""
        yield f"{model}: {prompt}"

    async def async_generator(self, prompt: str, *, model: str = "fast") -> AsyncIterator[str]:
        """Answer in pieces, later."""
        yield f"{model}: {prompt}"


METHODS = [Gateway.plain, Gateway.coroutine, Gateway.generator, Gateway.async_generator]
QUESTIONS = [
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
    inspect.isfunction,
    inspect.signature,
    inspect.getdoc,
    lambda function: (function.__name__, function.__qualname__, function.__module__),
]


class TestFunctions:
    """A decorated function is a function of the same kind."""

    @pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
    @pytest.mark.parametrize("question", QUESTIONS)
    def test_inspection_finds_the_same(
        self, method: Callable[..., Any], question: Callable[[Any], Any]
    ) -> None:
        """Frameworks that inspect a function get the same results as without us."""
        assert question(method) == question(llm_call(method))
        assert question(method) == question(llm_call(model="m", operation="o")(method))

    def test_a_method_is_bound_to_its_object(self, events: Events) -> None:
        """Called on an instance or through the class, it is the same method."""

        class Decorated(Gateway):
            plain = llm_call(Gateway.plain)

        assert "fast: Hi" == Decorated().plain("Hi")
        assert "best: Hi" == Decorated.plain(Decorated(), "Hi", model="best")
        assert ["fast", "best"] == [event.model_alias for event in events]

    def test_static_and_class_methods_in_either_order(self, events: Events) -> None:
        """`llm_call` may stand above or below."""

        class Decorated:
            @llm_call
            @staticmethod
            def static_above(prompt: str) -> str:
                return prompt

            @staticmethod
            @llm_call
            def static_below(prompt: str) -> str:
                return prompt

            @llm_call
            @classmethod
            def class_above(cls, prompt: str) -> tuple[type, str]:
                return cls, prompt

            @classmethod
            @llm_call(operation="class_below")
            def class_below(cls, prompt: str) -> tuple[type, str]:
                return cls, prompt

        assert ("Hi", "Hi") == (Decorated.static_above("Hi"), Decorated().static_below("Hi"))
        assert (Decorated, "Hi") == Decorated.class_above("Hi")
        assert (Decorated, "Hi") == Decorated().class_below("Hi")
        assert [
            "llm.static_above",
            "llm.static_below",
            "llm.class_above",
            "llm.class_below",
        ] == [event.event for event in events]

    def test_callable_objects_and_partials(self, events: Events) -> None:
        """Any callable can be decorated; the operation is named after it."""

        class Ask:
            async def __call__(self, prompt: str) -> str:
                return prompt

        ask = llm_call(Ask())
        partial = llm_call(functools.partial(Gateway.coroutine, Gateway(), model="best"))

        assert "Hi" == asyncio.run(ask("Hi"))
        assert inspect.iscoroutinefunction(partial)
        assert "best: Hi" == asyncio.run(partial("Hi"))
        assert [("llm.Ask", None), ("llm.coroutine", "best")] == [
            (event.event, event.model_alias) for event in events
        ]

    def test_a_bound_method_of_one_object(self, events: Events) -> None:
        """A method of an object can be replaced if the class cannot be changed."""
        gateway = Gateway()
        ask = llm_call(gateway.coroutine)

        assert inspect.signature(gateway.coroutine) == inspect.signature(ask)
        assert "fast: Hi" == asyncio.run(ask("Hi"))
        assert ["fast"] == [event.model_alias for event in events]

    def test_other_objects_than_functions_are_refused(self) -> None:
        """A positional value that was meant as an option is refused at once."""
        with pytest.raises(ConfigError, match="function='fast' is not accepted"):
            llm_call("fast")  # type: ignore[call-overload]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("model", 5),
            ("model", b"fast"),
            ("model", ["fast"]),
            ("operation", 5),
            ("operation", b"chat"),
            ("provider", 5),
            ("provider", ["openai"]),
        ],
    )
    @pytest.mark.parametrize("disabled", ["", "true"])
    def test_wrong_options_are_refused(
        self, name: str, value: Any, disabled: str, monkeypatch: Any
    ) -> None:
        """The message names the option, its value and the accepted values."""
        monkeypatch.setenv("PANTHEON_OBS_DISABLED", disabled)
        message = rf"^{name}={re.escape(repr(value))} is not accepted: use "
        with pytest.raises(ConfigError, match=message):
            llm_call(**{name: value})(think)

    def test_a_with_leaves_out_options_that_are_no_names(self, events: Events) -> None:
        """They may come from the data of a request, which does not fail for that."""

        class Vendor(Enum):
            OPENAI = "openai"

        with llm_call(model=["fast"], operation=5, provider=b"x"):  # type: ignore[call-overload]
            think()
        with llm_call(provider=Vendor.OPENAI):  # type: ignore[call-overload]
            think()

        assert [("call", None, None), ("call", None, "openai")] == [
            (event.operation, event.model_alias, event.provider) for event in events
        ]

    def test_options_that_are_not_given_may_be_none(self, events: Events) -> None:
        """An application may take them from its own settings, where they may be empty."""
        llm_call(model="", operation="", provider="")(think)()
        llm_call(model=None, operation=None, provider=None)(think)()
        with llm_call(model="", operation=""):
            think()

        assert [("think", None)] * 2 + [("call", None)] == [
            (event.operation, event.model_alias) for event in events
        ]

    def test_an_operation_may_be_any_text(self, events: Events) -> None:
        """An application may make it from its data, at the time of the call."""
        llm_call(operation="rag/step 2: größer!")(think)()

        assert "llm.rag/step 2: größer!" == events[0].event

    @pytest.mark.parametrize("decorate", [llm_call, llm_call(operation="generate")])
    def test_a_class_is_refused(self, decorate: Any) -> None:
        """Making an object calls no model; the message has both ways to observe its methods."""
        instead = r"llm_call on its methods, or instrument_llm\(Gateway\)$"

        with pytest.raises(ConfigError, match=instead):
            decorate(Gateway)

    def test_a_generator_to_be_awaited_stays_so(self, events: Events) -> None:
        """`types.coroutine` makes a generator function whose generator is awaited."""
        import types  # noqa: PLC0415 - for this relic only

        @llm_call
        @types.coroutine
        def old_style() -> Generator[Any, Any, str]:
            yield from asyncio.sleep(0).__await__()
            return "answer"

        async def main() -> str:
            return await old_style()

        assert "answer" == asyncio.run(main())
        assert ["ok"] == [event.outcome for event in events]

    @pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
    def test_wrong_arguments_raise_the_same_error(
        self, method: Callable[..., Any], events: Events
    ) -> None:
        """The message is Python's, about the application's function."""
        decorated = llm_call(method)

        async def drive(result: Any) -> None:
            if inspect.isawaitable(result):
                await result
            elif inspect.isasyncgen(result):
                [chunk async for chunk in result]
            else:
                list(result)

        with pytest.raises(TypeError, match=rf"{method.__qualname__}\(\).*'nonsense'"):
            asyncio.run(drive(decorated(Gateway(), "Hi", nonsense=1)))


class TestValues:
    """The decorated function returns the application's own value."""

    @pytest.mark.parametrize(
        "value",
        [None, "answer", b"answer", 7, ["a"], {"a": 1}, ("a", 1), {1}, object(), int, len, Gateway],
        ids=lambda value: "object" if type(value) is object else repr(value),
    )
    def test_a_value_is_the_very_object(self, value: object, events: Events) -> None:
        """Nothing is copied, wrapped or converted."""
        assert llm_call(lambda: value)() is value
        assert ["ok"] == [event.outcome for event in events]

    def test_a_generator_stays_a_generator(self, events: Events) -> None:
        """The generator keeps its type, its name and its return value."""

        def chunks() -> Generator[str, None, str]:
            yield "a"
            return "all"

        for observed in (llm_call(chunks)(), given(chunks())):
            assert inspect.isgenerator(observed)
            assert ("chunks", chunks.__qualname__) == (observed.__name__, observed.__qualname__)
            assert "a" == next(observed)
            with pytest.raises(StopIteration) as stop:
                next(observed)
            assert "all" == stop.value.value

    def test_an_async_generator_stays_one(self, events: Events) -> None:
        """The async generator keeps its type and its name."""

        async def chunks() -> AsyncIterator[str]:
            yield "a"

        for observed in (llm_call(chunks)(), given(chunks())):
            assert inspect.isasyncgen(observed)
            assert "chunks" == observed.__name__

    @pytest.mark.parametrize("kind", [ChunkIterator, SlotsIterator, AsyncChunkIterator])
    def test_a_stream_object_is_the_very_object(self, kind: type, events: Events) -> None:
        """Its class is a new one with the same name; its attributes are not changed."""
        stream = kind(iter("ab"))
        attributes = dict(getattr(stream, "__dict__", {}))
        observed: Any = llm_call(lambda: stream)()

        assert observed is stream
        assert isinstance(observed, kind)
        names = [(c.__name__, c.__qualname__, c.__module__) for c in (kind, type(observed))]
        assert names[0] == names[1]
        assert attributes == getattr(stream, "__dict__", {})

    @pytest.mark.parametrize("leave", [list, lambda stream: stream.close()], ids=["read", "close"])
    def test_a_stream_object_has_its_class_back_in_the_end(
        self, leave: Callable[[Any], Any], events: Events
    ) -> None:
        """We restore the object when the stream ends."""
        stream: Any = llm_call(functools.partial(ChunkIterator))(iter("ab"))
        leave(stream)

        assert type(stream) is ChunkIterator

    def test_a_holder_is_the_very_object(self, events: Events) -> None:
        """Only the chunks of the object pass through us, frozen or not."""
        future: Future[Any] = Future()
        holder = Holder(iter("ab"), future)
        assert llm_call(lambda: holder)() is holder
        assert holder.usage_future is future
        assert ["a", "b"] == list(holder.chunks)

    def test_a_named_tuple_stays_one(self, events: Events) -> None:
        """The rebuilt tuple is of the same type, with the same other elements."""

        class Answer(NamedTuple):
            chunks: Any
            usage: Future[Any]

        future: Future[Any] = Future()
        answer = llm_call(lambda: Answer((c for c in "ab"), future))()

        assert Answer is type(answer)
        assert answer.usage is future
        assert ["a", "b"] == list(answer.chunks)

    @pytest.mark.parametrize(
        "make", [iter, functools.partial(map, str), zip], ids=["iter", "map", "zip"]
    )
    def test_an_iterator_written_in_c_is_handed_back_untouched(
        self, make: Callable[[Any], Any], events: Events
    ) -> None:
        """Its class cannot be replaced, so the call ends at its return and reports no usage."""
        iterator = make([1, 2, 3])

        assert llm_call(lambda: iterator)() is iterator
        assert [("ok", "missing", None, None)] == [
            (event.outcome, event.usage_status, event.stream, event.chunks) for event in events
        ]
        assert 3 == len(list(iterator))
        assert 1 == len(events)

    def test_the_usage_beside_an_iterator_written_in_c_is_read(self, events: Events) -> None:
        """The event waits for the future, as it does for that of any answer."""
        future: Future[Any] = Future()
        numbers, _ = llm_call(lambda: (iter([1, 2]), future))()

        assert [1, 2] == list(numbers)
        assert [] == events
        future.set_result((3, 4))
        assert [(3, 4)] == [(event.input_tokens, event.output_tokens) for event in events]

    def test_a_file_is_handed_back_untouched(self, tmp_path: Any, events: Events) -> None:
        """A file is written in C, too, and cannot be observed."""
        path = tmp_path / "answer"
        path.write_text("a\n")
        with llm_call(path.open)() as file:
            assert ["a\n"] == list(file)
        assert ["ok"] == [event.outcome for event in events]

    def test_letting_go_is_noticed_at_once(self, events: Events) -> None:
        """There is no reference cycle that would make it wait for the garbage collector."""
        collect_garbage()
        gc.disable()
        try:
            stream = llm_call(functools.partial(ChunkIterator))(iter("ab"))
            seen = weakref.ref(stream)
            next(stream)
            del stream
            assert None is seen()
            assert ["closed"] == [event.outcome for event in events]
        finally:
            gc.enable()

    def test_two_decorators_on_one_stream_report_once_each(self, events: Events) -> None:
        """A decorated method that passes on the stream of another one."""
        inner = llm_call(operation="inner")(functools.partial(ChunkIterator))
        stream = llm_call(operation="outer")(lambda: inner(iter("ab")))()

        assert ["a", "b"] == list(stream)
        assert type(stream) is ChunkIterator
        assert [("llm.inner", "ok", 2), ("llm.outer", "ok", 2)] == [
            (event.event, event.outcome, event.chunks) for event in events
        ]


def pickled(value: Any) -> Any:
    """Pickle and unpickle a value."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own


class TestCopies:
    """Observed objects can still be pickled and copied, and a copy is not observed."""

    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
    def test_of_a_function(self, duplicate: Callable[[Any], Any]) -> None:
        """A decorated function is pickled by its name, as any function."""
        assert duplicate(returns_iterator) is returns_iterator

    @pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
    @pytest.mark.parametrize("kind", [ChunkIterator, SlotsIterator])
    def test_of_an_open_stream(
        self, duplicate: Callable[[Any], Any], kind: type, events: Events
    ) -> None:
        """The copy has the remaining chunks, and the original goes on."""
        stream = llm_call(functools.partial(kind))(iter("abc"))
        next(stream)
        duplicated = duplicate(stream)

        assert kind is type(duplicated)
        assert ["b", "c"] == list(duplicated)
        assert [] == events
        assert ["b", "c"] == list(stream)
        assert [("ok", 3)] == [(event.outcome, event.chunks) for event in events]

    def test_of_an_object_that_says_where_it_is(self, events: Events) -> None:
        """A singleton is its own copy."""
        assert copy.copy(llm_call(lambda: THE_STREAM)()) is THE_STREAM

    @pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
    def test_under_two_decorators(self, duplicate: Callable[[Any], Any], events: Events) -> None:
        """The copy contains neither decorator."""
        stream = llm_call(lambda: llm_call(functools.partial(ChunkIterator))(iter("ab")))()

        assert ChunkIterator is type(duplicate(stream))
        assert [] == events

    def test_an_open_stream_says_that_it_is_of_its_class(self, events: Events) -> None:
        """The stream's `__class__` is the original one, so comparisons work as without us."""

        @dataclass
        class Stream:
            number: int

            def __next__(self) -> int:
                return self.number

        stream = llm_call(functools.partial(Stream))(1)

        assert Stream is stream.__class__
        assert Stream(1) == stream
        assert stream == Stream(1)


class TestTracebacks:
    """The exception object itself passes, with at most one frame of ours."""

    @staticmethod
    def fail() -> None:
        """Raise, with a cause."""
        message = "effect"
        try:
            raise KeyError  # noqa: TRY301 - the cause is what is looked at
        except KeyError as cause:
            raise ValueError(message) from cause

    def frames(self, action: Callable[[], object]) -> list[str]:
        """Return the functions that the exception passed through."""
        with pytest.raises(ValueError, match="effect") as caught:
            action()
        assert isinstance(caught.value.__cause__, KeyError)
        return [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]

    def test_of_a_function(self, events: Events) -> None:
        """The traceback has one more frame."""

        def generate() -> None:
            self.fail()

        decorated = llm_call(generate)

        assert len(self.frames(generate)) + 1 == len(self.frames(decorated))

    def test_of_a_coroutine_function(self, events: Events) -> None:
        """The traceback has one more frame."""

        async def generate() -> None:
            self.fail()

        decorated = llm_call(generate)

        bare = self.frames(lambda: asyncio.run(generate()))
        assert len(bare) + 1 == len(self.frames(lambda: asyncio.run(decorated())))

    def test_of_a_generator(self, events: Events) -> None:
        """The traceback has one more frame, also for an exception that is thrown in."""

        def generate() -> Iterator[str]:
            yield "a"
            self.fail()

        def throw(chunks: Any) -> None:
            next(chunks)
            try:
                self.fail()
            except ValueError as error:
                chunks.throw(error)

        decorated = llm_call(generate)

        for act in (list, throw):
            bare = self.frames(lambda act=act: act(generate()))  # type: ignore[misc]
            ours = self.frames(lambda act=act: act(decorated()))  # type: ignore[misc]
            assert len(bare) + 1 == len(ours)

    def test_of_an_async_generator(self, events: Events) -> None:
        """The traceback has one more frame, also for an exception that is thrown in."""

        async def generate() -> AsyncIterator[str]:
            yield "a"
            self.fail()

        async def read(chunks: Any) -> None:
            [chunk async for chunk in chunks]

        async def throw(chunks: Any) -> None:
            await anext(chunks)
            try:
                self.fail()
            except ValueError as error:
                await chunks.athrow(error)

        decorated = llm_call(generate)

        for act in (read, throw):
            bare = self.frames(lambda act=act: asyncio.run(act(generate())))  # type: ignore[misc]
            ours = self.frames(lambda act=act: asyncio.run(act(decorated())))  # type: ignore[misc]
            assert len(bare) + 1 == len(ours)

    def test_of_a_coroutine_of_a_plain_function(self, events: Events) -> None:
        """The traceback has one more frame."""

        async def generate() -> None:
            self.fail()

        decorated = llm_call(lambda: generate())  # noqa: PLW0108 - a plain function

        bare = self.frames(lambda: asyncio.run(generate()))
        assert len(bare) + 1 == len(self.frames(lambda: asyncio.run(decorated())))

    def test_of_an_async_stream_object(self, events: Events) -> None:
        """The traceback has one more frame."""

        async def chunks() -> AsyncIterator[str]:
            yield "a"
            self.fail()

        async def read(stream: Any) -> None:
            [chunk async for chunk in stream]

        bare = self.frames(lambda: asyncio.run(read(AsyncChunkIterator(chunks()))))
        ours = self.frames(
            lambda: asyncio.run(read(llm_call(functools.partial(AsyncChunkIterator))(chunks())))
        )
        assert len(bare) + 1 == len(ours)

    def test_of_a_with(self, events: Events) -> None:
        """The traceback has no more frames."""

        def bare() -> None:
            with suppress(OSError):
                self.fail()

        def observed() -> None:
            with llm_call():
                self.fail()

        assert len(self.frames(bare)) == len(self.frames(observed))

    def test_of_a_stream_object(self, events: Events) -> None:
        """The traceback has one more frame."""

        def chunks() -> Iterator[str]:
            yield "a"
            self.fail()

        bare = self.frames(lambda: list(ChunkIterator(chunks())))
        ours = self.frames(lambda: list(llm_call(functools.partial(ChunkIterator))(chunks())))
        assert len(bare) + 1 == len(ours)


class TestGenerators:
    """The methods and attributes of a generator beside iteration."""

    def test_an_exception_that_is_thrown_in_may_be_handled(self, events: Events) -> None:
        """The generator handles it and goes on; it sees no other exception, and the call is ok."""
        found = []

        @llm_call
        def chunks() -> Generator[str, str, str]:
            with suppress(KeyError):
                yield "a"
            found.append(sys.exc_info())
            answer = yield "b"
            return answer.upper()

        observed = chunks()
        assert "a" == next(observed)
        assert "b" == observed.throw(KeyError())
        with pytest.raises(StopIteration) as stop:
            observed.send("done")
        assert "DONE" == stop.value.value
        assert [(None, None, None)] == found
        assert [("ok", 2)] == [(event.outcome, event.chunks) for event in events]

    def test_a_generator_that_refuses_to_close_says_so(self, events: Events) -> None:
        """Python's own RuntimeError reaches the consumer."""

        @llm_call
        def stubborn() -> Iterator[str]:
            try:
                yield "a"
            except GeneratorExit:
                yield "b"

        observed: Any = stubborn()
        next(observed)
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            observed.close()
        del observed
        assert ["closed"] == [event.outcome for event in events]

    def test_async_an_exception_that_is_thrown_in_may_be_handled(self, events: Events) -> None:
        """An async generator behaves as a generator."""

        @llm_call
        async def chunks() -> AsyncIterator[str]:
            try:
                yield "a"
            except KeyError:
                yield "b"

        async def main() -> list[str]:
            observed: Any = chunks()
            return [await anext(observed), await observed.athrow(KeyError())] + [
                chunk async for chunk in observed
            ]

        assert ["a", "b"] == asyncio.run(main())
        assert [("ok", 2)] == [(event.outcome, event.chunks) for event in events]

    def test_the_outcome_is_settled_before_the_clean_up(self, events: Events) -> None:
        """A generator whose clean-up fails counts as closed, and the failure passes."""

        @llm_call
        def chunks() -> Iterator[str]:
            try:
                yield "a"
            finally:
                raise ValueError

        observed: Any = chunks()
        next(observed)
        with pytest.raises(ValueError):  # noqa: PT011 - there is no text
            observed.close()
        assert ["closed"] == [event.outcome for event in events]

    def test_async_the_outcome_is_settled_before_the_clean_up(self, events: Events) -> None:
        """An async generator behaves as a generator."""

        @llm_call
        async def chunks() -> AsyncIterator[str]:
            try:
                yield "a"
            finally:
                await asyncio.sleep(0)
                raise ValueError

        async def main() -> None:
            observed: Any = chunks()
            await anext(observed)
            with pytest.raises(ValueError):  # noqa: PT011 - there is no text
                await observed.aclose()

        asyncio.run(main())
        assert ["closed"] == [event.outcome for event in events]

    def test_an_inner_generator_that_is_closing_already_is_left_alone(self, events: Events) -> None:
        """The event loop may close both, and ours does not disturb the inner one."""

        async def chunks() -> AsyncIterator[str]:
            try:
                yield "a"
                yield "b"
            finally:
                await asyncio.sleep(0.001)

        async def main() -> None:
            inner: Any = chunks()
            await anext(inner)  # now the loop knows it
            observed: Any = llm_call(lambda: inner)()
            await anext(observed)
            await asyncio.gather(inner.aclose(), observed.aclose())

        asyncio.run(main())
        assert [("closed", 1)] == [(event.outcome, event.chunks) for event in events]


class TestObjects:
    """Objects whose iteration takes unusual ways."""

    def test_leaving_the_loop_is_not_leaving_the_object(self, events: Events) -> None:
        """`next(iter(stream))` and a later loop are one call with all chunks."""

        class Stream:
            def __init__(self) -> None:
                self._rest = iter("abc")

            def __iter__(self) -> Iterator[str]:
                for chunk in self._rest:  # noqa: UP028 - closing must not close the rest
                    yield chunk

        stream = llm_call(functools.partial(Stream))()
        assert "a" == next(iter(stream))
        assert [] == events
        assert ["b", "c"] == list(stream)
        assert [("ok", 3)] == [(event.outcome, event.chunks) for event in events]

    def test_a_chunk_is_counted_once(self, events: Events) -> None:
        """An `__iter__` that uses `__next__` is counted and timed once."""

        class Stream:
            def __init__(self) -> None:
                self._chunks = iter("abc")

            def __next__(self) -> str:
                think()
                return next(self._chunks)

            def __iter__(self) -> Iterator[str]:
                while True:
                    try:
                        yield self.__next__()
                    except StopIteration:
                        return

        assert ["a", "b", "c"] == list(llm_call(functools.partial(Stream))())
        [event] = events
        assert ("ok", 3) == (event.outcome, event.chunks)
        assert event.producer_ms is not None
        assert event.producer_ms <= event.latency_ms

    def test_a_chunk_between_two_steps_is_counted_too(self, events: Events) -> None:
        """Two loops and `next()` may take turns, in the code of a call that began later."""

        class Stream:
            def __init__(self) -> None:
                self._chunks = iter("abcde")

            def __next__(self) -> str:
                return next(self._chunks)

            def __iter__(self) -> Iterator[str]:
                for _ in range(2):
                    yield self.__next__()

        @llm_call
        def take_turns(stream: Stream) -> str:
            loop, other = iter(stream), iter(stream)
            return "".join((next(loop), next(stream), next(other), next(loop), next(stream)))

        assert "abcde" == take_turns(llm_call(functools.partial(Stream))())
        assert [("closed", 5)] == [(e.outcome, e.chunks) for e in events if e.stream]

    def test_a_chunk_that_another_thread_steps_for_is_counted_once(self, events: Events) -> None:
        """An `__iter__` may wait for its own `__next__` in a thread, with a limit for the time."""

        class Stream:
            def __init__(self) -> None:
                self._chunks = iter("abc")

            def __next__(self) -> str:
                return next(self._chunks)

            def __iter__(self) -> Iterator[str]:
                with ThreadPoolExecutor(1) as pool:
                    for _ in range(3):
                        yield pool.submit(self.__next__).result(10)

        assert ["a", "b", "c"] == list(llm_call(functools.partial(Stream))())
        assert [3] == [event.chunks for event in events]

    def test_a_chunk_that_another_task_steps_for_is_counted_once(self, events: Events) -> None:
        """An `__aiter__` may give its own `__anext__` a time limit, which runs it in a task."""

        class Stream:
            def __init__(self) -> None:
                self._chunks = iter("abc")

            async def __anext__(self) -> str:
                await asyncio.sleep(0)
                return next(self._chunks)

            async def __aiter__(self) -> AsyncIterator[str]:
                for _ in range(3):
                    yield await asyncio.create_task(self.__anext__())

        async def main() -> list[str]:
            return [chunk async for chunk in llm_call(functools.partial(Stream))()]

        assert ["a", "b", "c"] == asyncio.run(main())
        assert [3] == [event.chunks for event in events]

    def test_an_async_chunk_is_counted_once(self, events: Events) -> None:
        """An `__aiter__` that uses `__anext__` is counted and timed once."""

        class Stream:
            def __init__(self) -> None:
                self._chunks = iter("abc")

            async def __anext__(self) -> str:
                think()
                try:
                    return next(self._chunks)
                except StopIteration:
                    raise StopAsyncIteration from None

            async def __aiter__(self) -> AsyncIterator[str]:
                while True:
                    try:
                        yield await self.__anext__()
                    except StopAsyncIteration:
                        return

        async def main() -> list[str]:
            return [chunk async for chunk in llm_call(functools.partial(Stream))()]

        assert ["a", "b", "c"] == asyncio.run(main())
        [event] = events
        assert ("ok", 3) == (event.outcome, event.chunks)
        assert event.producer_ms is not None
        assert event.producer_ms <= event.latency_ms

    def test_it_may_give_another_iterator(self, events: Events) -> None:
        """`__iter__` and `__aiter__` may return another object."""

        class Stream:
            def __iter__(self) -> Iterator[str]:
                return iter(["a", "b"])

            def __aiter__(self) -> AsyncIterator[str]:
                async def chunks() -> AsyncIterator[str]:
                    yield "a"

                return AsyncChunkIterator(chunks())

        async def main() -> list[str]:
            return [chunk async for chunk in llm_call(functools.partial(Stream))()]

        assert ["a", "b"] == list(llm_call(functools.partial(Stream))())
        assert ["a"] == asyncio.run(main())
        assert [("ok", 2), ("ok", 1)] == [(event.outcome, event.chunks) for event in events]

    def test_read_again_it_is_not_counted_again(self, events: Events) -> None:
        """After its end an object is no longer observed."""

        class Stream:
            def __iter__(self) -> Iterator[str]:
                yield from "ab"

        stream = llm_call(functools.partial(Stream))()
        assert ["a", "b"] == list(stream)
        assert ["a", "b"] == list(stream)
        assert [("ok", 2)] == [(event.outcome, event.chunks) for event in events]

    def test_a_copy_that_its_class_makes_is_not_observed(self, events: Events) -> None:
        """Such a copy belongs to no call, and behaves as its class does."""

        class Everything(ChunkIterator, AsyncChunkIterator):
            def __copy__(self) -> Self:
                return type(self)(self._chunks)  # type: ignore[arg-type]

            def __await__(self) -> Generator[Any, Any, str]:
                yield from asyncio.sleep(0).__await__()
                return "awaited"

        async def chunks() -> AsyncIterator[str]:
            yield "a"

        async def use(copied: Any) -> list[object]:
            async with copied:
                async_chunk = await anext(aiter(copied))
            return [async_chunk, await copied, copied.closed]

        stream = llm_call(functools.partial(Everything))(iter("ab"))
        copied = copy.copy(stream)
        with copied:
            assert "a" == next(iter(copied))
        vars(copied)["_chunks"] = chunks()
        assert ["a", "awaited", True] == asyncio.run(use(copied))
        del copied
        assert [] == events
        stream.close()
        assert ["not_consumed"] == [event.outcome for event in events]

    def test_its_own_del_still_runs(self, events: Events) -> None:
        """The object's `__del__` runs once, after our finalizer."""
        deleted = []

        class Stream(ChunkIterator):
            def __del__(self) -> None:
                deleted.append(len(events))

        llm_call(functools.partial(Stream))(iter("ab"))
        assert [1] == deleted
        assert ["not_consumed"] == [event.outcome for event in events]

    def test_a_static_close_is_left_alone(self, events: Events) -> None:
        """A `close` that is not a method does not end the call."""

        class Stream(ChunkIterator):
            @staticmethod
            def close() -> str:  # type: ignore[override]
                return "closed"

        stream = llm_call(functools.partial(Stream))(iter("ab"))
        assert "closed" == stream.close()
        assert ["a", "b"] == list(stream)
        assert ["ok"] == [event.outcome for event in events]

    def test_an_object_of_a_final_class_is_handed_back_untouched(self, events: Events) -> None:
        """A class that refuses subclasses cannot be replaced: the call ends at its return."""

        class Final(ChunkIterator):
            def __init_subclass__(cls) -> None:
                msg = "final"
                raise ValueError(msg)

        stream = llm_call(functools.partial(Final))(iter("ab"))
        assert type(stream) is Final
        assert ["a", "b"] == list(stream)
        assert [("ok", "missing", None)] == [
            (event.outcome, event.usage_status, event.chunks) for event in events
        ]

    @pytest.mark.parametrize("raw", [False, True], ids=["manager", "raw response"])
    def test_a_final_class_that_gives_the_answer_later(self, raw: bool, events: Events) -> None:  # noqa: FBT001 - a parameter of the test
        """Managers and raw responses of such a class are handed back untouched, too."""

        class Final:
            http_request = http_response = None

            def __init_subclass__(cls) -> None:
                msg = "final"
                raise ValueError(msg)

        def parse(_: Any) -> str:
            return "Paris."

        for name in ("http_request", "parse") if raw else ("__enter__",):
            setattr(Final, name, parse)
        final = Final()

        assert llm_call(lambda: final)() is final
        assert [("ok", "missing")] == [(event.outcome, event.usage_status) for event in events]

    def test_an_object_that_hides_its_class_is_the_very_object(self, events: Events) -> None:
        """The `__class__` of the application's own proxy does not mislead us."""

        class Hidden(ChunkIterator):
            @property
            def __class__(self) -> type:
                return str

        hidden = Hidden(iter("ab"))
        assert llm_call(lambda: hidden)() is hidden
        assert ["a", "b"] == list(hidden)
        assert ["ok"] == [event.outcome for event in events]

    def test_containers_are_values(self, events: Events) -> None:
        """An object whose iteration yields its parts is no stream."""

        class Page:
            def __len__(self) -> int:
                return 1

            def __iter__(self) -> Iterator[int]:
                return iter([1])

        llm_call(functools.partial(Page))()
        assert [("ok", None)] == [(event.outcome, event.stream) for event in events]

    def test_mocks_are_values(self, events: Events) -> None:
        """A mock has every method, and stands for an answer more often than for a stream."""
        from unittest.mock import MagicMock  # noqa: PLC0415 - for this test only

        answer = MagicMock()
        assert llm_call(lambda: answer)() is answer
        assert [("ok", "missing")] == [(event.outcome, event.usage_status) for event in events]
