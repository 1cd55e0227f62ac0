"""Run an event of a structlog logger through the processors of the application."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import structlog

from pantheon_obs.sinks.logs import bound_logger
from pantheon_obs.sinks.logs.noticing import handlers_of
from pantheon_obs.sinks.logs.passed_on import pass_on
from pantheon_obs.sinks.logs.printing import is_standard
from pantheon_obs.sinks.logs.records import caller

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pantheon_obs.sinks.logs.entry import Entry
    from pantheon_obs.sinks.logs.handler import ObsHandler
    from pantheon_obs.sinks.logs.passed_on import Call

# Keys that structlog's processors add, and that our lines have in any case.
_ADDED = ("timestamp", "level", "logger", "exception")

_output: Any = sys.modules[structlog.PrintLogger.__module__]

# They render an event and do nothing else.
_RENDERERS = (
    structlog.processors.JSONRenderer,
    structlog.processors.KeyValueRenderer,
    structlog.processors.LogfmtRenderer,
    structlog.dev.ConsoleRenderer,
)


class Run:
    """An event of a logger that prints: its line is ours.

    Attributes:
        given: The event as it was logged.
        last: The event before the processor that runs.
        processors: The processors to run.
    """

    def __init__(
        self,
        bound: Any,  # noqa: ANN401 - any of structlog's loggers
        method: str,
        fields: dict[str, Any],
        processors: Iterable[Any],
        *,
        is_awaited: bool,
    ) -> None:
        """Prepare a run; `is_awaited` says whether the caller of it knows DropEvent."""
        self._logger = bound._logger  # noqa: SLF001 - as structlog's page on wrapper classes has it
        self._handler: ObsHandler = bound_logger.handler  # type: ignore[assignment]
        self._method = method
        self._is_awaited = is_awaited
        # A processor may format the exception, and take it away.
        self._exc_info = fields.get("exc_info", method == "exception")
        if self._exc_info is True:
            self._exc_info = sys.exc_info()
        self._stacklevel = 1
        self.given: dict[str, Any] = {}
        self.last: dict[str, Any] = {}
        is_plain = bound_logger.are_built_in(processors)
        self.processors = () if is_plain else self._needed(tuple(processors))

    def _needed(self, processors: tuple[Any, ...]) -> tuple[Any, ...]:
        """Leave out a renderer of structlog's own: our line does not need it."""
        return processors[:-1] if processors and type(processors[-1]) in _RENDERERS else processors

    def end(self, result: object) -> Call:
        """Write the line of the event, after the processors."""
        logger, entry = self._read(result)
        if logger.isEnabledFor(entry.level):
            if not self._is_awaited:  # the wrapper class goes on to call its logger by itself
                return self._as_line(entry)
            self._handler.dispatch(logger, entry, stacklevel=self._stacklevel)
        raise structlog.DropEvent

    def _as_line(self, entry: Entry) -> Call:
        """Have our line printed by the application's logger."""
        line = self._handler.emitter.render(entry).removesuffix(b"\n")
        is_bytes = isinstance(self._logger, structlog.BytesLogger)
        return (line if is_bytes else line.decode("utf-8", "replace"),), {}

    def _read(self, result: object) -> tuple[logging.Logger, Entry]:
        """Read the event from where the processors have left it."""
        fields = self.last
        if isinstance(result, Mapping) and ("event" in result or not self.processors):
            fields = dict(result)
        given = self.given
        added = {key: fields.pop(key) for key in _ADDED if key in fields and key not in given}
        event = given.get("event")
        if "event" in fields:
            event = fields.pop("event")
        else:  # it has got another name
            fields = {k: v for k, v in fields.items() if k in given or v is not event}
        if args := fields.pop("positional_args", None):  # of structlog.stdlib.BoundLogger
            event = bound_logger.interpolated(event, args, fields)
        fields["exc_info"] = self._exc_info
        levels = map(bound_logger.level_named, (added.get("level"), self._method))
        level = next(filter(None, levels), logging.INFO)
        logger = standard_logger(self._logger, added.get("logger"))
        self._stacklevel = bound_logger.stacklevel_in(fields)
        return logger, bound_logger.entry_of(logger, level, event, fields, self._stacklevel)


class LoggingRun(Run):
    """An event of a logger that passes it on to standard logging.

    Where other handlers will see its record, the application's own logger makes it.
    """

    def _needed(self, processors: tuple[Any, ...]) -> tuple[Any, ...]:
        """Run all processors, unless nobody will see the renderer's result."""
        logger = self._logger
        is_alone = isinstance(logger, logging.Logger) and handlers_of(logger) == [self._handler]
        self._is_awaited = self._is_awaited and is_alone
        return super()._needed(processors) if self._is_awaited else processors

    def end(self, result: object) -> Call:
        """Let the application's logger make a record, whose event our handler finds."""
        if self._is_awaited:
            return super().end(result)
        logger, entry = self._read(result)
        call = _call(result)
        is_ours = logger.isEnabledFor(entry.level) and self._handler in handlers_of(logger)
        return pass_on(call, entry) if is_ours else call


class CapturedRun(Run):
    """An event of a logger that writes somewhere else, which a test captures."""

    def _needed(self, processors: tuple[Any, ...]) -> tuple[Any, ...]:
        return processors

    def end(self, result: object) -> Call:
        """Capture the event, and let the application's logger write it."""
        self._handler.emitter.render(self._read(result)[1])
        return _call(result)


def _call(result: object) -> Call:
    """Return the arguments for the application's logger, as structlog does."""
    if isinstance(result, (str, bytes, bytearray)):
        return (result,), {}
    if isinstance(result, tuple):
        return result
    if isinstance(result, dict):
        return (), result
    msg = (
        "Last processor didn't return an appropriate value.  "
        "Valid return values are a dict, a tuple of (args, kwargs), bytes, or a str."
    )
    raise ValueError(msg)


def standard_logger(logger: object, name: object = None) -> logging.Logger:
    """Find the standard logger whose level governs, and whose name stands on the line."""
    if isinstance(logger, logging.Logger):
        return logger
    for known in (name, getattr(logger, "name", None)):
        if isinstance(known, str):
            return logging.getLogger(known)
    return logging.getLogger(caller().f_globals.get("__name__"))


def is_console(logger: object) -> bool:
    """Whether a logger is one of structlog's own that write to a stream, and this one prints."""
    file = getattr(logger, "_file", None)
    if file is None or not type(logger).__module__.startswith("structlog."):
        return False
    # A PrintLogger has the stream of structlog's import, and prints to the current stream.
    return file is _output.stdout or file is _output.stderr or is_standard(file)
