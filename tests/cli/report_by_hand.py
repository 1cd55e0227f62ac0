"""The report computed in plain Python, from the rules of docs/report.md alone.

It shares no code with the library but the reading of tracebacks, which has tests of its own.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from pantheon_obs.cli.stories import tracebacks

Line = dict[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNIT_KINDS = ("request", "websocket", "task")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


def refuse(token: str) -> None:
    """NaN and Infinity are no JSON."""
    raise ValueError(token)


def judge(raw: bytes, read: dict[str, int]) -> Line | None:
    """Parse one line and count it."""
    read["lines"] += 1
    if not raw.strip():
        return None
    if not raw.strip().startswith(b"{"):
        read["foreign"] += 1
        return None
    try:
        line = json.loads(raw.decode(), parse_constant=refuse)
    except ValueError:
        read["torn"] += 1
        return None
    if not all(isinstance(line.get(key), str) for key in ("timestamp", "level", "event", "logger")):
        read["foreign"] += 1
        return None
    try:
        known = STAMP.fullmatch(line["timestamp"]) and datetime.fromisoformat(line["timestamp"])
    except ValueError:
        known = None
    if not known:
        read["foreign"] += 1
        return None
    return {**line, "at": (known - EPOCH) // timedelta(microseconds=1)}


def text(line: Line, key: str) -> str | None:
    """Read a string."""
    return line[key] if isinstance(line.get(key), str) else None


def number(line: Line, key: str) -> float | None:
    """Read a number."""
    value = line.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def kind(line: Line) -> str | None:
    """Name the kind of a line."""
    name = (line["logger"], line["event"])
    if name == ("pantheon_obs.request", "request_finished"):
        return "request"
    if name == ("pantheon_obs.request", "websocket_finished"):
        return "websocket"
    if name == ("pantheon_obs.task", "task_finished"):
        return "task"
    is_call = line["logger"] == "pantheon_obs.llm" and line["event"].startswith("llm.")
    return "call" if is_call else None


def trace(line: Line) -> str | None:
    """Write a trace id so that two of one trace are equal."""
    trace_id = text(line, "trace_id")
    if trace_id is None:
        return None
    digits = trace_id.lower()
    if re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", digits):
        return digits.replace("-", "")
    return digits if re.fullmatch("[0-9a-f-]+", digits) else trace_id


def weight(line: Line) -> float:
    """Return the number of units that one line stands for, by its `keep_rate`."""
    rate = number(line, "keep_rate")
    return 1 / rate if kind(line) in UNIT_KINDS and rate is not None and 0 < rate <= 1 else 1


def loud(line: Line) -> bool:
    """Whether a line is at error or critical."""
    return line["level"] in {"error", "critical"}


def quiet(line: Line) -> bool:
    """Whether a line is of a quiet path."""
    return kind(line) in {"request", "websocket"} and line["level"] == "debug"


def told(line: Line) -> bool:
    """Whether a line has a traceback."""
    return bool(text(line, "exception"))


def percentile(values: list[tuple[float, float]], share: float) -> float | None:
    """Return the nearest rank of weighted values."""
    whole = sum(Fraction(weight) for _, weight in values)
    reached = Fraction(0)
    for value, weighs in sorted(values):
        reached += Fraction(weighs)
        if reached >= (Fraction(share) - Fraction(1, 10**9)) * whole:
            return value
    return None


def place(line: Line, units: list[Line]) -> Line | None:
    """Find the unit around a line, else the one before it."""
    of_trace = [
        unit for unit in units if trace(unit) == trace(line) and unit["service"] == line["service"]
    ]
    if trace(line) is None:
        return None

    def start(unit: Line) -> float:
        return unit["at"] - max(number(unit, "latency_ms") or 0, 0) * 1000

    around = [
        unit
        for unit in of_trace
        if (number(unit, "latency_ms") or 0) > 0
        and start(unit) - 5000 <= line["at"] <= unit["at"] + 5000
    ]
    before = [unit for unit in of_trace if start(unit) <= line["at"]]
    return max(around or before, key=start, default=None)


def named(unit: Line) -> str | None:
    """Return the route, or the name of a task."""
    return text(unit, "task" if kind(unit) == "task" else "route")


def totals(lines: list[Line]) -> dict[str, Any]:
    """Compute `totals`."""
    units = [line for line in lines if kind(line) in UNIT_KINDS and not quiet(line)]
    calls = [line for line in lines if kind(line) == "call" and line.get("nested") is not True]
    lost = failed_traces(lines)
    costs = [cost for call in calls if (cost := number(call, "cost_usd")) is not None]
    return {
        "lines": len(lines),
        "error_lines": sum(map(loud, lines)),
        **{
            f"{name}s": round(sum(weight(unit) for unit in units if kind(unit) == name))
            for name in UNIT_KINDS
        },
        "errors": round(sum(weight(unit) for unit in units if loud(unit))),
        "llm_calls": len(calls),
        "llm_errors": sum(call.get("outcome") == "error" for call in calls),
        **{
            key: sum(integer(call, key) or 0 for call in calls)
            for key in ("input_tokens", "output_tokens", "cached_input_tokens")
        },
        "cost_usd": sum(costs) if costs else None,
        "cost_in_failed_usd": sum(
            number(call, "cost_usd") or 0 for call in calls if trace(call) in lost
        ),
        "unpriced": sum(map(unpriced, calls)),
    }


def integer(line: Line, key: str) -> int | None:
    """Read a whole number."""
    value = number(line, key)
    return int(value) if value is not None and value == int(value) else None


def unpriced(call: Line) -> bool:
    """Whether a call has tokens and no cost."""
    keys = ("input_tokens", "output_tokens", "cached_input_tokens")
    return number(call, "cost_usd") is None and any(integer(call, key) is not None for key in keys)


def failed_traces(lines: list[Line]) -> set[str]:
    """List the traces of failed units."""
    failed = (line for line in lines if kind(line) in UNIT_KINDS and loud(line))
    return {name for line in failed if (name := trace(line)) is not None}


def request_rows(lines: list[Line]) -> list[dict[str, Any]]:
    """Compute `requests`, in no order."""
    groups: dict[tuple[Any, ...], list[Line]] = {}
    for line in lines:
        if kind(line) in UNIT_KINDS and not quiet(line):
            method = text(line, "method") if kind(line) == "request" else None
            groups.setdefault((kind(line), line["service"], method, named(line)), []).append(line)
    rows = []
    for (name, service, method, route), units in groups.items():
        latencies = [
            (latency, weight(unit))
            for unit in units
            if (latency := number(unit, "latency_ms")) is not None
        ]
        known = [unit for unit in units if number(unit, "latency_ms") is not None]
        slowest = min(known, key=lambda unit: (-unit["latency_ms"], unit["at"]), default=None)
        count = sum(map(weight, units))
        failed = sum(weight(unit) for unit in units if loud(unit))
        rows.append(
            {
                "kind": name,
                "service": service,
                "method": method,
                "route": route,
                "requests": round(count),
                "errors": round(failed),
                "error_share": failed / count,
                "p50_ms": percentile(latencies, 0.5),
                "p95_ms": percentile(latencies, 0.95),
                "p99_ms": percentile(latencies, 0.99),
                "total_ms": sum(latency * weighs for latency, weighs in latencies),
                "times": times(units),
                "slowest": slowest
                and {
                    "latency_ms": slowest["latency_ms"],
                    "timestamp": slowest["timestamp"],
                },
            }
        )
    return rows


def times(units: list[Line]) -> dict[str, tuple[float | None, float]]:
    """Add up where the time went."""
    found: dict[str, tuple[float | None, float]] = {}
    for unit in units:
        for key in unit:
            name = key.removesuffix("_calls")
            ms = number(unit, "llm_latency_ms" if name == "llm" else f"{name}_ms")
            if name and name != key and type(unit[key]) is int and ms is not None:
                calls, spent = found.get(name, (0, 0))
                found[name] = ((calls or 0) + unit[key] * weight(unit), spent + ms * weight(unit))
        own = number(unit, "own_ms")
        if own is not None:
            found["own"] = (None, found.get("own", (None, 0))[1] + own * weight(unit))
    return found


def error_rows(lines: list[Line], everything: list[Line]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Compute `errors` by service, type, route and frame."""
    units = [line for line in everything if kind(line) in UNIT_KINDS]
    tracebacks_of = [line for line in lines if loud(line) and told(line)]
    explained = {(trace(line), line["service"]) for line in tracebacks_of if trace(line)}
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in lines:
        is_unit = kind(line) in UNIT_KINDS
        if loud(line) and told(line):
            raised = tracebacks.read(line["exception"])
            error_type = text(line, "error_type")
            name = raised.type if error_type is None else error_type
            frame = tuple((raised.frame or {}).values())
            unit = line if is_unit else place(line, units)
        elif is_unit and loud(line) and (trace(line), line["service"]) not in explained:
            name, frame, unit = text(line, "error_type") or of_call(line, lines), (), line
        else:
            continue
        key = (line["service"], name, unit and named(unit), frame)
        row = rows.setdefault(key, {"count": 0, "times": []})
        row["count"] += weight(line)
        row["times"].append(line["timestamp"])
    return {
        key: {"count": round(row["count"]), "first": min(row["times"]), "last": max(row["times"])}
        for key, row in rows.items()
    }


def of_call(unit: Line, lines: list[Line]) -> str | None:
    """Return the type of the last failed call of a unit's trace and service."""
    failed = [
        line
        for line in lines
        if kind(line) == "call"
        and line.get("outcome") == "error"
        and trace(line) is not None
        and (trace(line), line["service"]) == (trace(unit), unit["service"])
    ]
    last = max(failed, key=lambda line: line["at"], default=None)
    return last and text(last, "error_type")


def llm_rows(lines: list[Line], by: str | None) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Compute `llm` by model, provider and the field of --by, as JSON."""
    groups: dict[tuple[Any, ...], list[Line]] = {}
    for line in lines:
        if kind(line) == "call" and line.get("nested") is not True:
            alias = text(line, "model_alias")
            model = text(line, "model") if alias is None else alias
            grouped = json.dumps(line.get(by)) if by else "null"
            groups.setdefault((model, text(line, "provider"), grouped), []).append(line)
    lost = failed_traces(lines)
    rows = {}
    for key, calls in groups.items():
        costs = [cost for call in calls if (cost := number(call, "cost_usd")) is not None]
        latency = values(calls, "latency_ms")
        ttft = values(calls, "ttft_ms")
        rows[key] = {
            "calls": len(calls),
            "errors": sum(call.get("outcome") == "error" for call in calls),
            **{
                name: sum(integer(call, name) or 0 for call in calls)
                for name in ("input_tokens", "output_tokens", "cached_input_tokens")
            },
            "cost_usd": sum(costs) if costs else None,
            "unpriced": sum(map(unpriced, calls)),
            "usage_missing": sum(call.get("usage_status") == "missing" for call in calls),
            "p50_ms": percentile(latency, 0.5),
            "p95_ms": percentile(latency, 0.95),
            "ttft_p50_ms": percentile(ttft, 0.5),
            "ttft_p95_ms": percentile(ttft, 0.95),
            "cut": sum(map(cut, calls)),
            "cost_in_failed_usd": sum(
                number(call, "cost_usd") or 0 for call in calls if trace(call) in lost
            ),
        }
    return rows


def values(lines: list[Line], key: str) -> list[tuple[float, float]]:
    """List known values, each with the weight 1."""
    return [(value, 1) for line in lines if (value := number(line, key)) is not None]


def cut(call: Line) -> bool:
    """Whether an answer was cut."""
    reason = (text(call, "finish_reason") or "").lower()
    return reason in {"length", "max_tokens", "max_output_tokens"} or (
        text(call, "error_type") == "IncompleteStream"
    )


def points(lines: list[Line], bucket_s: int) -> dict[str, dict[str, Any]]:
    """Compute the points of `series` that are not empty, by their start."""
    length = bucket_s * 1_000_000
    groups: dict[int, list[Line]] = {}
    for line in lines:
        groups.setdefault(line["at"] // length, []).append(line)
    found = {}
    for bucket, group in groups.items():
        requests = [line for line in group if kind(line) == "request" and not quiet(line)]
        calls = [line for line in group if kind(line) == "call" and line.get("nested") is not True]
        latency = [
            (latency, weight(line))
            for line in requests
            if (latency := number(line, "latency_ms")) is not None
        ]
        costs: dict[str, float] = {}
        for call in calls:
            alias = text(call, "model_alias")
            model = (text(call, "model") if alias is None else alias) or ""
            if number(call, "cost_usd") is not None:
                costs[model] = costs.get(model, 0) + call["cost_usd"]
        start = EPOCH + timedelta(seconds=bucket * bucket_s)
        found[start.strftime("%Y-%m-%dT%H:%M:%S.%fZ")] = {
            "requests": round(sum(map(weight, requests))),
            "errors": round(sum(weight(line) for line in requests if loud(line))),
            "p50_ms": percentile(latency, 0.5),
            "p95_ms": percentile(latency, 0.95),
            "cost_usd": costs,
            "ttft_p50_ms": percentile(values(calls, "ttft_ms"), 0.5),
            "ttft_p95_ms": percentile(values(calls, "ttft_ms"), 0.95),
        }
    return found
