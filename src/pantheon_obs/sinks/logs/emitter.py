"""From an event to bytes on standard output. Never raises, never loses a line."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.failures import note
from pantheon_obs.core.guard import let_through, report
from pantheon_obs.sinks.logs.delivery import writer
from pantheon_obs.sinks.logs.formats import console_format, json_format, text_format
from pantheon_obs.sinks.logs.limit import fit
from pantheon_obs.sinks.logs.line import LineBuilder
from pantheon_obs.sinks.redact import Redactor
from pantheon_obs.sinks.redact_plain import described

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from pantheon_obs.core.settings import Settings
    from pantheon_obs.sinks.logs.formats import Format

captures: list[list[dict[str, Any]]] = []
"""Lists that get every line's dict too; see `pantheon_obs.testing.capture_events`."""

LEVEL_NAMES = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "critical",
}


class Emitter:
    """Renders events and hands them to what writes them, as the settings say.

    Args:
        settings: Format, limits, static fields, keys to redact, and the way of delivery.
    """

    def __init__(self, settings: Settings) -> None:
        self.format_name = _format_name(settings.log_format)
        self._write = writer(settings, self)
        self._render = _FORMATS[self.format_name]()
        self._limit = settings.max_line_bytes
        self._builder = LineBuilder(
            Redactor(settings.redact_keys), settings.static_fields, request_id=settings.request_id
        )
        self._broken = False

    def emit(  # noqa: PLR0913, PLR0917 - one line's parts
        self,
        level: int,
        event: str,
        logger: str,
        fields: Mapping[str, Any],
        error: BaseException | None = None,
        created: float | None = None,
        trace_id: str | None = None,
        bound: Mapping[str, Any] | None = None,
        outside: Collection[str] | None = None,
    ) -> None:
        """Write one line.

        Args:
            level: A standard level's number.
            event: The event's name or the message.
            logger: The logger's name.
            fields: The event's own fields.
            error: The exception whose traceback the line carries.
            created: When it happened, in seconds since the epoch; None means now.
            trace_id: The trace; None means that of the current context.
            bound: What `bind()` put on the trace; None means that of the current context.
            outside: For a fact of ours, the fields whose text is not; the others are plain.
        """
        name = LEVEL_NAMES.get(level) or described(logging.getLevelName(level)).lower()
        try:
            self._write(
                self.render(name, event, logger, fields, error, created, trace_id, bound, outside),
                name,
            )
        except Exception as failure:  # noqa: BLE001 - whatever standard output is, the host runs on
            self.unwritable(failure)

    def render(  # noqa: PLR0913, PLR0917 - one line's parts
        self,
        level: str,
        event: str,
        logger: str,
        fields: Mapping[str, Any],
        error: BaseException | None = None,
        created: float | None = None,
        trace_id: str | None = None,
        bound: Mapping[str, Any] | None = None,
        outside: Collection[str] | None = None,
    ) -> bytes:
        """The bytes of one line, its end included; the arguments are those of `emit`."""
        try:
            line = self._builder.build(
                level, event, logger, fields, error, created, trace_id, bound, outside
            )
            if captures:
                for capture in captures:
                    capture.append(dict(line))
            rendered = self._render(line)
            if len(rendered) > self._limit:
                rendered = fit(line, rendered, self._render, self._limit)
        except Exception as failure:  # noqa: BLE001 - the line goes out, without what broke it
            report("log line", failure)
            rendered = self._render(
                self._builder.build(level, event, logger, {}, error, created, trace_id, {})
            )
        if error is not None:
            note(error).logged = True
        return rendered

    def unwritable(self, failure: Exception) -> None:
        """Say on standard error, once, that standard output does not take a line."""
        let_through(failure)
        if self._broken:
            return
        self._broken = True
        with suppress(Exception):
            line = self.render(
                "error", "telemetry_failed", "pantheon_obs.guard", {"site": "log output"}, failure
            )
            sys.stderr.write(line.decode("utf-8", "replace"))
            sys.stderr.flush()


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
