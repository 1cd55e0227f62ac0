"""Keep the facts of large files as Parquet, so that the next report need not read the lines.

An entry is named after all that its facts depend on: the file's path, inode, size and time of
change, the options, and the version of the library. A file that has changed has another entry; the
entries that were not used for longest are removed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from pantheon_obs._version import __version__
from pantheon_obs.cli.report.facts import literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from duckdb import DuckDBPyConnection

    from pantheon_obs.cli.reading.files import Source

LARGE = 1_000_000_000  # bytes of all files together, from which on entries are made
SMALL = 8_000_000  # bytes of a file that is read as fast without
MOST_BYTES = 2_000_000_000  # of all entries
_ZIPPED = 8  # how many times larger the lines of a .gz are
_ABANDONED = 3600  # seconds after which an entry is no longer being written
_FIND = "SELECT value FROM parquet_kv_metadata(?) WHERE key = 'read'"
_LOAD = "INSERT INTO lines BY NAME SELECT * FROM read_parquet(?)"
_SAVE = """
COPY (SELECT * FROM lines WHERE rowid >= {start}) TO {path}
(FORMAT parquet, COMPRESSION zstd, KV_METADATA {{read: '{read}'}})
"""


def is_worth(source: Source) -> bool:
    """Whether a file takes so long to read that an entry is worth its place."""
    return size(source) >= SMALL


def size(source: Source) -> int:
    """Return how many bytes of lines a file has, roughly; 0 for a pipe."""
    path = Path(source.path)
    if not path.is_file():
        return 0
    return path.stat().st_size * (_ZIPPED if path.suffix == ".gz" else 1)


class CachedFile:
    """The facts of one file.

    Args:
        database: Where the facts are in the table `lines`.
        error: The class of its exceptions.
        source: The file.
        by: The field by which calls are grouped as well.
    """

    def __init__(
        self,
        database: DuckDBPyConnection,
        error: type[Exception],
        source: Source,
        by: str | None,
    ) -> None:
        self._database = database
        self._error = error
        self._source = source
        self._by = by
        self._folder = _folder()
        self._path = self._named()

    def load(self) -> dict[str, int] | None:
        """Add the facts to `lines`, and return the counts of lines; None without a sound entry."""
        path = str(self._path)
        try:
            ((value,),) = self._database.execute(_FIND, [path]).fetchall()
            read: dict[str, int] = orjson.loads(value)
            self._database.execute(_LOAD, [path])
        except (self._error, ValueError):
            with suppress(OSError):
                self._path.unlink()
            return None
        with suppress(OSError):
            os.utime(self._path)
        return read

    def save(self, start: int, read: Mapping[str, int]) -> None:
        """Write the facts from a row of `lines` on, if they still belong to the file.

        Where the folder cannot be written to there is no entry.
        """
        if self._named() != self._path:
            return  # it has grown while it was read
        with suppress(OSError, self._error):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="new-", dir=self._folder) as folder:
                path = Path(folder, "entry")
                counts = orjson.dumps(read).decode()
                save = _SAVE.format(start=start, path=literal(str(path)), read=counts)
                self._database.execute(save)
                path.replace(self._path)
            _trim(self._folder)

    def _named(self) -> Path:
        status = os.stat(self._source.path)  # noqa: PTH116 - a path of bytes that are no text
        facts = (
            os.path.realpath(self._source.path),
            (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns),
            (self._source.service, self._by, __version__),
        )
        return self._folder / f"{sha256(repr(facts).encode()).hexdigest()}.parquet"


def _folder() -> Path:
    """Return the folder of the entries, as the XDG Base Directory Specification has it."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return Path(base if base.startswith("/") else os.path.expanduser("~/.cache"), "pantheon-obs")  # noqa: PTH111


def _trim(folder: Path) -> None:
    """Remove the leftovers of killed reports, and the entries that were not used for longest."""
    for begun in folder.glob("new-*"):
        if begun.stat().st_mtime < time.time() - _ABANDONED:
            shutil.rmtree(begun, ignore_errors=True)
    entries = [(path.stat(), path) for path in folder.glob("*.parquet")]
    total = sum(status.st_size for status, _ in entries)
    for status, path in sorted(entries, key=lambda entry: entry[0].st_mtime_ns):
        if total > MOST_BYTES:
            path.unlink(missing_ok=True)
            total -= status.st_size
