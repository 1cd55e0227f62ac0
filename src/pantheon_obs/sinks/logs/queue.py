"""Delivery that never waits for the reader: a bounded queue, and a thread that empties it.

The thread waits for no lock that an emitting thread holds, so that a signal handler may log, and
wait for the queue to drain, in the middle of anything.
"""

from __future__ import annotations

import sys
from collections import Counter
from queue import SimpleQueue
from threading import Event, RLock, Thread
from time import monotonic
from typing import TYPE_CHECKING

from pantheon_obs.sinks.logs.entry import level_name

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 5.0
"""Seconds for which the end of a process waits for its reader, in total."""


class Queued:
    """Hands lines to a thread that writes them, and counts the lines that it has no room for.

    Args:
        write: Writes one line; may wait.
        limit: Bytes that may wait in the queue.
        describe: Makes the line that reports how many lines of each level were dropped.
        failed: Takes the exceptions that `write` raises.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        limit: int,
        describe: Callable[[dict[str, int]], bytes],
        failed: Callable[[Exception], None],
    ) -> None:
        self._write = write
        self._limit = limit
        self._describe = describe
        self._failed = failed
        self._ending = False
        self._patience = PATIENCE
        self.after_fork()
        self._start()

    def after_fork(self) -> None:
        """Begin afresh in a child process: the queued lines are its parent's to write."""
        self._lock = RLock()
        self._queue: SimpleQueue[bytes | Event | None] = SimpleQueue()
        self._accepted = 0
        self._written = 0
        self._dropped: Counter[str] = Counter()
        self._thread: Thread | None = None

    def write(self, line: bytes, level: int) -> None:
        """Queue one line, or count it as dropped; waits only once the process is ending."""
        if sys.is_finalizing():  # the thread is gone
            if self._patience > 0:
                self._write(line)
            return
        with self._lock:
            self._start()
            waiting = self._accepted - self._written
            # Once full it takes lines again when half empty: one report for many dropped lines.
            room = self._limit // 2 if self._dropped else self._limit
            if waiting and waiting + len(line) > room:
                self._dropped[level_name(level)] += 1
            else:
                self._put_report()
                self._put(line)
        if self._ending:
            self.drain()

    def end(self) -> None:
        """Drain because the process ends; from now on after each further line too."""
        self._ending = True
        self.drain()

    def close(self) -> None:
        """Drain, and end the thread."""
        self.drain()
        self._queue.put(None)

    def drain(self) -> bool:
        """Wait until all lines are written, which it returns, or nobody reads for too long."""
        drained = Event()
        with self._lock:
            if self._thread is None:
                return True
            self._put_report()
            self._queue.put(drained)
        began = monotonic()
        done = drained.wait(self._patience)
        self._patience = max(0.0, self._patience - (monotonic() - began))
        return done

    def _start(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._run, name="pantheon-obs-logs", daemon=True)
            self._thread.start()

    def _put(self, line: bytes) -> None:
        self._accepted += len(line)
        self._queue.put(line)

    def _put_report(self) -> None:
        if self._dropped:
            dropped, self._dropped = dict(self._dropped), Counter()
            self._put(self._describe(dropped))

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, Event):
                item.set()
                continue
            try:
                self._write(item)
            except Exception as failure:  # noqa: BLE001 - the thread lives as long as the process
                self._failed(failure)
            self._written += len(item)
            # If an emitting thread holds the lock, that thread queues the report with its line.
            if self._dropped and self._queue.empty() and self._lock.acquire(blocking=False):
                try:
                    self._put_report()
                finally:
                    self._lock.release()
