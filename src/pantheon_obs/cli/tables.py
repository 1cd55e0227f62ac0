"""One wide table of the library's lines, for each engine: its DDL and the statement that loads it.

A column holds the values of the schema's type; a value of another type counts as absent, as it does
everywhere in the command line. Lines that are torn or foreign are not loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pantheon_obs.cli.reading.schema import REQUIRED, keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pantheon_obs.cli.reading.schema import Types

TABLE = "pantheon_events"
_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}Z$"


class Dialect(NamedTuple):
    """How an engine writes columns and reads JSON.

    Attributes:
        types: The column types of text, integers, numbers, booleans and other values.
        values: Expressions with the value of `{key}` of a line, for the same five.
        timestamp: Type and expression of the time.
        rest: Type and expression of the object of all other keys; `{keys}` are the known ones.
        after: What follows the columns of the table.
        rows: The rows of a file that are loaded; `{ours}` is that all required keys are text.
        is_text: Whether `{key}` is text.
        known: A known key in the expression of `rest`.
    """

    types: tuple[str, str, str, str, str]
    values: tuple[str, str, str, str, str]
    timestamp: tuple[str, str]
    rest: tuple[str, str]
    after: str
    rows: str
    is_text: str
    known: str


DIALECTS = {
    "duckdb": Dialect(
        types=("VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "JSON"),
        values=(
            "CASE WHEN json_type(json, '$.{key}') = 'VARCHAR' THEN json ->> '$.{key}' END",
            (
                "CASE WHEN json_type(json, '$.{key}') IN ('BIGINT', 'UBIGINT')"
                " THEN TRY_CAST(json -> '$.{key}' AS BIGINT) END"
            ),
            (
                "CASE WHEN json_type(json, '$.{key}') IN ('BIGINT', 'UBIGINT', 'DOUBLE')"
                " THEN TRY_CAST(json -> '$.{key}' AS DOUBLE) END"
            ),
            (
                "CASE WHEN json_type(json, '$.{key}') = 'BOOLEAN'"
                " THEN TRY_CAST(json -> '$.{key}' AS BOOLEAN) END"
            ),
            "json -> '$.{key}'",
        ),
        timestamp=("TIMESTAMP", "TRY_CAST(rtrim(json ->> '$.timestamp', 'Z') AS TIMESTAMP)"),
        rest=("JSON", "json_merge_patch(json, '{{{keys}}}')"),
        after="",
        rows="read_ndjson_objects('FILE', ignore_errors = true) WHERE {ours}"
        f" AND regexp_matches(json ->> '$.timestamp', '{_PATTERN}')"
        " AND TRY_CAST(rtrim(json ->> '$.timestamp', 'Z') AS TIMESTAMP) IS NOT NULL",
        is_text="json_type(json, '$.{key}') = 'VARCHAR'",
        known='"{key}":null',
    ),
    "clickhouse": Dialect(
        types=(
            "Nullable(String)",
            "Nullable(Int64)",
            "Nullable(Float64)",
            "Nullable(Bool)",
            "Nullable(String)",
        ),
        values=(
            "if(JSONType(line, '{key}') = 'String', JSONExtractString(line, '{key}'), NULL)",
            (
                "if(JSONType(line, '{key}') IN ('Int64', 'UInt64'),"
                " JSONExtract(line, '{key}', 'Nullable(Int64)'), NULL)"
            ),
            (
                "if(JSONType(line, '{key}') IN ('Int64', 'UInt64', 'Double'),"
                " JSONExtractFloat(line, '{key}'), NULL)"
            ),
            "if(JSONType(line, '{key}') = 'Bool', JSONExtractBool(line, '{key}'), NULL)",
            "if(JSONHas(line, '{key}'), JSONExtractRaw(line, '{key}'), NULL)",
        ),
        timestamp=(
            "DateTime64(6, 'UTC')",
            (
                "assumeNotNull(parseDateTime64BestEffortOrNull("
                "JSONExtractString(line, 'timestamp'), 6, 'UTC'))"
            ),
        ),
        rest=(
            "String",
            (
                "concat('{{', arrayStringConcat(arrayMap(pair -> concat(toJSONString(pair.1), ':',"
                " pair.2), arrayFilter(pair -> pair.1 NOT IN ({keys}),"
                " JSONExtractKeysAndValuesRaw(line))), ','), '}}')"
            ),
        ),
        after=" ENGINE = MergeTree ORDER BY timestamp",
        rows="file('FILE', 'LineAsString', 'line String')"
        " WHERE isValidJSON(line) AND JSONType(line) = 'Object' AND {ours}"
        f" AND match(JSONExtractString(line, 'timestamp'), '{_PATTERN}')"
        " AND parseDateTime64BestEffortOrNull("
        "JSONExtractString(line, 'timestamp'), 6, 'UTC') IS NOT NULL",
        is_text="JSONType(line, '{key}') = 'String'",
        known="'{key}'",
    ),
}


def _place(types: frozenset[type]) -> int:
    """Return the place of a key's type in the rows of a dialect."""
    known = types - {type(None)}
    sorts: tuple[set[type], ...] = ({str}, {int}, {int, float}, {bool})
    return next((place for place, sort in enumerate(sorts) if known and known <= sort), len(sorts))


def script(dialect: Dialect) -> Iterator[str]:
    """Give the lines of the script."""
    columns = keys()
    yield f"CREATE TABLE {TABLE} ("
    for key, types in columns.items():
        kind = dialect.timestamp[0] if key == "timestamp" else dialect.types[_place(types)]
        required = key in REQUIRED[1:] and kind == "Nullable(String)"
        yield f'  "{key}" {"String" if required else kind},'
    yield f'  "fields" {dialect.rest[0]}'
    yield f"){dialect.after};"
    yield f"-- load: {_load(dialect, columns)};"


def _load(dialect: Dialect, columns: Types) -> str:
    values = [
        dialect.timestamp[1]
        if key == "timestamp"
        else dialect.values[_place(types)].format(key=key)
        for key, types in columns.items()
    ]
    values.append(dialect.rest[1].format(keys=_joined(dialect.known, columns, ", ")))
    ours = _joined(dialect.is_text, REQUIRED, " AND ")
    rows = dialect.rows.replace("{ours}", ours)
    return f"INSERT INTO {TABLE} SELECT {', '.join(values)} FROM {rows}"  # noqa: S608 - our own names


def _joined(template: str, names: Iterable[str], separator: str) -> str:
    return separator.join(template.replace("{key}", name) for name in names)
