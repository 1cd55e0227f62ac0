"""Write whole lines to standard output, whatever stands there.

Lines from threads, from signal handlers and from `__del__` in the middle of a write do not mix.
Processes that share a pipe take a lock for each line: a write of more than PIPE_BUF bytes is not
atomic there (pipe(7)).
"""

from __future__ import annotations

import os
import select
import stat
import sys
from collections import deque
from threading import RLock
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from types import ModuleType

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_locks: ModuleType | None = fcntl


class Output:
    """Standard output as it is at each line: `sys.stdout` may be replaced at any time."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._writing = False
        self._waiting: deque[bytes] = deque()
        self._stream: TextIO | None = None
        self._descriptor: int | None = None
        self._pipe_lock: int | None = None

    def write(self, line: bytes) -> None:
        """Write one line; waits for whoever reads it, as any print does.

        Args:
            line: The line with its end.

        Raises:
            OSError: Standard output is closed or broken.
            ValueError: `sys.stdout` is closed.
        """
        with self._lock:
            if self._writing:  # this thread is within a write already: after that one, then
                self._waiting.append(line)
                return
            self._writing = True
            try:
                self._write(line)
                while self._waiting:
                    self._write(self._waiting.popleft())
            finally:
                self._writing = False

    def after_fork(self) -> None:
        """Give a child process a lock of its own, over the pipe it shares with its parent."""
        self._lock = RLock()
        self._writing = False
        self._waiting.clear()
        self._forget()

    def _write(self, line: bytes) -> None:
        stream = sys.stdout
        if stream is None:  # pythonw, or closed by the host
            return
        if stream is not self._stream:
            self._look_at(stream)
        # What the host has printed so far comes first.
        stream.flush()
        descriptor = self._descriptor
        if descriptor is None:
            stream.write(line.decode("utf-8", "replace"))
            stream.flush()
        elif self._pipe_lock is None or _locks is None:
            _write_all(descriptor, line)
        else:
            _locks.flock(self._pipe_lock, _locks.LOCK_EX)
            try:
                _write_all(descriptor, line)
            finally:
                _locks.flock(self._pipe_lock, _locks.LOCK_UN)

    def _look_at(self, stream: TextIO) -> None:
        """Find out once what a stream is: a descriptor to write to, a pipe to lock, or neither."""
        self._forget()
        try:
            descriptor = stream.fileno()
            is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        except (OSError, ValueError, AttributeError):
            descriptor, is_pipe = None, False  # a StringIO, a test's capture, a notebook
        if is_pipe:
            self._pipe_lock = _reopened(descriptor)
        self._descriptor = descriptor
        self._stream = stream

    def _forget(self) -> None:
        if self._pipe_lock is not None:
            os.close(self._pipe_lock)
        self._stream = self._descriptor = self._pipe_lock = None


def _reopened(descriptor: int) -> int | None:
    """The same pipe opened again, where the system can: an inherited descriptor excludes nobody."""
    try:
        # Without O_NONBLOCK this would wait for a reader.
        return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None


def _write_all(descriptor: int, line: bytes) -> None:
    while line:  # a pipe may take it in parts
        try:
            line = line[os.write(descriptor, line) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
