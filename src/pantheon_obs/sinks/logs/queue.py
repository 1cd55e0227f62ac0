"""Delivery that never waits for the reader: a bounded queue, and a thread that empties it.

The thread takes no lock that an emitting thread holds, so that a signal handler or finalizer may
log, and wait for the queue to drain, in the middle of anything.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections import Counter
from queue import SimpleQueue
from threading import Event, RLock, Thread
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

PATIENCE = 5.0
"""Seconds for which the end of a process waits for its reader, all in all."""


class Queued:
    """Hands lines to a thread that writes them; counts those it has no room for.

    Args:
        write: Writes one line; may wait.
        limit: Bytes that may wait in the queue.
        describe: Makes a line that reports dropped lines, by level.
        failed: Called with what `write` raises.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        limit: int,
        describe: Callable[[dict[str, int]], bytes],
        failed: Callable[[Exception], None],
    ) -> None:
        self.limit = limit
        self.describe = describe
        self.failed = failed
        self._output = write
        self._ending = False
        self._patience = PATIENCE
        self._previous: Callable[[int, FrameType | None], object] | None = None
        self.after_fork()

    def after_fork(self) -> None:
        """Begin afresh in a child process: the queued lines are its parent's to write."""
        self._lock = RLock()
        self._queue: SimpleQueue[bytes | Event] = SimpleQueue()
        self._accepted = 0
        self._written = 0
        self._dropped: Counter[str] = Counter()
        self._thread: Thread | None = None

    def write(self, line: bytes, level: str) -> None:
        """Queue one line, or count it as dropped."""
        with self._lock:
            if self._thread is None:
                self._start()
            waiting = self._accepted - self._written
            # Once full, it has to be half empty again: one report for many lines, not one for each.
            room = self.limit // 2 if self._dropped else self.limit
            if waiting and waiting + len(line) > room:
                self._dropped[level] += 1
            else:
                self._put_report()
                self._accepted += len(line)
                self._queue.put(line)
        if self._ending:
            self.drain()
