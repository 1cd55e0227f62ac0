"""One LLM call, from its start to its one event."""

from __future__ import annotations

from collections import deque
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING

from pantheon_obs.core import pipeline
from pantheon_obs.core.calls import frames
from pantheon_obs.core.context import current_call, current_trace, current_trace_id
from pantheon_obs.core.guard import Guard, report
from pantheon_obs.llm.facts import fact_of
from pantheon_obs.llm.holds import WaitingHold
from pantheon_obs.llm.nesting import Inner, outer_call
from pantheon_obs.llm.sources import Found, find, handed_over
from pantheon_obs.llm.usage import Seen, read

if TYPE_CHECKING:
    from weakref import ref

    from pantheon_obs.core.events import LlmOutcome
    from pantheon_obs.llm.call import CallOptions
    from pantheon_obs.llm.parts import HostValue

_guard = Guard("llm call")
_NOTHING = Found()
_LAST_CHUNKS = 8
_NO_CHUNKS: deque[HostValue] = deque(maxlen=0)
_TEXT = frozenset({str, bytes, bytearray})


class LlmCall:
    """One call: its clock, what was seen of its answer, and how it ended.

    It ends in two steps. The first end that is seen fixes outcome and time; `settle` then finds
    the usage, waiting for it if need be, and reports. It never refers to what the host got back,
    except weakly: the host's letting go is an end.

    Class attributes are the values of what most calls never set.
    """

    streamed = False
    chunks = 0
    producer = 0.0  # seconds inside the model's iterator
    first_chunk: float | None = None
    first_content: float | None = None
    recent = _NO_CHUNKS
    offered: HostValue = None  # what the result offers as its usage: a future, mostly
    source: ref[HostValue] | None = None  # the object that the host got back
    outcome: LlmOutcome | None = None
    error_type: str | None = None
    latency = 0.0
    complete = False  # whether the whole answer has come
    inner: Inner | None = None  # the calls that its own code has made
    outer: LlmCall | None = None  # the call whose own code has made it

    def __init__(self, options: CallOptions, model_alias: str | None) -> None:
        self.options = options
        self.read_usage = options.usage
        self.model_alias = model_alias
        self.record = record = current_trace.get()
        self.trace_id = current_trace_id.get()
        self.seen = Seen()
        self.unreported = Lock()  # taken by whoever reports
        if record is not None and not record.ended:
            record.open_calls.add(self)
        if frames or current_call.get() is not None:
            self.outer = outer_call(self.trace_id)
            if self.outer is not None:
                self.outer.inner_calls().open.add(self)
        self.started = perf_counter()

    # --- while it runs

    def begin_stream(self) -> None:
        """The answer comes in chunks.

        The beginning is read as it comes, up to the first content, and the end off the last
        chunks: all that shapes are known to say of usage and finish reason is said there.
        """
        if not self.streamed:
            self.streamed = True
            self.recent = deque(maxlen=_LAST_CHUNKS)

    def count(self, chunk: HostValue, now: float) -> None:
        """Count a chunk that has come just now (where time matters, this is done in place)."""
        self.chunks += 1
        self.recent.append(chunk)
        if self.first_content is None:
            self.look(chunk, now)

    def look(self, chunk: HostValue, now: float) -> bool:
        """Read a chunk; return whether the next one must be read, too: the first content is due."""
        if self.first_chunk is None:
            self.first_chunk = now
        content = True
        try:
            if type(chunk) in _TEXT:
                content = bool(chunk)
            elif read(chunk, self.seen):
                content = self.seen.content
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per chunk
            report("llm chunk", error)
        if content:
            self.first_content = now
        return not content

    # --- its end

    def end(self, outcome: LlmOutcome, error_type: str | None = None) -> None:
        """Fix how and when it ended; a second end is ignored."""
        if self._is_first_end():
            self.complete = outcome == "ok"
            self.outcome = outcome
            self.error_type = error_type

    def exhausted(self, began: float) -> None:
        """The stream, asked at `began` for more, has come to its end."""
        if self._is_first_end(began):
            self.complete = True
            if self.seen.finished is False:
                self.outcome = "error"
                self.error_type = "IncompleteStream"
            else:
                self.outcome = "ok"

    def failed(self, error: BaseException, began: float | None = None) -> None:
        """An exception came out; one that is not an `Exception` is somebody's wish to stop."""
        if isinstance(error, GeneratorExit):
            self.left(asked=began is not None)
        elif self._is_first_end(began):
            self.outcome = "error" if isinstance(error, Exception) else "cancelled"
            self.error_type = type(error).__name__

    def left(self, *, asked: bool = False) -> None:
        """The consumer wants no more; after the last word nothing was left to want.

        Args:
            asked: Whether it was waiting for a chunk, be it the first.
        """
        if self._is_first_end():
            if self.seen.finished:
                self.outcome = "ok"
            elif self.streamed and self.chunks == 0 and not asked:
                self.outcome = "not_consumed"
            else:
                self.outcome = "closed"

    def _is_first_end(self, began: float | None = None) -> bool:
        """Whether it has not ended before; take the time and read the last chunks, if so."""
        if self.outcome is not None:
            return False
        now = perf_counter()
        self.latency = now - self.started
        if began is not None:
            self.producer += now - began
        if self.recent:
            self._read_recent()
        return True

    def _read_recent(self) -> None:
        try:
            for chunk in tuple(self.recent):
                if type(chunk) not in _TEXT:
                    read(chunk, self.seen)
        except Exception as error:  # noqa: BLE001 - as above
            report("llm chunk", error)

    def force_finish(self) -> None:
        """End it because its record ends: report what is known now."""
        if self.inner is not None:
            for call in tuple(self.inner.open):
                call.force_finish()
        self.left()
        self.settle(wait=False)

    def settle(self, source: HostValue = None, *, wait: bool = True) -> None:
        """Report the end, as soon as the usage is known. Never raises an `Exception`.

        Args:
            source: What the host got back, if the caller has it at hand.
            wait: Whether to wait for a usage that is still to come; of a call that did not end
                well it may never come.
        """
        if self.unreported.locked():
            return
        found = _NOTHING
        try:
            found = self._find_usage(source)
            if found.pending is not None and wait and self.outcome == "ok":
                self.offered, self.read_usage = found.pending, found.read
                found.pending.add_done_callback(WaitingHold(self).resolved)
                if not found.pending.done():
                    return
                found = self._find_usage(source)
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per call
            report("llm usage", error)
        if wait and self.inner is not None and self._waits_for(self.inner, found):
            return
        try:
            self._report(found)
        except Exception as error:  # noqa: BLE001 - as above
            report("llm call", error)

    def _waits_for(self, inner: Inner, found: Found) -> bool:
        """Whether the usage is to come from calls that it has made and that are still open.

        The last of them to end settles it. After an error or a cancellation they may be anywhere.
        """
        if self.outcome in ("error", "cancelled"):
            return False
        if (found.tokens or self.seen).usage_status != "missing":
            return False
        inner.awaited = True  # before the look: the last one may end between the two
        return bool(inner.open)

    def _find_usage(self, source: HostValue) -> Found:
        kept = None if self.source is None else self.source()
        source = source if kept is None else kept
        if source is None and self.offered is None and self.read_usage is None:
            return _NOTHING
        offered = self.offered if self.offered is not None else handed_over(source)
        if source is None and self.recent:
            source = self.recent[-1]
        found = find(self.read_usage, source, offered, complete=self.complete)
        if found.error is not None:
            report(f"usage of llm.{self.options.operation}", found.error)
        return found

    def _report(self, found: Found) -> None:
        if not self.unreported.acquire(blocking=False):
            return
        outer = self.outer
        try:
            event = fact_of(self, found)
            if outer is not None and outer.inner_calls().add(event):
                event.nested = True
            if self.record is not None:
                self.record.open_calls.discard(self)
                if not event.nested:
                    self.record.count(event)
            pipeline.emit(event)
        finally:
            if outer is not None:
                outer.inner_ended(self)

    # --- the calls that its own code makes

    def inner_calls(self) -> Inner:
        """The calls that it makes; threads may ask at once: `setdefault` lets one of them in."""
        return self.inner or self.__dict__.setdefault("inner", Inner())

    def inner_ended(self, call: LlmCall) -> None:
        """A call that it has made has been reported."""
        inner = self.inner_calls()
        inner.open.discard(call)
        if inner.awaited and not inner.open:
            self.settle()
