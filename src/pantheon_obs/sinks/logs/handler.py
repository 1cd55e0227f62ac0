"""Our handler on the root logger, and the ways of an entry to it; the sink that sends it facts.

An event of structlog's or ours need not become a `LogRecord` where nobody but our handler would
see it. Where the application has handlers of its own (a file, pytest's caplog), or where something
watches or changes records (Sentry, filters, factories, logger classes), it does.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.events import RequestFinished
from pantheon_obs.core.failures import is_logged
from pantheon_obs.core.guard import report
from pantheon_obs.core.structured import handle, in_flight
from pantheon_obs.sinks.logs import noticing, odd
from pantheon_obs.sinks.logs.adopted import AdoptedFilters
from pantheon_obs.sinks.logs.entry import Entry, FactEntry, entry_from, uncoloured
from pantheon_obs.sinks.logs.noticing import handlers_of
from pantheon_obs.sinks.logs.passed_on import entry_behind, is_passed_on, passed_on
from pantheon_obs.sinks.logs.records import read_back, record_for
from pantheon_obs.sinks.logs.superseded import RULES, is_superseded
from pantheon_obs.sinks.redact.plain import described

if TYPE_CHECKING:
    from pantheon_obs.core.events import Event
    from pantheon_obs.sinks.logs.emitter import Emitter

_Logger, _Record = logging.Logger, logging.LogRecord


class ObsHandler(logging.Handler):
    """Renders every record as a line; the only handler that we put on the root logger.

    Attributes:
        emitter: Writes the lines; set before the handler is used.
        closed_by: The place in the code that has closed it, as `dictConfig` and `basicConfig` do
            with each handler; empty if nobody has.
        disabled: The names of the loggers that were disabled then.
        adopted: Runs the filters of the handlers that this one stands in for.
    """

    emitter: Emitter

    def __init__(self) -> None:
        super().__init__()
        self.closed_by = ""
        self.disabled: frozenset[str] = frozenset()
        self.adopted = AdoptedFilters()
        self._alone = [self]

    def reopen(self) -> None:
        """Register with logging again: `dictConfig` forgets the handlers that it closes."""
        self.closed_by, self.disabled = "", frozenset()
        filters = self.filters
        super().__init__(self.level)
        self.filters = filters

    def adopt(self, logger: logging.Logger, other: logging.Handler) -> None:
        """Run the filters of a handler that was removed from a logger."""
        if self.adopted.add(logger, other):
            self.addFilter(self.adopted)

    def createLock(self) -> None:  # noqa: N802 - the name is logging's
        """Make no lock: the output has one, and a line is built without it."""
        self.lock = None

    def close(self) -> None:
        """Note who configures logging anew; a closed handler works on."""
        self.closed_by, self.disabled = _configuring(), disabled_loggers()

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
        try:
            if in_flight and isinstance(entry := in_flight.get(id(record)), Entry):
                if isinstance(entry, FactEntry):
                    entry.written = True
                read_back(entry, record)
            elif passed_on.events and is_passed_on(record):
                entry = entry_behind(record)
            else:
                error = odd.error_in(record.exc_info) if record.exc_info else None
                name = record.name if type(record.name) is str else ""
                if name and (error is not None or name in RULES) and is_superseded(record, error):
                    return
                entry = entry_from(record, error)
                if name in RULES:
                    entry.event = uncoloured(entry.event)
        except Exception as failure:  # noqa: BLE001 - a record may have become anything
            report("log record", failure)
            entry = _remains_of(record)
        self.emitter.emit(entry)

    def dispatch(self, logger: logging.Logger, entry: Entry, stacklevel: int = 1) -> None:
        """Write an entry that is not yet a record, as one if anybody else would see it.

        Its level is enabled. Watchers of records, as Sentry, need not see a fact of this library.
        """
        is_unwatched = _Logger.callHandlers is noticing.call_handlers or entry.outside is not None
        if is_unwatched and self.is_direct(logger):
            self.emitter.emit(entry)
        else:
            handle(logger, record_for(entry, logger, stacklevel), entry)

    def is_direct(self, logger: logging.Logger) -> bool:
        """Whether nobody but this handler would see, make or change a record of the logger.

        It is asked for each line: all of this may change between two of them.
        """
        if (
            (type(logger) is not _Logger and not noticing.keeps_methods(type(logger)))
            or logging._logRecordFactory is not _Record  # type: ignore[attr-defined]  # noqa: SLF001 - for each line
            or _Logger.makeRecord is not noticing.make_record
            or self.level
            or self.filters
            or logger.filters
        ):
            return False
        return handlers_of(logger) == self._alone


def known_loggers() -> list[logging.Logger]:
    """List all loggers but the root logger."""
    # A copy at once: a finalizer, or another thread, may make a logger meanwhile.
    loggers = logging.Logger.manager.loggerDict.copy().values()
    return [each for each in loggers if isinstance(each, logging.Logger)]


def disabled_loggers() -> frozenset[str]:
    """List the names of the loggers that are disabled now."""
    return frozenset(each.name for each in known_loggers() if each.disabled)


def _configuring() -> str:
    """Find the place in the code that configures logging, outside of `logging` itself."""
    frame = sys._getframe(2)  # noqa: SLF001 - as logging does
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("logging"):
        frame = frame.f_back
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} {code.co_name}"


def _remains_of(record: logging.LogRecord) -> Entry:
    """Make an entry of the parts of a record that can be read."""
    text = getattr(record, "msg", "")
    return Entry(odd.level_of(record), described(text), described(record.__dict__.get("name")), {})


class LogSink:
    """Writes facts through our handler on the root logger."""

    name = "logs"

    def __init__(self, handler: ObsHandler) -> None:
        self._handler = handler
        self._loggers: dict[str, logging.Logger] = {}  # asking logging for one takes a lock
        # logging's own memory of its answers, which takes a third of the time of asking.
        known: dict[int, bool] = getattr(logging.getLogger(RequestFinished.logger), "_cache", {})
        self.wants = known.get

    def handle(self, event: Event) -> None:
        """Write one fact, with the traceback of its error unless another line has it."""
        name, handler = event.logger, self._handler
        level, error = event.level, event.error
        try:
            logger = self._loggers[name]
        except KeyError:
            logger = self._loggers[name] = logging.getLogger(name)
        if not logger.isEnabledFor(level):
            return
        if error is None and handler.is_direct(logger):
            handler.emitter.emit(event)
            return
        if error is not None and is_logged(error):
            error = None
        parts = (level, event.event, name, event.fields(), error)
        entry = FactEntry(*parts, event.trace_id, event.bound, event.outside, fact=event)
        try:
            handler.dispatch(logger, entry)
        except Exception:  # of a filter, factory or handler of the application's
            if not entry.written:
                handler.emitter.emit(entry)
            raise
