"""Each item of a story has its parent, and its errors have an order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.incidents import TRACE
from tests.cli.written import call, line, request, save, task, websocket

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

A, B = {"service": "a"}, {"service": "b"}
FOREVER = line(0, level="error", timestamp="9999-12-31T23:59:59.999999Z")
FAILED = {"level": "error"}


@pytest.mark.parametrize(
    ("lines", "parents"),
    [
        pytest.param(
            [request(0, 100), call(10, 104), call(20, 106)],
            {"0-100": None, "10-104": "0-100", "20-106": "0-100"},
            id="a call belongs to the request that contains it, or that began before it",
        ),
        pytest.param(
            [request(0, 100), request(10, 90), call(20, 50), call(95, 98)],
            {"0-100": None, "10-90": None, "20-50": "10-90", "95-98": "0-100"},
            id="of several requests the one that started last",
        ),
        pytest.param(
            [request(0, 100, **A), call(10, 20, **B)],
            {"0-100": None, "10-20": None},
            id="not to a request of another service",
        ),
        pytest.param(
            [request(0, 100), call(0, 100, nested=True), FOREVER],
            {"0-100": None, "0-100 nested": "0-100"},
            id="or that is not longer",
        ),
        pytest.param(
            [call(10, 20), request(50, 100)],
            {"10-20": None, "50-100": None},
            id="not to a request that began later",
        ),
        pytest.param(
            [request(0, 100), call(10, 90), call(20, 80), call(30, 70, nested=True)],
            {"0-100": None, "10-90": "0-100", "20-80": "0-100", "30-70 nested": "20-80"},
            id="a nested call belongs to the shortest call around it",
        ),
        pytest.param(
            [request(0, 100), call(30, 70, nested=True), call(30, 70)],
            {"0-100": None, "30-70": "0-100", "30-70 nested": "30-70"},
            id="of two equal calls the one written later is the outer one",
        ),
        pytest.param(
            [request(0, 100), call(30, 70, nested=True)],
            {"0-100": None, "30-70 nested": "0-100"},
            id="a nested call without an outer one is as any call",
        ),
        pytest.param(
            [
                request(0, 10, **A),
                request(20, 30, **B),
                task(40, 50, **B),
                task(60, 70, service="c"),
            ],
            {"0-10": None, "20-30": None, "40-50": "20-30", "60-70": "0-10"},
            id="a task belongs to its service's request before it, else to the first",
        ),
        pytest.param([task(0, 10)], {"0-10": None}, id="a task alone"),
        pytest.param(
            [request(0, 100, **A), task(5, 95, service="c"), websocket(10, 90, **B)],
            {"0-100": None, "5-95": "0-100", "10-90": "5-95"},
            id="a websocket belongs to the shortest unit of another service around it",
        ),
        pytest.param(
            [request(10, 20, **A), task(0, 100, **B)],
            {"0-100": "10-20", "10-20": None},
            id="a guess gives way to the task's request",
        ),
        pytest.param(
            [
                request(0, 100, span_id="a" * 16),
                request(200, 210, span_id="b" * 16, parent_span_id="A" * 16),
                call(300, 310, span_id="B" * 16, nested=True),
                call(5, 10, span_id="c" * 16),
            ],
            {"0-100": None, "200-210": "0-100", "300-310 nested": "200-210", "5-10": "0-100"},
            id="span ids decide where there are some",
        ),
        pytest.param(
            [
                request(0, 100, span_id="a" * 16, parent_span_id="b" * 16),
                request(0, 50, span_id="b" * 16, parent_span_id="a" * 16),
                request(60, 70, span_id="c" * 16, parent_span_id="c" * 16),
            ],
            {"0-100": "0-50", "0-50": None, "60-70": None},
            id="a circle has an end",
        ),
        pytest.param(
            [
                request(0, 100, latency_ms="12"),
                request(50, 60, latency_ms=-1, service=7),
                call(0, 1),
            ],
            {"100-100": None, "60-60": None, "0-1": None},
            id="a duration of a wrong type or value is not known",
        ),
        pytest.param(
            [request(0, 100, latency_ms=1e300)], {"100-100": None}, id="nor one longer than time"
        ),
    ],
)
def test_parents(
    run: Run, tmp_path: Path, lines: list[dict[str, Any]], parents: dict[str, str | None]
) -> None:
    """Each item has the parent that the rules give it."""
    story = json.loads(run("story", TRACE, save(tmp_path / "x.log", *lines), "--json").out)

    def milliseconds(time: str) -> int:
        return (int(time[17:19]) - 7) * 1000 + int(time[20:23])

    names = {
        item["id"]: f"{milliseconds(item['start'])}-{milliseconds(item['end'])}"
        + (" nested" if "nested" in item["line"] else "")
        for item in story["items"]
    }
    found = {names[item["id"]]: names.get(item["parent"]) for item in story["items"]}
    assert parents == found


def test_only_a_parent_found_by_two_clocks_is_a_guess(run: Run, tmp_path: Path) -> None:
    """A page says so."""
    path = save(
        tmp_path / "x.log",
        request(0, 100, span_id="a" * 16, **A),
        request(10, 90, parent_span_id="a" * 16, **B),
        request(20, 80, service="c"),
        task(30, 40, **A),
    )

    story = json.loads(run("story", TRACE, path, "--json").out)

    assert [False, False, True, False] == [item["guessed"] for item in story["items"]]


def test_errors_of_the_shortest_failed_unit_come_first(run: Run, tmp_path: Path) -> None:
    """A callee never takes longer than its caller; within a unit a traceback comes first."""
    raised = {"exception": 'Traceback (most recent call last):\n  File "a.py", line 1, in f\nA: b'}
    path = save(
        tmp_path / "x.log",
        line(1, "recovered", **FAILED, **A),
        request(0, 50, latency_ms=None, **FAILED, service="c"),
        request(0, 100, **FAILED, **A),
        call(10, 20, **FAILED, outcome="error", error_type="x.RateLimit", **B),
        line(25, "no traceback", **FAILED, **B),
        request(5, 30, **FAILED, **B),
        line(28, "a traceback", **FAILED, **B, **raised),
        line(2000, "later", level="critical", service="d"),
    )

    story = json.loads(run("story", TRACE, path, "--json").out)

    expected = [
        ("a traceback", "A", "GET /x"),
        ("llm.generate", "RateLimit", "llm.generate"),
        ("no traceback", None, "GET /x"),
        ("request_finished", None, "GET /x"),
        ("recovered", None, "GET /x"),
        ("request_finished", None, "GET /x"),
        ("request_finished", None, "GET /x"),
        ("later", None, None),
    ]
    names = {item["id"]: item["name"] for item in story["items"]} | {None: None}
    assert expected == [
        (error["event"], error["type"], names[error["item"]]) for error in story["errors"]
    ]
    assert {"file": "a.py", "line": 1, "function": "f"} == story["errors"][0]["frame"]
    assert "b" == story["errors"][0]["message"]


def test_times_are_where_a_unit_spent_them(run: Run, tmp_path: Path) -> None:
    """The longest comes first; a pair with a missing member or a wrong type is left out."""
    times = {
        "db_calls": 3,
        "db_ms": 41.2,
        "llm_calls": 1,
        "llm_latency_ms": 50,
        "own_ms": 7,
        "http_calls": "2",
        "http_ms": 1,
        "cache_calls": 2,
        "cache_ms": None,
        "_calls": 1,
    }
    path = save(tmp_path / "x.log", request(0, 100, **times), call(0, 1, db_calls=1, db_ms=2))

    [unit, own] = json.loads(run("story", TRACE, path, "--json").out)["items"]

    assert [] == own["times"]
    assert [
        {"name": "llm", "calls": 1, "ms": 50},
        {"name": "db", "calls": 3, "ms": 41.2},
        {"name": "own", "calls": None, "ms": 7},
    ] == unit["times"]


@pytest.mark.parametrize(
    ("unit", "name"),
    [
        (request(0, 1, route="/{x}", method="POST"), "POST /{x}"),
        (request(0, 1, route=7), "GET /x"),
        (websocket(0, 1), "/ws"),
        (websocket(0, 1, route="/{ws}"), "/{ws}"),
        (task(0, 1), "shop.mail"),
        (call(0, 1), "llm.generate"),
    ],
)
def test_names(run: Run, tmp_path: Path, unit: dict[str, Any], name: str) -> None:
    """An item is named after its route, path, task or operation."""
    [item] = json.loads(run("story", TRACE, save(tmp_path / "x.log", unit), "--json").out)["items"]

    assert name == item["name"]
