"""Functions on other threads run in the trace that sent them, and keep nothing of it after."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import traceback
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Event, Thread
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults

import pytest

from pantheon_obs import (
    ConfigError,
    TraceIdMiddleware,
    bind,
    current_trace_id,
    instrument,
    llm_call,
    trace_context,
)
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import Trace, begin, current_trace, end
from pantheon_obs.propagation import TracedThreadPoolExecutor, carry
from pantheon_obs.testing import capture_events
from tests.llm.sink import Kept
from tests.sinks.receiver import Receiver
from tests.support.server import SECONDS, run_python

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    Act = Callable[[], Any]

log = logging.getLogger("shop")
USED = {"input_tokens": 3, "output_tokens": 4}


# --- the ways to another thread


def by_thread(work: Act) -> None:
    """Use a plain thread."""
    thread = Thread(target=carry(work))
    thread.start()
    thread.join()


def by_submit(work: Act) -> None:
    """Use a job of a plain pool."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(carry(work)).result()


def by_map(work: Act) -> None:
    """Use the only item of a plain pool's map."""
    with ThreadPoolExecutor(1) as pool:
        list(pool.map(carry(lambda _: work()), [1]))


def by_loop(work: Act) -> None:
    """Use the event loop's own pool."""

    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, carry(work))

    asyncio.run(main())


def by_traced_submit(work: Act) -> None:
    """Use a job of `TracedThreadPoolExecutor`."""
    with TracedThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def by_traced_map(work: Act) -> None:
    """Use the only item of the map of `TracedThreadPoolExecutor`."""
    with TracedThreadPoolExecutor(1) as pool:
        list(pool.map(lambda _: work(), [1]))


def by_loop_and_traced(work: Act) -> None:
    """Use an event loop and `TracedThreadPoolExecutor`."""

    async def main() -> None:
        with TracedThreadPoolExecutor(1) as pool:
            await asyncio.get_running_loop().run_in_executor(pool, work)

    asyncio.run(main())


def by_traced_default(work: Act) -> None:
    """Use an event loop with `TracedThreadPoolExecutor` as its default."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(TracedThreadPoolExecutor(1))
        await loop.run_in_executor(None, work)
        await asyncio.to_thread(work)

    asyncio.run(main())


def by_hand_over_twice(work: Act) -> None:
    """Carry from one thread to the next."""
    by_thread(lambda: by_traced_submit(work))


def by_callback(work: Act) -> None:
    """Use a job whose error a callback logs on the pool's thread."""
    added = Event()
    with TracedThreadPoolExecutor(1) as pool:
        pool.submit(added.wait, SECONDS)
        job = pool.submit(work)
        job.add_done_callback(lambda job: log.error("failed", exc_info=job.exception()))
        added.set()


WAYS = [
    by_thread,
    by_submit,
    by_map,
    by_loop,
    by_traced_submit,
    by_traced_map,
    by_loop_and_traced,
    by_traced_default,
    by_hand_over_twice,
]


@llm_call
def generate(model: str = "small") -> dict[str, Any]:
    """Call a model."""
    return {"usage": USED}


@pytest.fixture
def calls() -> Iterator[list[Any]]:
    """Capture the LLM calls that have ended."""
    kept = Kept()
    pipeline.add_sink(kept)
    yield kept.calls
    pipeline.remove_sink(kept.name)


@pytest.mark.parametrize("way", WAYS)
def test_the_work_belongs_to_the_request(way: Callable[[Act], None]) -> None:
    """Its log lines, bound fields and LLM calls are the request's."""

    def work() -> None:
        log.info("working")
        bind(worked=True)
        generate()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        bind(tenant="acme")
        way(work)
        start_response("204 No Content", [])
        return []

    environ: dict[str, Any] = {"HTTP_X_TRACE_ID": "request-1", "PATH_INFO": "/"}
    setup_testing_defaults(environ)
    with capture_events() as lines:
        body = instrument(app)(environ, lambda *_: lambda _: None)
        body.close()  # type: ignore[attr-defined]

    lines = [line for line in lines if line["event"] != "observability_configured"]
    assert {("request-1", "acme")} == {(line["trace_id"], line["tenant"]) for line in lines}
    times = 2 if way is by_traced_default else 1
    assert ["working", "llm.generate"] * times == [line["event"] for line in lines[:-1]]
    assert (True, times, 3 * times) == (
        lines[-1]["worked"],
        lines[-1]["llm_calls"],
        lines[-1]["llm_input_tokens"],
    )


# --- shared pools and functions


@pytest.mark.parametrize("pool_class", [ThreadPoolExecutor, TracedThreadPoolExecutor])
def test_a_pools_thread_keeps_nothing_of_a_job(pool_class: type[ThreadPoolExecutor]) -> None:
    """The next job, sent outside of a trace, has no id and no fields."""

    def work() -> tuple[str, Trace | None]:
        bind(worked=True)
        return current_trace_id.get(), current_trace.get()

    with pool_class(1) as pool:
        with trace_context("request-1"):
            served = pool.submit(carry(work)).result()
        after = pool.submit(lambda: (current_trace_id.get(), current_trace.get())).result()

    assert "request-1" == served[0]
    assert ("", None) == after


def test_one_carried_function_may_run_on_many_threads_at_once() -> None:
    """Each call has its own copy of the context, and all have the trace."""
    together = Barrier(3)

    def work(number: int) -> tuple[int, str]:
        together.wait(SECONDS)
        with trace_context(f"inner-{number}"):
            together.wait(SECONDS)
        return number, current_trace_id.get()

    with ThreadPoolExecutor(3) as pool, trace_context("request-1"):
        results = list(pool.map(carry(work), range(3)))

    assert [(number, "request-1") for number in range(3)] == results


def test_requests_that_share_a_pool_do_not_mix() -> None:
    """A job has the trace that submitted it, on whichever thread."""
    together = Barrier(2)

    def work() -> str:
        together.wait(SECONDS)
        return current_trace_id.get()

    jobs = []
    with TracedThreadPoolExecutor(2, thread_name_prefix="shared") as pool:
        for trace_id in ("request-1", "request-2"):
            with trace_context(trace_id):
                jobs.append(pool.submit(work))

    assert ["request-1", "request-2"] == [job.result() for job in jobs]


def test_a_coroutine_for_another_threads_loop_needs_no_carry() -> None:
    """The error of `carry` gives this advice."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()

    async def work() -> str:
        return current_trace_id.get()

    with trace_context("request-1"):
        there = asyncio.run_coroutine_threadsafe(work(), loop).result(SECONDS)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()

    assert "request-1" == there


# --- LLM calls within LLM calls


@llm_call
def plain_gateway(pool: ThreadPoolExecutor) -> dict[str, Any]:
    """Call a model on another thread."""
    return {"answer": pool.submit(carry(generate)).result()}


@llm_call
def streaming_gateway(pool: ThreadPoolExecutor) -> Iterator[str]:
    """Call a model on another thread, between two chunks."""
    yield "a"
    pool.submit(carry(generate)).result()
    yield "b"


@llm_call
async def async_gateway(pool: ThreadPoolExecutor) -> AsyncIterator[str]:
    """Call a model on another thread, between two chunks of an async stream."""
    yield "a"
    await asyncio.get_running_loop().run_in_executor(pool, carry(generate))
    yield "b"


def with_block(pool: ThreadPoolExecutor) -> Iterator[str]:
    """Call a model on another thread within a `with` block."""
    with llm_call(model="m", operation="with_block") as call:
        call.chunk("a")
        pool.submit(carry(generate)).result()
    yield "a"


def consume_async(pool: ThreadPoolExecutor) -> None:
    """Read the whole stream."""

    async def main() -> None:
        assert 2 == len([chunk async for chunk in async_gateway(pool)])

    asyncio.run(main())


@pytest.mark.parametrize("pool_class", [ThreadPoolExecutor, TracedThreadPoolExecutor])
@pytest.mark.parametrize(
    "ask",
    [
        plain_gateway,
        lambda pool: list(streaming_gateway(pool)),
        consume_async,
        lambda pool: list(with_block(pool)),
    ],
    ids=["function", "generator", "async generator", "with"],
)
def test_a_call_is_nested_in_the_one_whose_code_carried_it(
    ask: Callable[[ThreadPoolExecutor], object],
    pool_class: type[ThreadPoolExecutor],
    calls: list[Any],
) -> None:
    """Its tokens are counted once, in the outer call."""
    trace = Trace("request-1")
    begin(trace)
    with pool_class(1) as pool:
        ask(pool)
    end(trace)

    assert [("generate", True), (calls[1].operation, None)] == [
        (call.operation, call.nested) for call in calls
    ]
    assert (1, 3) == (trace.llm.calls, trace.llm.input_tokens)  # type: ignore[union-attr]


def test_a_call_that_the_consumer_of_a_stream_carries_is_not_nested(calls: list[Any]) -> None:
    """The generator's code is not running at that time."""
    with ThreadPoolExecutor(1) as pool, trace_context("request-1"):
        for _ in streaming_gateway(pool):
            pool.submit(carry(partial(generate, "large"))).result()

    assert [None, None] == [call.nested for call in calls if call.model_alias == "large"]


# --- when the request has ended


def test_work_that_outlives_its_request_has_its_id(calls: list[Any]) -> None:
    """Its lines have id and fields; the request's own line does not change."""
    trace = Trace("request-1")
    begin(trace)
    bind(tenant="acme")
    ended = Event()

    def work() -> None:
        ended.wait(SECONDS)
        with trace_context("inner"):
            log.info("within")
        generate()
        bind(late=True)
        log.info("after")

    thread = Thread(target=carry(work))
    late = carry(work)
    thread.start()
    end(trace)
    with capture_events() as lines:
        ended.set()
        thread.join()
        by_submit(late)

    said = [(line["event"], line["trace_id"], line.get("tenant")) for line in lines]
    once = [
        ("within", "inner", None),
        ("llm.generate", "request-1", "acme"),
        ("after", "request-1", "acme"),
    ]
    assert [*once, *once] == said
    assert 2 == len(calls)
    assert not trace.open_calls
    assert ("", None) == (current_trace_id.get(), current_trace.get())


def test_a_call_that_is_open_there_ends_with_the_request_and_once(calls: list[Any]) -> None:
    """It is in the request's totals as closed; its own end is ignored."""
    trace = Trace("request-1")
    begin(trace)
    asked, answer = Event(), Event()

    @llm_call
    def slow(model: str) -> dict[str, Any]:
        asked.set()
        answer.wait(SECONDS)
        return {"usage": USED}

    thread = Thread(target=carry(partial(slow, "m")))
    thread.start()
    asked.wait(SECONDS)
    end(trace)
    answer.set()
    thread.join()

    assert ["closed"] == [call.outcome for call in calls]
    assert 1 == trace.llm.calls  # type: ignore[union-attr]


def test_nothing_of_the_request_lives_longer_than_the_function() -> None:
    """Nothing of it lives after a call or a failure, without a garbage collection."""

    class JobError(Exception):
        def __init__(self) -> None:
            failures.append(weakref.ref(self))

    def fail() -> None:
        raise JobError

    failures: list[weakref.ref[JobError]] = []
    trace = Trace("request-1")
    known = weakref.ref(trace)
    begin(trace)
    carried = carry(fail)
    gc.disable()
    try:
        with TracedThreadPoolExecutor(1) as pool:
            jobs = [pool.submit(carried), pool.submit(fail)]
            assert all(isinstance(job.exception(SECONDS), JobError) for job in jobs)
            end(trace)
            del trace, carried, jobs

            pool.submit(int).result(SECONDS)  # the thread has dropped the job before

            assert [None, None] == [failure() for failure in failures]
            assert known() is None
    finally:
        gc.enable()


# --- nothing else changes


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_exception_passes_with_one_more_frame(kind: type[BaseException]) -> None:
    """The exception object itself is raised."""
    error = kind("no")

    def fail() -> None:
        raise error

    with pytest.raises(kind) as raised:
        carry(fail)()

    assert error is raised.value
    assert ["carried", "fail"] == [
        frame.name for frame in traceback.extract_tb(error.__traceback__)[1:]
    ]


@pytest.mark.parametrize("way", [by_thread, by_callback])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_that_is_logged_outside_has_the_id(way: Callable[[Act], None]) -> None:
    """The thread's hook and a callback of a pool's future log it with the id."""

    def fail() -> None:
        raise LookupError

    with capture_events() as lines, trace_context("request-1"):
        way(fail)

    [line] = lines
    assert ("request-1", "LookupError") == (line["trace_id"], line["error_type"])


def test_an_error_that_ends_a_job_is_logged_with_its_id() -> None:
    """It is logged after the trace has ended, with the id of the outermost trace."""

    def fail() -> None:
        with trace_context("job-1"), trace_context("step-1"):
            raise LookupError

    with capture_events() as lines:
        try:
            carry(fail)()
        except LookupError:
            log.exception("failed")

    assert ["job-1"] == [line["trace_id"] for line in lines]


def test_an_error_that_passes_a_job_outside_of_its_request_keeps_the_request_s_id() -> None:
    """A test's client, for example, gets it within a trace of the test."""

    async def serve() -> None:
        async def app(_scope: Any, _receive: Any, _send: Any) -> None:
            raise LookupError

        headers = [(b"x-trace-id", b"request-1")]
        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
        await TraceIdMiddleware(app)(scope, receive, send)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Any) -> None:
        """Take the plain 500."""

    with capture_events() as lines, pytest.raises(LookupError) as raised, trace_context("test-1"):
        asyncio.run(serve())
    with capture_events() as later:
        log.error("failed", exc_info=raised.value)

    assert ["request-1"] == [line["trace_id"] for line in lines]
    assert ["request-1"] == [line["trace_id"] for line in later]


def test_arguments_and_results_pass_and_the_function_is_known_by_its_name() -> None:
    """A function may have arguments of any name."""

    def work(fn: int, *context: int, run: int = 0, **more: int) -> tuple[object, ...]:
        """Work."""
        return fn, context, run, more

    carried = carry(work)

    assert (1, (2,), 3, {"callable": 4}) == carried(1, 2, run=3, callable=4)
    with TracedThreadPoolExecutor(1) as pool:
        result = pool.submit(work, 1, 2, run=3, callable=4).result()
    assert (1, (2,), 3, {"callable": 4}) == result
    assert ("work", "Work.") == (carried.__name__, carried.__doc__)
    assert inspect.signature(work) == inspect.signature(carried)


def test_the_traced_pool_behaves_as_the_plain_one() -> None:
    """It takes every argument of the other; a closed pool refuses a job."""
    started: list[str] = []
    with TracedThreadPoolExecutor(
        2, thread_name_prefix="traced", initializer=started.append, initargs=("up",)
    ) as pool:
        pool.submit(int).result()

    assert ["up"] == started
    with pytest.raises(RuntimeError):
        pool.submit(int)


async def coroutine_function() -> None:
    """Make a coroutine."""


async def async_generator_function() -> AsyncIterator[int]:
    """Make an async generator."""
    yield 1


class AsyncCallable:
    """An object that makes a coroutine when it is called."""

    async def __call__(self) -> None:
        """Make it."""


@pytest.mark.parametrize(
    ("fn", "advice"),
    [
        (async_generator_function, "the function that iterates over it"),
        (with_block, "the function that iterates over it"),
        (7, "use a function"),
    ],
)
def test_functions_whose_code_runs_elsewhere_are_refused(fn: Any, advice: str) -> None:
    """The error names the alternative."""
    with pytest.raises(ConfigError, match=advice):
        carry(fn)


def test_a_class_may_be_carried() -> None:
    """A class makes an instance, even if that is awaitable when it is called."""
    assert isinstance(carry(AsyncCallable)(), AsyncCallable)


SENTRY = """
import sys
from threading import Thread
import sentry_sdk
from pantheon_obs import init_sentry, trace_context
from pantheon_obs.propagation import carry

init_sentry(sentry_dsn=sys.argv[1])

def work():
    sentry_sdk.capture_message("from a thread")

with trace_context("job-1"):
    thread = Thread(target=carry(work))
thread.start()
thread.join()
sentry_sdk.flush()
"""


def test_sentrys_events_from_there_have_the_tag() -> None:
    """The tag is there after the trace has ended, too."""
    pytest.importorskip("sentry_sdk")
    with Receiver() as receiver:
        run_python(SENTRY, receiver.dsn, no_proxy="127.0.0.1")
        receiver.wait_for(1)

    [event] = receiver.events
    assert "job-1" == event["tags"]["trace_id"]
