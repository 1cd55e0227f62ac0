"""Deliver lines to standard output, direct or through a queue, up to the end of the process."""

from __future__ import annotations

import atexit
import signal
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.native import threads_are_greenlets
from pantheon_obs.core.runtime import on_fork
from pantheon_obs.sinks.logs.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from pantheon_obs.core.settings import Settings
    from pantheon_obs.sinks.logs.queued import Queued

_STATUS = "/proc/self/status"  # proc(5): of Linux alone
_output = Output()
_queue: Queued | None = None
_ends: tuple[Callable[[], object], ...] = ()
"""The functions to call at the end of the process, in this order."""
_previous: Any = None
"""The handler of SIGTERM that ours has replaced; None for the default action."""


def writer(
    settings: Settings,
    describe: Callable[[dict[str, int]], bytes],
    failed: Callable[[Exception], None],
) -> Callable[[bytes, int], None]:
    """Open the delivery that the settings name; lines that were queued before are written first.

    `describe` and `failed` are as for `Queued`.
    """
    global _queue  # noqa: PLW0603 - a process has one standard output
    close()
    _output.open(to_stderr=settings.log_stream == "stderr")
    if settings.log_delivery == "direct":
        return _output.write
    from pantheon_obs.sinks.logs.queued import Queued  # noqa: PLC0415 - only if asked for

    _queue = Queued(_output.write, _output.is_ready, settings.log_queue_bytes, describe, failed)
    call_at_end(_queue.end)
    _end_with_multiprocessing()
    return _queue.write


def close() -> None:
    """Write the queued lines, and end the queue."""
    global _queue  # noqa: PLW0603 - as above
    if _queue is None:
        return
    _queue.close()
    call_no_more(_queue.end)
    _queue = None


def call_at_end(end: Callable[[], object]) -> None:
    """Call a function at exit and on SIGTERM, before those that were given earlier."""
    global _ends  # noqa: PLW0603 - as above
    _ends = (end, *_ends)
    atexit.register(end)
    _catch_sigterm()


def call_no_more(end: Callable[[], object]) -> None:
    """Undo `call_at_end`; give the signal handler back after the last one."""
    global _ends, _previous  # noqa: PLW0603 - as above
    _ends = tuple(each for each in _ends if each != end)
    atexit.unregister(end)
    is_ours = _may_handle_signals() and signal.getsignal(signal.SIGTERM) is _on_sigterm
    if is_ours and not _ends:
        signal.signal(signal.SIGTERM, _previous or signal.SIG_DFL)
        _previous = None


def _may_handle_signals() -> bool:
    return threading.current_thread() is threading.main_thread()


def _catch_sigterm() -> None:
    """Write the remaining lines on SIGTERM too, whatever else handles it.

    Servers handle it, shut down, and then raise it once more with its default action, which kills
    the process without running its exit functions.
    """
    global _previous  # noqa: PLW0603 - as above
    if not _may_handle_signals():
        return
    found = signal.getsignal(signal.SIGTERM)
    is_default = found is signal.SIG_DFL and not _is_handled_in_c()
    if found is not _on_sigterm and (callable(found) or is_default):
        _previous = found if callable(found) else None
        signal.signal(signal.SIGTERM, _on_sigterm)


def _is_handled_in_c() -> bool:
    """Whether a library handles it without Python's knowledge, as gevent's `signal_handler` does.

    Linux says so; ours would take its place, and it would never run.
    """
    with suppress(OSError), open(_STATUS, "rb") as lines:  # noqa: PTH123 - see `time/loop.py`
        for line in lines:
            if line.startswith(b"SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    # A greenlet that waits here would stop all others: the requests that its handler lets finish.
    if not (callable(_previous) and threads_are_greenlets()):
        _end()
    if callable(_previous):
        _previous(number, frame)  # it may end the process at once
        return
    # The default action, as without us, so that the exit status is the same.
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _end() -> None:
    for end in _ends:
        end()


def _after_fork() -> None:
    _output.after_fork()
    if _queue is not None:
        _queue.after_fork()
        _end_with_multiprocessing()


def _end_with_multiprocessing() -> None:
    """Drain also in a child of multiprocessing, which ends without its exit functions."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _end, exitpriority=0)
        # A child that is being forked forgets its finalizers before this.
        util.register_after_fork(_output, lambda _: util.Finalize(None, _end, exitpriority=0))


on_fork(after_in_child=_after_fork)
