"""Remember the newest requests, within a bound of memory."""

from __future__ import annotations

import threading
from collections import deque
from itertools import groupby, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pantheon_obs.cli.reading.schema import kind_of
from pantheon_obs.cli.report.document import report
from pantheon_obs.cli.report.duck import Duck
from pantheon_obs.cli.report.windows import Window
from pantheon_obs.cli.stories.document import story
from pantheon_obs.cli.stories.trace_ids import canonical, wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pantheon_obs.cli.reading.lines import Line

MOST_REQUESTS = 50_000
MOST_BYTES = 150_000_000
_AT_ONCE = 1000  # lines that are copied at a time
_BESIDE = 300  # bytes that a remembered line takes beside its text


class Memory:
    """The newest lines; one thread adds to them and others ask.

    Args:
        read: The counts of the reader, which keeps them up to date.
    """

    def __init__(self, read: Mapping[str, int]) -> None:
        self._read = read
        self._lines: deque[Line] = deque()
        self._requests = 0
        self._size = 0
        self._version = 0
        self._changed = threading.Condition()
        self._counting = threading.Lock()
        self._counted: tuple[int, dict[str, Any]] | None = None

    def add(self, line: Line) -> None:
        """Remember a line, and forget the oldest ones where there are too many."""
        with self._changed:
            self._count(line, 1)
            line.forget_fields()
            self._lines.append(line)
            while self._requests > MOST_REQUESTS or self._size > MOST_BYTES:
                self._count(self._lines.popleft(), -1)
            self._version += 1

    def _count(self, line: Line, sign: int) -> None:
        self._requests += sign * (kind_of(line.fields) == "request")
        self._size += sign * (len(line.raw) + _BESIDE)

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
            lines = [line for line in self._lines if trace.needle.search(line.raw)]
        found = [line for line in lines if canonical(line.fields.get("trace_id", "")) == trace.key]
        return story(found, dict(self._read)).document if found else None
