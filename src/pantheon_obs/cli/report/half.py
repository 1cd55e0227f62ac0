"""Reduce a part of the blocks of log files in a process of its own, while DuckDB starts elsewhere.

`python -m pantheon_obs.cli.report.half FILE` reads what to do from standard input, writes the rows
to FILE, and the counts of what it has read to standard output.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Self

import orjson

from pantheon_obs.cli.report.rows import FactReader, PartsError, write_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pantheon_obs.cli.reading.files import Source

SMALL = 8_000_000  # bytes that are read as fast without a second process


def is_large(sources: Sequence[Source]) -> bool:
    """Whether a second process is worth its start: for files that both can read, as they are."""
    if (os.cpu_count() or 1) == 1:
        return False
    paths = [Path(source.path) for source in sources]
    if not all(path.is_file() and path.suffix != ".gz" for path in paths):
        return False
    return sum(path.stat().st_size for path in paths) > SMALL


def is_others(block: int) -> bool:
    """Whether the other process reads a block: three of five, as this one starts DuckDB, too."""
    return block % 5 in {0, 2, 4}


class Half:
    """The process that reads the other blocks.

    Args:
        sources: The files.
        by: The field by which calls are grouped as well.
        path: The file into which it writes its rows.
    """

    def __init__(self, sources: Sequence[Source], by: str | None, path: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this module
            [sys.executable, "-m", __name__, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if self._process.stdin is not None:
            with self._process.stdin as stdin:
                stdin.write(pickle.dumps((list(sources), by)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it, if its rows are not wanted any more."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def result(self) -> tuple[int, dict[str, int]]:
        """Wait for its end; return the length of its longest row, and what it has read.

        Raises:
            PartsError: Its blocks hold parts of lines.
        """
        answer = self._process.stdout.read() if self._process.stdout else b""
        if self._process.wait():
            raise PartsError
        longest, counts = orjson.loads(answer)
        return longest, counts


def main() -> int:
    """Write the rows of the other blocks; 1 if there are parts of lines."""
    sources, by = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this
    reader = FactReader(sources)
    try:
        _, longest = write_rows(Path(sys.argv[1]), reader.rows(by, is_others), inf)
    except PartsError:
        return 1
    sys.stdout.buffer.write(orjson.dumps((longest, reader.read)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
