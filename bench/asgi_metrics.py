"""Measure the whole story with a Prometheus histogram of the requests, on all sides."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from asgi_correlation_id import CorrelationIdMiddleware
from prometheus_client import CollectorRegistry, Histogram

from bench.asgi import PEER_STORY, STORY, bare, compare_apps, started, without_sentry
from bench.asgi_middleware import access_log, story_by_hand, write_story
from bench.cases import Target
from bench.harness import own
from pantheon_obs import instrument

if TYPE_CHECKING:
    from bench.asgi_middleware import App, Message, Receive, Scope, Send, Trace
    from bench.cases import Effort, Row

LABELS = ("method", "status")


def rows(effort: Effort) -> list[Row]:
    """Measure id, validation, state object, one JSON line and one histogram."""
    without_sentry()
    ours = instrument(
        own(bare),
        log_format="json",
        metrics_path="/metrics",
        metrics_registry=CollectorRegistry(),
    )
    apps: dict[str, App] = {
        "bare": own(bare),
        "peer": CorrelationIdMiddleware(access_log(counted(own(bare))), header_name="X-Trace-ID"),
        "hand": story_by_hand(own(bare), finish_by_hand()),
        "ours": started(ours),
    }
    lines = {"hand": STORY, "peer": PEER_STORY, "ours": STORY}
    target = Target(hand=2.5, peer=0.25)
    return compare_apps("ASGI, story and histogram {}", apps, lines, target, effort)


def _histogram() -> Histogram:
    return Histogram("requests_seconds", "Seconds", LABELS, registry=CollectorRegistry())


def finish_by_hand() -> Any:  # noqa: ANN401 - a function
    """Write the line, and observe in a child of the histogram that was kept."""
    histogram = _histogram()
    children: dict[tuple[str, int], Any] = {}

    def finish(scope: Scope, record: Trace, outcome: str) -> None:
        key = scope["method"], record.status
        child = children.get(key)
        if child is None:
            child = children[key] = histogram.labels(*key)
        child.observe(perf_counter() - record.started)
        write_story(scope, record, outcome)

    return finish


def counted(app: App) -> App:
    """Observe each request, as the documentation of `prometheus_client` shows."""
    histogram = _histogram()

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        begun = perf_counter()
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, watch)
        finally:
            histogram.labels(scope["method"], status).observe(perf_counter() - begun)

    return middleware
