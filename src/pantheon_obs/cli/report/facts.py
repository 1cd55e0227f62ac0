"""Reduce one of our lines to the columns that the report counts.

`COLUMNS` is the relation `facts` of `queries.py`, which ClickHouse makes of its wide table, in
`dialects.py`. A value whose type is not the one of `events.schema.json` is left out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    Line = Mapping[str, Any]
    Columns = tuple[tuple[str, str, tuple[type, ...]], ...]

COLUMNS = {
    "stamp": "TIMESTAMP",
    "kind": "VARCHAR",  # request, websocket, task, quiet, call, nested; NULL for any other line
    "loud": "BOOLEAN",  # at error or critical
    "service": "VARCHAR",
    "trace_id": "VARCHAR",
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
_TEXT = (str,)
_NUMBER = (int, float)
# A column, the key whose value it gets, and the types that the schema gives it.
_OF_ANY: Columns = (("trace_id", "trace_id", _TEXT),)
_OF_ERRORS: Columns = (("error_type", "error_type", _TEXT), ("exception", "exception", _TEXT))
_ROUTE: Columns = (("route", "route", _TEXT), ("latency", "latency_ms", _NUMBER))
_OF_UNITS: dict[str, Columns] = {
    "request": (("method", "method", _TEXT), *_ROUTE),
    "websocket": _ROUTE,
    "task": (("route", "task", _TEXT), *_ROUTE[1:]),
}
_OF_CALLS: Columns = (
    ("model", "model", _TEXT),
    ("model", "model_alias", _TEXT),
    ("provider", "provider", _TEXT),
    ("latency", "latency_ms", _NUMBER),
    ("cost", "cost_usd", _NUMBER),
    ("ttft", "ttft_ms", _NUMBER),
)
_TOKENS = (
    ("input_tokens", "input_tokens"),
    ("output_tokens", "output_tokens"),
    ("cached_tokens", "cached_input_tokens"),
)
_LARGEST = 2**63  # of a whole number, beyond which engines cannot add up


def row_of(line: Line, file_service: str, by: str | None) -> bytes:
    """Reduce a line to the columns of `facts`, as JSON; a column that is missing is NULL.

    Args:
        line: The fields of a line of ours.
        file_service: The service of lines that name none.
        by: The field by which calls are grouped as well.
    """
    level, logger, event = line["level"], line["logger"], line["event"]
    is_call = logger == "pantheon_obs.llm" and event.startswith("llm.")
    kind = "call" if is_call else UNITS.get((logger, event))
    if kind is None and level not in ERROR_LEVELS:
        return b'{"stamp":"%b"}\n' % line["timestamp"].encode()
    service = line.get("service")
    row = {
        "stamp": line["timestamp"],
        "kind": kind,
        "service": service if type(service) is str else file_service,
    }
    _copy(row, line, _OF_ANY)
    if is_call:
        _add_call(row, line, by)
    elif kind is not None:
        _add_unit(row, line, kind)
    if level in ERROR_LEVELS:
        row["loud"] = True
        _copy(row, line, _OF_ERRORS)
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def _copy(row: dict[str, Any], line: Line, columns: Columns) -> None:
    """Copy the values of the right types."""
    for column, key, types in columns:
        value = line.get(key)
        if type(value) in types:
            row[column] = value


def _add_unit(row: dict[str, Any], line: Line, kind: str) -> None:
    _copy(row, line, _OF_UNITS[kind])
    if line["level"] == "debug" and kind != "task":
        row["kind"] = "quiet"
    if "keep_rate" in line:
        rate = line["keep_rate"]
        if type(rate) in _NUMBER and 0 < rate <= 1:
            row["weight"] = 1 / rate
    times = [
        {"name": name, "calls": line[calls] if calls else None, "ms": line[ms]}
        for name, calls, ms in _names_in(tuple(line))
        if type(line[ms]) in _NUMBER and (not calls or type(line[calls]) is int)
    ]
    if times:
        row["times"] = times


def _add_call(row: dict[str, Any], line: Line, by: str | None) -> None:
    _copy(row, line, _OF_CALLS)
    if line.get("nested") is True:
        row["kind"] = "nested"
    for column, key in _TOKENS:
        tokens: Any = line.get(key)
        # 3.0 is a whole number as well, as JSON Schema has it.
        if type(tokens) in _NUMBER and tokens == tokens // 1 < _LARGEST:
            row[column] = int(tokens)
    if line.get("usage_status") == "missing":
        row["missing"] = True
    reason = line.get("finish_reason")
    is_cut = type(reason) is str and reason.lower() in CUT_REASONS
    if is_cut or line.get("error_type") == "IncompleteStream":
        row["cut"] = True
    if line.get("outcome") == "error":
        row["failed_call"] = True
        _copy(row, line, _OF_ERRORS[:1])
    if by is not None and line.get(by) is not None:
        row["grouped"] = orjson.dumps(line[by]).decode()


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
