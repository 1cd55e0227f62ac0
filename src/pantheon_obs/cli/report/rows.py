"""Read log files into rows of `facts.py`, a block of lines at a time."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

import orjson

from pantheon_obs.cli.reading.blocks import blocks
from pantheon_obs.cli.reading.lines import Reader, time_of
from pantheon_obs.cli.reading.wrappers import has_parts
from pantheon_obs.cli.report.facts import row_of
from pantheon_obs.cli.terminal import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pantheon_obs.cli.reading.files import Source

_PLAIN = b'{"timestamp":"'
# A time whose day every month has; `time_of` judges all others.
_TIME = re.compile(
    r"(?!0000)\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3])(?::[0-5]\d){2}\.\d{6}Z",
    re.ASCII,
).fullmatch


class PartsError(Exception):
    """Lines are cut into parts, so that a block cannot be read without the one before."""


class FactReader(Reader):
    """A `Reader` that reduces each of our lines to a row."""

    def rows(self, by: str | None, is_mine: Callable[[int], bool] | None = None) -> Iterator[bytes]:
        """Give the rows of the lines, those of a block at once.

        Args:
            by: The field by which calls are grouped as well.
            is_mine: Which blocks are read, by their number from 0; None for all.

        Raises:
            PartsError: Only some blocks are read, and a line may go on in the next one.
        """
        progress = Progress()
        block_number = -1
        try:
            for _, log in groupby(self._sources, lambda source: source.group):
                for source in log:
                    self.read["files"] += 1
                    number = 0
                    for block in blocks(source, progress):
                        block_number += 1
                        if is_mine is not None:
                            if not is_mine(block_number):
                                continue
                            if has_parts(block):
                                raise PartsError
                        lines = block.removesuffix(b"\n").split(b"\n")
                        yield self._rows_of(source, number, lines, by)
                        number += len(lines)
                        self.read["lines"] += len(lines)
                yield self._last_rows(source, by)
        finally:
            progress.end()

    def _rows_of(
        self, source: Source, number: int, lines: Sequence[bytes], by: str | None
    ) -> bytes:
        """Reduce lines; those that are plainly ours take the short way."""
        rows: list[bytes] = []
        add, service = rows.append, source.service
        for line in lines:
            number += 1
            if line.startswith(_PLAIN):
                try:
                    fields = orjson.loads(line)
                    stamp = fields["timestamp"]
                    is_ours = (
                        (_TIME(stamp) or time_of(stamp))
                        and type(fields["level"]) is str
                        and type(fields["logger"]) is str
                        and type(fields["event"]) is str
                    )
                except (ValueError, KeyError, TypeError):
                    is_ours = False
                if is_ours:
                    add(row_of(fields, service, by))
                    continue
            joined = self._unwrapper.feed(source.name, number, line)
            if joined is not None and (ours := self.judge(joined, service)):
                add(row_of(ours.fields, service, by))
        return b"".join(rows)

    def _last_rows(self, source: Source, by: str | None) -> bytes:
        """Reduce the lines whose last parts never came."""
        lines = (self.judge(joined, source.service) for joined in self._unwrapper.end())
        return b"".join(row_of(line.fields, source.service, by) for line in lines if line)


def write_rows(path: Path, rows: Iterator[bytes], most: float) -> tuple[int, int]:
    """Write rows to a file until it is full; return its size, and a bound of the longest row."""
    size = longest = 0
    with path.open("wb") as file:
        for row in rows:
            size += file.write(row)
            longest = max(longest, len(row))
            if size >= most:
                break
    return size, longest
