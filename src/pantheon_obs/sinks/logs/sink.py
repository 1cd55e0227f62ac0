"""The sink that writes each fact as a log line."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pantheon_obs.core.failures import is_logged
from pantheon_obs.sinks.logs.entry import Entry

if TYPE_CHECKING:
    from pantheon_obs.core.context import Trace
    from pantheon_obs.core.events import Event
    from pantheon_obs.sinks.logs.handler import ObsHandler


class LogSink:
    """Writes facts through our handler on the root logger."""

    name = "logs"

    def __init__(self, handler: ObsHandler) -> None:
        self._handler = handler
        self._loggers: dict[str, logging.Logger] = {}  # asking logging for one takes a lock

    def started(self, trace: Trace) -> None:
        """Log nothing when a trace begins."""

    def ended(self, trace: Trace) -> None:
        """Log nothing: the end of a request or task is a fact of its own."""

    def handle(self, event: Event) -> None:
        """Write one fact, with the traceback of its error unless another line has it."""
        logger = self._loggers.get(event.logger)
        if logger is None:
            logger = self._loggers[event.logger] = logging.getLogger(event.logger)
        level = event.level
        if not logger.isEnabledFor(level):
            return
        error = event.error
        if error is not None and is_logged(error):
            error = None
        entry = Entry(
            level,
            event.event,
            event.logger,
            event.fields(),
            error,
            None,
            event.trace_id,
            event.bound,
            event.outside,
        )
        self._handler.dispatch(logger, entry, watched=False)
