"""What a fact says of itself: its level, and its fields in the order of the schema."""

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
    """Two calls, one of them of known cost."""
    found = LlmTotals()
    found.add(LlmCallFinished(**CALL | {"input_tokens": 3, "cost_usd": 0.1}))
    found.add(LlmCallFinished(**CALL | {"outcome": "error"}))
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
        ({"outcome": "no_response"}, ERROR),
        ({"outcome": "cancelled", "status_code": None}, INFO),
        ({"outcome": "client_disconnected", "status_code": None}, INFO),
        ({"status_code": 500, "quiet": True}, DEBUG),
    ],
)
def test_a_requests_level(known: dict[str, Any], level: int) -> None:
    """5xx and exceptions are errors, 4xx warnings; a quiet path is at DEBUG."""
    assert level == RequestFinished(**REQUEST | known).level


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
    """As a request's, without a status."""
    assert level == WebsocketFinished(**WEBSOCKET | known).level


def test_a_requests_fields_come_in_the_order_of_the_schema() -> None:
    """What is not known is left out, the rest stands in its place."""
    whole = RequestFinished(
        **REQUEST, route="/items/{id}", ttfb_ms=0.5, error=KeyError(), llm=totals()
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
        ("outcome", "ok"),
        ("error_type", "KeyError"),
        ("llm_calls", 2),
        ("llm_errors", 1),
        ("llm_latency_ms", 3.0),
        ("llm_input_tokens", 3),
        ("llm_output_tokens", 0),
        ("llm_cost_usd", 0.1),
    ] == [*whole.fields().items()]


def test_a_websockets_fields_come_in_the_order_of_the_schema() -> None:
    """Likewise."""
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


def test_a_call_has_no_traceback_and_says_what_is_known() -> None:
    """The exception is the host's, and is logged once where it ends."""
    call = LlmCallFinished(**CALL, finish_reason="stop", stream=False)

    assert ("llm.generate", INFO, None) == (call.event, call.level, call.error)
    assert WARNING == LlmCallFinished(**CALL | {"outcome": "cancelled"}).level
    assert ERROR == LlmCallFinished(**CALL | {"outcome": "error"}).level
    assert [
        *("model_alias", "latency_ms", "input_tokens", "output_tokens", "usage_status", "outcome"),
        *("stream", "finish_reason"),
    ] == [*call.fields()]
