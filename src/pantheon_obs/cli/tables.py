"""One wide table of the library's lines, for each engine: its DDL and the statement that loads it.

A column has the values of the schema's type; a value of another type counts as absent, as it does
everywhere in the command line. Lines that are torn or foreign are not loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pantheon_obs.cli.reading.schema import REQUIRED, keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TABLE = "pantheon_events"
_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}Z$"


class Dialect(NamedTuple):
    """How an engine writes columns and reads JSON.

    Attributes:
        types: The column types of text, integers, numbers and booleans, and the engine's names of
            the types in JSON that they accept.
        value: The value of `{key}` as `{kind}`, if its type is in `{accepted}`.
        other: Type and expression of a key of any other type.
        timestamp: Type and expression of the time.
        rest: Type and expression of the object of all other keys; `{keys}` are the known ones.
        after: The SQL that follows the columns of the table.
        rows: The rows of a file that are loaded; `{ours}` is that all required keys are text.
        is_text: Whether `{key}` is text.
        known: A known key in the expression of `rest`.
    """

    types: dict[str, str]
    value: str
    other: tuple[str, str]
    timestamp: tuple[str, str]
    rest: tuple[str, str]
    after: str
    rows: str
    is_text: str
    known: str


DIALECTS = {
    "duckdb": Dialect(
        types={
            "VARCHAR": "'VARCHAR'",
            "BIGINT": "'BIGINT', 'UBIGINT'",
            "DOUBLE": "'BIGINT', 'UBIGINT', 'DOUBLE'",
            "BOOLEAN": "'BOOLEAN'",
        },
        value="CASE WHEN json_type(json, '$.{key}') IN ({accepted})"
        " THEN TRY_CAST(json ->> '$.{key}' AS {kind}) END",
        other=("JSON", "json -> '$.{key}'"),
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
        types={
            "Nullable(String)": "'String'",
            "Nullable(Int64)": "'Int64', 'UInt64'",
            "Nullable(Float64)": "'Int64', 'UInt64', 'Double'",
            "Nullable(Bool)": "'Bool'",
        },
        value="if(JSONType(line, '{key}') IN ({accepted}),"
        " JSONExtract(line, '{key}', '{kind}'), NULL)",
        other=(
            "Nullable(String)",
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
_SORTS: tuple[set[type], ...] = ({str}, {int}, {int, float}, {bool})


def script(dialect: Dialect) -> Iterator[str]:
    """Give the lines of the script."""
    known = keys()
    columns = {key: _column_of(dialect, key, types) for key, types in known.items()}
    kind, value = dialect.rest
    columns["fields"] = (kind, value.format(keys=_joined(dialect.known, known, ", ")))
    yield f"CREATE TABLE {TABLE} ("
    yield ",\n".join(f'  "{key}" {kind}' for key, (kind, _) in columns.items())
    yield f"){dialect.after};"
    values = ", ".join(value for _, value in columns.values())
    rows = dialect.rows.replace("{ours}", _joined(dialect.is_text, REQUIRED, " AND "))
    yield f"-- load: INSERT INTO {TABLE} SELECT {values} FROM {rows};"  # noqa: S608 - our own names


def _column_of(dialect: Dialect, key: str, types: frozenset[type]) -> tuple[str, str]:
    """Return the type of a key's column and the expression of its value."""
    if key == "timestamp":
        return dialect.timestamp
    known = types - {type(None)}
    for (kind, accepted), sort in zip(dialect.types.items(), _SORTS, strict=True):
        if known and known <= sort:
            value = dialect.value.format(key=key, kind=kind, accepted=accepted)
            # A line without a required key is not loaded.
            required = kind.removeprefix("Nullable(").removesuffix(")")
            return (required if key in REQUIRED else kind), value
    kind, value = dialect.other
    return kind, value.format(key=key)


def _joined(template: str, names: Iterable[str], separator: str) -> str:
    return separator.join(template.replace("{key}", name) for name in names)
