"""Report an event loop that is blocked: one thread of the process looks at the loops that serve.

The thread reads the stack of a loop's thread. If a callback runs there, it asks the loop for an
answer, and looks again and again until that comes. A loop is blocked while the same callback runs.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from threading import Lock, Thread, get_ident
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.runtime import on_fork, running_loop
from pantheon_obs.time.blocks import measure_collections
from pantheon_obs.time.blocks import reset as forget_blocks
from pantheon_obs.time.frames import depth_of_callback, frames_from
from pantheon_obs.time.loop import REST, WatchedLoop

if TYPE_CHECKING:
    from types import CodeType


AT_REST = "event loop watchdog at rest"

_guard = Guard("event loop watchdog")


class Watching:
    """The loops that are watched, and whether the thread runs."""

    loops: tuple[WatchedLoop, ...] = ()
    is_running = False
    lock = Lock()
    rests = Lock()  # locked by the thread alone, which waits for it while it rests


def wake() -> None:
    """Wake the thread, which rests until a request comes."""
    now = perf_counter()
    for loop in Watching.loops:
        loop.wake(now)
    with suppress(RuntimeError):  # another request has done so
        Watching.rests.release()


def watch_loop(slow_loop_ms: float) -> None:
    """Watch the event loop that runs here until it ends; 0 watches none."""
    running = running_loop()
    if not slow_loop_ms or running is None:
        return
    with _guard:
        events: Any = sys.modules["asyncio.events"]
        runs: CodeType = events.Handle._run.__code__  # noqa: SLF001 - the frame of a callback
        depth = depth_of_callback(frames_from(sys._getframe()), runs)  # noqa: SLF001 - as above
        loop = WatchedLoop(running, get_ident(), depth, runs, slow_loop_ms / 1000)
        with Watching.lock:
            if any(each.loop is running for each in Watching.loops):
                return
            measure_collections()
            Watching.loops = (*Watching.loops, loop)
            if not Watching.is_running:
                Watching.is_running = True
                Thread(target=_run, name="pantheon-obs-loop", daemon=True).start()


def _run() -> None:
    while _look():
        pass


def _wait() -> None:
    """Wait until the next look; at rest for longer, but not once a request has come."""
    loops = Watching.loops
    if not loops or any(loop.is_active() for loop in loops):
        sleep(min([loop.pause for loop in loops], default=0))
        return
    for loop in loops:
        loop.rest()
    rests = Watching.rests
    rests.acquire(blocking=False)
    pipeline.add_sink(pipeline.Once(AT_REST, wake))
    rests.acquire(timeout=REST)


def _look() -> bool:
    """Look once at each loop, after a while; return whether any is left."""
    _wait()
    # Before anything that releases the interpreter's lock: a call that has kept the lock has only
    # just returned, and its frame is still there.
    frames = sys._current_frames()  # noqa: SLF001 - there is no other way
    now = perf_counter()
    for loop in Watching.loops:
        with _guard:
            loop.look(frames.get(loop.thread), now)
    del frames
    with Watching.lock:
        Watching.loops = tuple(loop for loop in Watching.loops if loop.is_running())
        Watching.is_running = bool(Watching.loops)
        return Watching.is_running


def begin_afresh() -> None:
    """Begin afresh in a child process: the loops and the thread are its parent's."""
    Watching.loops, Watching.is_running = (), False
    Watching.lock, Watching.rests = Lock(), Lock()


def reset() -> None:
    """Watch no loop any more (used by `pantheon_obs.testing.reset`)."""
    with Watching.lock:
        Watching.loops = ()
    pipeline.remove_sink(AT_REST)
    forget_blocks()


on_fork(after_in_child=begin_afresh)
