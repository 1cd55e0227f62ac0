"""Work that a request has started and that outlives it: whose trace it has, and for how long."""

from __future__ import annotations

import asyncio
import inspect
import logging
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from types import SimpleNamespace, coroutine
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import (
    bind,
    carry,
    current_trace_id,
    inject,
    instrument,
    llm_call,
    trace_context,
    untraced,
)
from pantheon_obs.core import foreign
from pantheon_obs.core.context import current_trace
from pantheon_obs.core.finalizers import apart
from pantheon_obs.core.in_force import in_force
from pantheon_obs.propagation import prepare
from tests.support.garbage import collect_garbage
from tests.support.lines import named
from tests.support.server import SECONDS, run_python

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    Work = Callable[[], Coroutine[Any, Any, None]]

log = logging.getLogger("shop")


def serve(start: Callable[[], Any], **settings: Any) -> None:
    """Serve one request, in which `start` begins work; wait for it after the request has ended."""

    async def main() -> None:
        begun: list[Any] = []

        async def app(_scope: Any, _receive: Any, send: Any) -> None:
            bind(user_id="anna")
            begun.append(start())
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(_: Any) -> None:
            ended.set()

        ended = asyncio.Event()
        headers = [(b"x-trace-id", b"request-1")]
        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
        # In a task of its own, as servers do.
        await asyncio.create_task(instrument(app, **settings)(scope, receive, send))
        gate.set()
        with suppress(ZeroDivisionError):
            await begun[0]

    gate = asyncio.Event()
    _gates[:] = [gate]
    asyncio.run(asyncio.wait_for(main(), SECONDS))


_gates: list[asyncio.Event] = []


async def after_the_request() -> None:
    """Wait until the request has ended."""
    await _gates[0].wait()


@coroutine
def forever() -> Iterator[None]:
    """Wait on no event loop."""
    yield


@llm_call(model="small")
def ask() -> dict[str, Any]:
    """Stand for a call of a model."""
    return {"usage": {"input_tokens": 1, "output_tokens": 2}}


async def tick() -> None:
    """Do one step of a scheduler that runs for ever."""
    await after_the_request()
    log.info("tick")


def test_a_task_keeps_the_trace_of_its_request_for_a_time(lines: list[dict[str, Any]]) -> None:
    """It has the id and the bound fields, by default for ten minutes after the request."""
    serve(lambda: asyncio.create_task(tick()))

    [line] = named(lines, "tick")
    assert ("request-1", "anna") == (line["trace_id"], line["user_id"])
    assert [] == named(lines, "trace_outlived")


def test_a_trace_that_is_over_is_no_trace(lines: list[dict[str, Any]]) -> None:
    """It is on no line, no LLM call and no header, and nothing is bound to it any more."""
    seen: list[object] = []

    async def work() -> None:
        await after_the_request()
        ask()
        seen.extend([current_trace_id.get(), inject({})])
        bind(job="clean_up")
        log.info("worked")

    serve(lambda: asyncio.create_task(work()), trace_linger_s=0)

    assert ["", {}] == seen
    [call], [worked] = named(lines, "llm.ask"), named(lines, "worked")
    for line in (call, worked):
        assert {"trace_id", "user_id"}.isdisjoint(line)
    assert "clean_up" == worked["job"]
    [finished] = named(lines, "request_finished")
    assert "job" not in finished


def test_bind_alone_leaves_a_trace_that_is_over(lines: list[dict[str, Any]]) -> None:
    """Fields bound there are on the lines of this task."""

    async def work() -> None:
        await after_the_request()
        bind(job="clean_up")
        log.info("worked")

    serve(lambda: asyncio.create_task(work()), trace_linger_s=0)

    [line] = named(lines, "worked")
    assert "trace_id" not in line
    assert "clean_up" == line["job"]


def test_one_warning_for_each_place_names_the_task_and_the_remedies(
    lines: list[dict[str, Any]],
) -> None:
    """A second task of the same coroutine function gives none."""
    for _ in range(2):
        serve(lambda: asyncio.create_task(tick()), trace_linger_s=0)

    [line] = named(lines, "trace_outlived")
    assert ("warning", "pantheon_obs", "tick") == (line["level"], line["logger"], line["task"])
    assert line["seconds"] >= 0
    assert "untraced()" in line["remedy"]
    assert "carry(" in line["remedy"]
    assert "trace_id" not in line


def test_a_timer_is_named_by_its_function(lines: list[dict[str, Any]]) -> None:
    """It runs in no task."""

    def start() -> Awaitable[None]:
        done = asyncio.get_running_loop().create_future()

        def poll() -> None:
            if _gates[0].is_set():
                log.info("polled")
                done.set_result(None)
            else:
                asyncio.get_running_loop().call_soon(poll)

        poll()
        return done

    serve(start, trace_linger_s=0)

    [polled], [line] = named(lines, "polled"), named(lines, "trace_outlived")
    assert "trace_id" not in polled
    assert str(line["task"]).endswith("poll")


def consume() -> None:
    """Log, in a thread."""
    log.info("consumed")


async def consume_in_a_thread() -> None:
    """Go on in a thread after the request."""
    await after_the_request()
    await asyncio.to_thread(consume)


def test_a_thread_is_named_by_its_function(lines: list[dict[str, Any]]) -> None:
    """`asyncio.to_thread` brings the trace, for as long as a task has it."""
    serve(lambda: asyncio.create_task(consume_in_a_thread()), trace_linger_s=0)

    [consumed], [line] = named(lines, "consumed"), named(lines, "trace_outlived")
    assert "trace_id" not in consumed
    assert str(line["task"]).endswith("consume")


def test_a_function_that_a_library_has_wrapped_is_named_by_its_own_name(
    lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logfire wraps each function that is submitted to a pool."""
    executors = pytest.importorskip("logfire._internal.integrations.executors")
    for pool in (ThreadPoolExecutor, ProcessPoolExecutor):
        monkeypatch.setattr(pool, "submit", pool.submit)  # which Logfire never gives back
    executors.instrument_executors()

    serve(lambda: asyncio.create_task(consume_in_a_thread()), trace_linger_s=0)

    [line] = named(lines, "trace_outlived")
    assert consume.__qualname__ == line["task"]


def test_a_thread_that_runs_a_librarys_code_alone_is_named_by_it(
    lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a name is better than none."""
    # Other tests leave Logfire's wrapper in the process.
    monkeypatch.setattr(ThreadPoolExecutor, "submit", inspect.unwrap(ThreadPoolExecutor.submit))

    async def work() -> None:
        await after_the_request()
        await asyncio.to_thread(log.info, "consumed")

    serve(lambda: asyncio.create_task(work()), trace_linger_s=0)

    [line] = named(lines, "trace_outlived")
    assert "Logger.info" == line["task"]


def test_a_carried_coroutine_function_keeps_its_trace(lines: list[dict[str, Any]]) -> None:
    """However long its task goes on; its result, arguments and errors are its own."""

    async def work(first: int, *, second: int) -> int:
        await after_the_request()
        log.info("worked")
        with pytest.raises(ZeroDivisionError):
            await divide()
        return first + second

    async def divide() -> float:
        await asyncio.sleep(0)
        return 1 / 0

    results: list[int] = []

    def start() -> Any:
        async def keep() -> None:
            results.append(await carried(1, second=2))

        carried = carry(work)
        assert asyncio.iscoroutinefunction(carried)
        with untraced():
            return asyncio.create_task(keep())

    serve(start, trace_linger_s=0)

    [line] = named(lines, "worked")
    assert ("request-1", "anna") == (line["trace_id"], line["user_id"])
    assert [3] == results
    assert [] == named(lines, "trace_outlived")


def test_a_carried_coroutine_is_cancelled_as_any_other() -> None:
    """It sees the cancellation where it waits, and may clean up."""
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            seen.append(current_trace_id.get())
            raise

    async def main() -> None:
        with trace_context("order-7"):
            carried = carry(work)
        task = asyncio.create_task(carried())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert ["order-7"] == seen


def test_a_carried_coroutine_that_is_never_finished_is_closed() -> None:
    """Its `finally` runs in its trace; the trace around it stays."""
    seen: list[str] = []

    async def work() -> None:
        try:
            await forever()
        finally:
            seen.append(current_trace_id.get())

    with trace_context("order-7"):
        coroutine = carry(work)()
    coroutine.send(None)
    coroutine.close()

    assert ["order-7"] == seen
    assert "" == current_trace_id.get()


def test_what_untraced_starts_has_no_trace(lines: list[dict[str, Any]]) -> None:
    """It has none within the block or later; the request continues after the block."""

    def start() -> Any:
        with untraced():
            log.info("inside")
            task = asyncio.create_task(tick())
        log.info("after")
        return task

    serve(start)

    for event in ("inside", "tick"):
        [line] = named(lines, event)
        assert {"trace_id", "user_id"}.isdisjoint(line)
    [line] = named(lines, "after")
    assert ("request-1", "anna") == (line["trace_id"], line["user_id"])


def test_untraced_sets_nothing_while_a_coroutine_is_collected() -> None:
    """A coroutine that is closed may be closed by the garbage collector, in any context."""

    async def work() -> None:
        with untraced():
            await forever()

    with trace_context("order-7"):
        coroutine = work()
        coroutine.send(None)
        coroutine.close()
        assert "" == current_trace_id.get()


def test_a_trace_context_in_a_lingering_task_gives_its_trace_back(
    lines: list[dict[str, Any]],
) -> None:
    """The task has its request's id again afterwards."""

    async def work() -> None:
        await after_the_request()
        with trace_context("job-1"):
            log.info("job")
        log.info("after")

    serve(lambda: asyncio.create_task(work()))

    assert ["job-1"] == [line["trace_id"] for line in named(lines, "job")]
    assert ["request-1"] == [line["trace_id"] for line in named(lines, "after")]


@pytest.mark.parametrize("linger", [600, 0])
def test_a_task_whose_error_nobody_retrieves_is_reported_with_its_id(
    lines: list[dict[str, Any]], linger: float
) -> None:
    """It is the task's own id, whenever its object is collected, in whatever context."""

    async def fail() -> None:
        await after_the_request()
        1 / 0  # noqa: B018 - it raises

    def start() -> Any:
        failing = asyncio.create_task(fail())

        async def drop() -> None:
            nonlocal failing
            await asyncio.wait([failing])
            del failing
            with trace_context("another"):
                collect_garbage()

        with untraced():
            return asyncio.create_task(drop())

    serve(start, trace_linger_s=linger)

    [line] = [line for line in lines if line["event"].startswith("Task exception was never")]
    assert ("request-1", "anna") == (line["trace_id"], line["user_id"])
    assert "ZeroDivisionError" in line["exception"]


def test_reports_of_a_loop_without_a_trace_stay_as_they_are() -> None:
    """Reports about tasks outside a trace, and without a task, are unchanged."""
    seen: list[str] = []

    def context_of() -> Any:
        with trace_context("order-7"):
            return copy_context()

    async def with_context() -> None:
        loop = asyncio.get_running_loop()
        context_of()  # the first trace on a loop has its reports watched
        loop.set_exception_handler(lambda *_: seen.append(current_trace_id.get()))
        loop.call_exception_handler(context={"message": "no task"})
        outside = asyncio.create_task(asyncio.sleep(0))
        await outside  # from Python 3.12 asyncio itself enters the task's context
        loop.call_exception_handler({"task": outside})
        inner = SimpleNamespace(get_context=context_of)
        loop.call_exception_handler({"task": inner})
        with trace_context("order-8"):
            own = asyncio.create_task(asyncio.sleep(0))
        loop.call_exception_handler({"future": own})
        await own

    asyncio.run(with_context())

    assert ["", "", "order-7", "order-8"] == seen


def test_a_finalizer_leaves_no_trace(lines: list[dict[str, Any]]) -> None:
    """Before Python 3.12 it may run while a context variable is set, and must set none."""

    class Circle:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            log.info("collected")

    seen: list[str] = []

    async def work() -> None:
        await after_the_request()
        Circle()
        collect_garbage()
        apart(log.info, "apart")
        seen.append(current_trace_id.get())
        log.info("worked")
        seen.append(current_trace_id.get())

    serve(lambda: asyncio.create_task(work()), trace_linger_s=0)

    assert ["request-1", ""] == seen
    for event in ("collected", "apart", "worked"):
        assert ["trace_id" in line for line in named(lines, event)] == [False]


FORKED = """
import logging, multiprocessing, structlog
from pantheon_obs import bind, configure_logging, current_trace_id, trace_context

def job(_):
    logging.getLogger("job").info("job")
    return current_trace_id.get(), structlog.contextvars.get_contextvars()

configure_logging(log_format="json")
with trace_context("request-1"):
    bind(user_id="anna")
    structlog.contextvars.bind_contextvars(tenant="acme")
    pool = multiprocessing.get_context("fork").Pool(1)
    print(pool.map(job, [1]), current_trace_id.get())
pool.terminate()
"""


def test_a_forked_process_begins_without_a_trace() -> None:
    """Its work is that of many requests; the process that forks keeps its trace."""
    run = run_python(FORKED)

    line, printed = run.stdout.splitlines()
    assert "[('', {})] request-1" == printed
    assert '"event":"job"' in line
    assert "request-1" not in line
    assert "anna" not in line
    assert "acme" not in line


def test_a_trace_is_over_in_a_forked_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other libraries may have kept it there, and the fields of theirs are cleared."""
    cleared: list[str] = []
    monkeypatch.setattr(foreign, "bound", True)
    monkeypatch.setattr(foreign, "clear", lambda: cleared.append("now") or [])
    with trace_context("request-1"), trace_context("within"):
        inner: Any = current_trace.get()
        cleared.clear()
        prepare.leave_in_child()
        assert current_trace.get() is None
    prepare.leave_in_child()

    assert ["now"] == cleared[:1]
    assert inner.ended
    assert inner.outer.ended


def test_the_setting_holds_for_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from the environment where no argument gives it."""
    monkeypatch.setenv("PANTHEON_OBS_TRACE_LINGER_S", "2.5")
    instrument(lambda environ, start_response: [])

    assert 2.5 == in_force("trace_linger_s")
