"""Our handler on the root logger, and the ways of an entry to it; the sink that sends it facts.

An event of structlog's or ours need not become a `LogRecord` where nobody but our handler would
see it. Where the application has handlers of its own (a file, pytest's caplog), or where something
watches records (Sentry), it does.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import structured
from pantheon_obs.core.failures import is_logged
from pantheon_obs.sinks.logs.entry import Entry
from pantheon_obs.sinks.logs.records import entry_from, record_for
from pantheon_obs.sinks.logs.superseded import is_superseded

if TYPE_CHECKING:
    from pantheon_obs.core.context import Trace
    from pantheon_obs.core.events import Event
    from pantheon_obs.sinks.logs.emitter import Emitter


class ObsHandler(logging.Handler):
    """Renders every record as a line; the one handler that we put on the root logger."""

    def __init__(self, emitter: Emitter) -> None:
        super().__init__()
        self.emitter = emitter

    def createLock(self) -> None:  # noqa: N802 - the name is logging's
        """Have no lock: the output has one, and a line is built without it."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record that passes the filters; as logging does, without the lock."""
        if self.filters:
            passed: Any = self.filter(record)
            if not passed:
                return False
            # Since Python 3.12 a filter may give back another one.
            record = passed if isinstance(passed, logging.LogRecord) else record
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as a line, unless an event of ours says more."""
        entry = structured.event_of(record)
        if isinstance(entry, Entry):
            # Filters may have changed these.
            entry.level, entry.logger, entry.created = record.levelno, record.name, record.created
            self.emitter.emit(entry)
            return
        exc_info = record.exc_info
        error = exc_info[1] if type(exc_info) is tuple else None
        if not is_superseded(record, error):
            self.emitter.emit(entry_from(record, error))

    def dispatch(self, logger: logging.Logger, entry: Entry, *, watched: bool = True) -> None:
        """Write an entry that is not yet a record, as one if anybody else would see it.

        Args:
            logger: The entry's logger, for which its level is enabled.
            entry: The entry.
            watched: Whether watchers of records may see it: Sentry makes an event of each error.
        """
        # Whoever watches records has replaced the method by which they reach their handlers.
        watched = watched and logging.Logger.callHandlers.__module__ != "logging"
        if not watched and self._is_alone_on(logger):
            self.emitter.emit(entry)
            return
        structured.handle(logger, record_for(entry), entry)

    def _is_alone_on(self, logger: logging.Logger) -> bool:
        """Whether an entry of this logger would reach this handler, unfiltered, and no other."""
        if self.level or self.filters or logger.filters:
            return False
        while logger.parent is not None:
            if logger.handlers or not logger.propagate:
                return False
            logger = logger.parent
        return logger.handlers == [self]


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
