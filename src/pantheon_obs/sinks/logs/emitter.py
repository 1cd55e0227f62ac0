"""From an entry to bytes on standard output. Never raises, never loses a line."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.failures import note
from pantheon_obs.core.guard import let_through, report
from pantheon_obs.sinks.logs.delivery import writer
from pantheon_obs.sinks.logs.entry import Entry
from pantheon_obs.sinks.logs.formats import console_format, json_format, text_format
from pantheon_obs.sinks.logs.limit import fit
from pantheon_obs.sinks.logs.line import LineBuilder
from pantheon_obs.sinks.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.settings import Settings
    from pantheon_obs.sinks.logs.formats import Format

captures: list[list[dict[str, Any]]] = []
"""Lists that get every line's dict too; see `pantheon_obs.testing.capture_events`."""


class Emitter:
    """Renders entries and hands them to the writer that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self.format_name = _format_name(settings.log_format)
        self._render = _FORMATS[self.format_name]()
        self._limit = settings.max_line_bytes
        self._builder = LineBuilder(
            Redactor(settings.redact_keys), settings.static_fields, request_id=settings.request_id
        )
        self._broken = False
        self._write = writer(settings, self._report_dropped, self.unwritable)

    def emit(self, entry: Entry) -> None:
        """Write one line."""
        try:
            self._write(self.render(entry), entry.level)
        except Exception as failure:  # noqa: BLE001 - the application runs on, whatever stdout is
            self.unwritable(failure)

    def render(self, entry: Entry) -> bytes:
        """Render one line, its end included."""
        try:
            line = self._builder.build(entry)
            if captures:
                for capture in captures:
                    capture.append(dict(line))
            rendered = self._render(line)
            if len(rendered) > self._limit:
                rendered = fit(line, rendered, self._render, self._limit)
        except Exception as failure:  # noqa: BLE001 - the line goes out, without what broke it
            report("log line", failure)
            rendered = self._render(self._builder.build(replace(entry, fields={}, bound={})))
        if entry.error is not None:
            note(entry.error).logged = True
        return rendered

    def unwritable(self, failure: Exception) -> None:
        """Say on standard error, once, that standard output does not take a line."""
        let_through(failure)
        if self._broken:
            return
        self._broken = True
        entry = Entry(
            logging.ERROR,
            "telemetry_failed",
            "pantheon_obs.guard",
            {"site": "log output"},
            failure,
        )
        with suppress(Exception):
            sys.stderr.write(self.render(entry).decode("utf-8", "replace"))
            sys.stderr.flush()

    def _report_dropped(self, dropped: dict[str, int]) -> bytes:
        """Render the report of a queue that had no room for some lines."""
        fields = {"dropped": sum(dropped.values()), "dropped_by_level": dropped}
        entry = Entry(logging.WARNING, "log_lines_dropped", "pantheon_obs.logs", fields)
        return self.render(entry)


def _format_name(setting: str) -> str:
    if setting != "auto":
        return setting
    return "console" if _is_terminal() else "json"


def _is_terminal() -> bool:
    try:
        return sys.stdout.isatty()
    except (AttributeError, ValueError):  # no stdout, or a closed one
        return False


_FORMATS: dict[str, Callable[[], Format]] = {
    "json": lambda: json_format,
    "text": lambda: text_format,
    "console": lambda: console_format(colors=_is_terminal()),
}
