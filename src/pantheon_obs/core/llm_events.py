"""The fact of one LLM call, and the totals of several on a request's or job's line."""

from __future__ import annotations

from copy import copy
from logging import ERROR, INFO, WARNING
from threading import RLock
from typing import Any, ClassVar, Literal

from pantheon_obs.core.measurements import Fact

LlmOutcome = Literal["ok", "error", "cancelled", "closed", "not_consumed"]
UsageStatus = Literal["reported", "partial", "missing", "error"]
CostSource = Literal["provider", "prices", "list"]

REFUSED = "BudgetExceeded"
"""The `error_type` of a call that was not made."""

_NO_USAGE = frozenset({"missing", "error"})


class LlmCallFinished(Fact):
    """One LLM call has ended, whichever way.

    Attributes:
        trace_id: The trace id of the request or job that made the call; empty outside of one.
        bound: The fields that `bind()` put on that request or job.
        operation: The name of the operation, `generate` or `stream` for example.
        model_alias: The application's name for the model.
        latency_ms: Wall time from the call to its end.
        outcome: How it ended.
        usage_status: Whether the token counts are the vendor's, in part, or absent.
        input_tokens: All of the prompt's tokens, cached ones included; None if not known.
        output_tokens: All generated tokens, reasoning included; None if not known.
        model: The model that answered, as the response names it.
        provider: The vendor, if known.
        stream: Whether the result came in chunks.
        ttfc_ms: To the first chunk of any kind.
        ttft_ms: To the first chunk with content.
        producer_ms: Time spent inside the model's iterator only, the consumer's left out.
        chunks: How many chunks came.
        cached_input_tokens: The part of `input_tokens` that was read from a cache.
        cache_write_tokens: The part of `input_tokens` that was written to a cache.
        reasoning_tokens: The part of `output_tokens` that was reasoning.
        cost_usd: The cost in US dollars.
        cost_source: Who says so: the provider, the application's `prices=`, or the price list.
        unpriced: How many calls of a model in it have tokens but no price; not on its line.
        finish_reason: Why the model stopped, in the vendor's word.
        error: None: the exception goes on to the application, and the request's event may have it.
        error_type: The bare class name of the error, `IncompleteStream`, or the provider's type of
            an error that came as an answer.
        error_status: The HTTP status of the error.
        error_code: The provider's code for the error.
        provider_request_id: The provider's id of the request that failed.
        span_id: The span of the request or job that made the call.
        nested: True for a call within another one, which a request's totals do not count.
    """

    logger: ClassVar[str] = "pantheon_obs.llm"
    outside: ClassVar[tuple[str, ...]] = ("model_alias", "model", "provider", "finish_reason")

    trace_id: str
    bound: dict[str, Any]
    operation: str
    model_alias: str | None
    latency_ms: float
    outcome: LlmOutcome
    usage_status: UsageStatus
    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str | None = None
    provider: str | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    finish_reason: str | None = None
    error_type: str | None = None
    span_id: str | None = None
    stream: bool | None = None
    ttfc_ms: float | None = None
    ttft_ms: float | None = None
    producer_ms: float | None = None
    chunks: int | None = None
    cost_usd: float | None = None
    cost_source: CostSource | None = None
    unpriced: int = 0
    error_status: int | None = None
    error_code: str | None = None
    provider_request_id: str | None = None
    nested: bool | None = None
    # The application's exception is logged once, where it ends: an LLM line has no traceback.
    error: ClassVar[None] = None

    @property
    def event(self) -> str:
        """The name of the line: `llm.` and the operation."""
        return f"llm.{self.operation}"

    @property
    def level(self) -> int:
        """ERROR for an error, WARNING for a cancellation, else INFO."""
        if self.outcome == "error":
            return ERROR
        return WARNING if self.outcome == "cancelled" else INFO

    def fields(  # noqa: C901, PLR0912 - a loop takes four times as long
        self, line: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The event's own fields, in the order of the schema, added to the fields of a line."""
        fields: dict[str, Any] = {} if line is None else line
        fields["model_alias"] = self.model_alias
        fields["latency_ms"] = self.latency_ms
        fields["input_tokens"] = self.input_tokens
        fields["output_tokens"] = self.output_tokens
        fields["usage_status"] = self.usage_status
        fields["outcome"] = self.outcome
        if self.model is not None:
            fields["model"] = self.model
        if self.provider is not None:
            fields["provider"] = self.provider
        if self.stream is not None:
            fields["stream"] = self.stream
            if self.ttfc_ms is not None:
                fields["ttfc_ms"] = self.ttfc_ms
            if self.ttft_ms is not None:
                fields["ttft_ms"] = self.ttft_ms
            if self.producer_ms is not None:
                fields["producer_ms"] = self.producer_ms
            if self.chunks is not None:
                fields["chunks"] = self.chunks
        if self.cached_input_tokens is not None:
            fields["cached_input_tokens"] = self.cached_input_tokens
        if self.cache_write_tokens is not None:
            fields["cache_write_tokens"] = self.cache_write_tokens
        if self.reasoning_tokens is not None:
            fields["reasoning_tokens"] = self.reasoning_tokens
        if self.cost_usd is not None:
            fields["cost_usd"] = self.cost_usd
            fields["cost_source"] = self.cost_source
        if self.finish_reason is not None:
            fields["finish_reason"] = self.finish_reason
        if self.error_type is not None:
            fields["error_type"] = self.error_type
            if self.error_status is not None:
                fields["error_status"] = self.error_status
            if self.error_code is not None:
                fields["error_code"] = self.error_code
            if self.provider_request_id is not None:
                fields["provider_request_id"] = self.provider_request_id
        if self.span_id is not None:
            fields["span_id"] = self.span_id
        if self.nested is not None:
            fields["nested"] = self.nested
        return fields


class LlmTotals:
    """Running totals of the LLM calls of one trace that have finished.

    Attributes:
        calls: How many have finished.
        errors: How many of them have failed.
        latency_ms: Sum of their wall times.
        input_tokens: Sum of the known input tokens; None while no call has reported any.
        output_tokens: Sum of the known output tokens; None while no call has reported any.
        cost_usd: Sum of the known costs; None while none is known.
        usage_missing: How many have reported no usage.
        unpriced: How many have tokens but no price.
        open: How many more are open at the time of the snapshot.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None

    def __init__(self) -> None:
        self.calls = self.errors = self.usage_missing = self.unpriced = self.open = 0
        self.latency_ms = 0.0
        # Re-entrant: a garbage collection may finish another call in the middle of this one's.
        self._lock = RLock()

    def add(self, call: LlmCallFinished) -> None:
        """Count one finished call; safe from several threads at once."""
        with self._lock:
            self.calls += 1
            self.errors += call.outcome == "error"
            self.latency_ms += call.latency_ms
            if call.input_tokens is not None:
                self.input_tokens = (self.input_tokens or 0) + call.input_tokens
            if call.output_tokens is not None:
                self.output_tokens = (self.output_tokens or 0) + call.output_tokens
            if call.cost_usd is not None:
                self.cost_usd = (self.cost_usd or 0.0) + call.cost_usd
            if call.usage_status in _NO_USAGE and call.error_type != REFUSED:
                self.usage_missing += 1
            self.unpriced += call.unpriced

    def snapshot(self, open_calls: int) -> LlmTotals:
        """Copy the totals, with a number of calls that are still open."""
        with self._lock:
            copied = copy(self)
        copied.open = open_calls
        return copied


def llm_fields(totals: LlmTotals) -> dict[str, Any]:
    """A request's or job's LLM totals, as its line carries them."""
    fields: dict[str, Any] = {
        "llm_calls": totals.calls + totals.open,
        "llm_errors": totals.errors,
        "llm_latency_ms": round(totals.latency_ms, 3),
    }
    if totals.input_tokens is not None:
        fields["llm_input_tokens"] = totals.input_tokens
    if totals.output_tokens is not None:
        fields["llm_output_tokens"] = totals.output_tokens
    if totals.cost_usd is not None:
        fields["llm_cost_usd"] = round(totals.cost_usd, 9)
    if totals.usage_missing:
        fields["llm_usage_missing"] = totals.usage_missing
    if totals.unpriced:
        fields["llm_unpriced"] = totals.unpriced
    if totals.open:
        fields["llm_open"] = totals.open
    return fields
