"""Judge lines as ours, torn or foreign. Whole blocks are searched before a line is parsed."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

import orjson

from pantheon_obs.cli.reading.blocks import blocks
from pantheon_obs.cli.reading.schema import REQUIRED, typed
from pantheon_obs.cli.reading.wrappers import Joined, Unwrapper, has_parts
from pantheon_obs.cli.terminal import ProgressLine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pantheon_obs.cli.reading.files import Source

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII).fullmatch
_LARGE = 4 << 20  # bytes
_MOST_VALUES = 1_000_000  # objects and lists of a large line
_SMALL = 4096  # bytes of a line whose fields are kept after they were read


def time_of(text: str) -> datetime | None:
    """Read a time as the lines have it; None for any other text."""
    if not _TIME(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # the 30th of February
        return None


class Line:
    """One line of ours.

    Attributes:
        raw: The line as it was written, without its wrapping.
        service: Its `service`, else the service that its file is named after.
        file: The file as it was given or found; `-` is standard input.
        number: The line's number in the file, from 1; for a joined line its first part's number.
        time: Its `timestamp`.
    """

    __slots__ = ("_fields", "file", "number", "raw", "service", "time")

    def __init__(self, joined: Joined, fields: dict[str, Any], time: datetime, named: str) -> None:
        self.file, self.number, self.raw = joined
        self.time = time
        fields = typed(fields)
        self.service: str = fields.get("service", named)
        self._fields = fields if len(self.raw) <= _SMALL else None

    @property
    def fields(self) -> dict[str, Any]:
        """Return the fields of the right types; a long line's fields are parsed again."""
        return typed(orjson.loads(self.raw)) if self._fields is None else self._fields

    def forget_fields(self) -> None:
        """Take less memory: from now on the fields are parsed when they are asked for."""
        self._fields = None

    @property
    def source(self) -> str:
        """Name the file and the number."""
        return f"{self.file}:{self.number}"


class Reader:
    """Read the lines of some files, and count them.

    Attributes:
        read: `files`, `lines`, `foreign` and `torn`, as `--json` prints them.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._unwrapper = Unwrapper()
        self._progress = ProgressLine()
        self.read = {"files": 0, "lines": 0, "foreign": 0, "torn": 0}

    def logs(self) -> Iterator[list[Source]]:
        """Give the files of each log, the oldest first."""
        for _, log in groupby(self._sources, lambda source: source.group):
            yield list(log)

    def lines(self, needle: re.Pattern[bytes] | None = None) -> Iterator[Line]:
        """Give the lines of ours in the order of the files.

        Args:
            needle: Only lines in which it is found are judged, and given; None for all.
        """
        for log in self.logs():
            for source in log:
                for joined in self._search(source, needle, last=source is log[-1]):
                    if line := self.judge(joined, source.service):
                        yield line

    def blocks(self, source: Source) -> Iterator[tuple[int, bytes]]:
        """Give the blocks of a file, each with the number of its first line; count the lines."""
        self.read["files"] += 1
        number = 1
        for block in blocks(source, self._progress):
            count = block.count(b"\n") + (not block.endswith(b"\n"))
            self.read["lines"] += count
            yield number, block
            number += count

    def judge(self, joined: Joined, service: str) -> Line | None:
        """Return the line if it is ours; else count it, unless it is blank."""
        text = joined.text
        if not text:
            return None
        if not text.startswith(b"{"):
            self.read["foreign"] += 1
            return None
        fields = parsed(text)
        if fields is None:
            self.read["torn"] += 1
            return None
        if all(isinstance(fields.get(name), str) for name in REQUIRED):
            time = time_of(fields["timestamp"])
            if time is not None:
                return Line(joined, fields, time, service)
        self.read["foreign"] += 1
        return None

    def _search(
        self, source: Source, needle: re.Pattern[bytes] | None, *, last: bool
    ) -> Iterator[Joined]:
        """Give the lines of a file in which the needle stands.

        `last` says that no other file goes on with this log.
        """
        for number, block in self.blocks(source):
            found: Iterable[tuple[int, bytes]]
            if needle is None or self._unwrapper.waits() or has_parts(block):
                found = enumerate(block.removesuffix(b"\n").split(b"\n"), number)
            else:
                found = _hits(number, block, needle)
            for place, line in found:
                joined = self._unwrapper.feed(source.name, place, line)
                if joined is not None and (needle is None or needle.search(joined.text)):
                    yield joined
        for joined in self._unwrapper.end() if last else ():
            if needle is None or needle.search(joined.text):
                yield joined


def parsed(text: bytes) -> dict[str, Any] | None:
    """Parse a line; None if it is torn, or would fill the memory."""
    # An empty object takes 25 times as much memory as its text.
    if len(text) > _LARGE and text.count(b"{") + text.count(b"[") > _MOST_VALUES:
        return None
    try:
        fields: dict[str, Any] = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return fields


def _hits(number: int, block: bytes, needle: re.Pattern[bytes]) -> Iterator[tuple[int, bytes]]:
    """Give the lines of a block in which the needle stands, with their numbers."""
    end = 0
    while match := needle.search(block, end):
        start = block.rfind(b"\n", end, match.start()) + 1 or end
        number += block.count(b"\n", end, start)
        end = block.find(b"\n", start) + 1 or len(block)
        yield number, block[start:end].rstrip(b"\n")
        number += 1
