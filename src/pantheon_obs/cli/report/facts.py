"""Reduce one of our lines to the columns that the report counts.

`COLUMNS` is the relation `facts` of `queries.py`, which ClickHouse makes of its wide table, in
`dialects.py`. A value whose type is not the one of `events.schema.json` is left out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from pantheon_obs.cli.stories.trace_ids import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

    Line = Mapping[str, Any]

COLUMNS = {
    "stamp": "TIMESTAMP",
    "kind": "VARCHAR",  # request, websocket, task, quiet, call, nested; NULL for any other line
    "loud": "BOOLEAN",  # at error or critical
    "service": "VARCHAR",
    "trace": "VARCHAR",  # the trace's id in the form in which ids are compared
    "trace_id": "VARCHAR",  # as written
    "method": "VARCHAR",
    "route": "VARCHAR",
    "latency": "DOUBLE",
    "weight": "DOUBLE",
    "error_type": "VARCHAR",
    "exception": "VARCHAR",
    "model": "VARCHAR",
    "provider": "VARCHAR",
    "grouped": "VARCHAR",  # the value of the field of --by, as JSON
    "failed_call": "BOOLEAN",
    "input_tokens": "HUGEINT",
    "output_tokens": "HUGEINT",
    "cached_tokens": "HUGEINT",
    "cost": "DOUBLE",
    "missing": "BOOLEAN",
    "cut": "BOOLEAN",
    "ttft": "DOUBLE",
    "times": "STRUCT(name VARCHAR, calls HUGEINT, ms DOUBLE)[]",
}
ERROR_LEVELS = ("error", "critical")
CUT_REASONS = ("length", "max_tokens", "max_output_tokens")
UNITS = {
    ("pantheon_obs.request", "request_finished"): "request",
    ("pantheon_obs.request", "websocket_finished"): "websocket",
    ("pantheon_obs.task", "task_finished"): "task",
}
_LARGEST = 2**63  # of a whole number, beyond which engines cannot add up


def row_of(line: Line, file_service: str, by: str | None) -> bytes:
    """Reduce a line to the columns of `facts`, as JSON; a column that is missing is NULL.

    Args:
        line: The fields of a line of ours.
        file_service: The service of lines that name none.
        by: The field by which calls are grouped as well.
    """
    level = line["level"]
    loud = level in ERROR_LEVELS
    logger = line["logger"]
    is_call = logger == "pantheon_obs.llm" and line["event"].startswith("llm.")
    kind = "call" if is_call else UNITS.get((logger, line["event"]))
    if kind is None and not loud:
        return b'{"stamp":"%b"}\n' % line["timestamp"].encode()
    service = line.get("service")
    row = {
        "stamp": line["timestamp"],
        "kind": kind,
        "service": service if type(service) is str else file_service,
    }
    trace_id = line.get("trace_id")
    if type(trace_id) is str:
        row["trace_id"] = trace_id
        row["trace"] = canonical(trace_id)
    if is_call:
        _add_call(row, line, by)
    elif kind is not None:
        _add_unit(row, line, kind)
    if loud:
        row["loud"] = True
        row["error_type"] = text(line, "error_type")
        row["exception"] = text(line, "exception") or None
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def _add_unit(row: dict[str, Any], line: Line, kind: str) -> None:
    if kind == "request":
        row["method"] = text(line, "method")
    if line["level"] == "debug" and kind != "task":
        row["kind"] = "quiet"
    row["route"] = text(line, "task" if kind == "task" else "route")
    row["latency"] = number(line, "latency_ms")
    rate = number(line, "keep_rate")
    if rate is not None and 0 < rate <= 1:
        row["weight"] = 1 / rate
    times = times_of(line)
    if times:
        row["times"] = times


def _add_call(row: dict[str, Any], line: Line, by: str | None) -> None:
    model = text(line, "model_alias")
    reason = text(line, "finish_reason")
    error_type = text(line, "error_type")
    if line.get("nested") is True:
        row["kind"] = "nested"
    row["latency"] = number(line, "latency_ms")
    row["model"] = text(line, "model") if model is None else model
    row["provider"] = text(line, "provider")
    row["input_tokens"] = whole(line, "input_tokens")
    row["output_tokens"] = whole(line, "output_tokens")
    row["cached_tokens"] = whole(line, "cached_input_tokens")
    row["cost"] = number(line, "cost_usd")
    row["ttft"] = number(line, "ttft_ms")
    row["missing"] = line.get("usage_status") == "missing"
    row["cut"] = error_type == "IncompleteStream" or (
        reason is not None and reason.lower() in CUT_REASONS
    )
    if line.get("outcome") == "error":
        row["failed_call"] = True
        row["error_type"] = error_type
    if by is not None and line.get(by) is not None:
        row["grouped"] = orjson.dumps(line[by]).decode()


def text(line: Line, key: str) -> str | None:
    """Read a string."""
    value = line.get(key)
    return value if type(value) is str else None


def number(line: Line, key: str) -> float | None:
    """Read a number; true and false are none."""
    value = line.get(key)
    return value if type(value) in (int, float) else None


def whole(line: Line, key: str) -> int | None:
    """Read a whole number, which 3.0 is as well, as JSON Schema has it."""
    value = number(line, key)
    return int(value) if value is not None and value == value // 1 < _LARGEST else None


def times_of(line: Line) -> list[dict[str, Any]]:
    """List where a unit's time went."""
    return [
        {"name": name, "calls": line[calls] if calls else None, "ms": line[ms]}
        for name, calls, ms in _names_in(tuple(line))
        if type(line[ms]) in (int, float) and (not calls or type(line[calls]) is int)
    ]


@lru_cache(10_000)
def _names_in(keys: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Find the pairs `<name>_calls` and `<name>_ms` among the keys of a line.

    Lines of one kind have the same keys, so this is done only once for each set of keys.
    """
    names = [
        (name, f"{name}_calls", ms)
        for name in (key[:-6] for key in keys if key.endswith("_calls"))
        if (ms := "llm_latency_ms" if name == "llm" else f"{name}_ms") in keys and name
    ]
    return names + [("own", "", "own_ms")] * ("own_ms" in keys)
