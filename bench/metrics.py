"""Measure the cost of a request in metrics, beside the calls of `prometheus_client` itself.

The multi-process mode is chosen when `prometheus_client` is imported: it is a family of its own.
"""

from __future__ import annotations

import logging
import os
from itertools import repeat
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bench.cases import Case, Contender, Target
from bench.harness import compare, own
from pantheon_obs import Settings
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import Trace
from pantheon_obs.core.events import RequestFinished

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

    from bench.cases import Effort, Row
    from pantheon_obs.sinks.metrics.sink import MetricsSink

TRACE_ID = "0af76519-16cd-43dd-8448-eb211c80319c"


def rows(effort: Effort) -> list[Row]:
    """Measure one process that keeps its metrics in memory."""
    return _rows("a request in metrics", effort, exemplar=0.5)


def mapped_rows(effort: Effort) -> list[Row]:
    """Measure one of several workers, which keep them in files."""
    with TemporaryDirectory() as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        return _rows("the same, several workers", effort, exemplar=1.5)


def _rows(work: str, effort: Effort, *, exemplar: float) -> list[Row]:
    import prometheus_client  # noqa: PLC0415 - after the folder

    from pantheon_obs.sinks.metrics import registry  # noqa: PLC0415 - as above

    ours, theirs = (prometheus_client.CollectorRegistry() for _ in range(2))
    logging.getLogger("pantheon_obs").setLevel(logging.INFO)  # requests have a line
    registry.start(Settings(metrics_path="/metrics", metrics_registry=ours))
    sink: Any = pipeline.sinks[0]
    plain, traced = _request(sink, ""), _request(sink, TRACE_ID)
    peer = _by_the_client(theirs)
    return [
        compare(Case(work=work, hand=peer, peer=peer, ours=plain, target=Target(peer=1.5)), effort),
        compare(
            Case(
                work="  its exemplar",
                hand=_observed_with_exemplar(theirs),
                bare=plain,
                ours=traced,
                target=Target(micros=exemplar),
            ),
            effort,
        ),
    ]


def _request(sink: MetricsSink, trace_id: str) -> Contender:
    trace = Trace(trace_id)
    trace.is_request, trace.method = True, "GET"
    event = RequestFinished(
        trace_id=trace_id,
        bound={},
        method="GET",
        path="/orders/7",
        status_code=200,
        latency_ms=21.5,
        outcome="ok",
        route="/orders/{id}",
    )

    def run(pieces: int) -> None:
        for _ in repeat(None, pieces):
            sink.started(trace)
            sink.ended(trace)
            sink.handle(event)

    return Contender(run=own(run))


def _by_the_client(registry: CollectorRegistry) -> Contender:
    """Call the children of `prometheus_client`, which the code has kept."""
    gauge, histogram = _children(registry, "bench")
    increase: Callable[[], None] = gauge.inc
    decrease: Callable[[], None] = gauge.dec

    def run(pieces: int) -> None:
        for _ in repeat(None, pieces):
            increase()
            decrease()
            histogram.observe(0.0215)

    return Contender(run=own(run))


def _observed_with_exemplar(registry: CollectorRegistry) -> Contender:
    gauge, histogram = _children(registry, "bench_exemplar")

    def run(pieces: int) -> None:
        for _ in repeat(None, pieces):
            gauge.inc()
            gauge.dec()
            histogram.observe(0.0215, {"trace_id": TRACE_ID})

    return Contender(run=own(run))


def _children(registry: CollectorRegistry, name: str) -> tuple[Any, Any]:
    from prometheus_client import Gauge, Histogram  # noqa: PLC0415 - after the folder

    from pantheon_obs.sinks.metrics import table  # noqa: PLC0415 - as above

    gauge = Gauge(
        f"{name}_active", "Active", ["method"], registry=registry, multiprocess_mode="livesum"
    )
    row = table.REQUEST_DURATION
    histogram = Histogram(
        f"{name}_seconds", "Seconds", row.labels, buckets=row.buckets, registry=registry
    )
    return gauge.labels("GET"), histogram.labels("GET", "/orders/{id}", "200", "")
