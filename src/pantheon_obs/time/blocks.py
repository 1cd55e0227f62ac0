"""The times for which event loops were blocked: their log lines, and the requests that did it."""

from __future__ import annotations

import gc
import logging
from contextvars import Context
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from pantheon_obs.core import outlived, pipeline
from pantheon_obs.core.context import current_trace, current_trace_id
from pantheon_obs.core.events import TaskFinished
from pantheon_obs.core.guard import own_lines
from pantheon_obs.core.serving import context_of
from pantheon_obs.time.frames import LONGEST, named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pantheon_obs.core.context import Trace
    from pantheon_obs.core.events import Ended
    from pantheon_obs.time.frames import Place

_AGAIN = 10.0  # seconds in which a place is not reported again
_PLACES = 1000
_log = logging.getLogger("pantheon_obs.loop")

_told: dict[str, list[float]] = {}  # by place, when it was reported last, and how often not since
_of_traces: WeakKeyDictionary[Trace, list[Block]] = WeakKeyDictionary()


class Block:
    """One time for which the same callback has run.

    Attributes:
        began: Its beginning, as clock time.
        seen: When the callback was seen last.
        is_told: Whether it was reported.
    """

    def __init__(self, began: float, collected: float, trace: Trace | None) -> None:
        """Begin, with the seconds of garbage collection before it, and the trace of its task."""
        self.began = began
        self.seen = began
        self.is_told = False
        self.ended: float | None = None
        self._collected = collected
        self._trace = trace

    def mark(self) -> None:
        """Let the request whose code this is know."""
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

    def tell(self, moment: float, where: str, stack: tuple[Place, ...]) -> None:
        """Log the block, once, unless another one at this place was logged lately."""
        if self.is_told:
            return
        self.is_told = True
        fields: dict[str, Any] = {"blocked_ms": round((moment - self.began) * 1000, 3)}
        if self._is_collection(moment):
            where = "gc"
        fields["where"] = where
        if where != "gc":
            fields["stack"] = [named(place) for place in reversed(stack[:LONGEST])]
        if len(_told) > _PLACES:
            _told.clear()
        last = _told.get(where)
        if last is not None and moment - last[0] < _AGAIN:
            last[1] += 1
            return
        if last is not None and last[1]:
            fields["suppressed"] = int(last[1])
        _told[where] = [moment, 0]
        with own_lines:
            Context().run(_write, None if where == "gc" else self._trace, fields)

    def _is_collection(self, moment: float) -> bool:
        """Whether the garbage collector has run for most of the time."""
        return collecting.seconds() - self._collected >= (moment - self.began) / 2


def trace_of(task: object) -> Trace | None:
    """Return the trace of a task's context, unless it is over."""
    context = None if task is None else context_of(task)
    trace = None if context is None else context.get(current_trace)
    if trace is None or (trace.ended and perf_counter() - trace.ended > outlived.linger_s):
        return None
    return trace if trace.trace_id else None


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
        seconds = sum(
            (now if block.ended is None else block.ended) - block.began for block in found
        )
        event.extra = {**(event.extra or {}), "loop_blocked_ms": round(seconds * 1000, 3)}
    if not _of_traces:
        pipeline.no_more_before_end(_add_to)


class _Collecting:
    """Adds up the time that the garbage collector takes."""

    _total = 0.0
    _since: float | None = None

    def __call__(self, phase: str, _: Mapping[str, int]) -> None:
        """Be called by the collector, in whichever thread it runs."""
        if phase == "start":
            self._since = perf_counter()
        elif self._since is not None:
            self._total += perf_counter() - self._since
            self._since = None

    def seconds(self) -> float:
        """Return the seconds of all collections so far, one that runs included."""
        since = self._since
        return self._total + (0.0 if since is None else perf_counter() - since)


collecting = _Collecting()


def watch_collections() -> None:
    """Measure the garbage collector from now on."""
    if collecting not in gc.callbacks:
        gc.callbacks.append(collecting)


def reset() -> None:
    """Forget all places (used by `pantheon_obs.testing.reset`)."""
    _told.clear()
    _of_traces.clear()
    if collecting in gc.callbacks:
        gc.callbacks.remove(collecting)
