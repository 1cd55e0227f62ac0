"""Log the times for which event loops were blocked, and the requests that have blocked them."""

from __future__ import annotations

import gc
import logging
from collections import deque
from contextvars import Context
from math import inf
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from pantheon_obs.core import pipeline
from pantheon_obs.core.context import current_trace, current_trace_id
from pantheon_obs.core.events import TaskFinished
from pantheon_obs.core.guard import own_lines
from pantheon_obs.core.in_force import in_force
from pantheon_obs.core.serving import context_of
from pantheon_obs.time.frames import LONGEST, named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pantheon_obs.core.context import Trace
    from pantheon_obs.core.events import Ended
    from pantheon_obs.time.frames import Place

_AGAIN = 10.0  # seconds in which a place is not reported again
_PLACES = 1000
_LONG = 0.001  # seconds of a collection that is remembered
_COLLECTIONS = 1000
_log = logging.getLogger("pantheon_obs.loop")

_reported: dict[str, tuple[float, int]] = {}  # by place: when last, and how often not since then
_of_traces: WeakKeyDictionary[Trace, list[Block]] = WeakKeyDictionary()


class Block:
    """One time for which the same callback has run.

    Attributes:
        began: Its beginning, as clock time.
        seen: When the callback was seen last.
        is_reported: Whether it was logged or suppressed.
    """

    def __init__(self, first: float, began: float, slow: float, trace: Trace | None) -> None:
        """Begin a block.

        Args:
            first: When the callback has begun at the earliest.
            began: When it has begun if it has lasted only while its thread had the processor.
            slow: The seconds from which a block counts.
            trace: The trace of the callback's task.
        """
        self.began = began
        self._first = first
        self._left_out = 0.0
        self.seen = began
        self.is_reported = False
        self.ended = inf
        self._slow = slow
        self._trace = trace

    def leave_out(self, seconds: float) -> None:
        """Leave out a time in which the callback could not run."""
        self.began += seconds
        self._left_out += seconds

    def mark(self) -> None:
        """Add this block to the request whose code it is."""
        trace = self._trace
        if trace is not None and not self._is_collection(perf_counter()):
            known = _of_traces.setdefault(trace, [])
            if self not in known:
                known.append(self)
                pipeline.before_end(_add_to)

    def end(self, moment: float) -> None:
        """Note when the callback has returned."""
        self.mark()
        self.ended = moment

    def seconds(self, now: float) -> float:
        """Return for how long it has lasted, or lasted before it ended."""
        return min(self.ended, now) - self.began

    def report(self, moment: float, where: str, stack: tuple[Place, ...]) -> None:
        """Log the block, once, unless another one at this place was logged lately."""
        if self.is_reported:
            return
        self.is_reported = True
        is_collection = self._is_collection(moment)
        if is_collection:
            where = "gc"
        if len(_reported) > _PLACES:
            _reported.clear()
        last, suppressed = _reported.get(where, (-inf, 0))
        if moment - last < _AGAIN:
            _reported[where] = last, suppressed + 1
            return
        _reported[where] = moment, 0
        fields: dict[str, Any] = {"blocked_ms": _ms(moment - self.began), "where": where}
        if not is_collection:
            fields["stack"] = [named(place) for place in reversed(stack[:LONGEST])]
        if suppressed:
            fields["suppressed"] = suppressed
        with own_lines:
            Context().run(_write, None if is_collection else self._trace, fields)

    def _is_collection(self, moment: float) -> bool:
        """Whether it is mostly long garbage collections, and would be no block without them.

        Python 3.12 and later collect once a call like `json.loads` has returned, for part of its
        time: together the two may be a block that neither is alone.
        """
        whole = moment - self._first
        run = whole - self._left_out  # collections may be left out for the same share
        found = collecting.within(self._first, moment)
        parts = [max(part * run / whole, used) for part, used in found]
        long = sum(part for part in parts if part >= self._slow / 2)
        return run - long < min(long, self._slow)


def trace_of_task(task: object) -> Trace | None:
    """Return the trace of a task's context, unless it is over."""
    context = None if task is None else context_of(task)
    trace = None if context is None else context.get(current_trace)
    if trace is None or (trace.ended and perf_counter() - trace.ended > in_force("trace_linger_s")):
        return None
    return trace if trace.trace_id else None


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _write(trace: Trace | None, fields: dict[str, Any]) -> None:
    if trace is not None:
        current_trace.set(trace)
        current_trace_id.set(trace.trace_id)
    _log.warning("event_loop_blocked", extra=fields)


def _add_to(trace: Trace, event: Ended) -> None:
    """Put `loop_blocked_ms` on the line of a request that has blocked the loop, or does now."""
    found = _of_traces.pop(trace, None)
    if found and not isinstance(event, TaskFinished):
        now = perf_counter()
        seconds = sum(block.seconds(now) for block in found)
        event.extra = {**(event.extra or {}), "loop_blocked_ms": _ms(seconds)}
    if not _of_traces:
        pipeline.no_more_before_end(_add_to)


class _Collecting:
    """Knows when the garbage collector has run lately."""

    def __init__(self) -> None:
        self._spans: deque[tuple[float, float, float]] = deque(maxlen=_COLLECTIONS)
        self.forget()

    def forget(self) -> None:
        """Begin afresh."""
        self._since, self._used = inf, 0.0
        self._spans.clear()

    def __call__(self, phase: str, _: Mapping[str, int]) -> None:
        """Note a phase of a collection; the collector calls this, in whichever thread it runs."""
        now = perf_counter()
        if phase == "start":
            self._since, self._used = now, thread_time()
            return
        if now - self._since > _LONG:
            self._spans.append((self._since, now, thread_time() - self._used))
        self._since = inf

    def within(self, began: float, ended: float) -> list[tuple[float, float]]:
        """List the seconds and processor time of each collection within a time.

        The processor time of a collection that still runs is not known.
        """
        spans = [*self._spans, (self._since, ended, 0.0)]
        parts = [(min(ended, end) - max(began, start), used) for start, end, used in spans]
        return [(part, min(part, used)) for part, used in parts if part > 0]


collecting = _Collecting()


def measure_collections() -> None:
    """Measure the garbage collector from now on."""
    if collecting not in gc.callbacks:
        gc.callbacks.append(collecting)


def reset() -> None:
    """Forget all places (used by `pantheon_obs.testing.reset`)."""
    _reported.clear()
    _of_traces.clear()
    collecting.forget()
    if collecting in gc.callbacks:
        gc.callbacks.remove(collecting)
