"""Remember the newest requests, within a bound of memory."""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime
from itertools import groupby, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from pantheon_obs.cli.reading.lines import Line
from pantheon_obs.cli.reading.schema import kind_of
from pantheon_obs.cli.reading.wrappers import Joined
from pantheon_obs.cli.report.document import report
from pantheon_obs.cli.report.duck import Duck
from pantheon_obs.cli.report.windows import Window
from pantheon_obs.cli.stories.document import story
from pantheon_obs.cli.stories.trace_ids import canonical, wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_REQUESTS = 50_000
MOST_BYTES = 150_000_000
_AT_ONCE = 1000  # lines that are copied at a time
_BESIDE = 300  # bytes that a remembered line takes beside its text


class Remembered(NamedTuple):
    """A line, with facts that its text does not have."""

    raw: bytes
    file: str
    number: int
    service: str
    is_request: bool

    @property
    def size(self) -> int:
        """Return the memory that it takes, in bytes."""
        return len(self.raw) + _BESIDE


class Memory:
    """The newest lines; one thread adds to them and others ask.

    Args:
        read: The counts of the reader, which keeps them up to date.
    """

    def __init__(self, read: Mapping[str, int]) -> None:
        self._read = read
        self._lines: deque[Remembered] = deque()
        self._requests = 0
        self._size = 0
        self._version = 0
        self._changed = threading.Condition()
        self._counting = threading.Lock()
        self._counted: tuple[int, dict[str, Any]] | None = None

    def add(self, line: Line) -> None:
        """Remember a line, and forget the oldest ones where there are too many."""
        fields = line.fields
        is_request = kind_of(fields) == "request"
        entry = Remembered(line.raw, line.file, line.number, line.service, is_request)
        with self._changed:
            self._lines.append(entry)
            self._requests += is_request
            self._size += entry.size
            while self._requests > MOST_REQUESTS or self._size > MOST_BYTES:
                oldest = self._lines.popleft()
                self._requests -= oldest.is_request
                self._size -= oldest.size
            self._version += 1

    def notify(self) -> None:
        """Wake the threads that wait for a change."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, seen: int, seconds: float) -> int:
        """Wait until the version is another one than was seen, and return it."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != seen, seconds)
            return self._version

    def report(self) -> tuple[int, dict[str, Any]]:
        """Count the remembered lines, and return their version with the report.

        Without a change since, the last report is given again.
        """
        with self._counting:
            with self._changed:
                version, lines = self._version, list(self._lines)
            if self._counted is None or self._counted[0] != version:
                with Duck() as duck:
                    for service, named in groupby(lines, key=attrgetter("service")):
                        while some := [line.raw for line in islice(named, _AT_ONCE)]:
                            duck.add(service, b"\n".join(some))
                    duck.finish()
                    self._counted = (version, report(duck, Window(), self._read))
            return self._counted

    def story(self, trace_id: str) -> dict[str, Any] | None:
        """Compute the story of a trace; None if no line of it is remembered."""
        trace = wanted(trace_id)
        if trace is None:
            return None
        with self._changed:
            entries = [entry for entry in self._lines if trace.needle.search(entry.raw)]
        found = [
            line
            for line in map(_parsed, entries)
            if canonical(line.fields.get("trace_id", "")) == trace.key
        ]
        return story(found, dict(self._read)).document if found else None


def _parsed(entry: Remembered) -> Line:
    fields = orjson.loads(entry.raw)
    time = datetime.fromisoformat(fields["timestamp"])
    return Line(Joined(entry.file, entry.number, entry.raw), fields, time, entry.service)
