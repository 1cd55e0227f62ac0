"""Let DuckDB count: rows of `facts.py` go through a temporary file into a table."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pantheon_obs.cli.report.dialects import DUCKDB
from pantheon_obs.cli.report.facts import COLUMNS
from pantheon_obs.cli.report.rows import FactReader
from pantheon_obs.core.errors import require

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pantheon_obs.cli.reading.files import Source

PIECE = 64_000_000  # bytes of rows that DuckDB reads at a time

_SELECTED = ", ".join(
    ["epoch_us(stamp) AS us", "coalesce(weight, 1) AS weight"]
    + [f"coalesce({name}, FALSE) AS {name}" for name, kind in COLUMNS.items() if kind == "BOOLEAN"]
    + ["loud IS TRUE AND kind IN ('request', 'websocket', 'task') AS failed"]
    + [
        name
        for name, kind in COLUMNS.items()
        if name not in {"stamp", "weight"} and kind != "BOOLEAN"
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
        duckdb = require("duckdb", extra="cli", feature="report")

        self._folder = tempfile.TemporaryDirectory(prefix="pantheon-obs-")
        self._database = duckdb.connect(
            config={"memory_limit": "300MB", "temp_directory": self._folder.name}
        )
        self._made = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the database and remove its folder."""
        self._database.close()
        self._folder.cleanup()

    def load(self, sources: Sequence[Source], by: str | None) -> dict[str, int]:
        """Read log files, and return what was read, as the JSON has it."""
        reader = FactReader(sources)
        self.add(reader.rows(by))
        return reader.read

    def add(self, rows: Iterable[bytes]) -> None:
        """Add rows, each one a line of JSON."""
        piece = Path(self._folder.name, "rows.json")
        iterator = iter(rows)
        while True:
            size, longest = _write(piece, iterator)
            if not size and self._made:
                break
            start = "INSERT INTO facts" if self._made else "CREATE TABLE facts AS"
            self._database.execute(
                f"{start} SELECT {_SELECTED} FROM {_READ}",  # noqa: S608 - names of ours
                [str(piece), max(longest, _USUAL_ROW)],
            )
            self._made = True

    def run(self, query: str) -> list[tuple[Any, ...]]:
        """Run a query of `queries.py` whose names are filled in."""
        return self._database.execute(query).fetchall()  # type: ignore[no-any-return]


def _write(path: Path, rows: Iterator[bytes]) -> tuple[int, int]:
    """Write rows to a file until it is full; return its size, and that of the longest part."""
    size = longest = 0
    with path.open("wb") as file:
        for row in rows:
            size += file.write(row)
            longest = max(longest, len(row))
            if size >= PIECE:
                break
    return size, longest
