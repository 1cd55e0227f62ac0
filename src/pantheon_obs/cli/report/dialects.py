"""The few words in which the SQL of DuckDB and of ClickHouse differs."""

from __future__ import annotations

# The lines of a traceback from which its class and frames are read, without what varies from one
# error to the next: both engines use RE2.
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
CLICKHOUSE = {
    "total": "sumKahan",
    "each": "arrayJoin",
    "first": "argMin",
    "last": "argMax",
    "rank": "tuple",
    "outline": "arrayStringConcat(extractAll(coalesce(exception, ''), '{}'), '\\n')".format(
        OUTLINE.replace("\\", "\\\\")
    ),
}
