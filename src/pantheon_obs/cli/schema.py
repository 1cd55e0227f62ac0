"""Print the schema of the log lines, or a table for them.

jsonschema is the JSON Schema of a line, as it ships with the library. clickhouse and duckdb print a
script with one CREATE TABLE and a comment line that loads a file: put its path in place of FILE.
All keys that the library does not know are in the column fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.cli.reading.schema import PATH
from pantheon_obs.cli.tables import DIALECTS, script
from pantheon_obs.cli.terminal import write, write_lines

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
examples:
  pantheon-obs schema
      the JSON Schema
  pantheon-obs schema --format duckdb | duckdb logs.db
      make the table in a DuckDB file
  pantheon-obs schema --format clickhouse | clickhouse client --multiquery
      make the table in ClickHouse
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--format",
        choices=("jsonschema", "clickhouse", "duckdb"),
        default="jsonschema",
        help="what to print (jsonschema)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the schema."""
    if arguments.format == "jsonschema":
        write(PATH.read_bytes())
    else:
        write_lines(script(DIALECTS[arguments.format]))
    return 0
