"""Delivery of lines to standard output, direct or through a queue, up to the end of the process.

The queue is bounded, and a thread empties it: no line waits for the reader. The thread waits for no
lock that an emitting thread holds, so that a signal handler may log, and wait for the queue to
drain, in the middle of anything.
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
from typing import TYPE_CHECKING, Any

from pantheon_obs.sinks.logs.entry import level_name
from pantheon_obs.sinks.logs.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from pantheon_obs.core.settings import Settings

PATIENCE = 5.0
"""Seconds for which the end of a process waits for its reader, in total."""


class Queued:
    """Hands lines to a thread that writes them, and counts the lines that it has no room for.

    `limit` is in bytes. `describe` makes the line that reports how many lines of each level were
    dropped, and `failed` takes the exceptions that `write` raises in the thread.
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


_output = Output()
_queue: Queued | None = None
_previous: Any = None
"""The handler of SIGTERM that ours has replaced; None for the default action."""


def writer(
    settings: Settings,
    describe: Callable[[dict[str, int]], bytes],
    failed: Callable[[Exception], None],
) -> Callable[[bytes, int], None]:
    """Open the delivery that the settings name; lines that were queued before are written first.

    `describe` and `failed` are those of `Queued`.
    """
    global _queue  # noqa: PLW0603 - a process has one standard output
    close()
    _output.to_stderr = settings.log_stream == "stderr"
    if settings.log_delivery == "direct":
        return _output.write
    _queue = Queued(_output.write, settings.log_queue_bytes, describe, failed)
    atexit.register(_queue.end)
    _catch_sigterm()
    return _queue.write


def close() -> None:
    """Write the queued lines, and give back the exit function and signal handler."""
    global _previous, _queue  # noqa: PLW0603 - as above
    if _queue is None:
        return
    _queue.close()
    atexit.unregister(_queue.end)
    if _may_handle_signals() and signal.getsignal(signal.SIGTERM) is _on_sigterm:
        signal.signal(signal.SIGTERM, _previous or signal.SIG_DFL)
        _previous = None
    _queue = None


def _may_handle_signals() -> bool:
    return threading.current_thread() is threading.main_thread()


def _catch_sigterm() -> None:
    """Drain on SIGTERM too, whatever else handles it.

    Servers handle it, shut down, and then raise it once more with its default action, which kills
    the process without running its exit functions.
    """
    global _previous  # noqa: PLW0603 - as above
    if not _may_handle_signals():
        return
    found = signal.getsignal(signal.SIGTERM)
    if callable(found) or found is signal.SIG_DFL:
        _previous = found if callable(found) else None
        signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    if _queue is not None:
        _queue.end()
    if callable(_previous):
        _previous(number, frame)  # it may end the process at once
        return
    # The default action, as without us, so that the exit status is the same.
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _after_fork() -> None:
    _output.after_fork()
    if _queue is not None:
        _queue.after_fork()
        _end_with_multiprocessing(_queue)


def _end_with_multiprocessing(queue: Queued) -> None:
    """Drain in a child that multiprocessing has forked: it ends without its exit functions."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        # Finalizers that are registered now are forgotten: it clears them after this.
        util.register_after_fork(
            queue, lambda child: util.Finalize(child, child.end, exitpriority=0)
        )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
