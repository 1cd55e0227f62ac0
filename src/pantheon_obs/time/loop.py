"""Watch one event loop for a callback that blocks it."""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextvars import Context
from threading import get_native_id
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.time.blocks import Block, trace_of_task
from pantheon_obs.time.frames import frames_from, place_in, stack_of

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from pantheon_obs.time.frames import Place

_LATEST = 10.0  # seconds after which a block is reported while it lasts
_NOT_RUN = 2.5  # pauses: after so many the watchdog's thread was not let run
_LOOKS = 10  # for each `slow_loop_ms`, while a callback runs
_LOOKS_AT_REST = 4
_SHORTEST = 0.005  # seconds between two
_ACTIVE = 2.0  # seconds after which a loop without callbacks or requests is at rest
REST = 1.0
"""Seconds between two looks then."""


def _clock_of(thread: int) -> Any:
    """Return the clock of a thread's own processor time; macOS has the process's clock only."""
    find: Any = getattr(time, "pthread_getcpuclockid", None)
    return time.CLOCK_PROCESS_CPUTIME_ID if find is None else find(thread)


class WatchedLoop:
    """An event loop, and the callback that runs in it."""

    def __init__(self, loop: Any, thread: int, depth: int, runs: CodeType, slow: float) -> None:
        self.loop = loop
        self._asyncio: Any = sys.modules["asyncio"]  # a loop runs, so that it is imported
        self.thread = thread
        self.pause = slow / _LOOKS_AT_REST
        self._depth = depth
        self._runs = runs
        self._slow = slow
        self._clock = _clock_of(thread)
        self._used = time.clock_gettime(self._clock)
        # Linux has it: https://docs.kernel.org/scheduler/sched-stats.html
        self._schedule = f"/proc/self/task/{get_native_id()}/schedstat"
        self._waited = 0.0
        self._looked = self._active = perf_counter()
        self._at_rest: tuple[object, object] | None = None
        self._asked: _Question | None = None
        self._block: Block | None = None
        self._stacks: Counter[tuple[Place, ...]] = Counter()

    def is_active(self) -> bool:
        """Whether a callback was seen lately, or a request has come."""
        return self._looked - self._active < _ACTIVE

    def rest(self) -> None:
        """Expect the next look in a while."""
        self.pause = REST

    def wake(self, now: float) -> None:
        """Expect further looks at once, as a request has come."""
        self._looked = self._active = now
        self.pause = self._slow / _LOOKS_AT_REST

    def is_running(self) -> bool:
        """Whether the loop has not ended."""
        return bool(self.loop.is_running())

    def look(self, frame: FrameType | None, now: float) -> None:
        """Judge from the innermost frame of its thread whether a callback blocks the loop now."""
        if not self.is_running():
            return
        frames = self._callback(frame)
        stack = stack_of(frames)  # all below may let the thread run on
        elapsed, self._looked = now - self._looked, now
        used = time.clock_gettime(self._clock)
        ran, self._used = min(used - self._used, elapsed), used
        was_stopped = elapsed > _NOT_RUN * self.pause
        asked, block = self._asked, self._block
        if asked is not None and asked.answered:
            self._end(asked.answered)
            self._asked = asked = block = None
        elif block is not None:
            stopped = elapsed - self.pause - ran if was_stopped else 0.0
            self._leave_out_waiting(block, stopped)
        self.pause = max(_SHORTEST, self._slow / (_LOOKS if frames else _LOOKS_AT_REST))
        if not frames:
            self._end(now)
            return
        self._active = now
        if asked is None:
            asked = self._asked = _Question()
            asked.callback = frames[-1]
            self.loop.call_soon_threadsafe(asked.answer, context=Context())
        elif asked.callback is not frames[-1]:  # one of many short ones before the answer
            self._end(now)
            block, asked.callback = None, frames[-1]
        if block is None:
            # If this thread was not let run, either the callback has kept the interpreter's lock,
            # which costs processor time, or the process was stopped, which does not.
            first, began = (now - elapsed, now - ran) if was_stopped else (now, now)
            trace = trace_of_task(self._asyncio.current_task(self.loop))
            block = self._block = Block(first, began, self._slow, trace)
            self._waited = self._waiting()
        block.seen = now
        self._stacks[stack] += 1
        if now - block.began >= self._slow:
            block.mark()
        if now - block.began >= _LATEST and not block.is_reported:
            self._report(block, now)

    def _callback(self, frame: FrameType | None) -> list[FrameType]:
        """List the frames of the callback that runs, the innermost first; none if none does."""
        found = None if frame is None else (frame.f_code, frame.f_back and frame.f_back.f_code)
        if found == self._at_rest:
            return []
        frames = frames_from(frame)
        own = frames[: max(0, len(frames) - self._depth + 1)]
        # asyncio waits for its next event in another function at this depth.
        if not own or (self._is_asyncio and own[-1].f_code is not self._runs):
            self._at_rest = found
            return []
        return own

    @property
    def _is_asyncio(self) -> bool:
        return isinstance(self.loop, self._asyncio.BaseEventLoop)

    def _end(self, moment: float) -> None:
        """End the block: the callback has returned by this moment."""
        block, self._block = self._block, None
        if block is not None:
            self._leave_out_waiting(block)
            moment = min(moment, block.seen + 2 * self.pause)
            if moment - block.began >= self._slow:
                self._report(block, moment)
                block.end(moment)
        self._stacks.clear()

    def _leave_out_waiting(self, block: Block, stopped: float = 0.0) -> None:
        """Leave out the time in which other processes had the processor or this one was stopped."""
        waited = self._waiting()
        block.leave_out(max(waited - self._waited, stopped))
        self._waited = waited

    def _waiting(self) -> float:
        """Return for how many seconds the thread was ready without a processor; 0 if unknown."""
        try:
            with open(self._schedule, "rb") as text:  # noqa: PTH123 - pathlib takes 2 ms to import
                return int(text.read().split()[1]) / 1e9
        except (OSError, IndexError):
            return 0.0

    def _report(self, block: Block, moment: float) -> None:
        places = Counter[str]()
        for stack, count in self._stacks.items():
            places[place_in(stack)] += count
        where = places.most_common(1)[0][0]
        stack = next(each for each in reversed(self._stacks) if place_in(each) == where)
        block.report(moment, where, stack)


class _Question:
    """Asks a loop whether it runs; it answers from its own thread as soon as it does.

    The frame of the callback that runs meanwhile is let go then, with all that it refers to.
    """

    callback: FrameType | None = None
    answered = 0.0  # clock time

    def answer(self) -> None:
        """Note that the loop runs."""
        self.answered = perf_counter()
        self.callback = None
