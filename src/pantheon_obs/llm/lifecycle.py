"""One LLM call, from its start to its one event."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline
from pantheon_obs.core.context import current_record, current_trace_id
from pantheon_obs.core.events import LlmCallFinished
from pantheon_obs.core.guard import Guard, report
from pantheon_obs.llm.sources import find
from pantheon_obs.llm.usage import Seen, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from weakref import ref

    from pantheon_obs.core.events import LlmOutcome, UsageStatus

_guard = Guard("llm call")
_TEXT = frozenset({str, bytes, bytearray})


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What is the same for all calls of one function.

    Attributes:
        operation: What the event is named after.
        provider: The vendor, if the host names it.
        usage: The `usage=` option.
    """

    operation: str
    provider: str | None = None
    usage: Callable[[Any], Any] | None = None


class LlmCall:
    """One call: its clock, what was seen of its answer, and how it ended.

    It ends in two steps. The first end that is seen fixes outcome and time; `settle` then finds
    the usage, waiting for it if need be, and reports. It never refers to what the host got back,
    except weakly: the host's letting go is an end.
    """

    __slots__ = (
        "bound",
        "chunks",
        "error_type",
        "first_chunk",
        "first_content",
        "last",
        "latency",
        "model_alias",
        "offered",
        "options",
        "outcome",
        "producer",
        "record",
        "seen",
        "settled",
        "source",
        "started",
        "streamed",
        "trace_id",
        "unreported",
    )

    def __init__(self, options: CallOptions, model_alias: str | None) -> None:
        self.options = options
        self.model_alias = model_alias
        self.record = record = current_record.get()
        self.trace_id = current_trace_id.get()
        self.streamed = False
        self.chunks = 0
        self.producer = 0.0  # seconds inside the model's iterator
        self.first_chunk: float | None = None
        self.first_content: float | None = None
        self.last: Any = None  # the last chunk, for `usage=`
        self.settled: set[type] = set()  # types of chunks that have no more to say
        self.seen = Seen()
        self.offered: Any = None  # what the result offers as its usage: a future, mostly
        self.source: ref[Any] | None = None  # the object that the host got back
        self.outcome: LlmOutcome | None = None
        self.error_type: str | None = None
        self.latency = 0.0
        self.unreported = Lock()  # taken by whoever reports
        if record is not None and not record.ended:
            record.open_calls.add(self)
        self.started = perf_counter()

    # --- while it runs

    def received(self, chunk: Any, began: float) -> None:
        """Count a chunk that was asked for at `began` (the generators' loops do it in place)."""
        now = perf_counter()
        self.producer += now - began
        self.chunks += 1
        self.last = chunk
        if type(chunk) not in self.settled:
            self.look(chunk, now)

    def look(self, chunk: Any, now: float) -> None:
        """Read a chunk of a type that may have something to say."""
        if self.first_chunk is None:
            self.first_chunk = now
        kind = type(chunk)
        content = settled = True
        with _guard:
            if kind in _TEXT:
                content = settled = bool(chunk)
            elif read(chunk, self.seen):
                content, settled = self.seen.content, False
            else:
                settled = kind is not dict
        if settled:
            self.settled.add(kind)
        if content and self.first_content is None:
            self.first_content = now

    # --- its end

    def end(self, outcome: LlmOutcome, error_type: str | None = None) -> None:
        """Fix how and when it ended; a second end is ignored."""
        if self.outcome is None:
            self.latency = perf_counter() - self.started
            self.outcome = outcome
            self.error_type = error_type

    def exhausted(self) -> None:
        """The stream has come to its end."""
        if self.seen.finished is False:
            self.end("error", "IncompleteStream")
        else:
            self.end("ok")

    def left(self) -> None:
        """The consumer wants no more; after the last word nothing was left to want."""
        if self.seen.finished:
            self.end("ok")
        elif self.streamed and self.chunks == 0:
            self.end("not_consumed")
        else:
            self.end("closed")

    def failed(self, error: BaseException) -> None:
        """An exception came out; one that is not an `Exception` is somebody's wish to stop."""
        if isinstance(error, GeneratorExit):
            self.left()
        elif isinstance(error, Exception):
            self.end("error", type(error).__name__)
        else:
            self.end("cancelled", type(error).__name__)

    def force_finish(self) -> None:
        """End it because its record ends: report what is known now."""
        self.left()
        self.settle(wait=False)

    def settle(self, source: Any = None, *, wait: bool = True) -> None:
        """Report the end, as soon as the usage is known. Never raises an `Exception`.

        Args:
            source: What the host got back, if the caller has it at hand.
            wait: Whether to wait for a usage that is still to come; of a call that did not end
                well it may never come.
        """
        if self.unreported.locked():
            return
        found = Found()
        with _guard:
            found = self._find_usage(source)
            if found.pending is not None and wait and self.outcome == "ok":
                self.waits = True
                found.pending.add_done_callback(WaitingHold(self).resolved)
                if not found.pending.done():
                    return
                found = self._find_usage(source)
        with _guard:
            self._report(found)

    def _find_usage(self, source: Any) -> Found:
        if source is None and self.source is not None:
            source = self.source()
        offered = self.offered if self.offered is not None else handed_over(source)
        found = find(self.options.usage, self.last if source is None else source, offered)
        if found.error is not None:
            report(f"usage of llm.{self.options.operation}", found.error)
        return found

    def _report(self, found: Found) -> None:
        if not self.unreported.acquire(blocking=False):
            return
        seen = self.seen
        tokens = found.tokens or seen
        status = tokens.usage_status
        if found.failed and status == "missing":
            status = "error"
        event = LlmCallFinished(
            trace_id=self.trace_id,
            bound=self.record.bound if self.record is not None else {},
            operation=self.options.operation,
            model_alias=self.model_alias or seen.model,
            latency_ms=_ms(self.latency),
            outcome=self.outcome or "closed",
            usage_status=status,
            input_tokens=tokens.input_tokens,
            output_tokens=tokens.output_tokens,
            model=seen.model,
            provider=self.options.provider,
            cached_input_tokens=tokens.cached_input_tokens,
            cache_write_tokens=tokens.cache_write_tokens,
            reasoning_tokens=tokens.reasoning_tokens,
            finish_reason=seen.finish_reason,
            error_type=self.error_type,
        )
        if self.streamed:
            event.stream = True
            event.chunks = self.chunks
            event.producer_ms = ...
        if self.record is not None:
            self.record.open_calls.discard(self)
            self.record.count(event)
        pipeline.emit(event)


class Hold:
    """Held by what the consumer holds: once nobody holds it any more, the call has ended.

    It is what the loop of a generator reports its end to, too.
    """

    __slots__ = ("call",)

    def __init__(self, call: LlmCall) -> None:
        self.call = call

