"""The figures of `report` equal those computed by hand, to the count and to the cent."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("duckdb")

from hypothesis import Phase, given, settings

from pantheon_obs.cli.reading.files import Source
from pantheon_obs.cli.report.document import report
from pantheon_obs.cli.report.duck import Duck
from pantheon_obs.cli.report.windows import Window, microseconds
from tests.cli import report_by_hand as by_hand
from tests.cli.report_logs import START, logs

MIDDLE = microseconds(START) + 2_000_000


def approximately(value: Any) -> Any:
    """Compare the floats in a value to a billionth."""
    if isinstance(value, float):
        return pytest.approx(value, rel=1e-9, abs=1e-9)
    if isinstance(value, dict):
        return {key: approximately(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(approximately(part) for part in value)
    return value


def in_window(lines: list[dict[str, Any]], window: Window) -> list[dict[str, Any]]:
    """Choose the lines that count."""
    return [
        line
        for line in lines
        if (window.since is None or window.since <= line["at"])
        and (window.until is None or line["at"] < window.until)
    ]


def check(counted: dict[str, Any], lines: list[dict[str, Any]], window: Window, by: str) -> None:
    """Compare a part of a report, or a whole one, with the lines in its window."""
    expected = in_window(lines, window)
    assert approximately(by_hand.totals(expected)) == counted["totals"]
    compare_requests(by_hand.request_rows(expected), counted["requests"])
    errors = {
        (row["service"], row["type"], row["route"], tuple((row["frame"] or {}).values())): {
            key: row[key] for key in ("count", "first", "last")
        }
        for row in counted["errors"]
    }
    assert by_hand.error_rows(expected, lines) == errors
    calls = {
        (row["model"], row["provider"], json.dumps(row["by"])): {
            key: value for key, value in row.items() if key not in {"model", "provider", "by"}
        }
        for row in counted["llm"]
    }
    assert approximately(by_hand.llm_rows(expected, by)) == calls


def compare_requests(expected: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    """Compare rows of requests, which `times` and `slowest` of rows with ties may differ in."""

    def key(row: dict[str, Any]) -> str:
        return repr([row[name] for name in ("kind", "service", "method", "route")])

    plain = [
        {
            **row,
            "times": {time["name"]: (time["calls"], time["ms"]) for time in row["times"]},
            "slowest": row["slowest"]
            and {name: row["slowest"][name] for name in ("latency_ms", "timestamp")},
        }
        for row in rows
    ]
    for row in expected:
        row["times"] = {
            name: (None if calls is None else round(calls), ms)
            for name, (calls, ms) in row["times"].items()
        }
    assert approximately(sorted(expected, key=key)) == sorted(plain, key=key)


@given(log=logs)
@settings(max_examples=25, deadline=None, phases=[Phase.generate])
def test_the_report_equals_the_one_by_hand(
    tmp_path_factory: pytest.TempPathFactory, log: list[bytes]
) -> None:
    """All tables, over everything and over each half of the time."""
    path = tmp_path_factory.mktemp("logs") / "api.log"
    path.write_bytes(b"\n".join(log) + b"\n" * bool(log))
    read = {"files": 1, "lines": 0, "foreign": 0, "torn": 0}
    lines = [line for raw in log if (line := by_hand.judge(raw, read))]
    for line in lines:
        service = line.get("service")
        line["service"] = service if isinstance(service, str) else "api"
    with Duck("tenant") as duck:
        assert read == duck.load([Source(str(path), str(path), "api", 0)])

        whole = report(duck, Window(), read)
        check(whole, lines, Window(), "tenant")
        filled = {point.pop("start"): point for point in whole["series"]["points"]}
        for start, point in by_hand.points(lines, whole["series"]["bucket_s"] or 1).items():
            assert approximately(point) == filled.pop(start)
        assert all(not point["requests"] and not point["cost_usd"] for point in filled.values())

        half = Window(MIDDLE, MIDDLE + 1_000_000)
        compared = report(duck, half, read, compare=True)
        check(compared, lines, half, "tenant")
        check(compared["before"], lines, half.before(), "tenant")
