"""Report one LLM call: find its usage, and emit its one event."""

from __future__ import annotations

from threading import Lock
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline
from pantheon_obs.core.calls import call_here
from pantheon_obs.core.finalizers import apart
from pantheon_obs.core.guard import report
from pantheon_obs.core.in_force import attributed
from pantheon_obs.core.llm_events import LlmCallFinished
from pantheon_obs.core.serving import active
from pantheon_obs.core.spans import span_of
from pantheon_obs.core.timing import add_llm_call
from pantheon_obs.llm.cancellations import watch
from pantheon_obs.llm.cost.budget_checks import budgets
from pantheon_obs.llm.cost.call_cost import set_cost
from pantheon_obs.llm.cost.price_list_loader import loader
from pantheon_obs.llm.nesting import InnerCalls, is_part, outer_call
from pantheon_obs.llm.progress import Progress
from pantheon_obs.llm.sdks import RETRIEVE
from pantheon_obs.llm.usage.answer import Reported, is_due
from pantheon_obs.llm.usage.sources import Found, attached_usage, find_usage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from weakref import ref

    from pantheon_obs.llm.options import CallOptions

_NOT_FOUND = Found()


class LlmCall(Progress):
    """One call, from its start to its event.

    It ends in two steps: the first end that is recorded fixes outcome and time; `settle` then finds
    the usage, waits for it if necessary, and emits the event. It refers to the returned object only
    weakly, because the garbage collection of that object is one of the ends.
    """

    attached: Any = None  # the usage future, callable or object that the result carries
    source: ref[Any] | None = None  # the returned object
    outer: LlmCall | None = None  # the call whose own code has made it
    attributed: Mapping[str, Any] = MappingProxyType({})  # the fields that its cost is booked under
    awaited: tuple[Any, ...] = ()  # the updates that an async caller waits for, because of a budget
    waited_in_vain = False  # for one of them, or of those that a caller in a thread waits for
    is_part = False  # of the outer call, which has the event for both

    def __init__(
        self, options: CallOptions, model_alias: str | None, provider: str | None = None
    ) -> None:
        self.options = options
        self.provider = provider
        self.read_usage = options.usage
        self.model_alias = model_alias
        self.trace_id, trace = active()
        self.trace = trace
        self.reported = Reported()
        self.emitting = Lock()  # taken once, by whoever emits the event
        if loader.waiting and not (options.pricing and options.pricing.final):
            loader.load()  # it may be there before the call ends
        if trace is not None and not trace.ended:
            trace.open_calls.add(self)
            if trace.bind_known is not None:
                trace.bind_known(trace)
            if trace.bound:
                self.attributed = attributed(trace.bound)
        if not watch.is_on:
            watch.begin()
        caller = call_here()
        if caller is not None and (outer := outer_call(caller)) is not None:
            self.outer = outer
            self.is_part = is_part(outer, options.sdk)
            outer.inner_calls().open.add(self)
        self.started = perf_counter()
        if budgets.refusing:
            budgets.check(self)

    def force_finish(self) -> None:
        """End it because its trace ends: report the facts that are known now."""
        if self.inner is not None:
            for call in tuple(self.inner.open):
                call.force_finish()
        self.abandoned()
        self.settle(wait=False)

    def settle(self, source: Any = None, *, wait: bool = True) -> None:
        """Emit the event as soon as the usage is known. Never raises an `Exception`.

        `source` is the returned object, if at hand; `wait` allows to wait for a pending usage.
        """
        if self.emitting.locked():
            return
        if self.dropped:
            apart(self._settle, source, wait)
        else:
            self._settle(source, wait)

    def _settle(self, source: Any, wait: bool) -> None:  # noqa: FBT001 - by position: `apart`
        found = _NOT_FOUND
        try:
            nothing = source is None and self.source is None and self.attached is None
            if not nothing or self.read_usage is not None:
                found = self._find_usage(source)
            if found.pending is not None and wait and self.outcome == "ok":
                self.attached, self.read_usage = found.pending, found.read
                found.pending.add_done_callback(UsageFinalizer(self))
                if not found.pending.done():
                    return
                found = self._find_usage(source)
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per call
            report("llm usage", error)
        if wait and self.inner is not None and self._waits_for(self.inner, found):
            return
        try:
            self._emit(found)
        except Exception as error:  # noqa: BLE001 - as above
            report("llm call", error)

    def _waits_for(self, inner: InnerCalls, found: Found) -> bool:
        """Whether the usage must come from inner calls: the last to end settles this one."""
        known = (found.tokens or self.reported).usage_status != "missing"
        if known or self.outcome in ("error", "cancelled"):  # else they may run for any time
            return False
        inner.keep_outer_waiting = True  # before the check: the last one may end between the two
        return bool(inner.open)

    def _find_usage(self, source: Any) -> Found:
        kept = None if self.source is None else self.source()
        source = source if kept is None else kept
        attached = self.attached if self.attached is not None else attached_usage(source)
        if source is None:
            source = self.recent[-1] if self.recent else self.last
        found = find_usage(self.read_usage, source, attached, complete=self.complete)
        if found.error is not None:
            report(f"usage of llm.{self.options.operation}", found.error)
        return found

    def _emit(self, found: Found) -> None:
        if not self.emitting.acquire(False):  # noqa: FBT003 - its only name is too slow
            return
        outer = self.outer
        retrieved = self.options.operation == RETRIEVE and self.options.sdk is not None
        try:
            if (retrieved or self.reported.job) and not is_due(self.reported, retrieved=retrieved):
                if self.trace is not None:
                    self.trace.open_calls.discard(self)
                return
            event = self._event(found)
            if outer is not None and outer.inner_calls().add(event):
                event.nested = True
            if self.trace is not None:
                self.trace.open_calls.discard(self)
                if not (event.nested or self.is_part):
                    self.trace.add_call(event)
                    add_llm_call(self.trace, self.started, self.latency)
            if not self.is_part:
                pipeline.emit(event)
            if budgets.tallies and (event.nested or not self.is_part):
                budgets.add(self, event)
        finally:
            if outer is not None:
                outer.inner_ended(self)

    def _event(self, found: Found) -> LlmCallFinished:
        """Make the event, complete except for whether it is nested."""
        reported, inner = self.reported, self.inner
        bound = {} if self.trace is None else self.trace.bound
        if self.attributed:
            bound = {**bound, **self.attributed}
        tokens = found.tokens or reported
        status = tokens.usage_status
        if status == "missing" and inner is not None:
            tokens, status = inner.take()
        # Its constructor would set all fields, which takes 60 byte codes more.
        event = LlmCallFinished.__new__(LlmCallFinished)
        event.trace_id, event.bound = self.trace_id, bound
        event.operation = self.options.operation
        event.model_alias = self.model_alias or reported.model
        event.latency_ms = _ms(self.latency)
        event.outcome = self.outcome or "closed"
        event.usage_status = "error" if found.failed and status == "missing" else status
        event.input_tokens = tokens.input_tokens
        event.output_tokens = tokens.output_tokens
        event.cached_input_tokens = tokens.cached_input_tokens
        event.cache_write_tokens = tokens.cache_write_tokens
        event.reasoning_tokens = tokens.reasoning_tokens
        event.model, event.finish_reason = reported.model, reported.finish_reason
        event.provider = self.provider
        event.error_type = self.error_type
        if self.trace is not None and self.trace_id:
            event.span_id = span_of(self.trace)
        if event.outcome == "error":
            event.error_status, event.error_code = reported.error_status, reported.error_code
            event.provider_request_id = reported.request_id
        if self.streamed:
            event.stream = True
            event.chunks = self.chunks
            event.producer_ms = _ms(self.producer) if self.producer else None
            event.ttfc_ms = self._since_start(self.first_chunk)
            event.ttft_ms = self._since_start(self.first_content)
        set_cost(event, reported, tokens, self.options, inner)
        return event

    def _since_start(self, moment: float | None) -> float | None:
        return None if moment is None else _ms(moment - self.started)

    @property
    def nested(self) -> bool:
        """Whether it counts for its outer call, if it ends now."""
        return self.outer is not None and not self.outer.inner_calls().taken

    def inner_calls(self) -> InnerCalls:
        """Return the calls that it makes; `setdefault`, because several threads may ask first."""
        return self.inner or self.__dict__.setdefault("inner", InnerCalls())

    def inner_ended(self, call: LlmCall) -> None:
        """Settle this call if it has waited for the inner call that was reported now."""
        inner = self.inner_calls()
        inner.open.discard(call)
        if inner.keep_outer_waiting and not inner.open:
            self.settle()


def _ms(seconds: float) -> float:
    """Return milliseconds with three decimals; `round` takes six times as long for these."""
    return round(seconds * 1_000_000) / 1000


class UsageFinalizer:
    """Settles a call when its usage future is done or garbage-collected: the future's callback."""

    __slots__ = ("call",)

    def __init__(self, call: LlmCall) -> None:
        self.call = call

    def __call__(self, _: object) -> None:
        """The future is done."""
        self.call.settle()

    def __del__(self) -> None:
        self.call.dropped = True
        self.call.settle(wait=False)
