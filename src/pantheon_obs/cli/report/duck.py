"""Let DuckDB count: rows of `facts.py` go through a temporary file into a table."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pantheon_obs.cli.report.dialects import DUCKDB
from pantheon_obs.cli.report.facts import COLUMNS
from pantheon_obs.cli.report.half import Half, is_large, is_others
from pantheon_obs.cli.report.rows import FactReader, PartsError, write_rows
from pantheon_obs.core.errors import require

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from duckdb import DuckDBPyConnection

    from pantheon_obs.cli.reading.files import Source

PIECE = 64_000_000  # bytes of rows that DuckDB reads at a time

# The form in which ids of one trace are equal, as `canonical` of the stories has it.
TRACE = (
    "CASE WHEN regexp_full_match(lower(trace_id),"
    " '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}')"
    " THEN replace(lower(trace_id), '-', '')"
    " WHEN regexp_full_match(lower(trace_id), '[0-9a-f-]+') THEN lower(trace_id)"
    " ELSE trace_id END"
)
_SELECTED = ", ".join(
    ["epoch_us(stamp) AS us", "coalesce(weight, 1) AS weight"]
    + [f"coalesce({name}, FALSE) AS {name}" for name, kind in COLUMNS.items() if kind == "BOOLEAN"]
    + [f"{TRACE} AS trace", "nullif(exception, '') AS exception"]
    + ["loud IS TRUE AND kind IN ('request', 'websocket', 'task') AS failed"]
    + [
        name
        for name, kind in COLUMNS.items()
        if name not in {"stamp", "weight", "exception"} and kind != "BOOLEAN"
    ]
)
_READ = "read_ndjson(?, columns={{{}}}, maximum_object_size=?)".format(
    ", ".join(f"{name}: '{kind}'" for name, kind in COLUMNS.items())
)
_USUAL_ROW = 1 << 24  # bytes; DuckDB makes buffers of the length of the longest row


class Duck:
    """A database in memory; DuckDB moves it to a temporary folder where memory is short."""

    dialect = DUCKDB

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="pantheon-obs-")
        self._connection: DuckDBPyConnection | None = None
        self._made = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the database and remove its folder."""
        if self._connection is not None:
            self._connection.close()
        self._folder.cleanup()

    @property
    def _database(self) -> DuckDBPyConnection:
        """Import DuckDB, which takes as long as reading 20 MB, only when it is needed."""
        if self._connection is None:
            duckdb = require("duckdb", extra="cli", feature="report")
            config = {"memory_limit": "300MB", "temp_directory": self._folder.name}
            self._connection = duckdb.connect(config=config)
        return self._connection

    def load(self, sources: Sequence[Source], by: str | None) -> dict[str, int]:
        """Read log files, and return what was read, as the JSON has it."""
        if is_large(sources):
            try:
                return self._load_both(sources, by)
            except PartsError:
                self._database.execute("DROP TABLE IF EXISTS facts")
                self._made = False
        reader = FactReader(sources)
        self.add(reader.rows(by))
        return reader.read

    def _load_both(self, sources: Sequence[Source], by: str | None) -> dict[str, int]:
        """Read some of the blocks here, while another process reads the others."""
        path = Path(self._folder.name, "half.json")
        reader = FactReader(sources)
        with Half(sources, by, path) as half:
            self.add(reader.rows(by, lambda block: not is_others(block)))
            longest, counts = half.result()
            self._take(path, longest)
        counts["files"] = 0  # both have opened them all
        return {name: count + counts[name] for name, count in reader.read.items()}

    def add(self, rows: Iterable[bytes]) -> None:
        """Add rows, each one a line of JSON."""
        piece = Path(self._folder.name, "rows.json")
        iterator = iter(rows)
        while True:
            size, longest = write_rows(piece, iterator, PIECE)
            if not size and self._made:
                break
            self._take(piece, longest)

    def _take(self, piece: Path, longest: int) -> None:
        """Add the rows of a file, of which none is longer than this."""
        start = "INSERT INTO facts" if self._made else "CREATE TABLE facts AS"
        self._database.execute(
            f"{start} SELECT {_SELECTED} FROM {_READ}",  # noqa: S608 - names of ours
            [str(piece), max(longest, _USUAL_ROW)],
        )
        self._made = True

    def run(self, query: str) -> list[tuple[Any, ...]]:
        """Run a query of `queries.py` whose names are filled in."""
        return self._database.execute(query).fetchall()
