"""The few words in which the SQL of DuckDB and of ClickHouse differs, and ClickHouse's `facts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.cli.reading.schema import ERROR_LEVELS, keys, ms_key
from pantheon_obs.cli.report.facts import CUT_REASONS
from pantheon_obs.cli.tables import TABLE

if TYPE_CHECKING:
    from pantheon_obs.cli.reading.schema import Types

# The lines of a traceback from which its class and frames are read, without the parts that vary
# from one error to the next: both engines use RE2.
OUTLINE = (
    r"(?m)^[ |+-]*(?:(?:Exception Group )?Traceback \(most recent call last\):"
    r'|File "[^"\n]*", line [0-9]+, in .*'
    r"|During handling of the above exception, another exception occurred:"
    r"|The above exception was the direct cause of the following exception:"
    r"|[^\s:|+-][^\s:]*(?::|$))"
)

DUCKDB = {
    "facts": "",
    "total": "fsum",  # Kahan's sum: the same to the cent in whatever order
    "each": "unnest",
    "first": "arg_min",
    "last": "arg_max",
    "rank": "row",
    "outline": (
        f"array_to_string(regexp_extract_all(coalesce(exception, ''), '{OUTLINE}'), chr(10))"
    ),
}

# `facts` of the wide table; `{…}` are columns, or where the table has none, keys of `fields`.
_FACTS = """facts AS (
SELECT toUnixTimestamp64Micro(timestamp) AS us, level IN {error_levels} AS loud,
  multiIf(logger = 'pantheon_obs.request' AND event IN ('request_finished', 'websocket_finished'),
    if(level = 'debug', 'quiet', replaceOne(event, '_finished', '')),
    logger = 'pantheon_obs.task' AND event = 'task_finished', 'task',
    logger = 'pantheon_obs.llm' AND startsWith(event, 'llm.'),
    if(coalesce({nested}, false), 'nested', 'call'), NULL) AS kind,
  coalesce(kind IN ('request', 'websocket', 'task'), false) AS is_unit,
  coalesce(kind IN ('call', 'nested'), false) AS is_call,
  loud AND is_unit AS failed, coalesce(service, '-') AS service, trace_id,
  multiIf(match(lower(trace_id), '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$'),
    replaceAll(lower(trace_id), '-', ''), match(lower(trace_id), '^[0-9a-f-]+$'), lower(trace_id),
    trace_id) AS trace,
  if(logger = 'pantheon_obs.request' AND event = 'request_finished', {method}, NULL) AS method,
  if(kind = 'task', {task}, {route}) AS route, {latency_ms} AS latency,
  if(is_unit AND {keep_rate} > 0 AND {keep_rate} <= 1, 1 / {keep_rate}, 1e0) AS weight,
  error_type, nullIf(exception, '') AS exception, coalesce({model_alias}, {model}) AS model,
  {provider} AS provider, is_call AND coalesce({outcome} = 'error', false) AS failed_call,
  {input_tokens} AS input_tokens, {output_tokens} AS output_tokens,
  {cached_input_tokens} AS cached_tokens, {cost_usd} AS cost,
  coalesce({usage_status} = 'missing', false) AS missing,
  coalesce(lower({finish_reason}) IN {cut_reasons}, false)
    OR coalesce(error_type = 'IncompleteStream', false) AS cut,
  {ttft_ms} AS ttft, {grouped} AS grouped, {times} AS times
FROM {table}
), """
# The names in `_FACTS`, by the types that they are read as.
_NAMES = {
    "String": "method task route model_alias model provider outcome usage_status finish_reason",
    "Float64": "latency_ms keep_rate cost_usd ttft_ms",
    "Int64": "input_tokens output_tokens cached_input_tokens",
    "Bool": "nested",
}
# Pairs `<name>_calls`, `<name>_ms`, in columns and among the other keys.
_TIMES = """arrayFilter(
    pair -> pair.ms IS NOT NULL AND (pair.calls IS NOT NULL OR pair.name = 'own'),
    CAST(arrayConcat([{pairs}], arrayMap(
      name -> (name, {calls}, {ms}),
      arrayMap(key -> substring(key, 1, length(key) - 6), arrayFilter(
        key -> endsWith(key, '_calls') AND length(key) > 6, JSONExtractKeys(fields))))),
    'Array(Tuple(name String, calls Nullable(Float64), ms Nullable(Float64)))'))"""


def clickhouse(by: str | None) -> dict[str, str]:
    """Return the words of ClickHouse.

    Args:
        by: The field by which calls are grouped as well.
    """
    columns = keys()

    def value(key: str, kind: str) -> str:
        """Read a key of a line: a column, where the table has one for it."""
        return key if key in columns else _of_fields(f"'{key}'", kind)

    names = {name: value(name, kind) for kind, keys in _NAMES.items() for name in keys.split()}
    pairs = [
        f"('{name}', {key}, {ms})"
        for key in columns
        if (name := key.removesuffix("_calls")) != key and (ms := ms_key(name)) in columns
    ]
    own = f"('own', NULL, {value('own_ms', 'Float64')})"
    times = _TIMES.format(
        pairs=", ".join([*pairs, own]),
        calls=_of_fields("concat(name, '_calls')", "Int64"),
        ms=_of_fields("concat(name, '_ms')", "Float64"),
    )
    facts = _FACTS.format(
        **names,
        error_levels=ERROR_LEVELS,
        cut_reasons=CUT_REASONS,
        grouped=_grouped(by, columns),
        times=times,
        table=TABLE,
    )
    outline = OUTLINE.replace("\\", "\\\\")
    return {
        "facts": facts,
        "total": "sumKahan",
        "each": "arrayJoin",
        "first": "argMin",
        "last": "argMax",
        "rank": "tuple",
        "outline": (
            f"arrayStringConcat(extractAll(coalesce(exception, ''), '{outline}'), char(10))"
        ),
    }


def _of_fields(key: str, kind: str) -> str:
    """Read a key of the object of other keys; a value of another type counts as absent."""
    numbers = ("Int64", "UInt64", "Double")
    types = {"Float64": numbers, "Int64": numbers[:2]}.get(kind, (kind, kind))
    value = f"JSONExtract(fields, {key}, 'Nullable({kind})')"
    return f"if(JSONType(fields, {key}) IN {types}, {value}, NULL)"


def _grouped(by: str | None, columns: Types) -> str:
    """Read the field of --by as JSON; null counts as absent."""
    if by is None:
        return "NULL"
    if by in columns:
        # A column of one type has the value itself, any other one has it as JSON.
        known = columns[by] - {type(None)}
        is_plain = known and any(known <= sort for sort in ({str}, {int, float}, {bool}))
        value = f"toJSONString({by})" if is_plain else by
    else:
        quoted = by.replace("\\", "\\\\").replace("'", "\\'")
        value = f"nullIf(JSONExtractRaw(fields, '{quoted}'), '')"
    return f"if(is_call, nullIf({value}, 'null'), NULL)"
