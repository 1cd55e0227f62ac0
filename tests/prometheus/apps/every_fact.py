"""A service with facts of each kind: each request has some, and hands others to the sinks."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import sqlalchemy

from pantheon_obs import instrument
from pantheon_obs.core import pipeline
from pantheon_obs.core.events import RequestFinished, TaskFinished, WebsocketFinished
from pantheon_obs.core.guard import report
from pantheon_obs.core.llm_events import LlmCallFinished
from pantheon_obs.core.measurements import CheckEnded, LinesDropped
from pantheon_obs.propagation import propagate

if TYPE_CHECKING:
    from collections.abc import Iterable

_REQUEST: dict[str, Any] = {"bound": {}, "method": "GET", "path": "/"}
_SOCKET: dict[str, Any] = {"bound": {}, "path": "/", "messages_in": 0, "messages_out": 0}
_TASK: dict[str, Any] = {"bound": {}, "queue": "q", "retries": 0, "task_id": "1"}


def emit() -> None:
    """Report all of it."""
    error = OSError("cut")
    facts: dict[str, Any] = {"status_code": 200, "latency_ms": 9.0, "route": "/stream"}
    pipeline.emit(RequestFinished(trace_id="t1", **_REQUEST, **facts, outcome="ok", ttfb_ms=1.0))
    pipeline.emit(RequestFinished(trace_id="t2", **_REQUEST, **facts, outcome="error", error=error))
    pipeline.emit(
        WebsocketFinished(trace_id="t3", **_SOCKET, latency_ms=1.0, outcome="ok", close_code=1000)
    )
    pipeline.emit(
        TaskFinished(trace_id="t4", **_TASK, task="pay", state="SUCCESS", latency_ms=30.0)
    )
    pipeline.emit_measurement(CheckEnded(check="database", passed=True, seconds=0.01))
    pipeline.emit_measurement(LinesDropped(levels={"info": 1}))
    report("a site", error)
    call: dict[str, Any] = {
        "trace_id": "t5",
        "bound": {},
        "operation": "chat",
        "provider": "openai",
        "model_alias": "smart",
        "latency_ms": 900.0,
        "usage_status": "reported",
        "ttfc_ms": 90.0,
        "input_tokens": 10,
        "output_tokens": 20,
        "cached_input_tokens": 4,
        "cache_write_tokens": 2,
        "reasoning_tokens": 5,
        "cost_usd": 0.01,
    }
    pipeline.emit(LlmCallFinished(**call, outcome="ok"))
    pipeline.emit(LlmCallFinished(**call, outcome="error", error_type="RateLimitError"))


def _answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    emit()
    with _engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))
    with suppress(httpx.ConnectError):
        _client.get("http://127.0.0.1:9/")
    start_response("200 OK", [])
    return [b""]


_engine = sqlalchemy.create_engine("sqlite://")
_client = httpx.Client(trust_env=False)
propagate(_client)
app = instrument(_answer)
