"""Counts and observes each fact in the metrics of one registry.

A finalizer may run in the middle of `prometheus_client`, while that holds a lock which cannot be
taken twice. So facts of finalizers wait for the next fact, or for the page.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import is_apart
from pantheon_obs.core.events import (
    LlmCallFinished,
    RequestFinished,
    TaskFinished,
    WebsocketFinished,
)
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.core.measurements import CheckEnded, LinesDropped, TelemetryFailed
from pantheon_obs.core.websocket import WebsocketExchange
from pantheon_obs.sinks.metrics import labels, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.context import Trace
    from pantheon_obs.core.events import Event
    from pantheon_obs.core.measurements import Measurement
    from pantheon_obs.sinks.metrics.table import Row

    Metric = Callable[..., Any]  # makes the child of some label values

_LONGEST_EXEMPLAR = 128 - len("trace_id")  # characters, by OpenMetrics
_SERVER_ERROR = "500"


class MetricsSink:
    """Keeps the metrics of a process; a child is looked up once per combination of labels."""

    name = "metrics"

    def __init__(self, make: Callable[[Row], Metric]) -> None:
        self._request_seconds = make(table.REQUEST_DURATION)
        self._active = make(table.ACTIVE_REQUESTS)
        self._first_byte = make(table.FIRST_BYTE)
        self._websocket_seconds = make(table.WEBSOCKET_DURATION)
        self._task_seconds = make(table.TASK_DURATION)
        self._call_seconds = make(table.CALL_DURATION)
        self._first_chunk = make(table.FIRST_CHUNK)
        self._calls = make(table.CALLS)
        self._amounts = [
            (make(row), field)
            for row, field in (
                (table.INPUT_TOKENS, "input_tokens"),
                (table.OUTPUT_TOKENS, "output_tokens"),
                (table.CACHE_READ_TOKENS, "cached_input_tokens"),
                (table.CACHE_WRITE_TOKENS, "cache_write_tokens"),
                (table.REASONING_TOKENS, "reasoning_tokens"),
                (table.COST, "cost_usd"),
            )
        ]
        self._model = labels.Capped("gen_ai_request_model")
        self._kinds: dict[type, Callable[[Any], None]] = {
            RequestFinished: self._request,
            WebsocketFinished: self._websocket,
            LlmCallFinished: self._call,
            TaskFinished: self._task,
            CheckEnded: self._check,
            LinesDropped: self._lines,
            TelemetryFailed: self._failure,
        }
        self._check_passes = make(table.CHECK_STATUS)
        self._check_seconds = make(table.CHECK_DURATION)
        self._dropped = make(table.LINES_DROPPED)
        self._failures = make(table.TELEMETRY_FAILURES)
        self._waiting: deque[Callable[[], None]] = deque()

    def started(self, trace: Trace) -> None:
        """A request is being served; websockets, tasks and quiet paths are none."""
        if not isinstance(trace, Exchange) or isinstance(trace, WebsocketExchange) or trace.quiet:
            return
        trace.active_in = gauge = self._active(labels.method(trace.method))
        gauge.inc()

    def ended(self, trace: Trace) -> None:
        """A request has ended, whatever has become of it since it began."""
        gauge = getattr(trace, "active_in", None)
        if gauge is not None:
            self._soon(gauge.dec)

    def handle(self, event: Event | Measurement) -> None:
        """Observe a fact."""
        observe = self._kinds.get(type(event))
        if observe is not None:
            self._soon(lambda: observe(event))

    measure = handle

    def catch_up(self) -> None:
        """Observe what finalizers have left."""
        while self._waiting:
            try:
                work = self._waiting.popleft()
            except IndexError:  # another thread has taken it
                return
            work()

    def _soon(self, work: Callable[[], None]) -> None:
        if is_apart():
            self._waiting.append(work)
            return
        if self._waiting:
            self.catch_up()
        work()

    def _request(self, event: RequestFinished) -> None:
        if event.quiet:
            return
        method, route = labels.method(event.method), labels.text(event.route)
        error_type = "" if event.error is None else labels.text(type(event.error).__name__)
        status = event.status_code
        if status is None:
            code = _SERVER_ERROR if event.outcome in {"error", "no_response"} else ""
        else:
            code = str(status)
        child = self._request_seconds(method, route, code, error_type)
        child.observe(event.latency_ms / 1000, exemplar_of(event.trace_id))
        if event.ttfb_ms is not None:
            child = self._first_byte(method, route)
            child.observe(event.ttfb_ms / 1000, exemplar_of(event.trace_id))

    def _websocket(self, event: WebsocketFinished) -> None:
        if not event.quiet:
            code = labels.close_code(event.close_code)
            child = self._websocket_seconds(labels.text(event.route), code)
            child.observe(event.latency_ms / 1000)

    def _task(self, event: TaskFinished) -> None:
        if event.latency_ms is not None:
            child = self._task_seconds(labels.text(event.task), event.state)
            child.observe(event.latency_ms / 1000)

    def _call(self, event: LlmCallFinished) -> None:
        if event.nested:
            return
        call = (
            labels.text(event.operation),
            labels.text(event.provider),
            self._model(event.model_alias),
        )
        self._calls(*call, event.outcome).inc()
        child = self._call_seconds(*call, labels.text(event.error_type))
        child.observe(event.latency_ms / 1000, exemplar_of(event.trace_id))
        if event.ttfc_ms is not None:
            self._first_chunk(*call).observe(event.ttfc_ms / 1000, exemplar_of(event.trace_id))
        for counter, field in self._amounts:
            amount = getattr(event, field)
            if amount:
                counter(*call).inc(amount)

    def _check(self, run: CheckEnded) -> None:
        self._check_passes(labels.text(run.check)).set(run.passed)
        self._check_seconds(labels.text(run.check)).observe(run.seconds)

    def _lines(self, dropped: LinesDropped) -> None:
        for level, lines in dropped.levels.items():
            self._dropped(level).inc(lines)

    def _failure(self, failure: TelemetryFailed) -> None:
        self._failures(labels.text(failure.site)).inc()


def exemplar_of(trace_id: str) -> dict[str, str] | None:
    """The exemplar of an observation; None if OpenMetrics would refuse it."""
    if not trace_id or len(trace_id) > _LONGEST_EXEMPLAR:
        return None
    return {"trace_id": trace_id}
