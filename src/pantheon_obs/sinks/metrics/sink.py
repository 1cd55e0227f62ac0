"""Count and observe each fact in the metrics of one registry.

A finalizer may run in the middle of `prometheus_client`, while it holds a lock which cannot be
taken twice. So facts of finalizers wait for the next fact, or for the page.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from logging import INFO, getLogger
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.events import (
    LlmCallFinished,
    RequestFinished,
    TaskFinished,
    WebsocketFinished,
)
from pantheon_obs.core.finalizers import in_finalizer
from pantheon_obs.core.measurements import CheckEnded, LinesDropped, TelemetryFailed
from pantheon_obs.core.outcome import FAILED
from pantheon_obs.sinks.metrics import labels, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.context import Trace
    from pantheon_obs.core.events import Event
    from pantheon_obs.core.measurements import Measurement, Operation
    from pantheon_obs.sinks.metrics.table import Row

    Metric = Callable[..., Any]  # makes the child of some label values

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
        self._request_log = getLogger(RequestFinished.logger).isEnabledFor
        self._call_log = getLogger(LlmCallFinished.logger).isEnabledFor
        self._model = labels.Capped("gen_ai_request_model")
        self._database_seconds = make(table.DATABASE_DURATION)
        self._outgoing_seconds = make(table.OUTGOING_DURATION)
        self._address = labels.Capped("server_address")
        self._kinds: dict[type | str, Callable[[Any], None]] = {
            RequestFinished: self._request,
            WebsocketFinished: self._websocket,
            LlmCallFinished: self._call,
            TaskFinished: self._task,
            CheckEnded: self._check,
            LinesDropped: self._lines,
            TelemetryFailed: self._failure,
            "db": self._statement,
            "http": self._outgoing,
        }
        self._check_passes = make(table.CHECK_STATUS)
        self._check_seconds = make(table.CHECK_DURATION)
        self._dropped = make(table.LINES_DROPPED)
        self._failures = make(table.TELEMETRY_FAILURES)
        # By parts of requests, which clients choose: each of them has as much room as it needs.
        self._gauges: dict[str, Any] = {}
        self._answered: dict[tuple[str, str | None, int | None], Any] = {}
        self._waiting: deque[Callable[[], None]] = deque()

    def started(self, trace: Trace) -> None:
        """Count a request that is being served; websockets, tasks and quiet paths are none."""
        if not trace.is_request or trace.quiet:
            return
        gauge = self._gauges.get(trace.method)
        if gauge is None:
            gauge = self._active(labels.method(trace.method))
            self._gauges[trace.method] = gauge
            labels.keep_small(self._gauges)
        trace.active_in = gauge
        gauge.inc()

    def ended(self, trace: Trace) -> None:
        """Count a request no more, even if it has become a quiet one since it began."""
        gauge = trace.active_in
        if gauge is None:
            return
        if self._may_wait():
            gauge.dec()
        else:
            self._waiting.append(gauge.dec)

    def handle(self, event: Event) -> None:
        """Observe an event."""
        self._observe(type(event), event)

    def measure(self, fact: Measurement) -> None:
        """Observe a fact that makes no line."""
        self._observe(type(fact), fact)

    def timed(self, operation: Operation) -> None:
        """Observe a database statement or an outgoing request."""
        self._observe(operation.name, operation)

    def _observe(self, kind: type | str, fact: Event | Measurement | Operation) -> None:
        observe = self._kinds.get(kind)
        if observe is None:
            return
        if self._may_wait():
            observe(fact)
        else:
            self._waiting.append(partial(observe, fact))

    def catch_up(self) -> None:
        """Observe the facts that finalizers have left."""
        while self._waiting:
            try:
                work = self._waiting.popleft()
            except IndexError:  # another thread has taken it
                return
            work()

    def _may_wait(self) -> bool:
        """Whether this is no finalizer: only then a lock may be waited for."""
        if in_finalizer():
            return False
        if self._waiting:
            self.catch_up()
        return True

    def _request(self, event: RequestFinished) -> None:
        if event.quiet:
            return
        key = (event.method, event.route, event.status_code)
        child = self._answered.get(key) if event.error is None else None
        if child is None:
            child = self._duration_of(event)
            if event.error is None and event.status_code is not None:
                self._answered[key] = child
                labels.keep_small(self._answered)
        # An exemplar leads to a line: one at INFO, or at the level of this event, is written.
        is_written = self._request_log(INFO) or self._request_log(event.level)
        trace_id = event.trace_id if is_written and not event.unwritten else ""
        child.observe(event.latency_ms / 1000, trace_id)
        if event.ttfb_ms is not None:
            child = self._first_byte(labels.method(event.method), labels.bounded(event.route))
            child.observe(event.ttfb_ms / 1000, trace_id)

    def _duration_of(self, event: RequestFinished) -> Any:  # noqa: ANN401 - of prometheus_client
        error_type = "" if event.error is None else labels.bounded(type(event.error).__name__)
        code = "" if event.status_code is None else str(event.status_code)
        if not code and event.outcome in FAILED:
            code = _SERVER_ERROR
        route = labels.bounded(event.route)
        return self._request_seconds(labels.method(event.method), route, code, error_type)

    def _websocket(self, event: WebsocketFinished) -> None:
        if not event.quiet:
            code = labels.close_code(event.close_code if event.accepted else None)
            child = self._websocket_seconds(labels.bounded(event.route), code)
            child.observe(event.latency_ms / 1000)

    def _task(self, event: TaskFinished) -> None:
        if event.latency_ms is not None:
            child = self._task_seconds(labels.bounded(event.task), event.state)
            child.observe(event.latency_ms / 1000)

    def _call(self, event: LlmCallFinished) -> None:
        if event.nested:
            return
        call = (
            labels.bounded(event.operation),
            labels.bounded(event.provider),
            self._model(event.model_alias),
        )
        self._calls(*call, event.outcome).inc()
        child = self._call_seconds(*call, labels.bounded(event.error_type))
        is_written = self._call_log(INFO) or self._call_log(event.level)
        trace_id = event.trace_id if is_written else ""
        child.observe(event.latency_ms / 1000, trace_id)
        if event.ttfc_ms is not None:
            self._first_chunk(*call).observe(event.ttfc_ms / 1000, trace_id)
        for counter, field in self._amounts:
            amount = getattr(event, field)
            if amount:
                counter(*call).inc(amount)

    def _statement(self, operation: Operation) -> None:
        self._database_seconds(labels.bounded(operation.system)).observe(operation.seconds)

    def _outgoing(self, operation: Operation) -> None:
        status = operation.status_code
        child = self._outgoing_seconds(
            labels.method(operation.method),
            "" if status is None else str(status),
            self._address(operation.server_address),
        )
        child.observe(operation.seconds)

    def _check(self, run: CheckEnded) -> None:
        self._check_passes(labels.bounded(run.check)).set(run.passed)
        self._check_seconds(labels.bounded(run.check)).observe(run.seconds)

    def _lines(self, dropped: LinesDropped) -> None:
        for level, lines in dropped.levels.items():
            self._dropped(level).inc(lines)

    def _failure(self, failure: TelemetryFailed) -> None:
        self._failures(labels.bounded(failure.site)).inc()
