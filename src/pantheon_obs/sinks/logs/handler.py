"""Our handler on the root logger, and the ways of an entry to it; the sink that sends it facts.

An event of structlog's or ours need not become a `LogRecord` where nobody but our handler would
see it. Where the application has handlers of its own (a file, pytest's caplog), or where something
watches records (Sentry), it does.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.failures import is_logged
from pantheon_obs.core.structured import handle, in_flight
from pantheon_obs.sinks.logs.entry import Entry, entry_from, record_for
from pantheon_obs.sinks.logs.rendered import Rendered, entry_behind
from pantheon_obs.sinks.logs.superseded import RULES, is_superseded

if TYPE_CHECKING:
    from pantheon_obs.core.events import Event
    from pantheon_obs.sinks.logs.emitter import Emitter


class ObsHandler(logging.Handler):
    """Renders every record as a line; the one handler that we put on the root logger."""

    def __init__(self, emitter: Emitter) -> None:
        super().__init__()
        self.emitter = emitter
        self._alone = [self]

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
        if type(record.msg) is not str and isinstance(record.msg, Rendered):
            self.emitter.emit(entry_behind(record, record.msg))
            return
        if in_flight and isinstance(entry := in_flight.get(id(record)), Entry):
            # Filters may have changed these.
            entry.level, entry.logger, entry.created = record.levelno, record.name, record.created
            self.emitter.emit(entry)
            return
        exc_info = record.exc_info
        error = exc_info[1] if type(exc_info) is tuple else None
        doubtful = error is not None or record.name in RULES
        if not (doubtful and is_superseded(record, error)):
            self.emitter.emit(entry_from(record, error))

    def dispatch(self, logger: logging.Logger, entry: Entry, watched: bool = True) -> None:  # noqa: FBT001, FBT002 - called for each line
        """Write an entry that is not yet a record, as one if anybody else would see it.

        Its level is enabled. Watchers of records, as Sentry, may be kept from seeing it.
        """
        # Whoever watches records has replaced the method by which they reach their handlers.
        watched = watched and logging.Logger.callHandlers.__module__ != "logging"
        if not (watched or self.level or self.filters or logger.filters):
            node = logger
            while node.parent is not None and not node.handlers and node.propagate:
                node = node.parent
            if node.parent is None and node.handlers == self._alone:
                self.emitter.emit(entry)
                return
        handle(logger, record_for(entry), entry)

    def is_alone(self, logger: logging.Logger) -> bool:
        """Whether no other handler gets the records of a logger."""
        while logger.parent is not None and not logger.handlers and logger.propagate:
            logger = logger.parent
        return logger.parent is None and logger.handlers == self._alone


class LogSink:
    """Writes facts through our handler on the root logger."""

    name = "logs"

    def __init__(self, handler: ObsHandler) -> None:
        self._handler = handler
        self._loggers: dict[str, logging.Logger] = {}  # asking logging for one takes a lock

    def handle(self, event: Event) -> None:
        """Write one fact, with the traceback of its error unless another line has it."""
        name = event.logger
        logger = self._loggers.get(name)
        if logger is None:
            logger = self._loggers[name] = logging.getLogger(name)
        level, error = event.level, event.error
        if logger.isEnabledFor(level):
            if error is not None and is_logged(error):
                error = None
            fields, trace_id = event.fields(), event.trace_id
            entry = Entry(
                level, event.event, name, fields, error, trace_id, event.bound, event.outside
            )
            self._handler.dispatch(logger, entry, False)  # noqa: FBT003 - as above
