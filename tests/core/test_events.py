"""The level of an event, and its fields in the order of the schema."""

from __future__ import annotations

from logging import DEBUG, ERROR, INFO, WARNING
from typing import Any

import pytest

from pantheon_obs.core.events import LlmCallFinished, RequestFinished, WebsocketFinished
from pantheon_obs.core.llm_events import LlmTotals

REQUEST: dict[str, Any] = {
    "trace_id": "t",
    "bound": {},
    "method": "GET",
    "path": "/items/1",
    "status_code": 200,
    "latency_ms": 1.5,
    "outcome": "ok",
}
WEBSOCKET: dict[str, Any] = {
    "trace_id": "t",
    "bound": {},
    "path": "/ws",
    "latency_ms": 1.5,
    "messages_in": 1,
    "messages_out": 2,
    "outcome": "ok",
}
CALL: dict[str, Any] = {
    "trace_id": "t",
    "bound": {},
    "operation": "generate",
    "model_alias": None,
    "latency_ms": 1.5,
    "outcome": "ok",
    "usage_status": "missing",
}


def totals() -> LlmTotals:
    """Add up two calls, of which one has known tokens and a known cost."""
    found = LlmTotals()
    known = {"usage_status": "partial", "input_tokens": 3, "cost_usd": 0.1}
    found.add(LlmCallFinished(**CALL | known))
    found.add(LlmCallFinished(**CALL | {"outcome": "error", "unpriced": 2}))
    return found


@pytest.mark.parametrize(
    ("known", "level"),
    [
        ({}, INFO),
        ({"status_code": 399}, INFO),
        ({"status_code": 400}, WARNING),
        ({"status_code": 499}, WARNING),
        ({"status_code": 500}, ERROR),
        ({"outcome": "error"}, ERROR),
        ({"outcome": "error", "quiet": True}, DEBUG),
        ({"outcome": "no_response"}, ERROR),
        ({"outcome": "cancelled", "status_code": None}, INFO),
        ({"outcome": "client_disconnected", "status_code": None}, INFO),
        ({"status_code": 500, "quiet": True}, DEBUG),
    ],
)
def test_a_requests_level(known: dict[str, Any], level: int) -> None:
    """5xx and exceptions have ERROR and `failed`, 4xx have WARNING, and quiet paths DEBUG."""
    event = RequestFinished(**REQUEST | known)

    assert (level, True if level == ERROR else None) == (event.level, event.fields().get("failed"))


@pytest.mark.parametrize(
    ("known", "level"),
    [
        ({}, INFO),
        ({"outcome": "client_disconnected"}, INFO),
        ({"outcome": "error"}, ERROR),
        ({"outcome": "no_response"}, ERROR),
        ({"quiet": True}, DEBUG),
    ],
)
def test_a_websockets_level(known: dict[str, Any], level: int) -> None:
    """A websocket has the levels of a request, except those that follow from a status."""
    event = WebsocketFinished(**WEBSOCKET | known)

    assert (level, True if level == ERROR else None) == (event.level, event.fields().get("failed"))


def test_a_requests_fields_come_in_the_order_of_the_schema() -> None:
    """Unknown fields are left out, and the others keep their order."""
    whole = RequestFinished(
        **REQUEST | {"outcome": "error"},
        route="/items/{id}",
        ttfb_ms=0.5,
        error=KeyError(),
        llm=totals().snapshot(2),
    )

    assert {"method": "GET", "path": "/items/1", "latency_ms": 1.5, "outcome": "ok"} == (
        RequestFinished(**REQUEST | {"status_code": None}).fields()
    )
    assert [
        ("method", "GET"),
        ("path", "/items/1"),
        ("route", "/items/{id}"),
        ("status_code", 200),
        ("latency_ms", 1.5),
        ("ttfb_ms", 0.5),
        ("outcome", "error"),
        ("failed", True),
        ("error_type", "KeyError"),
        ("llm_calls", 4),
        ("llm_errors", 1),
        ("llm_latency_ms", 3.0),
        ("llm_input_tokens", 3),
        ("llm_cost_usd", 0.1),
        ("llm_usage_missing", 1),
        ("llm_unpriced", 2),
        ("llm_open", 2),
    ] == [*whole.fields().items()]


def test_a_websockets_fields_come_in_the_order_of_the_schema() -> None:
    """Unknown fields are left out here too."""
    whole = WebsocketFinished(**WEBSOCKET, route="/ws", close_code=1000)

    assert ["path", "latency_ms", "messages_in", "messages_out", "outcome"] == [
        *WebsocketFinished(**WEBSOCKET).fields()
    ]
    assert [
        "path",
        "route",
        "close_code",
        "latency_ms",
        "messages_in",
        "messages_out",
        "outcome",
    ] == [*whole.fields()]


def test_a_call_has_no_traceback_and_has_all_known_fields() -> None:
    """The exception passes on, and is logged with its traceback where it ends."""
    call = LlmCallFinished(**CALL, finish_reason="stop", stream=False)

    assert ("llm.generate", INFO, None) == (call.event, call.level, call.error)
    assert WARNING == LlmCallFinished(**CALL | {"outcome": "cancelled"}).level
    assert ERROR == LlmCallFinished(**CALL | {"outcome": "error"}).level
    assert [
        *("model_alias", "latency_ms", "input_tokens", "output_tokens", "usage_status", "outcome"),
        *("stream", "finish_reason"),
    ] == [*call.fields()]
