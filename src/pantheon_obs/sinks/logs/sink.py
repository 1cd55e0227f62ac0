"""The sink that writes each fact as a log line."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pantheon_obs.core.failures import is_logged
from pantheon_obs.sinks.logs.handler import dispatch, only_ours

if TYPE_CHECKING:
    from pantheon_obs.core.context import Trace
    from pantheon_obs.core.events import Event
    from pantheon_obs.sinks.logs.handler import ObsHandler


class LogSink:
    """Writes facts through our handler.

    Args:
        handler: The handler on the root logger.
    """

    name = "logs"

    def __init__(self, handler: ObsHandler) -> None:
        self._handler = handler
        self._loggers: dict[str, logging.Logger] = {}  # asking logging for one takes a lock

    def started(self, record: Trace) -> None:
        """Nothing is logged when a request begins."""

    def ended(self, trace: Trace) -> None:
        """Nothing is logged: `request_finished` is a fact of its own."""

    def handle(self, event: Event) -> None:
        """Write one fact; one traceback per failure, so only if no line has it yet."""
        logger = self._loggers.get(event.logger)
        if logger is None:
            logger = self._loggers[event.logger] = logging.getLogger(event.logger)
        level = event.level
        if not logger.isEnabledFor(level):
            return
        error = event.error
        if error is not None and is_logged(error):
            error = None
        if only_ours(self._handler, logger):
            self._handler.emitter.emit(
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
            return
        dispatch(
            self._handler,
            logger,
            level,
            event.event,
            event.fields(),
            error,
            event.trace_id,
            event.bound,
            watched=False,
        )
