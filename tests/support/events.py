"""Events of the library, as an adapter makes them."""

from __future__ import annotations

from typing import Any

from pantheon_obs.core.events import RequestFinished


def request_finished(**fields: Any) -> RequestFinished:
    """Make the event of an answered request, with these fields changed."""
    facts: dict[str, Any] = {
        "trace_id": "t-1",
        "bound": {},
        "method": "GET",
        "path": "/",
        "status_code": 200,
        "latency_ms": 1.0,
        "outcome": "ok",
    }
    return RequestFinished(**facts | fields)
