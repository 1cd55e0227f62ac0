"""The watchdog decides by the stacks that it sees, and by the clocks; both are scripted here."""

from __future__ import annotations

import _thread
import asyncio
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import untraced
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import begin, current_trace, end
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.core.in_force import in_force
from pantheon_obs.core.serving import context_of
from pantheon_obs.core.task import TaskRun
from pantheon_obs.time import blocks, frames, watchdog
from pantheon_obs.time import loop as loops
from pantheon_obs.time.loop import WatchedLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

SLOW = 0.25


def _sleeps(found: list[Any], done: threading.Event) -> None:
    found.append(sys._getframe())  # noqa: SLF001 - the subject
    done.set()


def _computes(found: list[Any], done: threading.Event) -> None:
    found.append(sys._getframe())  # noqa: SLF001 - as above
    done.set()


def frame_of(callback: Any) -> FrameType:
    """Make the frame of a function that nothing but the interpreter has called."""
    found: list[Any] = []
    done = threading.Event()
    _thread.start_new_thread(callback, (found, done))
    done.wait()
    return found[0]  # type: ignore[no-any-return]


def sleeps() -> FrameType:
    """Stand for a callback of the application's, as its frame."""
    return frame_of(_sleeps)


def computes() -> FrameType:
    """Stand for another one."""
    return frame_of(_computes)


class Served:
    """An event loop that the test moves, and the watchdog's view of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.running = True
        self.asked: list[Callable[[], None]] = []
        self.now = 1000.0
        self.used = 0.0
        self.waited = 0.0
        clock = SimpleNamespace(
            clock_gettime=lambda _: self.used, CLOCK_PROCESS_CPUTIME_ID="of the process"
        )
        monkeypatch.setattr(loops, "time", clock)
        for module in (loops, blocks):
            monkeypatch.setattr(module, "perf_counter", lambda: self.now)
        monkeypatch.setattr(WatchedLoop, "_waiting", lambda _: self.waited)
        self.watched = WatchedLoop(self, 1, 1, _sleeps.__code__, SLOW)

    def is_running(self) -> bool:
        """Say so, as loops do."""
        return self.running

    def call_soon_threadsafe(self, callback: Callable[[], None], **_: object) -> None:
        """Keep a callback until the loop runs."""
        self.asked.append(callback)

    def see(self, frame: FrameType | None, after: float = 0.025, used: float = 0.0) -> None:
        """Let time pass, and the watchdog look."""
        self.now += after
        self.used += used
        self.watched.look(frame, self.now)

    def run(self) -> None:
        """Answer the watchdog, as a loop that is not blocked does."""
        while self.asked:
            self.asked.pop()()

    def block(self, frame: FrameType, seconds: float) -> None:
        """Have a callback run for some time, and end."""
        for _ in range(round(seconds / 0.025)):
            self.see(frame)
        self.run()
        self.see(None)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Make a loop that serves."""
    yield Served(monkeypatch)
    blocks.reset()


def test_a_callback_that_runs_for_too_long_is_reported(
    served: Served, lines: list[dict[str, Any]]
) -> None:
    """By the time for which it was seen, and its place."""
    served.block(sleeps(), 0.225)
    assert [] == lines

    served.block(sleeps(), 0.4)

    [line] = lines
    assert ("event_loop_blocked", "pantheon_obs.loop", 375.0) == (
        line["event"],
        line["logger"],
        line["blocked_ms"],
    )
    assert line["where"].endswith(" _sleeps")
    assert [line["where"]] == line["stack"]
    assert "trace_id" not in line


def test_a_place_is_reported_once_in_a_while_with_the_number_left_out(
    served: Served, lines: list[dict[str, Any]]
) -> None:
    """Another place has a line of its own."""
    for _ in range(3):
        served.block(sleeps(), 0.4)
    served.block(computes(), 0.4)
    served.see(None, after=10)
    served.block(sleeps(), 0.4)

    assert [("_sleeps", None), ("_computes", None), ("_sleeps", 2)] == [
        (line["where"].split()[-1], line.get("suppressed")) for line in lines
    ]


def test_the_places_that_are_remembered_are_limited(
    served: Served, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is blocked in ever other places does not grow."""
    monkeypatch.setattr(blocks, "_PLACES", 0)
    served.block(sleeps(), 0.4)
    served.block(computes(), 0.4)
    served.block(sleeps(), 0.4)

    assert 3 == len(lines)


def test_many_short_callbacks_are_no_block(served: Served, lines: list[dict[str, Any]]) -> None:
    """The loop answers late, but none of them runs for long."""
    for _ in range(40):
        served.see(sleeps())
    served.run()
    served.see(None)

    assert [] == lines


def test_a_block_among_them_is_one(served: Served, lines: list[dict[str, Any]]) -> None:
    """It is reported as soon as another callback runs."""
    frame = sleeps()
    for _ in range(16):
        served.see(frame)
    served.see(computes())

    assert ["_sleeps"] == [line["where"].split()[-1] for line in lines]


def test_a_process_that_was_stopped_is_not_blocked(
    served: Served, lines: list[dict[str, Any]]
) -> None:
    """Neither at rest nor in a callback: it has used no processor time."""
    frame = sleeps()
    served.see(frame)
    served.see(frame, after=5)
    served.run()
    served.see(None)
    served.see(None, after=5)
    served.see(sleeps(), after=5)
    served.run()
    served.see(None)

    assert [] == lines


def test_the_time_that_other_processes_have_the_processor_does_not_count(
    served: Served, lines: list[dict[str, Any]]
) -> None:
    """On a busy machine a short callback takes long, and a long one longer."""
    frame = sleeps()
    for _ in range(20):
        served.waited += 0.02
        served.see(frame)
    served.run()
    served.see(None)
    assert [] == lines

    for _ in range(100):
        served.waited += 0.02
        served.see(frame)
    served.waited += 0.1  # before its last step
    served.run()
    served.see(None)

    assert [pytest.approx(395.0)] == [line["blocked_ms"] for line in lines]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_linux_tells_for_how_long_a_thread_has_waited_for_a_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is 0 where the system has no such file."""
    watched = WatchedLoop(SimpleNamespace(), threading.get_ident(), 1, _sleeps.__code__, SLOW)
    first = watched._waiting()  # noqa: SLF001 - the subject
    assert 0 < first <= watched._waiting()  # noqa: SLF001 - as above
    monkeypatch.setattr(watched, "_schedule", Path("/proc/nowhere"))
    assert 0.0 == watched._waiting()  # noqa: SLF001 - as above


def test_a_call_that_keeps_the_interpreter_to_itself_is_a_block(
    served: Served, lines: list[dict[str, Any]]
) -> None:
    """The watchdog does not run meanwhile, and goes by the processor time of the loop's thread."""
    served.see(None)
    served.see(sleeps(), after=0.45, used=0.4)
    served.run()
    served.see(None)

    assert [400.0] == [line["blocked_ms"] for line in lines]


def test_a_block_that_lasts_is_reported_once(served: Served, lines: list[dict[str, Any]]) -> None:
    """After ten seconds, and not again when it ends."""
    frame = sleeps()
    for _ in range(500):
        served.see(frame)
    assert [10_025.0] == [line["blocked_ms"] for line in lines]

    served.block(frame, 1)

    assert 1 == len(lines)


def test_a_long_garbage_collection_is_none_of_the_applications(
    served: Served, lines: list[dict[str, Any]]
) -> None:
    """The line says so, has no stack and no trace; short collections count for the code."""
    frame = sleeps()
    served.see(frame)
    blocks.collecting("start", {})
    for _ in range(15):
        served.see(frame)
    blocks.collecting("stop", {})
    served.run()
    served.see(None)

    assert [{"where": "gc", "blocked_ms": 375.0}] == [
        {key: line[key] for key in line if key in ("where", "blocked_ms", "stack", "trace_id")}
        for line in lines
    ]

    for _ in range(16):
        blocks.collecting("start", {})
        served.see(frame)
        blocks.collecting("stop", {})
    served.run()
    served.see(None)

    assert ["gc", "_sleeps"] == [line["where"].split()[-1] for line in lines]


def test_a_collection_after_a_longer_call_is_the_calls(
    served: Served, lines: list[dict[str, Any]]
) -> None:
    """Since Python 3.12 one follows `json.loads` of a large text; neither is a block alone."""
    for frame, others in ((sleeps(), 0), (computes(), 9)):  # that have the processor meanwhile
        served.see(None)
        served.see(frame)
        served.waited += 0.2 * others
        served.see(frame, after=0.2 * (1 + others), used=0.2)
        blocks.collecting("start", {})
        served.waited += 0.15 * others
        served.see(frame, after=0.15 * (1 + others), used=0.15)
        blocks.collecting("stop", {})
        served.run()
        served.see(None)

    assert ["_sleeps", "_computes"] == [line["where"].split()[-1] for line in lines]


def test_a_collection_counts_with_its_processor_time_where_the_rest_had_to_wait(
    served: Served, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others had the processor for most of the time, but not of the collection's."""
    monkeypatch.setattr(blocks, "thread_time", lambda: served.used)
    frame = sleeps()
    served.see(None)
    served.see(frame)
    blocks.collecting("start", {})
    served.see(frame, after=0.4, used=0.4)
    blocks.collecting("stop", {})
    served.waited += 7
    served.see(frame, after=7.15, used=0.15)
    served.run()
    served.see(None)

    assert ["gc"] == [line["where"] for line in lines]


def test_a_collection_of_no_length_is_forgotten(served: Served) -> None:
    """Most collections are."""
    blocks.collecting("start", {})
    blocks.collecting("stop", {})
    assert [] == blocks.collecting.within(0, served.now)


def test_a_loop_that_has_ended_is_not_looked_at(
    served: Served, lines: list[dict[str, Any]]
) -> None:
    """Its thread may do anything."""
    served.running = False
    served.block(sleeps(), 1)
    assert [] == lines


def test_a_loop_without_callbacks_is_at_rest_until_a_request_comes(served: Served) -> None:
    """The next look is expected later, and at once when it has been woken."""
    assert served.watched.is_active()
    served.see(None, after=3)
    assert not served.watched.is_active()
    served.watched.rest()
    assert loops.REST == served.watched.pause
    served.watched.wake(served.now)
    assert served.watched.is_active()
    assert served.watched.pause < SLOW


def test_asyncio_waits_in_a_function_of_its_own(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the depth of its callbacks; that is remembered, and no callback."""
    monkeypatch.setattr(WatchedLoop, "_is_asyncio", True)
    for _ in range(2):
        served.see(computes())
        assert [] == served.asked
    served.see(sleeps())
    assert 1 == len(served.asked)


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """Have a request that is being served."""
    exchange = Exchange("blocked-1")
    begin(exchange)
    exchange.watch("GET", "/", "", frozenset())
    yield exchange
    end(exchange)


def test_the_request_that_blocks_has_the_time_on_its_line(
    served: Served,
    lines: list[dict[str, Any]],
    exchange: Exchange,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of its blocks, one that still lasts included; the line of the block has its id."""
    monkeypatch.setattr(loops, "trace_of_task", lambda _: exchange)
    served.block(sleeps(), 0.4)
    frame = computes()
    for _ in range(21):
        served.see(frame)
    exchange.started(200)
    exchange.complete()
    exchange.finish()
    served.run()
    served.see(None)

    first, own, second = lines
    assert ["blocked-1"] * 3 == [line["trace_id"] for line in lines]
    assert ("event_loop_blocked", 875.0) == (first["event"], own["loop_blocked_ms"])
    assert "_computes" == second["where"].split()[-1]


def test_a_request_that_has_not_blocked_has_none(
    served: Served, lines: list[dict[str, Any]], exchange: Exchange
) -> None:
    """Nor has a task, which has no loop of its own."""
    other = Exchange("other")
    task = TaskRun("task", "id", task="t", queue=None, retries=0, quiet=False, bound={})
    for trace in (other, task):
        block = blocks.Block(0.0, 0.0, SLOW, trace)
        block.mark()
        block.mark()
    exchange.started(200)
    exchange.complete()
    exchange.finish()
    task.finish("SUCCESS", seconds=1)

    assert all("loop_blocked_ms" not in line for line in lines)
    assert served.running


def test_the_trace_is_that_of_the_tasks_context() -> None:
    """A trace that is over does not count, nor do fields that were bound outside of a request."""
    exchange = Exchange("of-a-task")
    found: list[Any] = []

    async def work() -> None:
        found.append(blocks.trace_of_task(asyncio.current_task()))
        exchange.ended = time.perf_counter() - in_force("trace_linger_s") - 1
        found.append(blocks.trace_of_task(asyncio.current_task()))
        current_trace.set(None)
        found.append(blocks.trace_of_task(asyncio.current_task()))

    async def main() -> None:
        current_trace.set(exchange)
        task = asyncio.create_task(work())
        await task
        assert context_of(task) is not None
        with untraced():
            await asyncio.create_task(nothing())

    async def nothing() -> None:
        found.append(blocks.trace_of_task(asyncio.current_task()))

    asyncio.run(main())

    assert [exchange, None, None, None] == found
    assert blocks.trace_of_task(None) is None
    assert context_of(object()) is None


def test_the_depth_of_callbacks_is_told_from_a_running_one() -> None:
    """By asyncio's own function, or by the code below the outermost coroutine."""

    async def inner() -> tuple[int, int]:
        return measured()

    def measured() -> tuple[int, int]:
        chain = frames.frames_from(sys._getframe())  # noqa: SLF001 - the subject
        runs = asyncio.events.Handle._run.__code__  # noqa: SLF001 - as above
        return frames.depth_of_callback(chain, runs), frames.depth_of_callback(
            chain, _sleeps.__code__
        )

    by_name, by_kind = asyncio.run(inner())
    assert by_kind == by_name + 1


def test_without_code_of_the_applications_any_code_is_the_place() -> None:
    """The innermost but this library's, which the garbage collector calls."""
    library = [(threading.Thread.run.__code__, 7), (threading.Thread.start.__code__, 9)]
    assert frames.place_in(tuple(library)).endswith("threading.py:7 Thread.run")
    ours = [(WatchedLoop.look.__code__, 1)]
    assert frames.place_in((*ours, *library)).endswith("threading.py:7 Thread.run")
    assert frames.place_in(tuple(ours)).endswith("loop.py:1 WatchedLoop.look")


async def until(happened: Callable[[], object], blocking: float = 0.0) -> None:
    """Let the loop run until something has happened, or block it again and again until then.

    On a busy machine the watchdog's thread may not run while the loop is blocked once.
    """
    async with asyncio.timeout(30):
        while not happened():
            time.sleep(blocking)  # noqa: ASYNC251 - the subject
            await asyncio.sleep(0.005)


def names() -> list[str]:
    """List the threads of this process."""
    return [thread.name for thread in threading.enumerate()]


def test_one_thread_watches_and_ends_with_the_loop(lines: list[dict[str, Any]]) -> None:
    """A second call changes nothing; 0 and code outside of a loop start none."""
    watchdog.watch_loop(20)

    async def another() -> None:
        watchdog.watch_loop(20)

    async def main() -> None:
        watchdog.watch_loop(0)
        assert "pantheon-obs-loop" not in names()
        watchdog.watch_loop(20)
        watchdog.watch_loop(20)
        await asyncio.to_thread(asyncio.run, another())
        assert 1 == names().count("pantheon-obs-loop")
        await until(lambda: lines, blocking=0.2)

    asyncio.run(main())
    for thread in threading.enumerate():
        if thread.name == "pantheon-obs-loop":
            thread.join(30)

    assert "pantheon-obs-loop" not in names()


def test_at_rest_it_waits_for_a_request(
    lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request wakes it, and its block is seen."""
    monkeypatch.setattr(loops, "_ACTIVE", 0.0)
    monkeypatch.setattr(watchdog, "REST", 30.0)

    def rests() -> bool:
        return any(sink.name == watchdog.AT_REST for sink in pipeline.sinks)

    async def main() -> None:
        watchdog.watch_loop(20)
        await until(rests)
        monkeypatch.setattr(loops, "_ACTIVE", 2.0)
        exchange = Exchange("waking")
        begin(exchange)
        pipeline.started(exchange)
        assert not rests()
        watchdog.wake()
        await until(lambda: lines, blocking=0.2)
        exchange.started(200)
        end(exchange)
        watchdog.reset()
        # The thread may be looking at this moment, and note a block after the reset.
        await until(lambda: not watchdog.Watching.is_running)

    asyncio.run(main())

    assert {"event_loop_blocked"} == {line["event"] for line in lines}


def test_a_forked_child_begins_afresh(monkeypatch: pytest.MonkeyPatch, served: Served) -> None:
    """The loops and the thread are its parent's."""
    monkeypatch.setattr(watchdog.Watching, "loops", (served.watched,))
    monkeypatch.setattr(watchdog.Watching, "is_running", True)

    watchdog.begin_afresh()

    assert ((), False) == (watchdog.Watching.loops, watchdog.Watching.is_running)
