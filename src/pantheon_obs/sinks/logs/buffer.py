"""Buffer log lines, within limits for each request and for the process.

The oldest line goes first. No lock is taken, because a finalizer or a signal handler may log in
the middle of anything: each step that must be whole is one operation of C.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import current_trace
from pantheon_obs.core.runtime import on_fork
from pantheon_obs.core.serving import active
from pantheon_obs.sinks.logs import structlog_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from logging import LogRecord

    from pantheon_obs.core.context import Trace
    from pantheon_obs.sinks.logs.entry import Entry

LINES = 256
"""The most lines of one request or task."""

TEXT = 64 * 1024
"""The most characters of them."""

MEMORY = 16 * 1024 * 1024
"""The most bytes of the process, including the cost of a line beside its text."""

_BESIDE = 1400  # bytes that a line with a few fields costs beside its text, as measured
_OBJECT = 256  # the text that an object of any other class counts for
_MANY = 32  # items of a container that are looked at
_DEEP = 4
_LARGE = 1 << 32

_all: OrderedDict[BufferedLine, None] = OrderedDict()  # the lines of the process, the oldest first


class _Memory:
    """The bytes of all lines, and this process."""

    __slots__ = ("process", "used")

    used: int
    process: object  # another one in each process


memory = _Memory()  # no class attributes: each change of one empties the interpreter's caches
memory.used, memory.process = 0, object()


class BufferedLine:
    """One line that is kept aside: an entry, or a record that becomes one if it is written."""

    __slots__ = ("bound", "line", "recording", "text")

    recording: Recording
    line: Entry | LogRecord
    bound: dict[str, Any]
    text: int


class Recording:
    """The lines of one request or task that are kept aside, and whether they are written.

    Attributes:
        kept: Whether all lines are written.
        rated: Whether they are because of the rate.
        over: Whether that was decided for good, at the end of the request or task.
        dropped: How many lines had no room.
    """

    __slots__ = (
        *("_release", "bound", "kept", "lines", "dropped"),
        *("over", "process", "rated", "text", "trace_id"),
    )

    def __init__(self, trace: Trace, release: Callable[[Recording], object]) -> None:
        """Begin with a trace; `release` writes the lines that are kept aside."""
        self.trace_id = trace.trace_id
        self.bound = trace.bound
        self.lines: deque[BufferedLine] = deque()
        self.text = 0
        self.dropped = 0
        self.kept = self.rated = self.over = False
        self._release = release
        self.process = memory.process

    def keep(self) -> None:
        """Write all lines, those that are kept aside now and the further ones as they come."""
        if self.process is memory.process:
            self.kept = True
            self._release(self)

    def buffer(self, line: Entry | LogRecord, text: int) -> None:
        """Keep a line aside, with the fields bound now; drop the oldest where there is no room."""
        if text > TEXT:
            self.dropped += 1
            return
        buffered = BufferedLine()  # without an __init__, which would cost 0.1 µs
        buffered.recording = self
        buffered.line = line
        buffered.bound = {**self.bound}
        if structlog_fields.variables:
            for name, value in structlog_fields.bound_fields().items():
                buffered.bound.setdefault(name, value)
        buffered.text = text
        lines = self.lines
        lines.append(buffered)
        _all[buffered] = None
        self.text += text
        memory.used += text + _BESIDE
        while (len(lines) > LINES or self.text > TEXT) and lines:
            drop(lines[0])
        while memory.used > MEMORY and _all:
            drop(next(iter(_all)))
        if self.over:  # another thread has decided meanwhile
            self.take()

    def take(self) -> list[BufferedLine]:
        """Take out all lines, in their order."""
        return [buffered for buffered in self.lines.copy() if _take(buffered)]


def recording_here() -> Recording | None:
    """Return the recording of the request or task that this code works for; None without one."""
    trace = current_trace.get()
    if trace is not None and trace.ended:
        _, trace = active()
    if trace is None:
        return None
    recording: Recording | None = trace.recording  # as `recording_of`, without its call
    return recording if recording is not None and recording.process is memory.process else None


def recording_of(trace: Trace) -> Recording | None:
    """Return the recording of a trace; None in a forked process, which only has a copy."""
    recording: Recording | None = trace.recording
    return recording if recording is not None and recording.process is memory.process else None


def take_all() -> list[BufferedLine]:
    """Take out all lines of the process, in their order."""
    return [buffered for buffered in tuple(_all) if _take(buffered)]


def _take(buffered: BufferedLine) -> bool:
    """Take one line out; return whether it was still there, and nobody else has it."""
    if _all.pop(buffered, buffered) is buffered:
        return False
    with suppress(ValueError):  # another thread takes out all of them
        buffered.recording.lines.remove(buffered)
    buffered.recording.text -= buffered.text
    memory.used -= buffered.text + _BESIDE
    if not _all:
        memory.used = 0  # should threads or finalizers ever have disturbed the sum
    return True


def drop(buffered: BufferedLine) -> None:
    """Drop a line for which there is no room."""
    if _take(buffered):
        buffered.recording.dropped += 1


def _after_fork() -> None:
    """Forget everything: it is the parent's to write."""
    _all.clear()
    memory.used, memory.process = 0, object()


def text_size(value: Any, depth: int = _DEEP) -> int:  # noqa: ANN401 - any field
    """Estimate the characters of a value's text; only a part of a long container is looked at."""
    kind = type(value)
    if kind is str or kind is bytes:
        return len(value)
    if kind is int:
        return 8 if -_LARGE < value < _LARGE else int(value.bit_length()) // 3
    if value is None or kind is bool or kind is float:
        return 8
    items: Iterable[Any]
    if kind is tuple or kind is list:
        items = value[:_MANY]
    elif kind is dict:
        items = [part for pair in islice(value.items(), _MANY) for part in pair]
    elif kind is set or kind is frozenset:
        items = list(islice(value, _MANY))
    else:
        return _OBJECT
    if depth == 0:
        return _OBJECT
    seen = 2
    for item in items:
        seen += text_size(item, depth - 1)
    return seen if len(value) <= _MANY else seen * len(value) // _MANY


on_fork(after_in_child=_after_fork)
