"""Render an entry and write its bytes to standard output. Never raises, never loses a line."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline
from pantheon_obs.core.failures import note
from pantheon_obs.core.guard import let_through, report
from pantheon_obs.core.measurements import LinesDropped
from pantheon_obs.sinks.logs.delivery import writer
from pantheon_obs.sinks.logs.entry import Entry
from pantheon_obs.sinks.logs.formats import fit, json_format, text_format
from pantheon_obs.sinks.logs.line import LineBuilder
from pantheon_obs.sinks.redact.redactor import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.events import Event
    from pantheon_obs.core.settings import Settings
    from pantheon_obs.sinks.logs.formats import Format

    Writer = Callable[[bytes, int], None]

captures: list[list[dict[str, Any]]] = []
"""Lists that get every line's dict too; see `pantheon_obs.testing.capture_events`."""

unwritten = [logging.NOTSET]
"""The last is the highest level whose lines are captured only: `logging.disable` hides them."""


class Emitter:
    """Renders entries and hands them to the writer that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self.format_name: str = settings.log_format
        is_terminal = _is_terminal(settings.log_stream)
        if self.format_name == "auto":
            self.format_name = "console" if is_terminal else "json"
        self._render = _format_of(self.format_name, is_terminal=is_terminal)
        self._limit = settings.max_line_bytes
        self._builder = LineBuilder(
            Redactor(settings.redact_keys, settings.max_line_bytes),
            settings.static_fields,
            request_id=settings.request_id,
        )
        self._broken = False
        self._write = writer(settings, self._report_dropped, self.unwritable)

    def emit(self, entry: Entry | Event, write: Writer | None = None) -> None:
        """Write one line, by the settings' writer unless another one is given.

        An event of this library is an entry by itself: another object takes 3 % of a request.
        """
        try:
            level = entry.level
            try:
                line = self._builder.build(entry, level)
                if captures and _capture(line, level):
                    return
                rendered = self._render(line)
                if len(rendered) > self._limit:
                    rendered = fit(line, rendered, self._render, self._limit)
            except Exception as failure:  # noqa: BLE001 - the line goes out without the broken part
                report("log line", failure)
                bare = Entry(level, entry.event, entry.logger, {}, entry.error, entry.trace_id, {})
                bare.traceback = entry.traceback
                rendered = self._render(self._builder.build(bare, level))
            if entry.error is not None:
                note(entry.error).logged = True
            (write or self._write)(rendered, level)
        except Exception as failure:  # noqa: BLE001 - the application runs on, whatever stdout is
            self.unwritable(failure)

    def unwritable(self, failure: Exception) -> None:
        """Say on standard error, once, that standard output does not take a line."""
        let_through(failure)
        if not self._broken:
            self._broken = True
            site = {"site": "log output"}
            entry = Entry(logging.ERROR, "telemetry_failed", "pantheon_obs.guard", site, failure)
            self.emit(entry, _write_error)

    def render(self, entry: Entry) -> bytes:
        """Render a line that somebody else will write."""
        lines: list[bytes] = []
        self.emit(entry, lambda line, _level: lines.append(line))
        return b"".join(lines)

    def _report_dropped(self, dropped: dict[str, int]) -> bytes:
        """Render the report of a queue that had no room for some lines."""
        pipeline.emit_measurement(LinesDropped(levels=dropped))
        fields = {"dropped": sum(dropped.values()), "dropped_by_level": dropped}
        return self.render(Entry(logging.WARNING, "log_lines_dropped", "pantheon_obs.logs", fields))


def _capture(line: dict[str, Any], level: int) -> bool:
    """Capture a line; return whether it is not written."""
    for capture in captures:
        capture.append(dict(line))
    return level <= unwritten[-1]


def _write_error(line: bytes, _level: int) -> None:
    sys.stderr.write(line.decode("utf-8", "replace"))
    sys.stderr.flush()


def _is_terminal(stream: str) -> bool:
    try:
        return (sys.stderr if stream == "stderr" else sys.stdout).isatty()
    except (AttributeError, ValueError):  # no such stream, or a closed one
        return False


def _format_of(name: str, *, is_terminal: bool) -> Format:
    if name != "console":
        return json_format if name == "json" else text_format
    from pantheon_obs.core.terminal import wants_colors  # noqa: PLC0415 - only if asked for
    from pantheon_obs.sinks.logs.console import console_format  # noqa: PLC0415 - as above

    return console_format(colors=is_terminal and wants_colors())
