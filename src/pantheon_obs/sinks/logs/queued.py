"""Queue lines within a bound, and write them from a thread: no line waits for the reader.

The thread waits for no lock that an emitting thread holds, so that a signal handler may log, and
wait for the queue to drain, in the middle of anything. It is a real thread, also under gevent.
"""

from __future__ import annotations

import logging
import os
import sys
from _queue import SimpleQueue
from _thread import RLock
from bisect import bisect_right
from collections import Counter, deque
from contextlib import suppress
from itertools import count
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import current_trace_id
from pantheon_obs.core.native import is_forked_later, thread, threads_are_greenlets
from pantheon_obs.products import WORKER_NUMBERS
from pantheon_obs.sinks.logs.entry import LEVEL_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 5.0
"""Seconds for which the end of a process waits for its reader, in total."""

_REPORT_AFTER = 10.0  # seconds, if the queue stays full so long

# Lines of one lane are dropped, oldest first, before any of the next: INFO and DEBUG, WARNING, …
_LANES = (logging.WARNING, logging.ERROR, logging.CRITICAL)
_CONTROL = len(_LANES) + 1  # nothing is dropped from the last lane


class Queued:
    """Hands lines to a thread that writes them, and counts the lines that it drops.

    `write` writes one line, and `is_ready` says whether it would do so without waiting. `limit` is
    in bytes. `describe` makes the line that reports how many lines of each level were dropped, and
    `failed` takes the exceptions that `write` raises in the thread.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        is_ready: Callable[[bytes], bool],
        limit: int,
        describe: Callable[[dict[str, int]], bytes],
        failed: Callable[[Exception], None],
    ) -> None:
        self._write = write
        self._is_ready = is_ready
        self._limit = limit
        self._describe = describe
        self._failed = failed
        self._ending = False
        self._patience = PATIENCE
        self.after_fork()

    def after_fork(self) -> None:
        """Begin afresh in a child process: the queued lines are its parent's to write."""
        self._process = os.getpid()
        self._lock = RLock()
        self._lanes: list[deque[tuple[int, int, Any]]] = [deque() for _ in range(_CONTROL + 1)]
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._numbers = count()
        self._accepted = 0
        self._taken = 0
        self._dropped: Counter[str] = Counter()
        self._reported: Counter[str] = Counter()
        self._full_since: float | None = None
        self._is_started = False

    def write(self, line: bytes, level: int) -> None:
        """Queue one line, or count it as dropped; waits only once the process is ending."""
        if sys.is_finalizing():  # the thread is gone
            if self._patience > 0:
                self._write(line)
            return
        self._notice_fork()
        with self._lock:
            if not self._is_started and (self._may_be_forked(line) or not self._start()):
                self._write(line)
                return
            lane = bisect_right(_LANES, level)
            if self._has_room(len(line), lane):
                self._accepted += len(line)
                # A copy: each line of orjson keeps a buffer of 4 KB.
                self._put(lane, level, bytes(memoryview(line)))
            else:
                self._count_dropped(level)
        if self._ending:
            self.drain()

    def end(self) -> None:
        """Drain because the process ends; from now on after each further line too."""
        self._ending = True
        self.drain()

    def close(self) -> None:
        """Drain, and end the thread."""
        self.drain()
        self._put(_CONTROL, 0, None)

    def drain(self) -> bool:
        """Wait until all lines are written; return False if the reader takes too long."""
        self._notice_fork()
        with self._lock:
            if not self._is_started:
                return True
            written = thread.allocate_lock()
            written.acquire()
            self._put(_CONTROL, 0, written)
        began = monotonic()
        done: bool = written.acquire(timeout=self._patience)
        self._patience = max(0.0, self._patience - (monotonic() - began))
        return done

    def _notice_fork(self) -> None:
        """Begin afresh also where a server in C has forked behind Python's back, as uWSGI does."""
        if os.getpid() != self._process:
            self.after_fork()

    def _may_be_forked(self, line: bytes) -> bool:
        """Whether no thread may run yet, because a server in C may load the application and fork.

        A thread that wants the interpreter's lock at that moment leaves the lock's condition
        variable such that the child waits for it for good. So lines from before the first trace
        are written directly, unless they would have to wait.
        """
        if is_forked_later(WORKER_NUMBERS):
            return True
        if current_trace_id.get() or threads_are_greenlets():  # to ask would switch greenlets
            return False
        return self._is_ready(line)

    def _start(self) -> bool:
        """Start the thread, and return whether the system has let us."""
        self._is_started = True  # at once: a signal handler may log while the thread starts
        try:
            if threads_are_greenlets():
                thread.start_new_thread(self._run, ())
            else:
                Thread(target=self._run, name="pantheon-obs-logs", daemon=True).start()
        except RuntimeError:
            self._is_started = False
        return self._is_started

    def _put(self, lane: int, level: int, item: object) -> None:
        self._lanes[lane].append((next(self._numbers), level, item))
        if self._wake.empty():
            self._wake.put(None)

    def _has_room(self, size: int, lane: int) -> bool:
        """Drop the oldest lines of no higher lane until a line fits; an empty queue takes any."""
        while (waiting := self._accepted - self._taken) and waiting + size > self._limit:
            if not any(self._drop_oldest(lanes) for lanes in self._lanes[: lane + 1]):
                return False
        return True

    def _drop_oldest(self, lane: deque[tuple[int, int, Any]]) -> bool:
        try:
            _, level, line = lane.popleft()
        except IndexError:
            return False
        self._accepted -= len(line)
        self._count_dropped(level)
        return True

    def _count_dropped(self, level: int) -> None:
        self._dropped[LEVEL_NAMES[level]] += 1
        if self._full_since is None:
            self._full_since = monotonic()

    def _run(self) -> None:
        while True:
            item = self._take()
            if item is None:
                return
            if not isinstance(item, bytes):  # another thread waits for all lines before it
                self._report()
                item.release()
                continue
            self._taken += len(item)
            self._deliver(item)
            if self._full_since is not None:
                is_roomy = self._accepted - self._taken <= self._limit // 2
                if is_roomy or monotonic() - self._full_since > _REPORT_AFTER:
                    self._report()

    def _take(self) -> Any:  # noqa: ANN401 - a line, None at the end, or a lock
        """Wait for the next item, in the order in which they were put."""
        while True:
            with suppress(IndexError):  # any line may be dropped in the meantime
                heads = [(lane[0][0], lane) for lane in self._lanes if lane]
                if not heads:
                    self._wake.get()
                    continue
                number, lane = min(heads)
                item = lane.popleft()
                if item[0] == number:
                    return item[2]
                lane.appendleft(item)

    def _report(self) -> None:
        """Write how many lines were dropped since the last report, in one line."""
        self._full_since = None
        total = self._dropped.copy()
        dropped = total - self._reported
        self._reported = total
        if dropped:
            self._deliver(self._describe(dict(dropped)))

    def _deliver(self, line: bytes) -> None:
        try:
            self._write(line)
        except Exception as failure:  # noqa: BLE001 - the thread lives as long as the process
            self._failed(failure)
