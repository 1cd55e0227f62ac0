"""Standard library records, and the choice between their way and the short one.

A line of structlog's or ours need not become a `LogRecord` where nobody but our handler would see
it. Where the host has handlers of its own (a file, pytest's caplog), or where something watches
records (Sentry), it does.
"""

from __future__ import annotations

import logging
import re
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from pantheon_obs.core import structured
from pantheon_obs.core.failures import arrive, is_covered, is_logged, repeats
from pantheon_obs.sinks.logs.requests import is_access_line, owner_of
from pantheon_obs.sinks.logs.tasks import (
    is_success_or_failure,
    repeats_failure,
    without_arguments,
)
from pantheon_obs.sinks.redact_plain import described

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from pantheon_obs.sinks.logs.emitter import Emitter

_OWN = len(logging.makeLogRecord({}).__dict__)
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn's copy of the message with terminal escapes
    "_pantheon_obs",
}
# Loggers that repeat an exception which request_finished carries.
_REPEATERS = frozenset(
    {
        "uvicorn.error",
        "hypercorn.error",
        "gunicorn.error",
        "_granian",
        "_granian.utils",
        "werkzeug",
    }
)
# Loggers of which some records say less than a line of ours, and what tells which.
_SAY_LESS = {
    "django.server": is_access_line,
    "werkzeug": is_access_line,
    "celery.app.trace": is_success_or_failure,
    "celery.worker.request": repeats_failure,
}
# What Flask and Quart log of an error that they answer; Quart of background work no more than that.
_ANNOUNCEMENT = re.compile("Exception( on |$)")
_ANNOUNCER = "django.request"
_TELLER = "pantheon_obs.request"  # the logger of our line, which may be off
_AS_TEXT = frozenset({"_granian.utils", "werkzeug"})  # have the traceback in the message
_WEBSOCKET_LINE = '%s - "WebSocket %s'  # uvicorn's, with the query string


class Payload(NamedTuple):
    """What a record of ours says, exactly; rides on the record to our handler."""

    event: str
    fields: Mapping[str, Any]
    error: BaseException | None
    trace_id: str | None
    bound: Mapping[str, Any] | None


class ObsHandler(logging.Handler):
    """Renders every record as a line; the one handler that we put on the root logger.

    Args:
        emitter: Writes the lines.
    """

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
        """Write one record as a line, unless another line says the same."""
        payload: Payload | None = record.__dict__.get("_pantheon_obs")
        if payload is not None:
            self.emitter.emit(
                record.levelno,
                payload.event,
                record.name,
                payload.fields,
                payload.error,
                record.created,
                payload.trace_id,
                payload.bound,
            )
            return
        exc_info = record.exc_info
        error = exc_info[1] if type(exc_info) is tuple else None
        if record.name in _REPEATERS and _is_repetition(record, error):
            return
        if error is not None and is_covered(error) and _is_announcement(record):
            return
        says_less = _SAY_LESS.get(record.name)
        if says_less is not None and says_less(record):
            return
        attributes = record.__dict__
        # A record begins with its standard attributes; what the host added follows.
        added = islice(attributes, _OWN, None) if type(record) is logging.LogRecord else attributes
        fields = {key: attributes[key] for key in added if key not in _STANDARD}
        if record.stack_info:
            fields["stack"] = record.stack_info
        if error is None and record.exc_text:  # a record that was pickled on its way here
            fields["traceback"] = record.exc_text
        if "data" in fields:
            without_arguments(record, fields)
        owner = owner_of(record, fields) if "request" in fields else None
        self.emitter.emit(
            record.levelno,
            _message(record),
            record.name if type(record.name) is str else described(record.name),
            fields,
            error,
            record.created,
            owner.trace_id if owner is not None else None,
            owner.bound if owner is not None else None,
        )


def _is_repetition(record: logging.LogRecord, error: BaseException | None) -> bool:
    """Whether a server's record repeats what a line of ours says."""
    arrive(error)
    if is_logged(error):
        return True
    if record.name in _AS_TEXT:
        teller = logging.getLogger(_TELLER)
        return repeats(record) and teller.isEnabledFor(logging.ERROR)
    return isinstance(record.msg, str) and record.msg.startswith(_WEBSOCKET_LINE)


def _is_announcement(record: logging.LogRecord) -> bool:
    """Whether a framework's record says of an unhandled error what our line says or will say."""
    announces = record.name == _ANNOUNCER or bool(_ANNOUNCEMENT.match(str(record.msg)))
    return announces and logging.getLogger(_TELLER).isEnabledFor(logging.ERROR)


def _message(record: logging.LogRecord) -> str:
    message, args = record.msg, record.args
    if not args:
        return message if type(message) is str else described(message)
    try:
        return described(record.getMessage())
    except Exception:  # noqa: BLE001 - arguments that do not fit: say both, lose nothing
        given = args if isinstance(args, tuple) else (args,)
        return f"{described(message)} % ({', '.join(described(arg, repr) for arg in given)})"


def dispatch(  # noqa: PLR0913, PLR0917 - one line's parts
    handler: ObsHandler,
    logger: logging.Logger,
    level: int,
    event: str,
    fields: Mapping[str, Any],
    error: BaseException | None = None,
    trace_id: str | None = None,
    bound: Mapping[str, Any] | None = None,
    *,
    watched: bool = True,
) -> None:
    """Send a line of structlog's or ours its way.

    Args:
        handler: Our handler.
        logger: The logger, for which the level is enabled.
        level: A standard level's number.
        event: The event's name or the message.
        fields: The event's own fields.
        error: The exception whose traceback the line carries.
        trace_id: The trace; None means that of the current context.
        bound: What `bind()` put on the trace; None means that of the current context.
        watched: Whether what watches records may see it: Sentry makes an event of each error.
    """
    if only_ours(handler, logger) and not (watched and _records_are_watched()):
        handler.emitter.emit(level, event, logger.name, fields, error, None, trace_id, bound)
        return
    record = record_of(logger, level, event, fields, error)
    record.__dict__["_pantheon_obs"] = Payload(event, fields, error, trace_id, bound)
    structured.begin(record)
    try:
        logger.handle(record)
    finally:
        structured.end(record)


def only_ours(handler: ObsHandler, logger: logging.Logger) -> bool:
    """Whether a line from this logger would reach our handler, unfiltered, and no other."""
    if handler.level or handler.filters or logger.filters:
        return False
    while logger.parent is not None:
        if logger.handlers or not logger.propagate:
            return False
        logger = logger.parent
    return logger.handlers == [handler]


def _records_are_watched() -> bool:
    """Whether somebody has replaced the method through which records reach their handlers."""
    return logging.Logger.callHandlers.__module__ != "logging"


def record_of(
    logger: logging.Logger,
    level: int,
    event: str,
    fields: Mapping[str, Any],
    error: BaseException | None,
) -> logging.LogRecord:
    """A record as `Logger.makeRecord` makes it, from where the host's code called.

    Args:
        logger: The logger.
        level: A standard level's number.
        event: The event's name or the message.
        fields: The event's own fields; one under a name of logging's gets an underscore.
        error: The exception, if there is one.
    """
    frame = caller()
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    record = logging.getLogRecordFactory()(
        logger.name,
        level,
        frame.f_code.co_filename,
        frame.f_lineno,
        event,
        None,
        exc_info,
        frame.f_code.co_name,
        None,
    )
    for key, value in fields.items():
        record.__dict__[f"{key}_" if key in _STANDARD else key] = value
    return record


def caller() -> FrameType:
    """The frame of the code that logs, where that is not ours or structlog's."""
    frame = sys._getframe(1)  # noqa: SLF001 - as logging does
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(
        ("pantheon_obs.", "structlog.")
    ):
        frame = frame.f_back
    return frame
