"""The report as a dict, as `report --json` prints it, from the answers of an engine."""

from __future__ import annotations

from math import fsum
from typing import TYPE_CHECKING, Any

import orjson

from pantheon_obs.cli.report import queries
from pantheon_obs.cli.report.failures import error_rows, identity, last_if_null
from pantheon_obs.cli.report.queries import NOTHING, Answers
from pantheon_obs.cli.report.series import series
from pantheon_obs.cli.report.windows import format_us

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pantheon_obs.cli.report.clickhouse import ClickHouse
    from pantheon_obs.cli.report.duck import Duck
    from pantheon_obs.cli.report.failures import ReportRow
    from pantheon_obs.cli.report.windows import Window

SUMS = ("input_tokens", "output_tokens", "cached_input_tokens", "cost_in_failed_usd", "unpriced")
UNIT_KINDS = {"request": "requests", "websocket": "websockets", "task": "tasks"}


def report(
    engine: Duck | ClickHouse,
    window: Window,
    read: Mapping[str, int],
    *,
    compare: bool = False,
) -> ReportRow:
    """Compute the whole report.

    Args:
        engine: Where the lines are.
        window: The lines that count.
        read: The counts of files and lines, as the JSON has them.
        compare: Whether the window before this one is reported as well.
    """
    answers = Answers(engine, window)
    now, ends = _part(answers, window)
    before = None
    if compare:
        before, _ = _part(Answers(engine, window.before()), window.before())
        known = {identity(row) for row in before["errors"]}
        for row in now["errors"]:
            row["new"] = identity(row) not in known
    return {
        "window": now["window"],
        "read": dict(read),
        **now,
        "series": series(answers, window, *ends, calls=now["totals"]["llm_calls"]),
        "before": before,
    }


def _part(
    answers: Answers, window: Window
) -> tuple[ReportRow, tuple[int, int] | tuple[None, None]]:
    """Report one window, and return the times of its first and last line as well."""
    ((lines, first, last, error_lines, llm_calls),) = answers.ask(queries.LINES)
    ends = (int(first), int(last)) if lines else (None, None)
    units = answers.ask(queries.REQUESTS)
    calls = _llm_rows(answers) if llm_calls else []
    costs = [row["cost_usd"] for row in calls if row["cost_usd"] is not None]
    part = {
        "window": {
            "since": format_us(window.since),
            "until": format_us(window.until),
            "first": format_us(ends[0]),
            "last": format_us(ends[1]),
        },
        "totals": {
            "lines": int(lines),
            "error_lines": int(error_lines or 0),
            **{
                key: round(fsum(row[4] for row in units if row[0] == kind))
                for kind, key in UNIT_KINDS.items()
            },
            "errors": round(fsum(row[5] for row in units)),
            "llm_calls": int(llm_calls or 0),
            "llm_errors": sum(row["errors"] for row in calls),
            "cost_usd": sum(costs) if costs else None,
            **{key: sum(row[key] for row in calls) for key in SUMS},
        },
        "requests": _request_rows(answers, units),
        "errors": error_rows(answers) if error_lines else [],
        "llm": calls,
    }
    return part, ends


def _request_rows(answers: Answers, units: list[tuple[Any, ...]]) -> list[ReportRow]:
    ranks = answers.percentiles(queries.ROUTE_KEYS, queries.UNITS, "latency")
    times: dict[tuple[Any, ...], list[ReportRow]] = {}
    for row in answers.ask(queries.TIMES):
        name, calls, ms = row[4:]
        spent = {"name": name, "calls": None if calls is None else round(calls), "ms": ms}
        times.setdefault(row[:4], []).append(spent)
    rows = []
    longest = ", ".join(repr(row[7] or 0.0) for row in units) or "0.0"
    slowest = {
        row[:5]: {"trace_id": row[5], "latency_ms": row[4], "timestamp": format_us(int(row[6]))}
        for row in answers.ask(queries.SLOWEST, longest=longest)
    }
    for kind, service, method, route, count, failed, total_ms, latency in units:
        key = (kind, service, method, route)
        p50, p95, p99 = ranks.get(key, NOTHING)
        rows.append(
            {
                "kind": kind,
                "service": service,
                "method": method,
                "route": route,
                "requests": round(count),
                "errors": round(failed),
                "error_share": failed / count,
                "p50_ms": p50,
                "p95_ms": p95,
                "p99_ms": p99,
                "total_ms": total_ms or 0,
                "times": sorted(
                    times.get(key, []), key=lambda spent: (-spent["ms"], spent["name"])
                ),
                "slowest": slowest.get((*key, latency)),
            }
        )
    return sorted(
        rows,
        key=lambda row: (
            -row["requests"],
            *(last_if_null(row[key]) for key in ("service", "method", "route", "kind")),
        ),
    )


def _llm_rows(answers: Answers) -> list[ReportRow]:
    latencies = answers.percentiles(queries.MODEL_KEYS, "('call')", "latency")
    firsts = answers.percentiles(queries.MODEL_KEYS, "('call')", "ttft")
    rows = []
    for model, provider, grouped, cost, cost_in_failed, *counts in answers.ask(queries.CALLS):
        key = (model, provider, grouped)
        p50, p95, _ = latencies.get(key, NOTHING)
        ttft_p50, ttft_p95, _ = firsts.get(key, NOTHING)
        rows.append(
            {
                "model": model,
                "provider": provider,
                "by": None if grouped is None else orjson.loads(grouped),
                **{
                    name: int(count or 0)
                    for name, count in zip(queries.CALL_COUNTS, counts, strict=True)
                },
                "cost_usd": cost,
                "cost_in_failed_usd": cost_in_failed or 0,
                "p50_ms": p50,
                "p95_ms": p95,
                "ttft_p50_ms": ttft_p50,
                "ttft_p95_ms": ttft_p95,
            }
        )
    return sorted(
        rows,
        key=lambda row: (
            row["cost_usd"] is None,
            -(row["cost_usd"] or 0),
            -row["calls"],
            *(last_if_null(row[key]) for key in ("model", "provider", "by")),
        ),
    )
