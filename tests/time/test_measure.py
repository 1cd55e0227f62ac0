"""`measure`: names of the application's own, on functions, blocks and generators."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import time
from contextlib import AsyncExitStack, ExitStack, contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import ConfigError, carry, instrument, llm_call, measure, trace_context
from pantheon_obs.core import pipeline
from pantheon_obs.testing import capture_events
from tests.support.garbage import collect_garbage
from tests.time.requests import ANSWER, adds_up, ask, times

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

SLEEP = 0.02


@measure("render")
def render() -> str:
    """Take a moment."""
    time.sleep(SLEEP)
    return "page"


@measure("fetch")
async def fetch() -> str:
    """Take a moment."""
    await asyncio.sleep(SLEEP)
    return "row"


@measure("rows")
def rows(number: int) -> Iterator[int]:
    """Take a moment for each row."""
    for row in range(number):
        time.sleep(SLEEP)
        yield row


@measure("rows")
async def arows(number: int) -> AsyncIterator[int]:
    """Take a moment for each row."""
    for row in range(number):
        await asyncio.sleep(SLEEP)
        yield row


def test_functions_and_blocks_of_both_kinds_are_measured() -> None:
    """Each name has the number of its calls and their time; the rest is the request's own."""

    async def work() -> None:
        assert ("page", "row") == (render(), await fetch())
        with measure("block"):
            await asyncio.sleep(SLEEP)
        async with measure("block"):
            await asyncio.sleep(SLEEP)

    line = ask(work)

    assert {"render_calls": 1, "fetch_calls": 1, "block_calls": 2} == times(line)
    assert min(line["render_ms"], line["fetch_ms"], line["block_ms"] / 2) >= SLEEP * 1000
    assert adds_up(line)


def test_a_generator_counts_once_and_only_its_steps_take_time() -> None:
    """The time between two steps is the consumer's own time."""

    async def work() -> None:
        for _ in rows(2):
            await asyncio.sleep(10 * SLEEP)
        async for _ in arows(2):
            await asyncio.sleep(10 * SLEEP)

    line = ask(work)

    assert {"rows_calls": 2} == times(line)
    assert 4 * SLEEP * 1000 <= line["rows_ms"] <= line["latency_ms"] - 40 * SLEEP * 1000
    assert adds_up(line)


GOT: list[Any] = []


@measure("echo")
def echo() -> Any:
    """Keep what is sent, until an error is thrown in."""
    while True:
        try:
            GOT.append((yield len(GOT)))
        except ValueError as error:
            return str(error)


@measure("echo")
async def aecho() -> Any:
    """Keep what is sent, until an error is thrown in."""
    while True:
        try:
            GOT.append((yield len(GOT)))
        except ValueError as error:
            GOT.append(str(error))
            return


def use_echo() -> None:
    """Send a value, and throw an error in."""
    GOT.clear()
    running = echo()
    assert [0, 1] == [next(running), running.send("a")]
    with pytest.raises(StopIteration, match="end"):
        running.throw(ValueError("end"))
    assert ["a"] == GOT


async def use_aecho() -> None:
    """Send a value, and throw an error in."""
    GOT.clear()
    running = aecho()
    assert [0, 1] == [await anext(running), await running.asend("a")]
    with pytest.raises(StopAsyncIteration):
        await running.athrow(ValueError("end"))
    assert ["a", "end"] == GOT


@pytest.mark.parametrize("use", [use_echo, use_aecho])
def test_generators_keep_their_protocol(use: Any) -> None:
    """Values sent, thrown in and returned pass, in a request and outside of one."""
    assert {"echo_calls": 1} == times(ask(use))
    done = use()
    if done is not None:
        asyncio.run(done)


def test_the_kind_and_the_signature_of_a_function_stay() -> None:
    """Frameworks ask for them."""
    assert inspect.isgeneratorfunction(echo)
    assert inspect.isasyncgenfunction(aecho)
    assert inspect.iscoroutinefunction(fetch)
    assert ["number"] == [*inspect.signature(rows).parameters]


def test_a_generator_that_is_left_runs_its_own_ending() -> None:
    """Closed by its consumer or by the garbage collector, from another context, too."""
    ended: list[str] = []

    @measure("part")
    def part(name: str) -> Any:
        try:
            yield 1
            yield 2
        finally:
            ended.append(name)

    @measure("part")
    async def apart(name: str) -> Any:
        try:
            yield 1
        finally:
            ended.append(name)

    async def work() -> None:
        closed = part("closed")
        next(closed)
        closed.close()
        dropped = part("dropped")
        contextvars.copy_context().run(next, dropped)
        del dropped
        collect_garbage()
        left = apart("left")
        await anext(left)
        await left.aclose()
        part("never started")

    line = ask(work)

    assert ["closed", "dropped", "left"] == ended
    assert {"part_calls": 3} == times(line)


def test_steps_in_contexts_of_their_own_are_steps_of_one_call() -> None:
    """Frameworks run each step of a sync stream in a fresh copy of the context."""

    @contextmanager
    def in_parts() -> Iterator[None]:
        with measure("block"):
            yield

    def work() -> None:
        running = rows(3)
        for _ in range(3):
            contextvars.copy_context().run(next, running)
        block = in_parts()
        contextvars.copy_context().run(block.__enter__)
        assert [] == [*rows(0)]
        contextvars.copy_context().run(block.__exit__, None, None, None)

    assert {"rows_calls": 2, "block_calls": 1} == times(ask(work))


def test_calls_of_one_name_within_another_are_a_part_of_it() -> None:
    """In tasks and threads of the outer call, too, but not after its end."""

    async def work() -> None:
        with measure("fetch"):
            with measure("other"):
                await fetch()
            await asyncio.gather(fetch(), fetch())
            task = asyncio.create_task(later())
        await task

    async def later() -> None:
        await asyncio.sleep(SLEEP)
        await fetch()

    line = ask(work)

    assert {"fetch_calls": 2, "other_calls": 1} == times(line)


def test_one_object_may_be_entered_many_times_at_once() -> None:
    """Each `with` statement ends the block that it has begun."""
    shared = measure("shared")

    async def block(seconds: float) -> None:
        async with shared:
            await asyncio.sleep(seconds)

    async def work() -> None:
        await asyncio.gather(block(3 * SLEEP), block(SLEEP), block(2 * SLEEP))
        with shared, shared, ExitStack() as stack:
            stack.enter_context(measure("stacked"))
        async with AsyncExitStack() as astack:
            await astack.enter_async_context(measure("stacked"))

    line = ask(work)

    assert {"shared_calls": 4, "stacked_calls": 2} == times(line)
    assert 6 * SLEEP * 1000 <= line["shared_ms"]
    assert line["latency_ms"] - line["own_ms"] < line["shared_ms"]


def test_an_exception_passes_and_its_call_counts() -> None:
    """A function, a block and a generator that raise."""

    @measure("work")
    def fail() -> Any:
        raise ZeroDivisionError

    @measure("work")
    async def afail() -> Any:
        raise ZeroDivisionError

    @measure("work")
    def generate() -> Any:
        yield 1
        raise ZeroDivisionError

    async def work() -> None:
        with pytest.raises(ZeroDivisionError):
            fail()
        with pytest.raises(ZeroDivisionError):
            await afail()
        with pytest.raises(ZeroDivisionError), measure("work"):
            raise ZeroDivisionError
        with pytest.raises(ZeroDivisionError):
            list(generate())

    assert {"work_calls": 4} == times(ask(work))


def test_a_coroutine_that_the_garbage_collector_closes_is_no_trouble() -> None:
    """It ends in another context than it began in."""

    @measure("fetch")
    async def wait() -> None:
        await asyncio.sleep(0)

    def work() -> None:
        for finish in (True, False):
            coroutine = wait()
            contextvars.copy_context().run(coroutine.send, None)
            if finish:
                with pytest.raises(StopIteration):
                    coroutine.send(None)
            coroutine.close()
        assert "page" == render()

    assert {"fetch_calls": 2, "render_calls": 1} == times(ask(work))


def test_threads_of_carry_count_and_others_do_not() -> None:
    """Each of eight threads adds its calls to the sums of the request."""

    def many() -> None:
        for _ in range(1000):
            with measure("step"):
                pass

    def work() -> None:
        targets = [carry(many) for _ in range(8)]
        threads = [Thread(target=target) for target in [*targets, many]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert {"step_calls": 8000} == times(ask(work))


def test_outside_of_a_trace_nothing_is_measured() -> None:
    """Nor in one that has no line of its own, of which the sinks hear."""
    seconds: list[tuple[str, float]] = []

    class Sink:
        name = "test"

        def handle(self, _event: Any) -> None:
            """Want no event."""

        def timed(self, operation: Any) -> None:
            seconds.append((operation.name, operation.seconds))
            raise ZeroDivisionError

    instrument(lambda scope, receive, send: None)
    pipeline.add_sink(Sink())
    assert "page" == render()
    assert "row" == asyncio.run(fetch())
    assert [0] == list(rows(1))
    assert [] == seconds
    with trace_context("job"):
        assert "page" == render()
    ((name, duration),) = seconds
    assert ("render", True) == (name, duration >= SLEEP)


def test_work_after_the_response_is_not_on_its_line() -> None:
    """A server error's line waits for the end of the application, but not its latency."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        render()
        await send({**ANSWER[0], "status": 503})
        await send(ANSWER[1])
        render()

    async def send(_message: Any) -> None:
        """Send nothing."""

    with capture_events() as events:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        asyncio.run(instrument(app)(scope, None, send))  # type: ignore[arg-type]
    (line,) = [event for event in events if event["event"] == "request_finished"]
    assert {"render_calls": 1} == times(line)
    assert adds_up(line)


def test_a_websocket_has_the_times_too() -> None:
    """Of its whole life."""

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        render()
        await send({"type": "websocket.close", "code": 1000})

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(_message: Any) -> None:
        """Send nothing."""

    with capture_events() as events:
        scope = {"type": "websocket", "path": "/", "headers": []}
        asyncio.run(instrument(app)(scope, receive, send))
    (line,) = [event for event in events if event["event"] == "websocket_finished"]
    assert {"render_calls": 1} == times(line)
    assert adds_up(line)


def test_an_llm_call_alone_leaves_the_own_time() -> None:
    """LLM calls are measured, and calls within one overlap with it."""

    @llm_call(model="m")
    def call() -> Any:
        return render()

    line = ask(call)

    assert {"llm_calls": 1, "render_calls": 1} == times(line)
    expected = line["latency_ms"] - line["llm_latency_ms"]
    assert abs(expected - line["own_ms"]) < 0.01
    alone = ask(llm_call(model="m")(lambda: time.sleep(SLEEP)))
    assert alone["own_ms"] <= alone["latency_ms"] - SLEEP * 1000


def test_an_llm_call_that_is_still_open_is_not_the_own_time() -> None:
    """It has taken its time up to the line, and ends only when the application returns."""
    call = llm_call(model="m")

    def work() -> None:
        call.__enter__()
        time.sleep(SLEEP)

    line = ask(work)

    assert 1 == line["llm_open"]
    assert line["own_ms"] <= line["latency_ms"] - SLEEP * 1000


def test_the_setting_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """No field, and not the time of LLM calls either."""
    monkeypatch.setenv("PANTHEON_OBS_MEASURE_TIME", "0")

    async def work() -> None:
        render()
        await fetch()
        llm_call(model="m")(render)()

    line = ask(work)

    assert {"llm_calls": 1} == times(line)
    assert "own_ms" not in line


def test_functions_run_bare_where_the_library_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decorator returns the function itself."""
    monkeypatch.setenv("PANTHEON_OBS_DISABLED", "1")
    assert abs is measure("size")(abs)


@pytest.mark.parametrize(
    "name", ["", "Render", "1st", "a" * 32, "a-b", "db", "llm", "own", "latency", None, render]
)
def test_other_names_are_refused(name: Any) -> None:
    """With the names that are accepted."""
    with pytest.raises(ConfigError, match="is not accepted: use 1 to 31 of a-z, 0-9 and _"):
        measure(name)


def test_only_functions_can_be_decorated() -> None:
    """The message says so."""
    for other in (3, Exception):
        with pytest.raises(ConfigError, match="use a function to decorate"):
            measure("part")(other)  # type: ignore[type-var]
