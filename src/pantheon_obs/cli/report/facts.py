"""The relation `facts` of `queries.py`, which DuckDB makes of lines that are JSON objects.

ClickHouse makes it of its wide table, in `dialects.py`. Every value is read as JSON text, so that
a value whose type differs from `events.schema.json` counts as absent.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson

from pantheon_obs.cli.reading.schema import ERROR_LEVELS, ms_key
from pantheon_obs.cli.reading.wrappers import has

if TYPE_CHECKING:
    from collections.abc import Iterable

COLUMNS = {
    "us": "BIGINT",  # microseconds since 1970
    "loud": "BOOLEAN",  # at error or critical
    "kind": "VARCHAR",  # request, websocket, task, quiet, call, nested; NULL for any other line
    "failed": "BOOLEAN",  # a unit that failed
    "service": "VARCHAR",
    "id": "VARCHAR",  # the trace id, as JSON
    "method": "VARCHAR",
    "route": "VARCHAR",  # of a task its name
    "latency": "DOUBLE",
    "weight": "DOUBLE",
    "error_type": "VARCHAR",
    "traceback": "VARCHAR",  # as JSON
    "grouped": "VARCHAR",  # the value of the field of --by, as JSON
    "failed_call": "BOOLEAN",
    "times": "STRUCT(name VARCHAR, calls BIGINT, ms DOUBLE)[]",
    # Of a call; other lines have NULL. A list takes no time where it is NULL, and columns do.
    "call": "STRUCT(model VARCHAR, provider VARCHAR, input_tokens BIGINT, output_tokens BIGINT,"
    " cached_tokens BIGINT, cost DOUBLE, missing BOOLEAN, cut BOOLEAN, ttft DOUBLE)[]",
}
CUT_REASONS = ("length", "max_tokens", "max_output_tokens")
GROUPED = "the value of --by"  # its key in lines that are written anew
MOST_NAMES = 100  # of measured times

_KEYS = (
    *("level", "event", "logger", "trace_id", "service", "method", "route", "task"),
    *("latency_ms", "own_ms", "keep_rate", "error_type", "exception", "model", "model_alias"),
    *("provider", "outcome", "input_tokens", "output_tokens", "cached_input_tokens", "cost_usd"),
    *("usage_status", "finish_reason", "ttft_ms", "nested"),
)
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def view() -> str:
    """Return the query that makes `facts` of the table, with columns that few lines need."""
    return f"""
SELECT * EXCLUDE (id, traceback, call), unnest(call[1]), {_text("id")} AS trace_id,
  nullif({_text("traceback")}, '') AS exception,
  CASE WHEN regexp_full_match(lower(trace_id), '{_UUID}') THEN replace(lower(trace_id), '-', '')
    WHEN regexp_full_match(lower(trace_id), '[0-9a-f-]+') THEN lower(trace_id)
    ELSE trace_id END AS trace
FROM lines
"""  # noqa: S608 - names of ours


def facts(names: Iterable[str], grouped: str | None) -> str:
    """Return the query that makes `facts` of lines.

    Its parameters are files, the size of the longest line, the files again, and the service of each
    file, for the lines that name none.

    Args:
        names: The names of the measured times in the lines.
        grouped: The key of the field of --by.
    """
    keys: list[str] = [*_KEYS, *([] if grouped is None or grouped in _KEYS else [grouped])]
    pairs = []
    for name in names:
        both = (f"{name}_calls", ms_key(name))
        # Of two keys that differ in their case alone DuckDB can read one.
        small = {key.lower() for key in keys if key not in both}
        if small.isdisjoint(key.lower() for key in both):
            pairs.append((name, *both))
            keys += [key for key in both if key not in keys]
    columns = ", ".join(f"{_column(key)}::VARCHAR AS {_column(key)}" for key in keys)
    types = ", ".join(f"{literal(key)}: 'JSON'" for key in keys)
    times = [_time(name, _count(_column(calls)), _column(ms)) for name, calls, ms in pairs]
    times.append(_time("own", "NULL", "own_ms"))
    measured = [f"{_column(ms)} IS NOT NULL" for ms in ("own_ms", *(ms for _, _, ms in pairs))]
    return f"""
SELECT epoch_us(stamp) AS us, loud, kind,
  coalesce(kind IN ('request', 'websocket', 'task'), FALSE) AND loud AS failed,
  coalesce({_text("service")}, named) AS service, trace_id AS id,
  CASE WHEN kind = 'request' THEN {_text("method")} END AS method,
  CASE WHEN kind = 'task' THEN {_text("task")} WHEN is_unit THEN {_text("route")} END AS route,
  CASE WHEN is_unit OR is_call THEN {_number("latency_ms")} END AS latency,
  CASE WHEN is_unit AND {_number("keep_rate")} > 0 AND {_number("keep_rate")} <= 1
    THEN 1 / {_number("keep_rate")} ELSE 1 END AS weight,
  CASE WHEN loud OR failed_call THEN {_text("error_type")} END AS error_type,
  CASE WHEN loud THEN exception END AS traceback,
  CASE WHEN is_call THEN {"NULL" if grouped is None else _column(grouped)} END AS grouped,
  failed_call,
  CASE WHEN is_unit AND ({" OR ".join(measured)}) THEN [{", ".join(times)}] END AS times,
  CASE WHEN is_call THEN [{{
    'model': coalesce({_text("model_alias")}, {_text("model")}), 'provider': {_text("provider")},
    'input_tokens': {_whole("input_tokens")}, 'output_tokens': {_whole("output_tokens")},
    'cached_tokens': {_whole("cached_input_tokens")}, 'cost': {_number("cost_usd")},
    'missing': coalesce(usage_status = '"missing"', FALSE),
    'cut': coalesce(lower({_text("finish_reason")}) IN {CUT_REASONS}, FALSE)
      OR coalesce(error_type = '"IncompleteStream"', FALSE),
    'ttft': {_number("ttft_ms")}
  }}] END AS call
FROM (
  SELECT *,
    level IN {tuple(f'"{level}"' for level in ERROR_LEVELS)} AS loud,
    coalesce(kind IN ('request', 'websocket', 'task', 'quiet'), FALSE) AS is_unit,
    coalesce(kind IN ('call', 'nested'), FALSE) AS is_call,
    kind IN ('call', 'nested') AND coalesce(outcome = '"error"', FALSE) AS failed_call
  FROM (
    SELECT *, TRY_CAST(timestamp AS TIMESTAMP) AS stamp, CASE logger
      WHEN '"pantheon_obs.request"' THEN CASE event
        WHEN '"request_finished"' THEN CASE level WHEN '"debug"' THEN 'quiet' ELSE 'request' END
        WHEN '"websocket_finished"' THEN CASE level WHEN '"debug"' THEN 'quiet' ELSE 'websocket' END
        END
      WHEN '"pantheon_obs.task"' THEN CASE event WHEN '"task_finished"' THEN 'task' END
      WHEN '"pantheon_obs.llm"' THEN CASE WHEN starts_with(event, '"llm.')
        THEN CASE nested WHEN 'true' THEN 'nested' ELSE 'call' END END
      END AS kind
    FROM (
      SELECT {columns}, timestamp, named
      -- Nothing but a string has the form of a time, so that it need not be read as JSON.
      FROM read_ndjson(?, columns={{timestamp: 'VARCHAR', {types}}}, maximum_object_size=?,
        filename='path of the file')
      JOIN (SELECT unnest(?) AS path, unnest(?) AS named) ON path = "path of the file"
    )
    WHERE starts_with(level, '"') AND starts_with(logger, '"') AND starts_with(event, '"')
      AND timestamp LIKE '____-__-__T__:__:__.______Z'
      AND NOT contains(timestamp, ' ') AND NOT contains(timestamp, 'T24')  -- DuckDB takes both
  )
) WHERE stamp >= TIMESTAMP '0001-01-01'
"""  # noqa: S608 - names are quoted


def is_readable(key: str) -> bool:
    """Whether a field can be read beside the others: DuckDB ignores the case of names."""
    return key in _KEYS or (key.isprintable() and key.lower() not in {*_KEYS, "timestamp", ""})


def add_names(block: bytes, known: dict[str, None]) -> None:
    """Add the names of measured times, `<name>_calls` and `<name>_ms`, in a block of lines."""
    place = 0 if has(block, b'_calls"') else len(block)
    while len(known) < MOST_NAMES and (match := _unknown(known).search(block, place)):
        place = match.end()
        start = block.rfind(b'"', 0, match.start())
        with suppress(orjson.JSONDecodeError):  # of a torn line
            name = orjson.loads(block[start : match.start()] + b'"')
            if name and name.isprintable():
                known[name] = None


def _unknown(known: Iterable[str]) -> re.Pattern[bytes]:
    """Make the pattern of a key that ends with `_calls` and is not known."""
    others = (re.escape(orjson.dumps(f"{name}_calls")) for name in known)
    return re.compile(rb'_calls"%b\s*:' % b"".join(b"(?<!%b)" % other for other in others))


def _text(key: str) -> str:
    """Read a string."""
    return (
        f"CASE WHEN starts_with({key}, '\"') THEN CASE WHEN contains({key}, '\\')"
        f" THEN {key}::JSON->>'$' ELSE substring({key}, 2, length({key}) - 2) END END"
    )


def _number(key: str) -> str:
    """Read a number; a string does not count, as it has quotes."""
    return f"TRY_CAST({key} AS DOUBLE)"


def _whole(key: str) -> str:
    """Read a whole number that engines can add up; 3.0 is one, as JSON Schema has it."""
    number = f"TRY_CAST({key} AS BIGINT)"
    return f"CASE WHEN {_number(key)} = {number} THEN {number} END"


def _count(key: str) -> str:
    """Read how many calls were measured."""
    return f"CASE WHEN regexp_full_match({key}, '-?\\d+') THEN TRY_CAST({key} AS BIGINT) END"


def _time(name: str, calls: str, ms: str) -> str:
    """Make a part of `times`; NULL if a line has not both."""
    value = f"{{'name': {literal(name)}, 'calls': {calls}::BIGINT, 'ms': {_number(ms)}}}"
    has_calls = "TRUE" if calls == "NULL" else f"{calls} IS NOT NULL"
    return f"CASE WHEN {has_calls} AND {_number(ms)} IS NOT NULL THEN {value} END"


def literal(text: str) -> str:
    """Write a text as a constant of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _column(key: str) -> str:
    return '"' + key.replace('"', '""') + '"'
