"""Let DuckDB count: lines go through temporary files into the table `facts`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import orjson

from pantheon_obs.cli.report import cache
from pantheon_obs.cli.report.dialects import DUCKDB
from pantheon_obs.cli.report.facts import COLUMNS, GROUPED, add_names, facts, is_readable, view
from pantheon_obs.cli.report.objects import ObjectReader, is_odd, repaired
from pantheon_obs.cli.terminal import CommandError, encoded
from pantheon_obs.core.errors import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection

    from pantheon_obs.cli.reading.files import Source

PIECE = 128_000_000  # bytes of lines that DuckDB reads at a time
_USUAL = 1 << 21  # bytes; DuckDB makes buffers of twice the length of the longest line
# Values whose text as JSON may differ from the text of an equal value.
_ODD = r"""
SELECT DISTINCT grouped FROM lines
WHERE NOT regexp_full_match(grouped, '"[^\\]*"|true|false|-?[0-9]{1,15}')
"""
_REPLACED = """
UPDATE lines SET grouped = fresh FROM (SELECT unnest(?) AS old, unnest(?) AS fresh) AS known
WHERE grouped = old
"""


class Duck:
    """A database in memory; DuckDB moves it to a temporary folder where memory is short.

    Args:
        by: The field by which calls are grouped as well.
    """

    dialect = DUCKDB

    def __init__(self, by: str | None = None) -> None:
        duckdb = require("duckdb", extra="cli", feature="report")
        self._refused: type[Exception] = duckdb.Error
        self._by = by
        self._folder = tempfile.TemporaryDirectory(prefix="pantheon-obs-")
        self._paths: dict[str, Path] = {}  # by service, of lines that DuckDB has not read
        self._size = self._torn = self._ours = 0
        self._longest = _USUAL  # bytes of a line
        self._key = by if by is None or is_readable(by) else GROUPED
        self._names: dict[str, None] = {}  # of measured times, in the order in which they came
        config = {"memory_limit": "300MB", "temp_directory": self._folder.name, "threads": "1"}
        self._database: DuckDBPyConnection = duckdb.connect(config=config)
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        self._database.execute(f"CREATE TABLE lines ({columns})")
        self._database.execute(f"CREATE VIEW facts AS {view()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the database and remove its folder."""
        self._database.close()
        self._folder.cleanup()

    def load(self, sources: Sequence[Source]) -> dict[str, int]:
        """Read log files, and return the counts of files and lines, as the JSON has them."""
        reader = ObjectReader(sources)
        size = sum(map(cache.size, sources))
        if size > PIECE:
            self._database.execute("RESET threads")  # a second one is slower if it has little to do
        for log in reader.logs():
            for source in log:
                if size >= cache.LARGE and cache.is_worth(source) and not reader.unwrapper.waits():
                    self._load_kept(reader, source)
                else:
                    self._read(reader, source)
            self.add(log[-1].service, reader.rest())
        self.finish()
        return {"files": reader.read["files"], **self._counts(reader)}

    def _load_kept(self, reader: ObjectReader, source: Source) -> None:
        """Take the facts of a file from the cache, or put them there."""
        entry = cache.CachedFile(self._database, self._refused, source, self._by)
        read = entry.load()
        if read is not None:
            reader.read["files"] += 1
            for name, count in read.items():
                reader.read[name] += count
            return
        self._take()
        before = self._counts(reader)
        ((start,),) = self.run("SELECT count(*) FROM lines")
        self._read(reader, source)
        self._take()
        if not reader.unwrapper.waits():
            after = self._counts(reader)
            read = {name: count - before[name] for name, count in after.items()}
            entry.save(start, read)

    def _read(self, reader: ObjectReader, source: Source) -> None:
        for block in reader.objects(source):
            self.add(source.service, block)

    def _counts(self, reader: ObjectReader) -> dict[str, int]:
        """Count the lines that were read, as far as DuckDB has taken them in."""
        return {
            "lines": reader.read["lines"],
            "foreign": reader.read["foreign"] + reader.given - self._torn - self._ours,
            "torn": reader.read["torn"] + self._torn,
        }

    def add(self, service: str, lines: bytes) -> None:
        """Add lines that are JSON objects; `service` is for lines that do not name one."""
        if not lines:
            return
        if is_odd(lines) or self._key == GROUPED:
            lines = self._repaired(lines)
        add_names(lines, self._names)
        path = self._paths.setdefault(service, Path(self._folder.name, f"{len(self._paths)}.json"))
        with path.open("ab") as file:
            file.write(lines)
            file.write(b"" if lines.endswith(b"\n") else b"\n")
        self._size += len(lines)
        if len(lines) > self._longest:
            self._longest = max(self._longest, *map(len, lines.split(b"\n")))
        if self._size >= PIECE:
            self._take()

    def finish(self) -> None:
        """Take in the last lines."""
        self._take()
        odd = [] if self._by is None else [value for (value,) in self.run(_ODD)]
        fresh = [encoded(orjson.loads(value)).decode() for value in odd]
        if odd:
            self._database.execute(_REPLACED, [odd, fresh])

    def _take(self) -> None:
        """Let DuckDB read the files so far."""
        if not self._paths:
            return
        try:
            self._insert()
        except self._refused:
            for path in self._paths.values():
                path.write_bytes(self._repaired(path.read_bytes()))
            try:
                self._insert()
            except self._refused as error:  # no space for its temporary files, for example
                msg = f"DuckDB: {str(error).partition(chr(10))[0]}"
                raise CommandError(msg) from None
        for path in self._paths.values():
            path.unlink()
        self._paths.clear()
        self._size = 0

    def _insert(self) -> None:
        paths = [str(path) for path in self._paths.values()]
        inserted = self._database.execute(
            f"INSERT INTO lines BY NAME {facts(self._names, self._key)}",
            [paths, self._longest, paths, list(self._paths)],
        )
        self._ours += inserted.fetchall()[0][0]

    def _repaired(self, lines: bytes) -> bytes:
        written, torn = repaired(lines, self._by if self._key == GROUPED else None)
        self._torn += torn
        return written

    def run(self, query: str) -> list[tuple[Any, ...]]:
        """Run a query of `queries.py` whose names are filled in."""
        return self._database.execute(query).fetchall()
