"""Between a `LogRecord` and an entry, both ways."""

from __future__ import annotations

import logging
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.carrier import carried_by
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.sinks.logs.entry import Entry
from pantheon_obs.sinks.redact_plain import described

if TYPE_CHECKING:
    from types import FrameType

_OWN = len(logging.makeLogRecord({}).__dict__)
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn's copy of the message with terminal escapes
}


def entry_from(record: logging.LogRecord, error: BaseException | None) -> Entry:
    """Read any record, also one that was pickled in another process; `error` is its exception."""
    attributes = record.__dict__
    # A record begins with its standard attributes; those of the application follow.
    added = islice(attributes, _OWN, None) if type(record) is logging.LogRecord else attributes
    fields = {key: attributes[key] for key in added if key not in _STANDARD}
    if record.stack_info:
        fields["stack"] = record.stack_info
    if error is None and record.exc_text:  # of a record that was pickled
        fields["traceback"] = record.exc_text
    name = record.name if type(record.name) is str else described(record.name)
    entry = Entry(record.levelno, _message(record), name, fields, error, record.created)
    if "data" in fields:
        _hide_arguments(name, fields)
    if "request" in fields:
        _place_in_trace(entry, fields)
    return entry


def _message(record: logging.LogRecord) -> str:
    message, args = record.msg, record.args
    if not args:
        return message if type(message) is str else described(message)
    try:
        return described(record.getMessage())
    except Exception:  # noqa: BLE001 - arguments that do not fit: say both, lose nothing
        given = args if isinstance(args, tuple) else (args,)
        return f"{described(message)} % ({', '.join(described(arg, repr) for arg in given)})"


def _hide_arguments(logger: str, fields: dict[str, Any]) -> None:
    """Show which task a record of Celery's is about, without the arguments of its call."""
    task = fields["data"]
    if logger.startswith("celery.") and isinstance(task, dict):
        del fields["data"]
        fields["task"], fields["task_id"] = task.get("name"), task.get("id")


def _place_in_trace(entry: Entry, fields: dict[str, Any]) -> None:
    """Put a record that carries its request into the request's trace, which may have ended.

    The request object is replaced by its method and path: its text has the query string.
    """
    trace = carried_by(fields["request"])
    if isinstance(trace, Exchange):
        fields["request"] = f"{trace.method} {trace.path}"
    elif entry.logger.partition(".")[0] == "django":  # the socket of a request that was none
        del fields["request"]
    if trace is not None:
        entry.trace_id, entry.bound = trace.trace_id, trace.bound


def record_for(entry: Entry) -> logging.LogRecord:
    """Make a record as `Logger.makeRecord` does, from where the application's code called.

    A field that has the name of an attribute of logging's gets an underscore.
    """
    frame, error = caller(), entry.error
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    record = logging.getLogRecordFactory()(
        entry.logger,
        entry.level,
        frame.f_code.co_filename,
        frame.f_lineno,
        entry.event,
        None,
        exc_info,
        frame.f_code.co_name,
        None,
    )
    for key, value in entry.fields.items():
        record.__dict__[f"{key}_" if key in _STANDARD else key] = value
    return record


def caller() -> FrameType:
    """Find the frame of the code that logs, outside of this library and structlog."""
    frame = sys._getframe(1)  # noqa: SLF001 - as logging does
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(
        ("pantheon_obs.", "structlog.")
    ):
        frame = frame.f_back
    return frame
