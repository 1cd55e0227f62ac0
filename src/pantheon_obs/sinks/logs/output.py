"""Write whole lines to standard output or standard error, whatever it is.

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
from contextlib import suppress
from io import TextIOWrapper
from threading import RLock
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from types import ModuleType

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_locks: ModuleType | None = fcntl
_ENDLESS = 8
_CELERY = "celery.utils.log"  # its replacement of sys.stdout logs what it is given; lines get lost


class Output:
    """Standard output as it is at each line: `sys.stdout` may be replaced at any time.

    Attributes:
        to_stderr: Whether it is standard error instead.
    """

    def __init__(self) -> None:
        self.to_stderr = False
        self._stream: TextIO | None = None
        self._descriptor: int | None = None
        self._shared = False
        self._torn = False
        self._redirected: TextIO | None = None
        self.after_fork()

    def after_fork(self) -> None:
        """Begin afresh in a child process: the lines in progress are its parent's to write."""
        self._lock = RLock()
        self._writing = False
        self._waiting: deque[bytes] = deque()

    def write(self, line: bytes, _level: int = 0) -> None:
        """Write one line; waits for the reader, as any print does, and raises as it does.

        A signal handler or finalizer that logs in the middle of a write cannot wait for the end of
        that write, which is below it on the stack, nor write into the middle of its line. So its
        line is kept until that write has ended.
        """
        with self._lock:
            if self._writing:
                self._waiting.append(line)
                return
            self._writing = True
            try:
                self._write(line)
            finally:
                self._writing = False
            while self._waiting:
                self._write_waiting(line)

    def _write_waiting(self, line: bytes) -> None:
        rounds = 0
        self._writing = True
        try:
            while self._waiting:
                rounds += self._descriptor is None
                if rounds > _ENDLESS:
                    # Each line brings another: the stream logs what it is given (`sys.stdout` was
                    # redirected to a logger). This line, and later ones, go to the real stdout.
                    self._redirected = sys.stderr if self.to_stderr else sys.stdout
                    self._waiting = deque([line])
                for _ in range(len(self._waiting)):
                    self._write(self._waiting.popleft())
        finally:
            self._writing = False

    def _write(self, line: bytes) -> None:
        stream: TextIO | None = sys.stderr if self.to_stderr else sys.stdout
        if stream is not self._stream and type(stream).__module__ == _CELERY:
            self._redirected = stream
        if stream is not None and stream is self._redirected:
            stream = sys.__stderr__ if self.to_stderr else sys.__stdout__
        if stream is None:  # pythonw, or closed by the application
            return
        if stream is not self._stream:
            self._look_at(stream)
        descriptor = self._descriptor
        try:
            stream.flush()  # what the application has printed so far comes first
        except Exception:  # noqa: BLE001 - whatever it is, it comes again there
            _flush_patiently(stream)
        if descriptor is None:
            _write_text(stream, line)
        elif not self._shared or _locks is None:
            self._write_all(descriptor, line)
        else:
            _locks.lockf(descriptor, _locks.LOCK_EX)
            try:
                self._write_all(descriptor, line)
            finally:
                _locks.lockf(descriptor, _locks.LOCK_UN)

    def _look_at(self, stream: TextIO) -> None:
        """Find out once whether a stream has a descriptor to write to, and whether it is shared."""
        self._stream, self._descriptor, self._shared = stream, None, False
        # Anything else (a StringIO, a test's capture, an application's tee) sees what is written.
        if type(stream) is TextIOWrapper:
            with suppress(OSError, ValueError):
                descriptor = stream.fileno()
                self._shared = _can_be_locked(descriptor)
                self._descriptor = descriptor

    def _write_all(self, descriptor: int, line: bytes) -> None:
        if self._torn:  # a disk was full in the middle of a line: the next begins on its own
            line = b"\n" + line
        written = 0
        try:
            while written < len(line):  # a pipe may take it in parts
                try:
                    written += os.write(descriptor, line[written:])
                except BlockingIOError:
                    select.select([], [descriptor], [])
        except OSError:
            self._torn = self._torn or written > 0
            raise
        self._torn = False


def _can_be_locked(descriptor: int) -> bool:
    """Whether it is a pipe or a socket, which processes share, and the system can lock it.

    POSIX record locks belong to the process: descriptors that were inherited exclude each other,
    where those of flock(2) would not.
    """
    mode = os.fstat(descriptor).st_mode
    if _locks is None or not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return False
    try:
        _locks.lockf(descriptor, _locks.LOCK_EX)
        _locks.lockf(descriptor, _locks.LOCK_UN)
    except OSError:
        return False
    return True


def _flush_patiently(stream: TextIO) -> None:
    """Flush a stream whose flush has failed, as far as that is possible."""
    while True:
        try:
            stream.flush()
        except BlockingIOError:
            select.select([], [stream], [])
        except RuntimeError:  # a signal handler's line, in the middle of a print
            return
        except AttributeError:  # print() asks for no more than write()
            if hasattr(stream, "flush"):
                raise
            return
        else:
            return


def _write_text(stream: TextIO, line: bytes) -> None:
    text = line.decode("utf-8", "replace")
    try:
        stream.write(text)
    except UnicodeEncodeError:
        stream.write(text.encode("ascii", "replace").decode("ascii"))
    with suppress(AttributeError):
        stream.flush()
