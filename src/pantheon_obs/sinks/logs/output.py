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
from _thread import RLock
from collections import deque
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, TextIO

from pantheon_obs.products import PRODUCTS

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_locks: Any = fcntl  # None: nothing is shared then
_ATOMIC = getattr(select, "PIPE_BUF", 512)  # bytes
STANDARD_DESCRIPTORS = (1, 2)
_IO = ("io", "_io")
_ENDLESS = 8  # rounds of lines, each of which was logged during the round before
_LOGGING = {row.stdout_module for row in PRODUCTS if row.stdout_module}  # a line would get lost


class Output:
    """Standard output as the system has it: descriptor 1, wherever it leads when a line is written.

    So a `redirect_stdout` anywhere in the process takes no lines. If `sys.stdout` is an object of
    somebody's when this is opened (a test's capture, a notebook, a tee), lines go to that object.
    """

    def __init__(self) -> None:
        self._name = "stdout"
        self._stream: TextIO | None = None
        self._descriptor: int | None = None
        self._shared = False
        self._torn = False
        self._refused: TextIO | None = None
        self.after_fork()

    def open(self, *, to_stderr: bool) -> None:
        """Look at `sys.stdout`, or at `sys.stderr`, and write to it from now on."""
        self._name = "stderr" if to_stderr else "stdout"
        self._look_at(getattr(sys, self._name))

    def after_fork(self) -> None:
        """Begin afresh in a child process: the lines in progress are its parent's to write."""
        self._process = os.getpid()
        self._lock = RLock()
        self._writing = False
        self._waiting: deque[bytes] = deque()

    def write(self, line: bytes, _level: int = 0) -> None:
        """Write one line; waits for the reader, as any print does, and raises as it does.

        A signal handler or finalizer that logs in the middle of a write cannot wait for the end of
        that write, which is below it on the stack, nor write into the middle of its line. So its
        line is kept until that write has ended.
        """
        if not self._lock.acquire(False):  # noqa: FBT003 - its only name is too slow
            if os.getpid() != self._process:  # a server in C has forked, behind Python's back, and
                self.after_fork()  # the child has no thread that would release the lock
            self._lock.acquire()
        try:
            if self._writing:
                self._waiting.append(line)
                return
            self._writing = True
            try:
                self._write(line)
            finally:
                self._writing = False
            if self._waiting:
                self._write_waiting(line)
        finally:
            self._lock.release()

    def is_ready(self, line: bytes) -> bool:
        """Whether a line need not wait for the reader now, as far as one can tell."""
        if self._descriptor is None or _locks is None:
            return False
        if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            return True
        if len(line) > _ATOMIC:  # a pipe may take it in parts
            return False
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return bool(poll.poll(0))

    def _write_waiting(self, line: bytes) -> None:
        """Write the lines that were logged while a line was written, until none is left."""
        rounds = 0
        while self._waiting:
            if rounds > _ENDLESS and self._descriptor is None:
                # Each line brings another: the stream logs its input (`sys.stdout` was redirected
                # to a logger). This line, and later ones, go to the real stdout.
                self._refused = self._stream
                self._look_at(getattr(sys, f"__{self._name}__"))
                self._waiting = deque([line])
            rounds += 1
            self._writing = True
            try:
                for _ in range(len(self._waiting)):
                    self._write(self._waiting.popleft())
            finally:
                self._writing = False

    def _write(self, line: bytes) -> None:
        descriptor = self._descriptor
        current: Any = sys.stdout if self._name == "stdout" else sys.stderr
        if descriptor is None:
            self._write_to_object(current, line)
            return
        stream: Any = self._stream
        if current is not stream:
            if self._is_gone(current):
                self._write(line)
                return
            stream = current if type(current) is TextIOWrapper else stream
        try:
            stream.flush()  # the application's own output so far comes first
        except Exception:  # noqa: BLE001 - whatever it is, it comes again there
            self._flush_again(stream)
        is_locked = (self._shared or len(line) > _ATOMIC) and self._lock_shared(descriptor)
        # After a disk was full in the middle of a line, the next begins on its own.
        rest = b"\n" + line if self._torn else line
        try:
            while True:
                try:
                    written = os.write(descriptor, rest)
                    if written == len(rest):
                        break
                    rest = rest[written:]  # a pipe may take it in parts
                except BlockingIOError:
                    select.select([], [descriptor], [])
            self._torn = False
        except OSError:
            self._torn = self._torn or len(rest) < len(line)
            raise
        finally:
            if is_locked:
                _locks.lockf(descriptor, _locks.LOCK_UN)

    def _lock_shared(self, descriptor: int) -> bool:
        """Lock a descriptor that processes share, and return whether it is one."""
        if not self._shared:  # a dup2 may have put a pipe there
            self._shared = _can_be_locked(descriptor)
        if self._shared:
            try:
                _locks.lockf(descriptor, _locks.LOCK_EX)
            except OSError:  # a dup2 has put something else there, or it is closed
                self._shared = False
        return self._shared

    def _is_gone(self, current: Any) -> bool:  # noqa: ANN401 - any stream
        """Whether the stream was a file that is closed now; if so, look at its successor."""
        stream: Any = self._stream
        if self._descriptor in STANDARD_DESCRIPTORS or not stream.closed:
            return False
        self._look_at(current)
        return True

    def _flush_again(self, stream: Any) -> None:  # noqa: ANN401 - as above
        """Flush a stream whose flush has failed, as far as that is possible."""
        while True:
            try:
                stream.flush()
            except BlockingIOError:
                select.select([], [stream], [])
                continue
            except RuntimeError:  # a signal handler's line, in the middle of a print
                pass
            except ValueError:  # closed, which leaves the standard descriptors as they are
                if self._descriptor not in STANDARD_DESCRIPTORS:
                    raise
            return

    def _write_to_object(self, current: TextIO | None, line: bytes) -> None:
        """Write to the object that stood in place of the stream, or its successor."""
        stream = self._stream
        is_other = current is not stream and current is not self._refused
        if is_other and (stream is None or _succeeds(current, stream)):
            self._look_at(current)
            self._write(line)
        elif stream is not None:  # else this is pythonw, or the application has closed it
            _write_text(stream, line)

    def _look_at(self, stream: TextIO | None) -> None:
        """Find out once whether a stream has a descriptor to write to, and whether it is shared."""
        if type(stream).__module__ in _LOGGING:
            stream = getattr(sys, f"__{self._name}__")
        self._stream, self._descriptor, self._shared = stream, None, False
        # Anything else (a StringIO, a test's capture, an application's tee) sees the output.
        if type(stream) is TextIOWrapper:
            with suppress(OSError, ValueError):
                descriptor = stream.fileno()
                self._shared = _can_be_locked(descriptor)
                self._descriptor = descriptor


def _can_be_locked(descriptor: int) -> bool:
    """Whether it is a pipe or a socket, which processes share, and the system can lock it.

    POSIX record locks belong to the process: descriptors that were inherited exclude each other,
    where the locks of flock(2) would not.
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


def _succeeds(stream: object, before: TextIO) -> bool:
    """Whether a stream takes the place of another one: that is closed, or of the same maker.

    pytest has one object for the time of collection, say, and another one for each test.
    """
    if getattr(before, "closed", False):
        return True
    module = type(before).__module__
    return module not in _IO and type(stream).__module__ == module


def _write_text(stream: TextIO, line: bytes) -> None:
    text = line.decode("utf-8", "replace")
    try:
        stream.write(text)
    except UnicodeEncodeError:
        stream.write(text.encode("ascii", "replace").decode("ascii"))
    with suppress(AttributeError):
        stream.flush()
