"""From an event to bytes on standard output. Never raises, never loses a line."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import Guard
from pantheon_obs.sinks.logs.formats import console_format, json_format, text_format
from pantheon_obs.sinks.logs.limit import fit
from pantheon_obs.sinks.logs.line import LineBuilder
from pantheon_obs.sinks.logs.output import Output
from pantheon_obs.sinks.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pantheon_obs.core.settings import Settings
    from pantheon_obs.sinks.logs.formats import Format

captures: list[list[dict[str, Any]]] = []
"""Lists that get every line's dict too; see `pantheon_obs.testing.capture_events`."""

_output = Output()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_output.after_fork)

_building = Guard("log line")
_writing = Guard("log output")


class Emitter:
    """Renders and writes, as the settings say.

    Args:
        settings: Format, limits, static fields and keys to redact.
    """

    def __init__(self, settings: Settings) -> None:
        self.format_name = _format_name(settings.log_format)
        self._render = _FORMATS[self.format_name]()
        self._limit = settings.max_line_bytes
        self._builder = LineBuilder(Redactor(settings.redact_keys), settings.static_fields)

    def emit(
        self,
        level: int,
        event: str,
        logger: str,
        fields: Mapping[str, Any],
        **known: Any,  # noqa: ANN401 - the keywords of LineBuilder.build
    ) -> None:
        """Write one line.

        Args:
            level: A standard level's number.
            event: The event's name or the message.
            logger: The logger's name.
            fields: The event's own fields.
            known: What the caller knows besides; see `LineBuilder.build`.
        """
        name = _LEVEL_NAMES.get(level) or logging.getLevelName(level).lower()
        rendered = b""
        with _building:
            line = self._builder.build(name, event, logger, fields, **known)
            for capture in captures:
                capture.append(dict(line))
            rendered = fit(line, self._render, self._limit)
        with _writing:
            _output.write(rendered or self._last_resort(name, event, logger))

    def _last_resort(self, level: str, event: str, logger: str) -> bytes:
        """The line of an event whose fields could not be rendered."""
        line = self._builder.build(level, event, logger, {}, bound={})
        return self._render(line)


def _format_name(setting: str) -> str:
    if setting != "auto":
        return setting
    try:
        return "console" if sys.stdout.isatty() else "json"
    except (AttributeError, ValueError):  # no stdout, or a closed one
        return "json"


def _console() -> Format:
    return console_format(colors=sys.stdout is not None and sys.stdout.isatty())


_FORMATS = {"json": lambda: json_format, "text": lambda: text_format, "console": _console}
_LEVEL_NAMES = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "critical",
}
