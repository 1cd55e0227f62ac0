"""Report an event loop that is blocked: one thread of the process looks at the loops that serve.

The thread reads the stack of a loop's thread. If a callback runs there, it asks the loop for an
answer, and looks again and again until that comes. A loop is blocked while the same callback runs.
"""

from __future__ import annotations

import os
import sys
from threading import Lock, Thread, get_ident
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import Guard
from pantheon_obs.time.blocks import reset as forget_blocks
from pantheon_obs.time.blocks import watch_collections
from pantheon_obs.time.frames import chain_of, depth_of_callback
from pantheon_obs.time.loop import Loop

if TYPE_CHECKING:
    from types import CodeType


_guard = Guard("event loop watchdog")


class _Watchdog:
    """The loops that are watched, and whether the thread runs."""

    loops: tuple[Loop, ...] = ()
    is_running = False
    lock = Lock()


def watch(slow_loop_ms: float) -> None:
    """Watch the event loop that runs here until it ends; 0 watches none."""
    asyncio: Any = sys.modules.get("asyncio")
    running = None if asyncio is None else asyncio._get_running_loop()  # noqa: SLF001 - does not raise
    if not slow_loop_ms or running is None:
        return
    with _guard:
        runs: CodeType = asyncio.events.Handle._run.__code__  # noqa: SLF001 - the frame of a callback
        depth = depth_of_callback(chain_of(sys._getframe()), runs)  # noqa: SLF001 - as above
        loop = Loop(running, get_ident(), depth, runs, slow_loop_ms / 1000)
        with _Watchdog.lock:
            if any(each.loop is running for each in _Watchdog.loops):
                return
            watch_collections()
            _Watchdog.loops = (*_Watchdog.loops, loop)
            if not _Watchdog.is_running:
                _Watchdog.is_running = True
                Thread(target=_run, name="pantheon-obs-loop", daemon=True).start()


def _run() -> None:
    while _look():
        pass


def _look() -> bool:
    """Look once at each loop, after a while; return whether any is left."""
    sleep(min([loop.pause for loop in _Watchdog.loops], default=0))
    # Before anything that releases the interpreter's lock: a call that has kept the lock has only
    # just returned, and its frame is still there.
    frames = sys._current_frames()  # noqa: SLF001 - there is no other way
    now = perf_counter()
    for loop in _Watchdog.loops:
        with _guard:
            loop.look(frames.get(loop.thread), now)
    del frames
    with _Watchdog.lock:
        _Watchdog.loops = tuple(loop for loop in _Watchdog.loops if loop.is_running())
        _Watchdog.is_running = bool(_Watchdog.loops)
        return _Watchdog.is_running


def _after_fork() -> None:
    """Begin afresh in a child process: the loops and the thread are its parent's."""
    _Watchdog.loops, _Watchdog.is_running, _Watchdog.lock = (), False, Lock()


def reset() -> None:
    """Watch no loop any more (used by `pantheon_obs.testing.reset`)."""
    with _Watchdog.lock:
        _Watchdog.loops = ()
    forget_blocks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
