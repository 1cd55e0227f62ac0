"""No failure of telemetry reaches the application, whichever values it passes to us."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import instrument_llm, llm_call
from pantheon_obs.core import guard, pipeline
from pantheon_obs.core.context import Trace, begin, end
from tests.llm.kinds import ASYNC, SYNC, ChunkIterator, Kind
from tests.llm.sink import Kept

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pantheon_obs.core.events import Event, LlmCallFinished

    Events = list[LlmCallFinished]


class Raising(Kept):
    """A sink that always raises."""

    name = "raising"

    def handle(self, event: Event) -> None:
        """Fail."""
        raise OSError


@pytest.fixture
def raising_sink(events: Events) -> Iterator[None]:
    """Put a sink that raises in front of the others."""
    kept = [sink for sink in pipeline.sinks if sink.name == Kept.name]
    pipeline.add_sink(Raising())
    for sink in kept:
        pipeline.add_sink(sink)
    yield
    pipeline.remove_sink(Raising.name)
    guard.forget()


class NoAttributes:
    """Raises for every missing attribute."""

    def __getattr__(self, name: str) -> Any:
        raise OSError(name)


class NothingAtAll:
    """Raises for every attribute."""

    def __getattribute__(self, name: str) -> Any:
        raise OSError(name)


class NoTruth:
    """Raises for truth, length, equality and hash."""

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise OSError

    def __len__(self) -> int:
        raise OSError

    def __eq__(self, other: object) -> bool:
        raise OSError


class BrokenUsage:
    """An object whose usage raises."""

    @property
    def usage(self) -> Any:
        """A property that raises."""
        raise OSError


HOSTILE = [NoAttributes, NothingAtAll, NoTruth, BrokenUsage]


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_result_comes_back(kind: type, events: Events) -> None:
    """The object itself is returned, and the call is ok with its usage unknown."""
    result = kind()

    @llm_call
    async def agenerate() -> Any:
        return result

    pair = (result, 1)
    assert llm_call(lambda: pair)() is pair
    events.clear()
    assert llm_call(lambda: result)() is result
    assert asyncio.run(agenerate()) is result
    assert ["ok", "ok"] == [event.outcome for event in events]
    assert {None} == {event.input_tokens for event in events}
    guard.forget()


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_chunks_come_through(kind: type, events: Events) -> None:
    """Hostile chunks pass, whether a generator or an object gives them."""
    chunks = [kind(), kind()]

    @llm_call
    async def achunks() -> AsyncIterator[Any]:
        for chunk in chunks:
            yield chunk

    async def read() -> list[Any]:
        return [chunk async for chunk in achunks()]

    for got in (
        list(llm_call(lambda: (chunk for chunk in chunks))()),
        list(llm_call(lambda: ChunkIterator(iter(chunks)))()),
        asyncio.run(read()),
    ):
        assert [id(chunk) for chunk in chunks] == [id(chunk) for chunk in got]
    assert [("ok", 2)] * 3 == [(event.outcome, event.chunks) for event in events]
    guard.forget()


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_arguments_are_passed_on(kind: type, events: Events) -> None:
    """The search for the alias finds none."""
    argument = kind()
    assert llm_call(lambda given: given)(argument) is argument
    assert [None] == [event.model_alias for event in events]
    guard.forget()


@pytest.mark.usefixtures("raising_sink")
@pytest.mark.parametrize("kind", SYNC, ids=lambda kind: kind.name)
def test_a_raising_sink_does_not_reach_a_stream(kind: Kind, events: Events) -> None:
    """The consumer sees all chunks, and the other sinks see the event."""
    assert ["a", "b"] == list(kind.chunks(kind.call(lambda: iter("ab"))))
    assert ["ok"] == [event.outcome for event in events]


@pytest.mark.usefixtures("raising_sink")
@pytest.mark.parametrize("kind", ASYNC, ids=lambda kind: kind.name)
def test_a_raising_sink_does_not_reach_an_async_stream(kind: Kind, events: Events) -> None:
    """The consumer sees all chunks, and the other sinks see the event."""

    async def script() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    async def main() -> list[str]:
        result = kind.call(script)
        chunks = kind.chunks(await result if hasattr(result, "__await__") else result)
        return [chunk async for chunk in chunks]

    assert ["a", "b"] == asyncio.run(main())
    assert ["ok"] == [event.outcome for event in events]


@pytest.mark.usefixtures("raising_sink")
def test_a_raising_sink_does_not_replace_the_applications_exception(events: Events) -> None:
    """The application's own error is raised."""
    with pytest.raises(ZeroDivisionError):
        llm_call(lambda: 1 / 0)()
    assert ["error"] == [event.outcome for event in events]


def test_a_trace_that_cannot_count_loses_no_event(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value is returned whatever fails, and each failure is reported once."""
    monkeypatch.setattr(pipeline, "emit", None)

    assert "answer" == llm_call(lambda: "answer")()
    assert frozenset({"llm call"}) == guard.reported()
    guard.forget()


def test_a_result_that_cannot_be_observed_comes_back(events: Events) -> None:
    """A future that refuses callbacks ends its call when it is returned."""

    class Refusing:
        def add_done_callback(self, callback: object) -> None:
            raise OSError

    future = Refusing()
    assert llm_call(lambda: future)() is future
    assert ["ok"] == [event.outcome for event in events]
    assert frozenset({"llm result"}) == guard.reported()
    guard.forget()


def test_arguments_that_raise_leave_a_call_without_a_vendor(events: Events) -> None:
    """The target of a call may be in its configuration, which is the application's object."""

    class Config:
        @property
        def http_options(self) -> None:
            raise RuntimeError

    class Gateway:
        def generate(self, prompt: str, *, model: str, config: Config) -> str:
            return prompt + model

    gateway = Gateway()
    with instrument_llm(gateway):
        assert "Hifast" == gateway.generate("Hi", model="fast", config=Config())
    (event,) = events
    assert (None, "ok") == (event.provider, event.outcome)
    assert frozenset({"llm client"}) == guard.reported()
    guard.forget()


def test_a_usage_future_that_refuses_callbacks_is_missing(events: Events) -> None:
    """There is no callback to report its result."""

    class Refusing:
        def done(self) -> bool:
            return False

        def add_done_callback(self, callback: object) -> None:
            raise OSError

    class Response:
        usage_future = Refusing()

    assert isinstance(llm_call(partial(Response))(), Response)
    assert [("ok", "missing")] == [(event.outcome, event.usage_status) for event in events]
    assert frozenset({"llm usage"}) == guard.reported()
    guard.forget()


def test_an_end_seen_by_many_threads_is_reported_once(events: Events) -> None:
    """The request's end, the consumer's and the usage future's may come at the same time."""
    for _ in range(50):
        trace = Trace("request")
        begin(trace)
        stream = llm_call(lambda: ChunkIterator(iter("abcdefgh")))()
        [call] = trace.open_calls
        ready = threading.Barrier(3)

        def consume(stream: Any = stream, ready: threading.Barrier = ready) -> None:
            ready.wait()
            list(stream)

        def force(call: Any = call, ready: threading.Barrier = ready) -> None:
            ready.wait()
            call.force_finish()

        with ThreadPoolExecutor(3) as pool:
            done = [pool.submit(consume), pool.submit(force), pool.submit(force)]
        assert [None] * 3 == [future.result() for future in done]
        end(trace)

    assert 50 == len(events)
    assert {event.outcome for event in events} <= {"ok", "closed", "not_consumed"}
