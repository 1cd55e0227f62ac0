"""The report as a dict, as `report --json` prints it, from the answers of an engine."""

from __future__ import annotations

from math import fsum
from typing import TYPE_CHECKING, Any

import orjson

from pantheon_obs.cli.report import queries
from pantheon_obs.cli.report.failures import error_rows, identity, last_if_null
from pantheon_obs.cli.report.queries import NOTHING, Counter
from pantheon_obs.cli.report.series import series
from pantheon_obs.cli.report.windows import written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pantheon_obs.cli.report.queries import Engine
    from pantheon_obs.cli.report.windows import Window

Row = dict[str, Any]
SUMS = ("input_tokens", "output_tokens", "cached_input_tokens", "cost_in_failed_usd", "unpriced")
UNIT_KINDS = {"request": "requests", "websocket": "websockets", "task": "tasks"}


def report(
    engine: Engine, window: Window, read: Mapping[str, int], *, compare: bool = False
) -> Row:
    """Compute the whole report.

    Args:
        engine: Where the lines are.
        window: The lines that count.
        read: The counts of files and lines, as the JSON has them.
        compare: Whether the window before this one is reported as well.
    """
    counter = Counter(engine, window)
    now, ends = _part(counter, window)
    before = None
    if compare:
        before, _ = _part(Counter(engine, window.before()), window.before())
        known = {identity(row) for row in before["errors"]}
        for row in now["errors"]:
            row["new"] = identity(row) not in known
    return {
        "window": now["window"],
        "read": dict(read),
        **now,
        "series": series(counter, window, *ends, calls=now["totals"]["llm_calls"]),
        "before": before,
    }


def _part(counter: Counter, window: Window) -> tuple[Row, tuple[int, int] | tuple[None, None]]:
    """Report one window, and return the times of its first and last line as well."""
    ((lines, first, last, error_lines, llm_calls),) = counter.ask(queries.LINES)
    ends = (int(first), int(last)) if lines else (None, None)
    units = counter.ask(queries.REQUESTS)
    calls = _llm_rows(counter) if llm_calls else []
    costs = [row["cost_usd"] for row in calls if row["cost_usd"] is not None]
    part = {
        "window": {
            "since": written(window.since),
            "until": written(window.until),
            "first": written(ends[0]),
            "last": written(ends[1]),
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
        "requests": _request_rows(counter, units),
        "errors": error_rows(counter) if error_lines else [],
        "llm": calls,
    }
    return part, ends


def _request_rows(counter: Counter, units: list[tuple[Any, ...]]) -> list[Row]:
    kinds = queries.UNITS
    ranks = counter.percentiles(queries.ROUTE_KEYS, kinds, "latency")
    times: dict[tuple[Any, ...], list[Row]] = {}
    for row in counter.ask(queries.TIMES):
        name, calls, ms = row[4:]
        spent = {"name": name, "calls": None if calls is None else round(calls), "ms": ms}
        times.setdefault(row[:4], []).append(spent)
    rows = []
    longest = ", ".join(repr(row[7] or 0.0) for row in units) or "0.0"
    slowest = {
        row[:5]: {"trace_id": row[5], "latency_ms": row[4], "timestamp": written(int(row[6]))}
        for row in counter.ask(queries.SLOWEST, longest=longest)
    }
    for kind, service, method, route, *figures in units:
        key = (kind, service, method, route)
        count, failed, total_ms, latency = figures
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


def _llm_rows(counter: Counter) -> list[Row]:
    latencies = counter.percentiles(queries.MODEL_KEYS, "('call')", "latency")
    firsts = counter.percentiles(queries.MODEL_KEYS, "('call')", "ttft")
    rows = []
    for model, provider, grouped, *figures in counter.ask(queries.CALLS):
        key = (model, provider, grouped)
        calls, errors, tokens_in, tokens_out, cached, cost, unpriced, missing, cut, lost = figures
        p50, p95, _ = latencies.get(key, NOTHING)
        ttft_p50, ttft_p95, _ = firsts.get(key, NOTHING)
        rows.append(
            {
                "model": model,
                "provider": provider,
                "by": None if grouped is None else orjson.loads(grouped),
                "calls": int(calls),
                "errors": int(errors),
                "input_tokens": int(tokens_in or 0),
                "output_tokens": int(tokens_out or 0),
                "cached_input_tokens": int(cached or 0),
                "cost_usd": cost,
                "unpriced": int(unpriced),
                "usage_missing": int(missing),
                "p50_ms": p50,
                "p95_ms": p95,
                "ttft_p50_ms": ttft_p50,
                "ttft_p95_ms": ttft_p95,
                "cut": int(cut),
                "cost_in_failed_usd": lost or 0,
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
